//! The newest entries, kept in memory to bring learners up to date without reading the disk.

use std::collections::VecDeque;
use std::sync::Arc;

use wire::Zxid;
use wire::txn::Entry;

/// How much a [`Window`] keeps; what is not delivered yet stays beyond it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

/// The end of the history without a hole: `floor() <= entries`, the last one being the log's.
///
/// The floor is never above what is delivered, so that a snapshot of the delivered state serves
/// every learner that the window cannot.
#[derive(Debug)]
pub(crate) struct Window {
    /// What precedes the first entry, if that is known.
    base: Option<Base>,
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
struct Base {
    zxid: Zxid,
    /// It is known to be an entry, not just a snapshot's zxid.
    entry: bool,
}

impl Window {
    /// The part of `recent` that leads without a hole to `last`.
    pub(crate) fn new(limits: Limits, last: Zxid, recent: &[Arc<Entry>]) -> Self {
        let mut window = Self {
            base: None,
            entries: VecDeque::new(),
            bytes: 0,
            limits,
        };
        let mut next: Option<Zxid> = None;
        for entry in recent.iter().rev() {
            let fits = match next {
                None => entry.zxid() == last,
                Some(next) => next.follows(entry.zxid()),
            };
            if !fits {
                break;
            }
            next = Some(entry.zxid());
            window.bytes += entry.bytes().len();
            window.entries.push_front(Arc::clone(entry));
        }
        if window.entries.is_empty() {
            window.reset(last);
        }
        window.trim(last);
        window
    }

    /// Takes in the log's next entry.
    pub(crate) fn push(&mut self, entry: Arc<Entry>) {
        self.bytes += entry.bytes().len();
        self.entries.push_back(entry);
    }

    /// Drops the oldest entries beyond the limits, but none behind `delivered`.
    pub(crate) fn trim(&mut self, delivered: Zxid) {
        while self.entries.len() > 1
            && (self.entries.len() > self.limits.entries || self.bytes > self.limits.bytes)
        {
            let zxid = self.entries[0].zxid();
            if zxid > delivered {
                break;
            }
            self.pop_front();
            self.base = Some(Base { zxid, entry: true });
        }
    }

    fn pop_front(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.bytes().len();
        }
    }

    /// The log was cut: its last entry is now `last`.
    pub(crate) fn cut(&mut self, last: Zxid) {
        while self.entries.back().is_some_and(|entry| entry.zxid() > last) {
            if let Some(entry) = self.entries.pop_back() {
                self.bytes -= entry.bytes().len();
            }
        }
        let base_holds = self.base.is_some_and(|base| base.zxid == last);
        if self.entries.is_empty() && !base_holds {
            self.reset(last);
        }
    }

    /// Starts anew behind `last`, which may be a snapshot's zxid.
    pub(crate) fn reset(&mut self, last: Zxid) {
        self.entries.clear();
        self.bytes = 0;
        self.base = Some(Base {
            zxid: last,
            entry: false,
        });
    }

    /// Whoever has the history up to here, or further, can be served from memory.
    pub(crate) fn floor(&self) -> Zxid {
        match (self.base, self.entries.front()) {
            (Some(base), _) => base.zxid,
            (None, Some(first)) => first.zxid(),
            (None, None) => Zxid::ZERO,
        }
    }

    /// The greatest zxid of the history that is not above `zxid`; `zxid >= floor()`.
    pub(crate) fn at_or_below(&self, zxid: Zxid) -> Zxid {
        let count = self.entries.partition_point(|entry| entry.zxid() <= zxid);
        match count.checked_sub(1) {
            Some(index) => self.entries[index].zxid(),
            None => self.floor(),
        }
    }

    /// Whether a peer that has this zxid has it as an entry, so that it can cut its log there.
    pub(crate) fn is_entry(&self, zxid: Zxid) -> bool {
        self.base
            .is_some_and(|base| base.entry && base.zxid == zxid)
            || self
                .entries
                .binary_search_by_key(&zxid, |entry| entry.zxid())
                .is_ok()
    }

    /// The entries behind `after`, through `through`.
    pub(crate) fn range(&self, after: Zxid, through: Zxid) -> impl Iterator<Item = &Arc<Entry>> {
        let start = self.entries.partition_point(|entry| entry.zxid() <= after);
        self.entries
            .range(start..)
            .take_while(move |entry| entry.zxid() <= through)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::{entry, z};

    const WIDE: Limits = Limits {
        entries: 100,
        bytes: 1 << 20,
    };

    fn zxids(window: &Window, after: Zxid, through: Zxid) -> Vec<Zxid> {
        window.range(after, through).map(|e| e.zxid()).collect()
    }

    #[test]
    fn only_what_leads_to_the_end_without_a_hole_is_kept() {
        let recent: Vec<_> = [z(1, 1), z(1, 3), z(1, 4), z(2, 1)]
            .map(|zxid| entry(zxid, 0))
            .to_vec();
        let window = Window::new(WIDE, z(2, 1), &recent);
        assert_eq!(window.floor(), z(1, 3));
        let all = zxids(&window, Zxid::ZERO, z(9, 0));
        assert_eq!(all, [z(1, 3), z(1, 4), z(2, 1)]);
        let foreign = Window::new(WIDE, z(2, 2), &recent);
        assert_eq!(foreign.floor(), z(2, 2));
        assert!(
            !foreign.is_entry(z(2, 2)),
            "a snapshot's zxid, for all one knows"
        );
    }

    #[test]
    fn the_limits_spare_what_is_not_delivered() {
        let limits = Limits {
            entries: 2,
            bytes: 1 << 20,
        };
        let mut window = Window::new(limits, Zxid::ZERO, &[]);
        for counter in 1..=5 {
            window.push(entry(z(1, counter), 0));
        }
        window.trim(z(1, 1));
        assert_eq!(window.floor(), z(1, 1));
        assert!(window.is_entry(z(1, 1)));
        window.trim(z(1, 5));
        assert_eq!(zxids(&window, Zxid::ZERO, z(1, 5)), [z(1, 4), z(1, 5)]);
        assert_eq!(window.at_or_below(z(1, 9)), z(1, 5));
        assert_eq!(window.at_or_below(z(1, 3)), z(1, 3));
    }

    #[test]
    fn bytes_are_bounded_too_but_one_entry_stays() {
        let limits = Limits {
            entries: 100,
            bytes: 1,
        };
        let mut window = Window::new(limits, Zxid::ZERO, &[]);
        window.push(entry(z(1, 1), 0));
        window.push(entry(z(1, 2), 0));
        window.trim(z(1, 2));
        assert_eq!(zxids(&window, Zxid::ZERO, z(1, 2)), [z(1, 2)]);
    }

    #[test]
    fn a_cut_removes_the_end_and_keeps_the_rest() {
        let recent = [z(1, 1), z(1, 2), z(1, 3)].map(|zxid| entry(zxid, 0));
        let mut window = Window::new(WIDE, z(1, 3), &recent);
        window.cut(z(1, 2));
        assert_eq!(zxids(&window, Zxid::ZERO, z(9, 0)), [z(1, 1), z(1, 2)]);
        window.cut(Zxid::ZERO);
        assert_eq!(zxids(&window, Zxid::ZERO, z(9, 0)), []);
        assert_eq!(window.floor(), Zxid::ZERO);
    }
}
