//! What applying one transaction yields.

use std::ops::Range;
use std::sync::Arc;

use wire::client::EventType;
use wire::{Acl, Zxid};

use crate::path;

/// What applying one transaction yields: the reply, and the watch events in order. Made to be
/// reused, so that it allocates rarely.
#[derive(Debug, Default)]
pub struct Applied {
    pub(crate) zxid: Zxid,
    pub(crate) error: i32,
    pub(crate) body: Vec<u8>,
    pub(crate) mismatch: Option<DigestMismatch>,
    paths: String,
    events: Vec<Pending>,
}

#[derive(Debug)]
struct Pending {
    path: Range<usize>,
    kind: EventType,
    acl: Option<Arc<[Acl]>>,
}

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
    /// The transaction.
    #[must_use]
    pub const fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// The error for the reply's header, 0 for none. A failed multi has none: its parts do.
    #[must_use]
    pub const fn error(&self) -> i32 {
        self.error
    }

    /// The record after the reply's header; empty with an error, and for those without record.
    /// For createSession it is empty too: the answer is a connect response.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Watch events in order.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.events.iter().map(|event| Event {
            path: &self.paths[event.path.clone()],
            kind: event.kind,
            zxid: self.zxid,
            acl: event.acl.as_deref(),
        })
    }

    /// Whether the digest contradicts the transaction's.
    #[must_use]
    pub const fn mismatch(&self) -> Option<DigestMismatch> {
        self.mismatch
    }

    pub(crate) fn clear(&mut self, zxid: Zxid) {
        self.zxid = zxid;
        self.error = 0;
        self.body.clear();
        self.mismatch = None;
        self.paths.clear();
        self.events.clear();
    }

    pub(crate) fn event(&mut self, path: &str, kind: EventType, acl: Option<&Arc<[Acl]>>) {
        let start = self.paths.len();
        self.paths.push_str(path::shown(path));
        self.events.push(Pending {
            path: start..self.paths.len(),
            kind,
            acl: acl.cloned(),
        });
    }
}
