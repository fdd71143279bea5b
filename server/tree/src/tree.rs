//! [`Tree`].

use wire::client::{ErrorCode, Request};
use wire::snapshot::ZxidDigest;
use wire::txn::Entry;
use wire::{Acl, Id, SessionId, Zxid};

use crate::acl::Schemes;
use crate::{Applied, DigestMismatch};

/// What an operator may choose about the tree. All members of an ensemble should agree.
#[derive(Clone, Debug)]
pub struct Options {
    /// Apache's `digest.enabled`: transactions carry the tree's digest, and it is compared.
    pub digest: bool,
    /// Apache's `zookeeper.extendedTypesEnabled`: TTL znodes may be made.
    pub extended_types: bool,
    /// Apache's `skipACL`: nothing is refused for lack of permission.
    pub skip_acl: bool,
    /// Which authentication schemes exist, beside `world` and `auth`.
    pub schemes: Schemes,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            digest: true,
            extended_types: false,
            skip_acl: false,
            schemes: Schemes::default(),
        }
    }
}

/// Who reads.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The connection's session.
    pub session: SessionId,
    /// All identities of the connection, `ip` included.
    pub identities: &'a [Id],
}

/// Znodes, ACLs and sessions as of one zxid.
#[derive(Debug)]
pub struct Tree {}

impl Tree {
    /// The tree of a fresh server.
    #[must_use]
    pub fn new(_seed: u64, _options: Options) -> Self {
        todo!()
    }
    /// The options.
    #[must_use]
    pub fn options(&self) -> &Options {
        todo!()
    }
    /// Puts the configuration that a member boots with into `/zookeeper/config`, outside any
    /// transaction. `version` is the configuration's version, `time` the wall clock.
    pub fn set_initial_config(&mut self, _text: &str, _version: Zxid, _time: i64) {
        todo!()
    }
    /// What `/zookeeper/config` holds.
    #[must_use]
    pub fn config(&self) -> &[u8] {
        todo!()
    }
    /// The last transaction applied.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        todo!()
    }
    /// The digest of all znodes outside `/zookeeper/`.
    #[must_use]
    pub fn digest(&self) -> u64 {
        todo!()
    }
    /// As Apache counts: the root counts twice.
    #[must_use]
    pub fn znode_count(&self) -> u64 {
        todo!()
    }
    /// How many znodes belong to sessions.
    #[must_use]
    pub fn ephemerals_count(&self) -> u64 {
        todo!()
    }
    /// Bytes of all paths and data.
    #[must_use]
    pub fn approximate_data_size(&self) -> u64 {
        todo!()
    }
    /// How many global sessions there are.
    #[must_use]
    pub fn session_count(&self) -> u64 {
        todo!()
    }
    /// A session's timeout in milliseconds.
    #[must_use]
    pub fn session(&self, _session: SessionId) -> Option<i32> {
        todo!()
    }
    /// All sessions with their timeouts.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, i32)> + '_ {
        std::iter::empty()
    }
    /// Answers a read: appends the answer's record to `out`. Watches are the caller's business:
    /// see [`crate::read_watch`].
    ///
    /// # Errors
    /// The code for the reply's header; `out` is then unchanged.
    pub fn read_into(
        &self,
        _request: &Request,
        _who: Caller<'_>,
        _out: &mut Vec<u8>,
    ) -> Result<(), ErrorCode> {
        todo!()
    }
    /// The ACL of the znode at `path`: outer `None` without such a znode, inner `None` if it is
    /// open to everyone.
    #[must_use]
    pub fn acl_of(&self, _path: &str) -> Option<Option<&[Acl]>> {
        todo!()
    }
    /// Carries out a committed transaction. Never fails, and does no harm when repeated over a
    /// snapshot that already has its changes. `out` is cleared first.
    pub fn apply(&mut self, _entry: &Entry, _out: &mut Applied) {
        todo!()
    }
    /// Tells the digest that a loaded snapshot was written with. Until the tree reaches its zxid
    /// by replay, no digest is compared. A mismatch at once is returned.
    pub fn expect_digest(&mut self, _digest: ZxidDigest) -> Option<DigestMismatch> {
        todo!()
    }
    /// For a snapshot without digest, such as a SNAP from a Java leader: the snapshot may hold
    /// changes up to `zxid`, so no digest is compared before it.
    pub fn fuzzy_until(&mut self, _zxid: Zxid) {
        todo!()
    }
    /// Containers and TTL znodes that may be collected at wall time `now`: candidates for
    /// deleteContainer, in a stable order.
    #[must_use]
    pub fn expired_containers(
        &self,
        _now: i64,
        _max_never_used_ms: i64,
        _limit: usize,
    ) -> Vec<String> {
        todo!()
    }
}
