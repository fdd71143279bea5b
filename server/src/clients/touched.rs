//! Sessions heard from.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use wire::SessionId;

/// A power of two; connections spread over them by session, so that workers rarely meet.
const SHARDS: usize = 8;

/// Collects the sessions whose clients sent something, each once per round.
pub(crate) struct Touched {
    round: AtomicU32,
    shards: [Mutex<Vec<SessionId>>; SHARDS],
}

impl Touched {
    pub(crate) fn new() -> Self {
        Self {
            round: AtomicU32::new(1),
            shards: Default::default(),
        }
    }

    /// Notes that a session's client sent something. `seen` is the connection's own memory of
    /// the last round it was noted in, 0 at first.
    pub(crate) fn touch(&self, session: SessionId, seen: &mut u32) {
        let round = self.round.load(Ordering::Relaxed);
        if std::mem::replace(seen, round) != round {
            let shard = session.0 as usize % SHARDS;
            self.shards[shard].lock().push(session);
        }
    }

    /// Ends the round and returns its sessions.
    pub(crate) fn collect(&self) -> Vec<SessionId> {
        self.round.fetch_add(1, Ordering::Relaxed);
        let mut all = Vec::new();
        for shard in &self.shards {
            all.append(&mut shard.lock());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_noted_once_per_round() {
        let touched = Touched::new();
        let mut seen = 0;
        touched.touch(SessionId(7), &mut seen);
        touched.touch(SessionId(7), &mut seen);
        assert_eq!(touched.collect(), [SessionId(7)]);
        assert_eq!(touched.collect(), []);
        touched.touch(SessionId(7), &mut seen);
        assert_eq!(touched.collect(), [SessionId(7)]);
    }
}
