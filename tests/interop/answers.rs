//! The same random requests to Apache and to ours: the same answers, errors, zxids and events.
//!
//! [`same`] asks one request at a time, and compares everything but times and session ids.
//! [`same_pipelined`] lets several clients send bursts, each below a znode of its own, and
//! compares what each was answered, without zxids, which depend on who came first.
//! [`deviations_are_found`] shows that a small mistake in ours would be noticed.

mod pipelined;
mod requests;
mod session;
mod tally;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tests::ensemble::{Ensemble, Make, Programs};
use tests::words;
use wire::Zxid;
use wire::client::Request;

use crate::Setting;
pub(crate) use pipelined::same_pipelined;
use requests::Random;
use session::{Answer, Session};
use tally::{State, Tally};

const LIMIT: Duration = Duration::from_secs(60);
/// Each with credentials of its own.
const SESSIONS: usize = 3;
/// Apache's `super:test`.
const SETTINGS: &str = "extendedTypesEnabled=true\nznode.container.checkIntervalMs=86400000\n\
    DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
/// Of a hundred requests so many must succeed.
const SUCCEED: u64 = 40;
/// Requests in which each deviation must have shown itself.
const UNTIL_FOUND: u64 = 20_000;

/// Sends as many requests as were asked for to an ensemble of each make.
pub(crate) fn same(setting: &Setting) -> anyhow::Result<()> {
    let mut pair = Pair::start(setting, &setting.programs)?;
    let mut tally = Tally::default();
    let started = Instant::now();
    let difference = (0..setting.requests).find_map(|step| pair.step(step, &mut tally).transpose());
    tally.write(&setting.folder.join("table.txt"))?;
    if let Some(difference) = difference.transpose()? {
        bail!(difference);
    }
    let took = started.elapsed();
    println!("        {} requests in {took:.0?}", setting.requests);
    println!("{}", tally.summary());
    ensure!(
        tally.succeeded() * 100 >= SUCCEED * tally.all(),
        "only {} of {} requests succeeded",
        tally.succeeded(),
        tally.all()
    );
    Ok(())
}

/// Builds ours with mistakes that can be switched on, and looks for each.
pub(crate) fn deviations_are_found(setting: &Setting) -> anyhow::Result<()> {
    let deviating = crate::foreign::deviating()?;
    for number in 1..=5 {
        let programs = Programs {
            ferrokeeper: deviating.clone(),
            ferrokeeper_environment: vec![("FERROKEEPER_DEVIATION".to_owned(), number.to_string())],
            ..setting.programs.clone()
        };
        let folder = setting.folder.join(format!("deviation{number}"));
        let mut pair = Pair::start(&setting.within(&folder), &programs)?;
        let mut tally = Tally::default();
        let found = (0..UNTIL_FOUND).find_map(|step| match pair.step(step, &mut tally) {
            Ok(None) => None,
            Ok(Some(difference)) => Some(Ok((step, difference))),
            Err(error) => Some(Err(error)),
        });
        let Some((step, difference)) = found.transpose()? else {
            bail!("deviation {number} was not found in {UNTIL_FOUND} requests");
        };
        println!("        deviation {number}: found with request {step}");
        std::fs::write(folder.join("difference.txt"), difference).context("write it down")?;
    }
    Ok(())
}

/// One ensemble of each make, asked the same.
struct Pair {
    apache: Side,
    ours: Side,
    random: Random,
    seed: u64,
    /// What was asked last, the same of both.
    recent: VecDeque<String>,
}

/// Steps that are told with a difference.
const RECENT: usize = 8;

impl Pair {
    fn start(setting: &Setting, programs: &Programs) -> anyhow::Result<Self> {
        let open = |make: Make| Side::start(programs, &setting.folder, make);
        Ok(Self {
            apache: open(Make::Apache)?,
            ours: open(Make::Ferrokeeper)?,
            random: Random::new(setting.seed),
            seed: setting.seed,
            recent: VecDeque::new(),
        })
    }

    /// Asks one request, or moves a session. Tells how the answers differ, if they do.
    fn step(&mut self, step: u64, tally: &mut Tally) -> anyhow::Result<Option<String>> {
        let client = self.random.below(SESSIONS as u64) as usize;
        if self.random.below(40) == 0 {
            let place = self.random.below(3) as usize;
            self.apache.reconnect(client, place)?;
            self.ours.reconnect(client, place)?;
            self.remember(format!("{step}: client {client} to member {place}"));
            return Ok(None);
        }
        let request = self.random.request();
        let (state, expected) = self.apache.ask(client, &request)?;
        let (_, found) = self.ours.ask(client, &request)?;
        tally.count(&request, &expected, state);
        let text = format!("request {step} of client {client} ({state:?}): {request:?}");
        if found.text == expected.text {
            self.remember(format!("{text}: {}", expected.text));
            return Ok(None);
        }
        let recent: Vec<&str> = self.recent.iter().map(String::as_str).collect();
        Ok(Some(format!(
            "seed {}, {text}\nApache: {}\n  ours: {}\nbefore it:\n{}",
            self.seed,
            expected.text,
            found.text,
            recent.join("\n")
        )))
    }

    fn remember(&mut self, step: String) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(step);
    }
}

/// One ensemble and the sessions with its members.
struct Side {
    /// The leader, then the others by id.
    members: Vec<SocketAddr>,
    clients: Vec<Client>,
    /// Who changed something last, as far as others may not have seen it.
    last: usize,
    /// Dropped last.
    _ensemble: Ensemble,
}

struct Client {
    session: Session,
    /// In [`Side::members`].
    place: usize,
    state: State,
}

impl Side {
    fn start(programs: &Programs, folder: &Path, make: Make) -> anyhow::Result<Self> {
        let folder = folder.join(format!("{make:?}"));
        let mut ensemble = Ensemble::new(programs, &folder, &[make; 3], SETTINGS)?;
        ensemble.start_all()?;
        let leader = ensemble.leader(LIMIT)?;
        let others = ensemble.members.iter().filter(|member| member.id != leader);
        let members: Vec<SocketAddr> = std::iter::once(ensemble.member(leader))
            .chain(others)
            .map(|member| member.client)
            .collect();
        let clients = (0..SESSIONS).map(|client| Client::fresh(members[0], client));
        Ok(Self {
            clients: clients.collect::<Result<_, _>>()?,
            members,
            last: 0,
            _ensemble: ensemble,
        })
    }

    /// The answer, in a form without what two runs cannot have in common.
    fn ask(&mut self, client: usize, request: &Request) -> anyhow::Result<(State, Answer)> {
        let owners: Vec<i64> = self
            .clients
            .iter()
            .map(|client| client.session.id())
            .collect();
        let asked = &mut self.clients[client];
        let state = asked.state;
        // A member may not have applied yet what others did, the leader neither: it commits what
        // a quorum of others has.
        if self.last != client {
            asked.session.catch_up()?;
        }
        self.last = client;
        let answer = asked
            .session
            .ask(request, &owners)
            .with_context(|| format!("ask {request:?}"))?;
        if matches!(request, Request::SetAcl(_)) && asked.place != 0 {
            // Apache's leader judges by the old list until it has applied the new one, which the
            // member that answers may have done before.
            wait_for(self.members[0], asked.session.seen())?;
        }
        if matches!(request, Request::CloseSession(())) {
            *asked = Client::fresh(self.members[0], client)?;
        }
        Ok((state, answer))
    }

    /// The session goes on over another connection, to the same member or to another one.
    fn reconnect(&mut self, client: usize, place: usize) -> anyhow::Result<()> {
        let moved = &mut self.clients[client];
        moved.state = if moved.place == place {
            State::Back
        } else {
            State::Moved
        };
        moved.place = place;
        moved.session.reconnect(self.members[place])?;
        // Whoever asks next has to see it.
        self.last = SESSIONS;
        Ok(())
    }
}

/// Waits until a member has applied what is up to `zxid`.
fn wait_for(member: SocketAddr, zxid: Zxid) -> anyhow::Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let answer = words::ask(member, "srvr")?;
        let applied = answer
            .lines()
            .find_map(|line| line.strip_prefix("Zxid: 0x"));
        let applied = applied.and_then(|hex| u64::from_str_radix(hex, 16).ok());
        if applied.is_some_and(|applied| applied >= zxid.0) {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "the leader is behind {zxid}: {answer}"
        );
    }
}

impl Client {
    fn fresh(leader: SocketAddr, number: usize) -> anyhow::Result<Self> {
        Ok(Self {
            session: Session::open(leader, number)?,
            place: 0,
            state: State::Fresh,
        })
    }
}
