//! From requests to transactions.

use wire::client::{ErrorCode, Write};
use wire::txn::Entry;
use wire::{SessionId, Zxid};

use crate::Tree;

/// What the leader knows of a request's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may write.
    Global,
    /// It may write, but own no ephemerals.
    Local,
    /// It is gone, or closing.
    Expired,
    /// It belongs to another member by now.
    Moved,
}

/// The circumstances of a request.
#[derive(Clone, Copy, Debug)]
pub struct PrepareContext {
    /// The zxid that the transaction gets, whatever becomes of the request.
    pub zxid: Zxid,
    /// Wall time, milliseconds since 1970.
    pub time: i64,
    /// The session's standing. Not looked at for createSession and closeSession.
    pub session: Standing,
}

/// Changes that are proposed but not applied, over the tree. To be made when the tree has
/// applied everything that came before the first request.
#[derive(Debug)]
pub struct Pending {}

impl Pending {
    /// No changes.
    #[must_use]
    pub fn new(_seed: u64) -> Self {
        todo!()
    }
    /// Forgets what `entry` changed. Call in order, for each entry, after the tree has applied it.
    pub fn committed(&mut self, _entry: &Entry) {
        todo!()
    }
    /// How many znodes are changed and not committed.
    #[must_use]
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Whether nothing is outstanding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        todo!()
    }
}

/// Validates a request against the tree and what is pending, and yields its transaction, an
/// error transaction if it is refused.
pub fn prepare(
    _tree: &Tree,
    _pending: &mut Pending,
    _ctx: &PrepareContext,
    _write: &Write,
) -> Entry {
    todo!()
}

/// The transaction of a reconfig that the member found valid: sets `/zookeeper/config`.
pub fn prepare_reconfig(
    _tree: &Tree,
    _pending: &mut Pending,
    _ctx: &PrepareContext,
    _write: &Write,
    _config: &str,
) -> Entry {
    todo!()
}

/// The transaction of a request that failed before it came here.
#[must_use]
pub fn prepare_error(
    _ctx: &PrepareContext,
    _session: SessionId,
    _cxid: i32,
    _error: ErrorCode,
) -> Entry {
    todo!()
}
