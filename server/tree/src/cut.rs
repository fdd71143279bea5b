//! Exact snapshots beside the work.

use wire::Zxid;

use crate::Tree;

/// Names a cut within its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CutId(pub u64);

/// Whether there is more to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutProgress {
    /// Call again.
    More,
    /// The end mark is written, and the cut is gone.
    Done,
}

impl Tree {
    /// Starts a snapshot of the tree as it is now.
    pub fn begin_cut(&mut self) -> CutId {
        todo!()
    }
    /// The zxid and the digest of the tree in this cut; `None` for a cut that is gone.
    #[must_use]
    pub fn cut_position(&self, _cut: CutId) -> Option<(Zxid, u64)> {
        todo!()
    }
    /// Appends the next part of the snapshot's body to `out`: sessions, ACLs and about
    /// `budget` znodes, and at the end the end mark (the path `/`).
    pub fn cut_next(&mut self, _cut: CutId, _budget: usize, _out: &mut Vec<u8>) -> CutProgress {
        todo!()
    }
    /// Bytes that `apply` has set aside for this cut and that `cut_next` has not fetched yet.
    #[must_use]
    pub fn cut_backlog(&self, _cut: CutId) -> usize {
        todo!()
    }
    /// Ends a cut early.
    pub fn abandon_cut(&mut self, _cut: CutId) {
        todo!()
    }
}
