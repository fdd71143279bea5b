//! The leader's view of all global sessions: when each ends, and which member serves it.

use std::collections::{BTreeMap, BTreeSet};

use wire::client::ErrorCode;
use wire::{PeerId, SessionId};
use zab::Instant;

/// Deadlines and owners of sessions. Kept only while leading.
///
/// Deadlines are rounded up to whole ticks, so that sessions end in buckets. Each session is in
/// exactly the bucket of its deadline.
#[derive(Debug)]
pub(crate) struct Sessions {
    tick: u64,
    by_id: BTreeMap<SessionId, Tracked>,
    buckets: BTreeMap<Instant, BTreeSet<SessionId>>,
}

#[derive(Debug)]
struct Tracked {
    deadline: Instant,
    /// The member whose client it is; `None` until the first request or resumption under this
    /// leader.
    owner: Option<PeerId>,
}

impl Sessions {
    pub(crate) fn new(tick: u64) -> Self {
        Self {
            tick: tick.max(1),
            by_id: BTreeMap::new(),
            buckets: BTreeMap::new(),
        }
    }

    /// Starts a session, or gives one that is known its full timeout.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        id: SessionId,
        timeout: i32,
        owner: Option<PeerId>,
    ) {
        let deadline = self.deadline_after(now, timeout);
        if let Some(known) = self.by_id.insert(id, Tracked { deadline, owner }) {
            self.leave_bucket(id, known.deadline);
        }
        self.buckets.entry(deadline).or_default().insert(id);
    }

    /// Hears from a session. False if it is no more.
    pub(crate) fn touch(&mut self, now: Instant, id: SessionId, timeout: i32) -> bool {
        let deadline = self.deadline_after(now, timeout);
        let Some(tracked) = self.by_id.get_mut(&id) else {
            return false;
        };
        let before = std::mem::replace(&mut tracked.deadline, deadline);
        if before != deadline {
            self.leave_bucket(id, before);
            self.buckets.entry(deadline).or_default().insert(id);
        }
        true
    }

    /// A client goes on with its session at `owner`. False if the session is no more.
    pub(crate) fn resume(
        &mut self,
        now: Instant,
        id: SessionId,
        timeout: i32,
        owner: PeerId,
    ) -> bool {
        if !self.touch(now, id, timeout) {
            return false;
        }
        if let Some(tracked) = self.by_id.get_mut(&id) {
            tracked.owner = Some(owner);
        }
        true
    }

    /// Whether `owner` may ask for something in this session's name. The first to ask under this
    /// leader becomes the owner.
    pub(crate) fn check(&mut self, id: SessionId, owner: PeerId) -> Result<(), ErrorCode> {
        let tracked = self.by_id.get_mut(&id).ok_or(ErrorCode::SessionExpired)?;
        match tracked.owner {
            Some(known) if known != owner => Err(ErrorCode::SessionMoved),
            Some(_) => Ok(()),
            None => {
                tracked.owner = Some(owner);
                Ok(())
            }
        }
    }

    /// Ends a session: nothing more is done in its name. False if it was no more.
    pub(crate) fn close(&mut self, id: SessionId) -> bool {
        let Some(tracked) = self.by_id.remove(&id) else {
            return false;
        };
        self.leave_bucket(id, tracked.deadline);
        true
    }

    /// Up to `limit` sessions whose time is over, oldest first. They stay until closed.
    pub(crate) fn expired(&self, now: Instant, limit: usize) -> Vec<SessionId> {
        self.buckets
            .range(..=now)
            .flat_map(|(_, ids)| ids.iter().copied())
            .take(limit)
            .collect()
    }

    /// When the next session ends unless it is heard from.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.buckets.keys().next().copied()
    }

    /// Sessions by when they end unless they are heard from, the next ones first.
    pub(crate) fn by_deadline(&self) -> impl Iterator<Item = (Instant, Vec<SessionId>)> + '_ {
        self.buckets
            .iter()
            .map(|(deadline, ids)| (*deadline, ids.iter().copied().collect()))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn deadline_after(&self, now: Instant, timeout: i32) -> Instant {
        let end = now.0 + u64::try_from(timeout).unwrap_or(0);
        Instant((end / self.tick + 1) * self.tick)
    }

    fn leave_bucket(&mut self, id: SessionId, deadline: Instant) {
        if let Some(bucket) = self.buckets.get_mut(&deadline) {
            bucket.remove(&id);
            if bucket.is_empty() {
                self.buckets.remove(&deadline);
            }
        }
    }
}

/// Gives out session ids, see [`SessionId::first`].
#[derive(Debug)]
pub(crate) struct SessionIds {
    next: i64,
}

/// The raw `ephemeralOwner` that marks containers; no session may have it for its id.
const CONTAINER_OWNER: i64 = i64::MIN;

impl SessionIds {
    pub(crate) const fn new(member: PeerId, wall: i64) -> Self {
        Self {
            next: SessionId::first(member, wall).0,
        }
    }

    /// The next id for which `taken` does not hold: the wall clock may have been set back.
    pub(crate) fn next(&mut self, taken: impl Fn(SessionId) -> bool) -> SessionId {
        loop {
            let id = SessionId(self.next);
            self.next = self.next.wrapping_add(1);
            if id.0 != CONTAINER_OWNER && id.0 != 0 && !taken(id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionId = SessionId(1);
    const B: SessionId = SessionId(2);
    const HERE: PeerId = PeerId(1);
    const THERE: PeerId = PeerId(2);

    fn tracked() -> Sessions {
        let mut sessions = Sessions::new(100);
        sessions.open(Instant(0), A, 250, None);
        sessions.open(Instant(0), B, 1000, Some(THERE));
        sessions
    }

    #[test]
    fn a_session_ends_with_the_tick_after_its_timeout() {
        let sessions = tracked();
        assert_eq!(sessions.next_deadline(), Some(Instant(300)));
        assert_eq!(sessions.expired(Instant(299), 10), []);
        assert_eq!(sessions.expired(Instant(300), 10), [A]);
        assert_eq!(sessions.expired(Instant(1100), 1), [A]);
        assert_eq!(sessions.expired(Instant(1100), 10), [A, B]);
    }

    #[test]
    fn a_touch_gives_the_full_timeout_again() {
        let mut sessions = tracked();
        assert!(sessions.touch(Instant(210), A, 250));
        assert_eq!(sessions.expired(Instant(499), 10), []);
        assert_eq!(sessions.expired(Instant(500), 10), [A]);
    }

    #[test]
    fn a_closed_session_is_no_more() {
        let mut sessions = tracked();
        assert!(sessions.close(A));
        assert!(!sessions.close(A));
        assert!(!sessions.touch(Instant(1), A, 250));
        assert!(!sessions.resume(Instant(1), A, 250, HERE));
        assert_eq!(sessions.check(A, HERE), Err(ErrorCode::SessionExpired));
        assert_eq!(sessions.expired(Instant(5000), 10), [B]);
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn the_first_to_ask_owns_and_a_resumption_moves() {
        let mut sessions = tracked();
        assert_eq!(sessions.check(A, HERE), Ok(()));
        assert_eq!(sessions.check(A, THERE), Err(ErrorCode::SessionMoved));
        assert!(sessions.resume(Instant(1), A, 250, THERE));
        assert_eq!(sessions.check(A, THERE), Ok(()));
        assert_eq!(sessions.check(A, HERE), Err(ErrorCode::SessionMoved));
    }

    #[test]
    fn session_ids_carry_member_and_time_and_skip_those_taken() {
        let wall = 0x0123_4567_89AB_CDEF;
        let mut ids = SessionIds::new(PeerId(3), wall);
        let first = ids.next(|_| false);
        assert_eq!(first.0 as u64, 0x0367_89AB_CDEF_0000);
        let third = SessionId(first.0 + 2);
        assert_eq!(ids.next(|id| id.0 < third.0), third);
    }

    #[test]
    fn no_session_has_the_mark_of_containers_for_its_id() {
        let mut ids = SessionIds { next: i64::MIN };
        assert_eq!(ids.next(|_| false), SessionId(i64::MIN + 1));
    }
}
