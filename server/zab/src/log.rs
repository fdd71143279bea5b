//! What the core knows of the log: a shadow of the disk's.

use std::collections::VecDeque;
use std::sync::Arc;

use wire::Zxid;
use wire::txn::Entry;

use crate::Effect;
use crate::window::{Limits, Window};

/// Positions in the log, and its newest entries.
///
/// `synced <= last`; `committed <= last`; `delivered <= last`. Past what replay applied,
/// `delivered <= min(committed, synced)`.
#[derive(Debug)]
pub(crate) struct Log {
    last: Zxid,
    synced: Zxid,
    committed: Zxid,
    delivered: Zxid,
    /// The last mark given out.
    mark: u64,
    /// Marks that are not durable yet, with the log's end at each.
    marks: VecDeque<(u64, Zxid)>,
    /// Logged, not delivered, through `last`.
    undelivered: VecDeque<Arc<Entry>>,
    pub(crate) window: Window,
}

impl Log {
    pub(crate) fn new(limits: Limits, last: Zxid, recent: &[Arc<Entry>]) -> Self {
        Self {
            last,
            synced: last,
            committed: Zxid::ZERO,
            delivered: last,
            mark: 0,
            marks: VecDeque::new(),
            undelivered: VecDeque::new(),
            window: Window::new(limits, last, recent),
        }
    }

    pub(crate) fn last(&self) -> Zxid {
        self.last
    }

    pub(crate) fn synced(&self) -> Zxid {
        self.synced
    }

    pub(crate) fn committed(&self) -> Zxid {
        self.committed
    }

    pub(crate) fn delivered(&self) -> Zxid {
        self.delivered
    }

    /// Adds entries; they must follow the log's end without a hole.
    pub(crate) fn append(&mut self, entries: Vec<Arc<Entry>>) -> Effect {
        for entry in &entries {
            assert!(
                entry.zxid().follows(self.last),
                "{} does not follow {} in the log",
                entry.zxid(),
                self.last,
            );
            self.last = entry.zxid();
            self.undelivered.push_back(Arc::clone(entry));
            self.window.push(Arc::clone(entry));
        }
        self.window.trim(self.delivered);
        self.mark += 1;
        self.marks.push_back((self.mark, self.last));
        Effect::Append {
            entries,
            mark: self.mark,
        }
    }

    /// The last mark given out.
    pub(crate) fn mark(&self) -> u64 {
        self.mark
    }

    /// Whether everything up to this mark is durable.
    pub(crate) fn is_durable(&self, mark: u64) -> bool {
        self.marks.front().is_none_or(|(first, _)| *first > mark)
    }

    /// The disk says that this mark is durable; marks from before a reset say nothing.
    pub(crate) fn mark_synced(&mut self, mark: u64) {
        while let Some((first, zxid)) = self.marks.front().copied()
            && first <= mark
        {
            self.synced = zxid;
            self.marks.pop_front();
        }
        assert!(self.synced <= self.last);
    }

    /// Everything up to `zxid`, which must be in the log, is committed.
    pub(crate) fn commit(&mut self, zxid: Zxid) {
        assert!(zxid <= self.last, "commit of {zxid} behind {}", self.last);
        self.committed = self.committed.max(zxid);
    }

    /// Takes out what is committed and durable and not delivered yet.
    pub(crate) fn deliver(&mut self) -> Option<Effect> {
        let through = self.committed.min(self.synced);
        if self
            .undelivered
            .front()
            .is_none_or(|first| first.zxid() > through)
        {
            return None;
        }
        let count = self
            .undelivered
            .partition_point(|entry| entry.zxid() <= through);
        let entries: Vec<_> = self.undelivered.drain(..count).collect();
        self.delivered = entries[count - 1].zxid();
        self.window.trim(self.delivered);
        Some(Effect::Deliver(entries))
    }

    /// The log was cut behind `last`, durably.
    pub(crate) fn cut(&mut self, last: Zxid) {
        while self
            .undelivered
            .back()
            .is_some_and(|entry| entry.zxid() > last)
        {
            self.undelivered.pop_back();
        }
        self.window.cut(last);
        self.delivered = self.delivered.min(last);
        self.ends_at(last);
    }

    /// A snapshot replaced everything, durably.
    pub(crate) fn replace(&mut self, zxid: Zxid) {
        self.undelivered.clear();
        self.window.reset(zxid);
        self.delivered = zxid;
        self.ends_at(zxid);
    }

    fn ends_at(&mut self, last: Zxid) {
        self.last = last;
        self.synced = last;
        self.committed = self.committed.min(last);
        self.marks.clear();
    }
}
