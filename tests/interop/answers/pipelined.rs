//! Several clients at once, each with many requests under way.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use tests::ensemble::Make;
use wire::client::{CreateRequest, OpCode, Request};
use wire::{Acl, Zxid};

use super::asked::Asked;
use super::ensure_success;
use super::requests::Random;
use super::session::{Answer, Light, Order, Session};
use super::side::{Side, wait_for};
use super::stages::{Kind, STAGES, Stage};
use super::tally::Tally;
use crate::Setting;

/// Clients at once, two on each member.
const CLIENTS: usize = 6;
/// Requests under way of each.
const BURST: u64 = 32;

/// What one client asked and was answered.
type Log = Vec<(Asked, Answer)>;

/// Compares what each client was answered by an ensemble of each make.
pub(crate) fn same_pipelined(setting: &Setting) -> anyhow::Result<()> {
    let mut all = Tally::default();
    for (kind, share) in [
        (Kind::Ordinary, 70),
        (Kind::Local, 20),
        (Kind::ReadOnly, 10),
    ] {
        let stage = STAGES.iter().find(|stage| stage.kind == kind);
        let stage = stage.context("a stage of this kind")?;
        let bursts = (setting.requests * share / 100).div_ceil(BURST * CLIENTS as u64);
        let expected = asked(setting, Make::Apache, stage, bursts)?;
        let found = asked(setting, Make::Ferrokeeper, stage, bursts)?;
        for (client, (expected, found)) in expected.iter().zip(&found).enumerate() {
            compare(client, expected, found, stage, &mut all)
                .with_context(|| format!("seed {}, {}", setting.seed, stage.name))?;
        }
    }
    all.write(&setting.folder)?;
    println!("        seed {}, {CLIENTS} clients", setting.seed);
    println!("{}", all.summary());
    ensure_success(&all)
}

fn compare(
    client: usize,
    expected_log: &Log,
    found: &Log,
    stage: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for (step, ((asked, expected), (_, found))) in expected_log.iter().zip(found).enumerate() {
        tally.count(asked, expected, stage.initial());
        if found.text == expected.text {
            continue;
        }
        bail!(
            "request {step} of client {client}: {asked:?}\n\
             Apache: {}\n  ours: {}\nbefore it:\n{}",
            expected.text,
            found.text,
            before(&expected_log[..step])
        );
    }
    ensure!(
        expected_log.len() == found.len(),
        "client {client} was cut short"
    );
    Ok(())
}

/// The last burst before a difference, and a part of what was before that.
fn before(log: &[(Asked, Answer)]) -> String {
    let told = &log[log.len().saturating_sub(2 * BURST as usize)..];
    let line = |(asked, answer): &(Asked, Answer)| format!("{asked:?}: {}", answer.text);
    told.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn asked(setting: &Setting, make: Make, stage: &Stage, bursts: u64) -> anyhow::Result<Vec<Log>> {
    let folder = setting.folder.join(stage.name);
    let mut side = Side::start(&setting.programs, &folder, make, stage.settings)?;
    for client in 0..CLIENTS {
        for request in roots(client) {
            side.ask(super::SESSIONS - 1, &request.into())?;
        }
    }
    let is_read_only = stage.kind == Kind::ReadOnly;
    if is_read_only {
        side.lose_quorum()?;
    }
    let members = side.members();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let seed = setting.seed.wrapping_add(client as u64 * 1000);
                let teller = Teller {
                    member: members[client % members.len()],
                    leader: (!is_read_only).then_some(members[0]),
                    root: format!("/client{client}"),
                    is_local: stage.kind == Kind::Local,
                    random: Random::new(seed),
                    log: Log::new(),
                };
                scope.spawn(move || teller.tell(client, bursts, is_read_only))
            })
            .collect();
        clients
            .into_iter()
            .map(|client| match client.join() {
                Ok(log) => log.with_context(|| format!("a client of {make:?}")),
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

/// A client's znode, some below it for those that may only read, and a quota on one.
fn roots(client: usize) -> Vec<Request> {
    let root = format!("/client{client}");
    let quota = format!("/zookeeper/quota{root}");
    let limits = "count=-1,bytes=-1=;byteHardLimit=300;countHardLimit=5";
    let mut made = Vec::new();
    for (path, data) in [
        (root.clone(), ""),
        (format!("{root}/a"), "abc"),
        (format!("{root}/a/b"), "abc"),
        (format!("{root}/d"), ""),
        (format!("{root}/f"), ""),
        (format!("{root}/f/open"), "abc"),
        (format!("{root}/f/acl"), "abc"),
        (format!("{root}/f/full"), "abc"),
        (format!("{root}/f/full/x"), "abc"),
        (format!("{root}/f/loose"), ""),
        (quota.clone(), ""),
        (format!("{quota}/f"), ""),
        (format!("{quota}/f/loose"), ""),
        (format!("{quota}/f/loose/zookeeper_limits"), limits),
        (
            format!("{quota}/f/loose/zookeeper_stats"),
            "count=0,bytes=0",
        ),
    ] {
        made.push(Request::Create(CreateRequest {
            path,
            data: Some(Bytes::copy_from_slice(data.as_bytes())),
            acl: Acl::open(),
            flags: 0,
        }));
    }
    made
}

/// How a request is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// While others are under way.
    Any,
    /// When all before it was applied, also by the leader, and before what follows is asked.
    Alone,
    /// Not at all.
    Never,
}

struct Teller {
    member: SocketAddr,
    /// Of those that may write.
    leader: Option<SocketAddr>,
    root: String,
    /// Sessions are of one member, to begin with.
    is_local: bool,
    random: Random,
    log: Log,
}

impl Teller {
    fn tell(mut self, client: usize, bursts: u64, may_only_read: bool) -> anyhow::Result<Log> {
        let mut session = Session::open(self.member, client % 3, may_only_read)?;
        session.hides_zxids();
        for _ in 0..bursts {
            let mut burst = Vec::new();
            for _ in 0..BURST {
                let mut asked = self.random.asked();
                // Apache would do a part of it for a session of one member.
                if self.is_local && asked.is_half_done() {
                    continue;
                }
                let turn = match turn(&mut asked, &self.root) {
                    // Apache's read-only member refuses before it answers what was asked before.
                    Turn::Any if self.leader.is_none() && asked.is_write() => Turn::Alone,
                    turn => turn,
                };
                match turn {
                    Turn::Never => {}
                    Turn::Any => burst.push(asked),
                    Turn::Alone => {
                        self.send(&mut session, std::mem::take(&mut burst), true)?;
                        self.send(&mut session, vec![asked], true)?;
                    }
                }
            }
            self.send(&mut session, burst, false)?;
        }
        Ok(self.log)
    }

    fn send(
        &mut self,
        session: &mut Session,
        burst: Vec<Asked>,
        is_awaited: bool,
    ) -> anyhow::Result<()> {
        let owners = [session.id()];
        let light = Light {
            owners: &owners,
            order: Order::All,
        };
        burst.iter().for_each(|asked| session.post(asked));
        session.flush()?;
        for asked in burst {
            let answer = session.answer(&asked, &light)?;
            self.log.push((asked, answer));
        }
        if let Some(leader) = self.leader.filter(|_| is_awaited) {
            wait_for(leader, session.seen())?;
        }
        Ok(())
    }
}

/// Makes a request one about znodes below `root`, and says how it may be sent.
fn turn(asked: &mut Asked, root: &str) -> Turn {
    if asked.is_lost() {
        return Turn::Never;
    }
    match asked {
        Asked::Request(request) => below(request, root),
        // Unreadable ones; others would be about the znodes of others.
        Asked::Raw { op, record, .. } => {
            let read = OpCode::from_code(*op).is_some_and(|op| {
                op != OpCode::Check && Request::decode(op, &mut wire::Reader::new(record)).is_err()
            });
            if asked.is(OpCode::Reconfig) || (read && asked.is_read()) {
                Turn::Any
            } else {
                Turn::Never
            }
        }
    }
}

fn below(request: &mut Request, root: &str) -> Turn {
    match request {
        // The root itself stays.
        Request::Delete(r) => {
            place(&mut r.path, root);
            if r.path == root {
                return Turn::Never;
            }
        }
        // Apache judges the next writes by the old list, until the leader has applied the new one.
        Request::SetAcl(r) => {
            place(&mut r.path, root);
            // Nobody could do anything any more.
            return if r.path == root {
                Turn::Never
            } else {
                Turn::Alone
            };
        }
        // Apache answers them before what was asked before.
        Request::Auth(r) => {
            let is_proof = r.scheme == "digest" && r.auth.as_deref() == Some(b"bob:b");
            return if is_proof { Turn::Alone } else { Turn::Never };
        }
        Request::Sasl(_) | Request::Ping(()) => return Turn::Alone,
        Request::SetWatches(r) => {
            r.relative_zxid = Zxid::ZERO;
            for paths in [&mut r.data, &mut r.exist, &mut r.child] {
                paths.iter_mut().for_each(|path| place(path, root));
            }
        }
        Request::SetWatches2(r) => {
            // Before everything: how far the others are makes no difference.
            r.relative_zxid = Zxid::ZERO;
            for paths in [
                &mut r.data,
                &mut r.exist,
                &mut r.child,
                &mut r.persistent,
                &mut r.persistent_recursive,
            ] {
                paths.iter_mut().for_each(|path| place(path, root));
            }
        }
        Request::Multi(r) | Request::MultiRead(r) => {
            let turns = r.ops.iter_mut().map(|part| below(part, root));
            return turns.max().unwrap_or(Turn::Any);
        }
        Request::WhoAmI(()) => {}
        _ => {
            let is_write = !Asked::from(request.clone()).is_read();
            let is_create = matches!(
                request,
                Request::Create(_)
                    | Request::Create2(_)
                    | Request::CreateContainer(_)
                    | Request::CreateTtl(_)
            );
            let Some(path) = path_of(request) else {
                return Turn::Never;
            };
            place(path, root);
            // With a number behind it, one that others see.
            if path == root && is_create {
                return Turn::Never;
            }
            // Apache counts what is applied, ours what is under way too.
            let is_counted = path.contains("/f/loose") || path.contains("/f/tight");
            if is_counted && is_write {
                return Turn::Alone;
            }
        }
    }
    Turn::Any
}

fn place(path: &mut String, root: &str) {
    if path.starts_with('/') {
        let rest = if path == "/" { "" } else { path.as_str() };
        *path = format!("{root}{rest}");
    }
}

/// The path of a request that has one.
const fn path_of(request: &mut Request) -> Option<&mut String> {
    match request {
        Request::Create(r) | Request::Create2(r) | Request::CreateContainer(r) => Some(&mut r.path),
        Request::CreateTtl(r) => Some(&mut r.path),
        Request::SetData(r) => Some(&mut r.path),
        Request::Exists(r)
        | Request::GetData(r)
        | Request::GetChildren(r)
        | Request::GetChildren2(r) => Some(&mut r.path),
        Request::GetAcl(r)
        | Request::GetAllChildrenNumber(r)
        | Request::GetEphemerals(r)
        | Request::Sync(r) => Some(&mut r.path),
        Request::Check(r) => Some(&mut r.path),
        Request::AddWatch(r) => Some(&mut r.path),
        Request::CheckWatches(r) | Request::RemoveWatches(r) => Some(&mut r.path),
        _ => None,
    }
}
