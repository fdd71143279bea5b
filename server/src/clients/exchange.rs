//! The order of one connection's requests and answers.

use std::collections::VecDeque;

use wire::client::{ErrorCode, ReplyHeader, Request};
use wire::frame::encode_frame;
use wire::{Record, Zxid};

/// A request that is not answered yet.
pub(crate) enum Asked {
    /// Handed to the member.
    Write {
        xid: i32,
        /// The path of a `sync`, which its answer repeats.
        sync: Option<String>,
        /// Bytes that it counts for.
        size: usize,
        /// When it was read, milliseconds.
        since: u64,
    },
    /// Served from the tree as soon as it is the first.
    Read {
        xid: i32,
        request: Box<Request>,
        since: u64,
    },
    /// Answered already; the frame goes out when it is the first.
    Answered(Vec<u8>),
}

/// Requests in order, and how much of them waits.
#[derive(Default)]
pub(crate) struct Exchange {
    asked: VecDeque<Asked>,
    /// Writes that wait for the member.
    writes: usize,
    /// Their bytes.
    bytes: usize,
}

impl Exchange {
    pub(crate) fn push(&mut self, asked: Asked) {
        if let Asked::Write { size, .. } = &asked {
            self.writes += 1;
            self.bytes += size;
        }
        self.asked.push_back(asked);
    }

    /// The write with this number is answered: `frame` goes out now if it is the first, else
    /// later. `None` if nobody waits for it; else when it was read.
    pub(crate) fn answer(
        &mut self,
        xid: i32,
        out: &mut Vec<u8>,
        frame: impl FnOnce(&mut Vec<u8>, Option<&str>),
    ) -> Option<u64> {
        let is_it = |asked: &Asked| matches!(asked, Asked::Write { xid: x, .. } if *x == xid);
        let at = self.asked.iter().position(is_it)?;
        let Asked::Write {
            sync, size, since, ..
        } = &self.asked[at]
        else {
            return None;
        };
        let since = *since;
        self.writes -= 1;
        self.bytes -= size;
        if at == 0 {
            frame(out, sync.as_deref());
            self.asked.pop_front();
        } else {
            let mut later = Vec::new();
            frame(&mut later, sync.as_deref());
            self.asked[at] = Asked::Answered(later);
        }
        Some(since)
    }

    /// Sends what is answered and first.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        while let Some(Asked::Answered(frame)) = self.asked.front() {
            out.extend_from_slice(frame);
            self.asked.pop_front();
        }
    }

    /// Whether a read can be served now.
    pub(crate) fn read_is_first(&self) -> bool {
        matches!(self.asked.front(), Some(Asked::Read { .. }))
    }

    /// The read that can be served now.
    pub(crate) fn next_read(&mut self) -> Option<(i32, Box<Request>, u64)> {
        match self.asked.pop_front()? {
            Asked::Read {
                xid,
                request,
                since,
            } => Some((xid, request, since)),
            other => {
                self.asked.push_front(other);
                None
            }
        }
    }

    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.asked.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// How many writes wait for the member.
    pub(crate) fn writes(&self) -> usize {
        self.writes
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives memory back while nothing is going on.
    pub(crate) fn release(&mut self) {
        if self.asked.is_empty() && self.asked.capacity() > 0 {
            self.asked = VecDeque::new();
        }
    }
}

/// Appends a reply without record.
pub(crate) fn bare_reply(out: &mut Vec<u8>, xid: i32, zxid: Zxid, err: ErrorCode) {
    let err = err.code();
    encode_frame(out, |out| ReplyHeader { xid, zxid, err }.encode(out));
}

#[cfg(test)]
mod tests {
    use wire::client::BarePath;

    use super::*;

    fn write(xid: i32) -> Asked {
        Asked::Write {
            xid,
            sync: None,
            size: 10,
            since: 0,
        }
    }

    fn read(xid: i32) -> Asked {
        let request = Box::new(Request::GetAcl(BarePath { path: "/".into() }));
        Asked::Read {
            xid,
            request,
            since: 0,
        }
    }

    #[test]
    fn a_read_waits_for_the_writes_before_it() {
        let mut exchange = Exchange::default();
        for asked in [write(1), read(2), write(3)] {
            exchange.push(asked);
        }
        let mut out = Vec::new();
        assert!(exchange.next_read().is_none());
        assert!(exchange.answer(3, &mut out, |out, _| out.push(3)).is_some());
        assert_eq!(
            (out.clone(), exchange.writes(), exchange.bytes()),
            (vec![], 1, 10)
        );
        assert!(exchange.answer(1, &mut out, |out, _| out.push(1)).is_some());
        exchange.flush(&mut out);
        assert_eq!(out, [1]);
        assert_eq!(exchange.next_read().map(|(xid, ..)| xid), Some(2));
        exchange.flush(&mut out);
        assert_eq!((out, exchange.is_empty()), (vec![1, 3], true));
    }

    #[test]
    fn an_answer_that_nobody_waits_for_is_not_sent() {
        let mut exchange = Exchange::default();
        exchange.push(write(1));
        let mut out = Vec::new();
        assert!(exchange.answer(2, &mut out, |out, _| out.push(2)).is_none());
        assert!(out.is_empty());
    }
}
