//! One ensemble, and the sessions with its members.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use tests::ensemble::{Ensemble, Make, Programs};
use tests::words;
use wire::client::{OpCode, Request};
use wire::{SessionId, Zxid};

use super::asked::Asked;
use super::session::{Answer, Hello, Light, Order, Session, greet};
use super::{LIMIT, SESSIONS};

pub(super) struct Side {
    /// The leader, then the others by id.
    members: Vec<SocketAddr>,
    ids: Vec<i64>,
    clients: Vec<Session>,
    /// In [`Side::members`], of each client.
    places: Vec<usize>,
    /// Changes so far, and how many of them each client's member has seen for sure.
    changes: u64,
    caught_up: [u64; SESSIONS],
    /// Changes whose events come in the order in which they were made.
    ordered: HashSet<Zxid>,
    /// The newest zxid of all answers.
    newest: Zxid,
    /// No member is writable.
    is_read_only: bool,
    make: Make,
    /// Dropped last.
    ensemble: Ensemble,
}

impl Side {
    pub(super) fn start(
        programs: &Programs,
        folder: &Path,
        make: Make,
        settings: &str,
    ) -> anyhow::Result<Self> {
        let folder = folder.join(format!("{make:?}"));
        let mut ensemble = Ensemble::new(programs, &folder, &[make; 3], settings)?;
        ensemble.start_all()?;
        let leader = ensemble.leader(LIMIT)?;
        let others = ensemble.members.iter().filter(|member| member.id != leader);
        let members: Vec<_> = std::iter::once(ensemble.member(leader))
            .chain(others)
            .map(|member| (member.id, member.client))
            .collect();
        let mut side = Self {
            ids: members.iter().map(|member| member.0).collect(),
            members: members.iter().map(|member| member.1).collect(),
            clients: Vec::new(),
            places: vec![0; SESSIONS],
            changes: 1,
            caught_up: [0; SESSIONS],
            ordered: HashSet::new(),
            newest: Zxid::ZERO,
            is_read_only: false,
            make,
            ensemble,
        };
        for client in 0..SESSIONS {
            let session = Session::open(side.members[0], client, false)?;
            side.clients.push(session);
        }
        Ok(side)
    }

    /// The answer, in a form without what two runs cannot have in common.
    pub(super) fn ask(&mut self, client: usize, asked: &Asked) -> anyhow::Result<Answer> {
        self.prepare(client, asked)?;
        let answer = self.answer_of(client, asked)?;
        if asked.is(OpCode::SetAcl) && self.places[client] != 0 && answer.err == 0 {
            // Apache's leader judges by the old list until it has applied the new one, which the
            // member that answers may have done before.
            wait_for(self.members[0], answer.zxid)?;
        }
        Ok(answer)
    }

    /// Whether a client's connection is still open.
    pub(super) fn is_open(&mut self, client: usize) -> anyhow::Result<bool> {
        self.clients[client].is_open()
    }

    /// The same of a connection that is to end.
    pub(super) fn stays_open(&mut self, client: usize) -> anyhow::Result<bool> {
        self.clients[client].stays_open()
    }

    /// Something was done of which no client knows.
    pub(super) const fn changed(&mut self) {
        self.changes += 1;
    }

    fn prepare(&mut self, client: usize, asked: &Asked) -> anyhow::Result<()> {
        if self.is_read_only {
            return Ok(());
        }
        // A member may not have applied yet what others did, the leader neither: it commits what
        // a quorum of others has.
        if self.caught_up[client] != self.changes {
            // Apache's leader answers a sync at once, whatever it has applied.
            let deadline = Instant::now() + LIMIT;
            loop {
                self.clients[client].catch_up()?;
                if self.clients[client].seen() >= self.newest {
                    break;
                }
                ensure!(
                    Instant::now() < deadline,
                    "a member is behind {}",
                    self.newest
                );
            }
            self.caught_up[client] = self.changes;
        }
        if asked.meets_quota() {
            // Apache counts what its leader has applied.
            wait_for(self.members[0], self.newest)?;
        }
        Ok(())
    }

    fn answer_of(&mut self, client: usize, asked: &Asked) -> anyhow::Result<Answer> {
        let owners = self.owners();
        let light = Light {
            owners: &owners,
            order: Order::Of(&self.ordered),
        };
        let answer = self.clients[client].ask(asked, &light);
        let answer = answer.with_context(|| format!("ask {:?} {asked:?}", self.make))?;
        self.newest = self.newest.max(self.clients[client].seen());
        // Other answers tell of what somebody else did last, which may be a session's end.
        if asked.is_change() {
            self.ordered.insert(answer.zxid);
        }
        if !asked.is_read() {
            self.changes += 1;
            self.caught_up[client] = self.changes;
        }
        Ok(answer)
    }

    fn owners(&self) -> Vec<i64> {
        self.clients.iter().map(Session::id).collect()
    }

    /// Asks without letting the member catch up: what it answers does not depend on the tree.
    pub(super) fn ask_stranger(&mut self, client: usize, asked: &Asked) -> anyhow::Result<Answer> {
        self.answer_of(client, asked)
    }

    /// A new session for a client whose last one is over, or is to be left to itself.
    pub(super) fn renew(&mut self, client: usize, place: usize) -> anyhow::Result<()> {
        self.clients[client] = Session::open(self.members[place], client, self.is_read_only)?;
        self.places[client] = place;
        self.changes += 1;
        Ok(())
    }

    /// The session goes on over another connection, to the same member or to another one.
    pub(super) fn reconnect(&mut self, client: usize, place: usize) -> anyhow::Result<()> {
        self.places[client] = place;
        self.clients[client].reconnect(self.members[place])?;
        // Whoever asks next has to see it.
        self.changes += 1;
        Ok(())
    }

    /// The session goes on elsewhere, and then is asked something over the connection that it had.
    pub(super) fn ask_left(
        &mut self,
        client: usize,
        place: usize,
        asked: &Asked,
    ) -> anyhow::Result<Answer> {
        let newest = self.newest;
        let second = self.clients[client].second(self.members[place])?;
        let mut left = std::mem::replace(&mut self.clients[client], second);
        let from = std::mem::replace(&mut self.places[client], place);
        self.clients[client].catch_up()?;
        self.newest = newest.max(self.clients[client].seen());
        wait_for(self.members[from], self.newest)?;
        let owners = self.owners();
        let light = Light {
            owners: &owners,
            order: Order::Of(&self.ordered),
        };
        let answer = left.ask(asked, &light)?;
        self.changes += 1;
        Ok(answer)
    }

    /// Ends a session with a request right behind. Tells both answers.
    pub(super) fn ask_closing(
        &mut self,
        client: usize,
        asked: &Asked,
    ) -> anyhow::Result<(Answer, Answer)> {
        self.prepare(client, asked)?;
        let owners = self.owners();
        let light = Light {
            owners: &owners,
            order: Order::Of(&self.ordered),
        };
        let close = Asked::Request(Request::CloseSession(()));
        let session = &mut self.clients[client];
        session.post(&close);
        session.post(asked);
        session.flush()?;
        let closed = session.answer(&close, &light)?;
        let mut behind = session.answer(asked, &light)?;
        if self.make == Make::Apache {
            // It may be quick enough to answer before it closes.
            behind = Answer::closed();
        }
        self.newest = self.newest.max(self.clients[client].seen());
        Ok((closed, behind))
    }

    /// What a first frame is answered, and whether the session is taken.
    pub(super) fn greet(
        &self,
        place: usize,
        hello: &Hello,
        behind: Option<&Asked>,
    ) -> anyhow::Result<(String, bool)> {
        if !self.is_read_only {
            // A member may refuse who has seen what it has not.
            wait_for(self.members[place], self.newest)?;
        }
        greet(self.members[place], hello, behind)
    }

    pub(super) fn hello(&self, client: usize) -> Hello {
        self.clients[client].hello()
    }

    /// The leader, then the others by id; the one that is left.
    pub(super) fn members(&self) -> Vec<SocketAddr> {
        self.members.clone()
    }

    pub(super) const fn newest(&self) -> Zxid {
        self.newest
    }

    /// Sessions that are silent until they are over, by their ids.
    pub(super) fn expire(&mut self, count: usize) -> anyhow::Result<Vec<SessionId>> {
        self.clients[0].catch_up()?;
        let before = self.clients[0].seen();
        let mut sessions = Vec::new();
        for number in 0..count {
            let member = self.members[number % self.members.len()];
            sessions.push(Session::open_short(member, 1, 1)?);
        }
        let mut ids = Vec::new();
        for session in &mut sessions {
            let frames = session.await_end()?;
            ensure!(frames == 0, "{frames} frames for a session that is over");
            ids.push(SessionId(session.id()));
        }
        // Apache's connections end before their sessions do.
        self.newest = Zxid(before.0 + 2 * count as u64);
        for member in &self.members {
            wait_for(*member, self.newest)?;
        }
        self.changes += 1;
        Ok(ids)
    }

    /// Leaves one member, which then can only be read, and opens the clients' sessions with it.
    pub(super) fn lose_quorum(&mut self) -> anyhow::Result<()> {
        wait_for(self.members[1], self.newest)?;
        for id in [self.ids[0], self.ids[2]] {
            self.ensemble.kill(id)?;
        }
        let member = self.members[1];
        let deadline = Instant::now() + LIMIT;
        while words::ask(member, "isro").ok().as_deref() != Some("ro") {
            ensure!(
                Instant::now() < deadline,
                "the last member is not read-only"
            );
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        self.members = vec![member];
        self.is_read_only = true;
        (0..SESSIONS).try_for_each(|client| self.renew(client, 0))
    }
}

/// Waits until a member has applied what is up to `zxid`.
pub(super) fn wait_for(member: SocketAddr, zxid: Zxid) -> anyhow::Result<()> {
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
            "the member is behind {zxid}: {answer}"
        );
    }
}
