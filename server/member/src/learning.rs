//! What a learner remembers of its own clients' questions to the leader.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use wire::quorum::{Packet, Revalidated, SessionTimeout, packet};
use wire::{DecodeError, Record, SessionId, Zxid};

use crate::ClientId;

/// How many touches go with one PING: 600 kB, well below what Apache's leader reads as one packet
/// (jute.maxbuffer, 1 MiB). What does not fit goes with the next, half a tick later.
const TOUCHES_PER_PING: usize = 50_000;

/// Kept while this member follows or observes one leader.
#[derive(Debug, Default)]
pub(crate) struct Learning {
    /// Forwarded `sync`s that the leader has not answered, oldest first.
    asked: VecDeque<(SessionId, i32)>,
    /// Those answered, each done once this zxid is applied here.
    answered: VecDeque<(Zxid, SessionId, i32)>,
    /// Sessions that clients want to go on with, until the leader answers REVALIDATE.
    resuming: BTreeMap<SessionId, VecDeque<(ClientId, i32)>>,
    /// The clients among them that still wait.
    waiting: BTreeSet<ClientId>,
    /// Sessions heard from since the last PING.
    touched: BTreeMap<SessionId, i32>,
}

impl Learning {
    pub(crate) fn sync_asked(&mut self, session: SessionId, cxid: i32) {
        self.asked.push_back((session, cxid));
    }

    /// SYNC came, behind every commit up to `committed`.
    pub(crate) fn sync_answered(&mut self, committed: Zxid) {
        if let Some((session, cxid)) = self.asked.pop_front() {
            self.answered.push_back((committed, session, cxid));
        }
    }

    /// What has to be applied before the next answered `sync` is done.
    pub(crate) fn next_sync(&self) -> Option<Zxid> {
        self.answered.front().map(|(committed, ..)| *committed)
    }

    /// The next `sync` that is done when everything up to `applied` is applied.
    pub(crate) fn sync_done(&mut self, applied: Zxid) -> Option<(SessionId, i32)> {
        if self.next_sync()? > applied {
            return None;
        }
        let (_, session, cxid) = self.answered.pop_front()?;
        Some((session, cxid))
    }

    pub(crate) fn pending_syncs(&self) -> usize {
        self.asked.len() + self.answered.len()
    }

    /// A client wants to go on: what to ask the leader.
    pub(crate) fn resume(&mut self, client: ClientId, session: SessionId, timeout: i32) -> Packet {
        self.resuming
            .entry(session)
            .or_default()
            .push_back((client, timeout));
        self.waiting.insert(client);
        let question = SessionTimeout { session, timeout };
        Packet::with(packet::REVALIDATE, Zxid::NONE, question.to_bytes())
    }

    /// The leader's answer: which client's question it is, and whether the session goes on.
    ///
    /// # Errors
    /// If the packet is not an answer.
    pub(crate) fn resumed(
        &mut self,
        packet: &Packet,
    ) -> Result<Option<(ClientId, SessionId, i32, bool)>, DecodeError> {
        let data = packet.data.clone().unwrap_or_default();
        let Revalidated { session, valid } = Revalidated::from_bytes(&data)?;
        let Some(waiting) = self.resuming.get_mut(&session) else {
            return Ok(None);
        };
        let first = waiting.pop_front();
        if waiting.is_empty() {
            self.resuming.remove(&session);
        }
        if let Some((client, _)) = first {
            self.waiting.remove(&client);
        }
        Ok(first.map(|(client, timeout)| (client, session, timeout, valid)))
    }

    /// A client does not wait any more. The leader's answer will come all the same.
    pub(crate) fn forget(&mut self, client: ClientId) {
        self.waiting.remove(&client);
    }

    /// Questions that clients wait for and that have no answer, when the leader is lost.
    pub(crate) fn unanswered(self) -> Vec<(ClientId, SessionId, i32)> {
        let Self {
            resuming, waiting, ..
        } = self;
        let all = resuming.into_iter().flat_map(|(session, asked)| {
            asked
                .into_iter()
                .map(move |(client, timeout)| (client, session, timeout))
        });
        all.filter(|(client, ..)| waiting.contains(client))
            .collect()
    }

    pub(crate) fn touch(&mut self, session: SessionId, timeout: i32) {
        self.touched.insert(session, timeout);
    }

    /// The answer to the leader's PING.
    pub(crate) fn pong(&mut self, ping: &Packet) -> Packet {
        let mut data = Vec::new();
        for _ in 0..TOUCHES_PER_PING {
            let Some((session, timeout)) = self.touched.pop_first() else {
                break;
            };
            SessionTimeout { session, timeout }.encode(&mut data);
        }
        Packet::with(packet::PING, ping.zxid, data.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_is_done_when_what_was_committed_before_is_applied() {
        let mut learning = Learning::default();
        learning.sync_asked(SessionId(1), 10);
        learning.sync_asked(SessionId(2), 20);
        learning.sync_answered(Zxid(5));
        assert_eq!(learning.sync_done(Zxid(4)), None);
        assert_eq!(learning.sync_done(Zxid(5)), Some((SessionId(1), 10)));
        assert_eq!(learning.sync_done(Zxid(9)), None);
        learning.sync_answered(Zxid(9));
        assert_eq!(learning.sync_done(Zxid(9)), Some((SessionId(2), 20)));
        assert_eq!(learning.pending_syncs(), 0);
    }

    #[test]
    fn answers_go_to_clients_in_the_order_of_their_questions() {
        let mut learning = Learning::default();
        learning.resume(ClientId(1), SessionId(7), 100);
        learning.resume(ClientId(2), SessionId(7), 200);
        let answer = |valid| {
            let session = SessionId(7);
            let data = Revalidated { session, valid }.to_bytes();
            Packet::with(packet::REVALIDATE, Zxid::NONE, data)
        };
        assert_eq!(
            learning.resumed(&answer(true)),
            Ok(Some((ClientId(1), SessionId(7), 100, true)))
        );
        assert_eq!(
            learning.resumed(&answer(false)),
            Ok(Some((ClientId(2), SessionId(7), 200, false)))
        );
        assert_eq!(learning.resumed(&answer(true)), Ok(None));
        assert!(
            learning
                .resumed(&Packet::bare(packet::REVALIDATE, Zxid::NONE))
                .is_err()
        );
    }

    #[test]
    fn only_who_still_waits_has_an_unanswered_question() {
        let mut learning = Learning::default();
        for client in 1..=3 {
            learning.resume(ClientId(client), SessionId(7), 100);
        }
        learning.forget(ClientId(2));
        let session = SessionId(7);
        let answer = Revalidated {
            session,
            valid: true,
        }
        .to_bytes();
        let answer = Packet::with(packet::REVALIDATE, Zxid::NONE, answer);
        let answered = Ok(Some((ClientId(1), session, 100, true)));
        assert_eq!(learning.resumed(&answer), answered);
        assert_eq!(learning.unanswered(), [(ClientId(3), session, 100)]);
    }

    #[test]
    fn touches_beyond_one_packet_go_with_the_next() {
        let mut learning = Learning::default();
        for id in 0..=TOUCHES_PER_PING as i64 {
            learning.touch(SessionId(id), 5);
        }
        let ping = Packet::bare(packet::PING, Zxid(3));
        let counts: Vec<_> = (0..3)
            .map(|_| learning.pong(&ping).touches().map(|touches| touches.len()))
            .collect();
        assert_eq!(counts, [Ok(TOUCHES_PER_PING), Ok(1), Ok(0)]);
    }
}
