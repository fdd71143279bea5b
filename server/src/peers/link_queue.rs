//! What waits to be sent on one link.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use wire::Record;
use wire::quorum::Packet;

/// Bytes that may wait for one peer. A peer that is further behind is dropped: it comes back and
/// is synced from the log or by a snapshot, which costs the others nothing.
const CAPACITY: usize = 128 << 20;

/// A part of what is sent.
pub(crate) enum Outgoing {
    /// Packets, encoded.
    Bytes(Vec<u8>),
    /// Pieces as they are made; the link is dropped if they end without [`Piece::End`].
    Stream(mpsc::Receiver<Piece>),
}

/// A piece of a snapshot on its way to a learner.
pub(crate) enum Piece {
    /// More of it.
    Bytes(Bytes),
    /// All of it was sent.
    End,
}

/// The queue of one link: many producers, one task that writes to the socket.
#[derive(Default)]
pub(crate) struct LinkQueue {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    outgoing: VecDeque<Outgoing>,
    bytes: usize,
    end: Option<End>,
}

/// Why nothing more is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All that was queued before is to be sent, then the link closed.
    Asked,
    /// Too much waits.
    Overflow,
}

impl LinkQueue {
    /// Adds packets.
    pub(crate) fn push(&self, packets: &[Packet]) {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return;
        }
        if !matches!(state.outgoing.back(), Some(Outgoing::Bytes(_))) {
            state.outgoing.push_back(Outgoing::Bytes(Vec::new()));
        }
        let Some(Outgoing::Bytes(buffer)) = state.outgoing.back_mut() else {
            return;
        };
        let before = buffer.len();
        for packet in packets {
            packet.encode(buffer);
        }
        let added = buffer.len() - before;
        state.bytes += added;
        if state.bytes > CAPACITY {
            state.outgoing.clear();
            state.end = Some(End::Overflow);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Adds a stream; what is queued later waits behind it.
    pub(crate) fn push_stream(&self, pieces: mpsc::Receiver<Piece>) {
        let mut state = self.state.lock();
        if state.end.is_none() {
            state.outgoing.push_back(Outgoing::Stream(pieces));
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Ends the link after what is queued.
    pub(crate) fn end(&self) {
        self.state.lock().end.get_or_insert(End::Asked);
        self.wake.notify_one();
    }

    /// The next part, or why there is none any more.
    pub(crate) async fn next(&self) -> Result<Outgoing, End> {
        loop {
            {
                let mut state = self.state.lock();
                if let Some(next) = state.outgoing.pop_front() {
                    if let Outgoing::Bytes(bytes) = &next {
                        state.bytes -= bytes.len();
                    }
                    return Ok(next);
                }
                if let Some(end) = state.end {
                    return Err(end);
                }
            }
            self.wake.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::Zxid;
    use wire::quorum::packet;

    use super::*;

    #[tokio::test]
    async fn packets_leave_together_and_then_the_end() {
        let queue = LinkQueue::default();
        let ping = Packet::bare(packet::PING, Zxid(7));
        queue.push(std::slice::from_ref(&ping));
        queue.push(std::slice::from_ref(&ping));
        queue.end();
        queue.push(&[ping]);
        let Ok(Outgoing::Bytes(bytes)) = queue.next().await else {
            panic!("no bytes");
        };
        assert_eq!(bytes.len(), 2 * (4 + 8 + 4 + 4));
        assert!(matches!(queue.next().await, Err(End::Asked)));
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_dropped() {
        let queue = LinkQueue::default();
        let data = Bytes::from(vec![0; 1 << 20]);
        let packet = Packet::with(packet::PROPOSAL, Zxid(7), data);
        for _ in 0..CAPACITY >> 20 {
            queue.push(std::slice::from_ref(&packet));
        }
        assert!(matches!(queue.next().await, Err(End::Overflow)));
    }
}
