//! The order of one connection's requests and answers.
//!
//! A client's requests take effect in the order in which it sent them. Writes go to the member at
//! once, so that many are under way; the reads between two of them form a [`ReadGroup`], which is
//! served after the first and before the second: by the connection if it gets there in time, else
//! by the member thread when it is about to apply the second.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use wire::client::{ErrorCode, ReplyHeader, Request};
use wire::frame::encode_frame;
use wire::{Id, Record, SessionId, Zxid};

/// Reads that nothing of the same client comes between, and answers that need no tree.
///
/// Who serves them takes them out: the connection under a read guard of the tree, the member thread
/// under the write guard, so that never both do.
pub(crate) struct ReadGroup {
    /// Whose.
    pub(crate) session: SessionId,
    /// All that the client was when it asked.
    pub(crate) identities: Arc<[Id]>,
    reads: Mutex<VecDeque<Read>>,
}

/// A part of a [`ReadGroup`].
pub(crate) enum Read {
    /// Served from the tree.
    Request {
        xid: i32,
        request: Request,
        /// When it was read, milliseconds.
        since: u64,
    },
    /// Answered already, by this frame.
    Answered(Vec<u8>),
}

impl ReadGroup {
    /// The next one, if it is not served yet.
    pub(crate) fn next(&self) -> Option<Read> {
        self.reads.lock().pop_front()
    }

    /// How many are not served yet.
    pub(crate) fn len(&self) -> usize {
        self.reads.lock().len()
    }
}

/// A request that is not answered yet.
enum Asked {
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
    /// Served from the tree once it is the first.
    Reads(Arc<ReadGroup>),
    /// An answer that came before its turn.
    Answered(Vec<u8>),
}

/// Requests in order, and how much of them waits.
#[derive(Default)]
pub(crate) struct Exchange {
    asked: VecDeque<Asked>,
    /// Requests that wait, each read of a group counted when it came.
    len: usize,
    /// Writes that wait for the member.
    writes: usize,
    /// Their bytes.
    bytes: usize,
}

impl Exchange {
    /// Adds a read, or an answer that needs no tree.
    pub(crate) fn push_read(&mut self, session: SessionId, identities: &Arc<[Id]>, read: Read) {
        self.len += 1;
        if let Some(Asked::Reads(group)) = self.asked.back()
            && Arc::ptr_eq(&group.identities, identities)
        {
            group.reads.lock().push_back(read);
            return;
        }
        let group = ReadGroup {
            session,
            identities: identities.clone(),
            reads: Mutex::new(VecDeque::from([read])),
        };
        self.asked.push_back(Asked::Reads(Arc::new(group)));
    }

    /// Adds a write. Returns the reads that come before it, and that may not be served after it.
    pub(crate) fn push_write(
        &mut self,
        xid: i32,
        sync: Option<String>,
        size: usize,
        since: u64,
    ) -> Vec<Arc<ReadGroup>> {
        let before = self.asked.iter().rev().map_while(|asked| match asked {
            Asked::Reads(group) => Some(group.clone()),
            Asked::Write { .. } | Asked::Answered(_) => None,
        });
        let mut before: Vec<_> = before.collect();
        before.reverse();
        self.len += 1;
        self.writes += 1;
        self.bytes += size;
        self.asked.push_back(Asked::Write {
            xid,
            sync,
            size,
            since,
        });
        before
    }

    /// The write with this number is answered: `frame` goes out now if it is the first, else
    /// later. `None` if nobody waits for it; else when it was read.
    pub(crate) fn answer(
        &mut self,
        xid: i32,
        out: &mut Vec<u8>,
        frame: impl FnOnce(&mut Vec<u8>, Option<&str>),
    ) -> Option<u64> {
        self.drop_served();
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
        self.len -= 1;
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

    /// Reads that the member thread has served are answered by what it sent.
    pub(crate) fn served(&mut self, count: usize) {
        self.len -= count;
        self.drop_served();
    }

    /// Sends what is answered and first; returns the reads whose turn it is then.
    pub(crate) fn due(&mut self, out: &mut Vec<u8>) -> Option<Arc<ReadGroup>> {
        loop {
            match self.asked.front()? {
                Asked::Answered(frame) => out.extend_from_slice(frame),
                Asked::Reads(group) if group.len() > 0 => return Some(group.clone()),
                Asked::Reads(_) => {}
                Asked::Write { .. } => return None,
            }
            self.asked.pop_front();
        }
    }

    fn drop_served(&mut self) {
        while let Some(Asked::Reads(group)) = self.asked.front()
            && group.len() == 0
        {
            self.asked.pop_front();
        }
    }

    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.len
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

    /// The bytes of each.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = usize> {
        self.asked.iter().filter_map(|asked| match asked {
            Asked::Write { size, .. } => Some(*size),
            Asked::Reads(_) | Asked::Answered(_) => None,
        })
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
    use super::*;

    fn exchange() -> (Exchange, Arc<[Id]>) {
        (Exchange::default(), Arc::new([Id::anyone()]))
    }

    fn write(exchange: &mut Exchange, xid: i32) -> Vec<Arc<ReadGroup>> {
        exchange.push_write(xid, None, 10, 0)
    }

    fn answered(byte: u8) -> Read {
        Read::Answered(vec![byte])
    }

    /// Serves what is due, as one who serves does.
    fn serve(exchange: &mut Exchange, out: &mut Vec<u8>) -> usize {
        let mut served = 0;
        while let Some(group) = exchange.due(out) {
            while let Some(Read::Answered(frame)) = group.next() {
                out.extend(frame);
                served += 1;
            }
            exchange.served(served);
        }
        served
    }

    #[test]
    fn reads_are_served_between_the_writes_that_they_were_sent_between() {
        let (mut exchange, ids) = exchange();
        assert!(write(&mut exchange, 1).is_empty());
        exchange.push_read(SessionId(7), &ids, answered(21));
        exchange.push_read(SessionId(7), &ids, answered(22));
        let before = write(&mut exchange, 3);
        assert_eq!(before.iter().map(|group| group.len()).sum::<usize>(), 2);
        let mut out = Vec::new();
        assert_eq!(serve(&mut exchange, &mut out), 0);
        assert!(exchange.answer(1, &mut out, |out, _| out.push(1)).is_some());
        assert_eq!(serve(&mut exchange, &mut out), 2);
        assert!(exchange.answer(3, &mut out, |out, _| out.push(3)).is_some());
        assert_eq!(
            (out, exchange.is_empty(), exchange.len()),
            (vec![1, 21, 22, 3], true, 0)
        );
    }

    #[test]
    fn reads_that_the_member_thread_served_are_not_served_again() {
        let (mut exchange, ids) = exchange();
        write(&mut exchange, 1);
        exchange.push_read(SessionId(7), &ids, answered(2));
        let before = write(&mut exchange, 3);
        let mut out = Vec::new();
        assert!(exchange.answer(1, &mut out, |out, _| out.push(1)).is_some());
        assert!(before[0].next().is_some());
        out.push(2);
        exchange.served(1);
        assert_eq!(serve(&mut exchange, &mut out), 0);
        assert!(exchange.answer(3, &mut out, |out, _| out.push(3)).is_some());
        assert_eq!((out, exchange.is_empty()), (vec![1, 2, 3], true));
    }

    #[test]
    fn an_answer_before_its_turn_waits() {
        let (mut exchange, _ids) = exchange();
        write(&mut exchange, 1);
        write(&mut exchange, 2);
        let mut out = Vec::new();
        assert!(exchange.answer(2, &mut out, |out, _| out.push(2)).is_some());
        assert_eq!(
            (out.clone(), exchange.writes(), exchange.bytes()),
            (vec![], 1, 10)
        );
        assert!(exchange.answer(1, &mut out, |out, _| out.push(1)).is_some());
        serve(&mut exchange, &mut out);
        assert_eq!((out, exchange.is_empty()), (vec![1, 2], true));
    }

    #[test]
    fn an_answer_that_nobody_waits_for_is_not_sent() {
        let (mut exchange, _ids) = exchange();
        write(&mut exchange, 1);
        let mut out = Vec::new();
        assert!(exchange.answer(2, &mut out, |out, _| out.push(2)).is_none());
        assert!(out.is_empty());
    }
}
