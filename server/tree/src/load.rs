//! Building a tree from a snapshot.

use wire::Zxid;
use wire::snapshot::Piece;

use crate::{Options, Tree};

/// Builds a [`Tree`] from the pieces of a snapshot, given in order.
#[derive(Debug)]
pub struct Loader {}

/// Why a snapshot is no tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A znode comes before its parent.
    #[error("znode {path} comes before its parent")]
    NoParent {
        /// The znode.
        path: String,
    },
}

impl Loader {
    /// Starts with nothing.
    #[must_use]
    pub fn new(_seed: u64, _options: Options) -> Self {
        todo!()
    }
    /// Takes the next piece.
    ///
    /// # Errors
    /// If the snapshot is inconsistent. The loader is of no use then.
    pub fn push(&mut self, _piece: Piece) -> Result<(), LoadError> {
        todo!()
    }
    /// The tree, its last zxid being the snapshot's.
    ///
    /// # Errors
    /// If the snapshot is not complete.
    pub fn finish(self, _zxid: Zxid) -> Result<Tree, LoadError> {
        todo!()
    }
}
