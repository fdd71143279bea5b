//! What applying one transaction yields.

use wire::client::EventType;
use wire::{Acl, Zxid};

/// What applying one transaction yields: the reply, and the watch events in order. Made to be
/// reused, so that it allocates rarely.
#[derive(Debug, Default)]
pub struct Applied {}

/// Something happened to a path; whoever watches it is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Whose.
    pub path: &'a str,
    /// What.
    pub kind: EventType,
    /// By which transaction.
    pub zxid: Zxid,
    /// The ACL that the znode had, `None` if open to everyone: only who may read it is told.
    pub acl: Option<&'a [Acl]>,
}

/// The tree is not what the leader's transaction says that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestMismatch {
    /// After which transaction.
    pub zxid: Zxid,
    /// What the transaction says.
    pub expected: u64,
    /// What the tree has.
    pub actual: u64,
}

impl Applied {
    /// The error for the reply's header, 0 for none.
    #[must_use]
    pub fn error(&self) -> i32 {
        todo!()
    }
    /// The record after the reply's header; empty with an error, and for those without record.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        todo!()
    }
    /// Watch events in order.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        std::iter::empty()
    }
    /// Whether the digest contradicts the transaction's.
    #[must_use]
    pub fn mismatch(&self) -> Option<DigestMismatch> {
        todo!()
    }
}
