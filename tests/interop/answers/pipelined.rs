//! Several clients at once, each with many requests under way.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use tests::ensemble::{Ensemble, Make};
use wire::client::{CreateRequest, Request};
use wire::{Acl, Zxid};

use super::requests::Random;
use super::session::Session;
use super::tally::{State, Tally};
use super::{LIMIT, SETTINGS};
use crate::Setting;

/// Clients at once, two on each member.
const CLIENTS: usize = 6;
/// Requests under way of each.
const BURST: u64 = 32;

/// What one client asked and was answered.
type Log = Vec<(Request, super::Answer)>;

/// Compares what each client was answered by an ensemble of each make.
pub(crate) fn same_pipelined(setting: &Setting) -> anyhow::Result<()> {
    let expected = asked(setting, Make::Apache)?;
    let found = asked(setting, Make::Ferrokeeper)?;
    let mut tally = Tally::default();
    for (client, (expected_log, found)) in expected.iter().zip(&found).enumerate() {
        for (step, ((request, expected), (_, found))) in expected_log.iter().zip(found).enumerate()
        {
            tally.count(request, expected, State::Fresh);
            if found.text == expected.text {
                continue;
            }
            bail!(
                "seed {}, request {step} of client {client}: {request:?}\n\
                 Apache: {}\n  ours: {}\nbefore it:\n{}",
                setting.seed,
                expected.text,
                found.text,
                before(&expected_log[..step])
            );
        }
        ensure!(
            expected_log.len() == found.len(),
            "client {client} was cut short"
        );
    }
    tally.write(&setting.folder.join("table.txt"))?;
    println!("        {} requests of {CLIENTS} clients", tally.all());
    println!("{}", tally.summary());
    Ok(())
}

/// The last burst before a difference, and a part of what was before that.
fn before(log: &[(Request, super::Answer)]) -> String {
    let told = &log[log.len().saturating_sub(2 * BURST as usize)..];
    let line =
        |(request, answer): &(Request, super::Answer)| format!("{request:?}: {}", answer.text);
    told.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn asked(setting: &Setting, make: Make) -> anyhow::Result<Vec<Log>> {
    let folder = setting.folder.join(format!("{make:?}"));
    let mut ensemble = Ensemble::new(&setting.programs, &folder, &[make; 3], SETTINGS)?;
    ensemble.start_all()?;
    ensemble.leader(LIMIT)?;
    let bursts = setting.requests.div_ceil(BURST * CLIENTS as u64);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let member = ensemble.members[client % 3].client;
                let seed = setting.seed.wrapping_add(client as u64 * 1000);
                scope.spawn(move || ask(member, client, seed, bursts))
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

fn ask(member: SocketAddr, client: usize, seed: u64, bursts: u64) -> anyhow::Result<Log> {
    let mut session = Session::open(member, client % 3)?;
    session.hides_zxids();
    let root = format!("/client{client}");
    let owners = [session.id()];
    let made = Request::Create(CreateRequest {
        path: root.clone(),
        data: None,
        acl: Acl::open(),
        flags: 0,
    });
    session.ask(&made, &owners)?;
    let mut random = Random::new(seed);
    let mut log = Log::new();
    for _ in 0..bursts {
        let mut burst = Vec::new();
        for _ in 0..BURST {
            let mut request = random.request();
            if below(&mut request, &root) {
                session.post(&request)?;
                burst.push(request);
            }
        }
        session.flush()?;
        for request in burst {
            let answer = session.answer(&request, &owners)?;
            log.push((request, answer));
        }
    }
    Ok(log)
}

/// Makes a request one about znodes below `root`. `false` if it is about more than that.
fn below(request: &mut Request, root: &str) -> bool {
    let place = |path: &mut String| {
        if path.starts_with('/') {
            let rest = if path == "/" { "" } else { path.as_str() };
            *path = format!("{root}{rest}");
        }
    };
    match request {
        Request::Create(r) | Request::Create2(r) | Request::CreateContainer(r) => {
            place(&mut r.path);
        }
        Request::CreateTtl(r) => place(&mut r.path),
        Request::Delete(r) => {
            place(&mut r.path);
            // The root itself stays.
            return r.path != root;
        }
        Request::SetData(r) => place(&mut r.path),
        // Apache judges the next writes by the old list, until the leader has applied the new one.
        Request::SetAcl(_) => return false,
        Request::Exists(r)
        | Request::GetData(r)
        | Request::GetChildren(r)
        | Request::GetChildren2(r) => place(&mut r.path),
        Request::GetAcl(r) | Request::GetAllChildrenNumber(r) | Request::GetEphemerals(r) => {
            place(&mut r.path);
        }
        Request::Check(r) => place(&mut r.path),
        Request::AddWatch(r) => place(&mut r.path),
        Request::CheckWatches(r) | Request::RemoveWatches(r) => place(&mut r.path),
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
                paths.iter_mut().for_each(place);
            }
        }
        Request::Multi(r) | Request::MultiRead(r) => {
            return r.ops.iter_mut().all(|part| below(part, root));
        }
        Request::WhoAmI(()) => {}
        _ => return false,
    }
    true
}
