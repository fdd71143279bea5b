//! Sessions of this member only: the ensemble knows nothing of them.

use std::collections::BTreeMap;

use wire::SessionId;
use wire::client::{CreateMode, Request};
use zab::Instant;

use crate::sessions::Sessions;
use crate::{Deadlines, LocalSessions};

/// How long each lasts, and when it ends unless it is heard from. Both know the same sessions.
#[derive(Debug)]
pub(crate) struct Locals {
    settings: LocalSessions,
    timeouts: BTreeMap<SessionId, i32>,
    tracked: Sessions,
}

impl Locals {
    pub(crate) fn new(settings: LocalSessions, tick: u64) -> Self {
        Self {
            settings,
            timeouts: BTreeMap::new(),
            tracked: Sessions::new(tick),
        }
    }

    /// Whether there are any, here or at other members.
    pub(crate) fn are_enabled(&self) -> bool {
        self.settings != LocalSessions::None
    }

    pub(crate) fn has(&self, session: SessionId) -> bool {
        self.timeouts.contains_key(&session)
    }

    pub(crate) fn len(&self) -> usize {
        self.timeouts.len()
    }

    #[cfg(test)]
    pub(crate) fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.timeouts.keys().copied()
    }

    pub(crate) fn open(&mut self, now: Instant, session: SessionId, timeout: i32) {
        self.timeouts.insert(session, timeout);
        self.tracked.open(now, session, timeout, None);
    }

    /// Hears from a session. False if it is none of these.
    pub(crate) fn touch(&mut self, now: Instant, session: SessionId) -> bool {
        let timeout = self.timeouts.get(&session);
        timeout.is_some_and(|timeout| self.tracked.touch(now, session, *timeout))
    }

    /// A client goes on with a session; its timeout is what was negotiated now, if it was. False
    /// if it is none of these.
    pub(crate) fn resume(&mut self, now: Instant, session: SessionId, timeout: i32) -> bool {
        if let Some(known) = self.timeouts.get_mut(&session)
            && timeout > 0
        {
            *known = timeout;
        }
        self.touch(now, session)
    }

    /// A session ends, or becomes the ensemble's: its timeout.
    pub(crate) fn close(&mut self, session: SessionId) -> Option<i32> {
        self.tracked.close(session);
        self.timeouts.remove(&session)
    }

    /// Ends those whose time is over, so many at most.
    pub(crate) fn expire(&mut self, now: Instant, limit: usize) -> Vec<SessionId> {
        let expired = self.tracked.expired(now, limit);
        for session in &expired {
            self.close(*session);
        }
        expired
    }

    /// Gives each its full timeout: nobody was heard for a while.
    pub(crate) fn renew(&mut self, now: Instant) {
        for (session, timeout) in &self.timeouts {
            self.tracked.touch(now, *session, *timeout);
        }
    }

    pub(crate) fn by_deadline(&self) -> Deadlines {
        self.tracked.by_deadline().collect()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.tracked.next_deadline()
    }

    /// If the request is one that only the ensemble's sessions may make, and this one may become
    /// such a session: takes it out, and yields its timeout.
    pub(crate) fn upgrade(&mut self, session: SessionId, request: &Request) -> Option<i32> {
        let may = self.settings == LocalSessions::Upgradable && makes_ephemeral(request);
        may.then(|| self.close(session)).flatten()
    }
}

fn makes_ephemeral(request: &Request) -> bool {
    match request {
        Request::Create(r) | Request::Create2(r) => {
            CreateMode::from_code(r.flags).is_some_and(CreateMode::is_ephemeral)
        }
        // One that fails as a whole makes nothing.
        Request::Multi(multi) => {
            multi.ops.iter().all(tree::is_well_formed) && multi.ops.iter().any(makes_ephemeral)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use wire::Acl;
    use wire::client::{CreateRequest, MultiRequest};

    use super::*;

    fn create(flags: i32) -> Request {
        Request::Create(CreateRequest {
            path: "/a".to_owned(),
            data: None,
            acl: Acl::open(),
            flags,
        })
    }

    #[test]
    fn what_makes_an_ephemeral_asks_for_a_session_of_the_ensemble() {
        let multi = |flags: [i32; 2]| {
            let ops = flags.map(create).to_vec();
            makes_ephemeral(&Request::Multi(MultiRequest { ops }))
        };
        assert!(makes_ephemeral(&create(1)) && makes_ephemeral(&create(3)));
        assert!(!makes_ephemeral(&create(0)) && !makes_ephemeral(&create(7)));
        assert!(multi([0, 3]) && multi([1, 0]));
        assert!(!multi([0, 2]));
        // No such mode.
        assert!(!multi([3, 7]));
    }
}
