//! What goes wrong between a simulated member and its disk.

use wire::Zxid;

/// Why a member could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SimError {
    #[error("open: {0}")]
    Open(String),
    #[error(transparent)]
    Append(#[from] txnlog::AppendError),
    #[error(transparent)]
    Truncate(#[from] txnlog::TruncateError),
    #[error(transparent)]
    Read(#[from] txnlog::ReadError),
    #[error(transparent)]
    SnapshotWrite(#[from] txnlog::SnapshotWriteError),
    #[error(transparent)]
    Load(#[from] tree::LoadError),
    #[error(transparent)]
    Decode(#[from] wire::DecodeError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("there is no snapshot")]
    NoSnapshot,
    #[error("the tree's cut is gone")]
    CutGone,
    #[error("replay ends at {tree}, the log at {log}")]
    Replay { log: Zxid, tree: Zxid },
}
