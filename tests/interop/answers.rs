//! The same random requests to Apache and to ours: the same answers, errors, zxids and events.

mod requests;
mod session;

use std::time::Duration;

use anyhow::{Context, ensure};
use tests::ensemble::{Ensemble, Make};
use wire::client::Request;

use crate::Setting;
use requests::Random;
use session::Session;

const LIMIT: Duration = Duration::from_secs(60);
const SEED: u64 = 1;
const REQUESTS: u64 = 6000;
/// Each with credentials of its own.
const SESSIONS: usize = 3;
/// Apache's `super:test`.
const SETTINGS: &str = "extendedTypesEnabled=true\nznode.container.checkIntervalMs=100000000\n\
    DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

/// Sends [`REQUESTS`] to the leader of an ensemble of each make.
pub(crate) fn same(setting: &Setting) -> anyhow::Result<()> {
    let mut apache = Side::start(setting, Make::Apache)?;
    let mut ours = Side::start(setting, Make::Ferrokeeper)?;
    let mut random = Random::new(SEED);
    for step in 0..REQUESTS {
        let client = random.below(SESSIONS as u64) as usize;
        let request = random.request();
        let expected = apache.ask(client, &request)?;
        let found = ours.ask(client, &request)?;
        ensure!(
            found == expected,
            "seed {SEED}, request {step} of client {client}: {request:?}\n\
             Apache: {expected:?}\n  ours: {found:?}"
        );
    }
    Ok(())
}

/// One ensemble and the sessions with its leader.
struct Side {
    leader: std::net::SocketAddr,
    sessions: Vec<Session>,
    /// Dropped last.
    _ensemble: Ensemble,
}

impl Side {
    fn start(setting: &Setting, make: Make) -> anyhow::Result<Self> {
        let folder = setting.folder.join(format!("{make:?}"));
        let mut ensemble = Ensemble::new(&setting.programs, &folder, &[make; 3], SETTINGS)?;
        ensemble.start_all()?;
        let leader = ensemble.leader(LIMIT)?;
        let leader = ensemble.member(leader).client;
        let sessions = (0..SESSIONS).map(|client| Session::open(leader, client));
        Ok(Self {
            leader,
            sessions: sessions.collect::<Result<_, _>>()?,
            _ensemble: ensemble,
        })
    }

    /// The answer, in a form without what two runs cannot have in common.
    fn ask(&mut self, client: usize, request: &Request) -> anyhow::Result<String> {
        let owners: Vec<i64> = self.sessions.iter().map(Session::id).collect();
        let answer = self.sessions[client]
            .ask(request, &owners)
            .with_context(|| format!("ask {request:?}"))?;
        if matches!(request, Request::CloseSession(())) {
            self.sessions[client] = Session::open(self.leader, client)?;
        }
        Ok(answer)
    }
}
