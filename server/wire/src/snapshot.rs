//! What a snapshot is made of, in a file or behind a SNAP packet.
//!
//! Sessions, then ACLs, then znodes with parents first, then the path `/` as end mark. The file's
//! header, seals and trailing sections are the file's business, the end mark `BenWasHere` is the
//! stream's.

use bytes::Bytes;

use crate::acl::Acl;
use crate::ids::{SessionId, Zxid};
use crate::jute::records;
use crate::stat::StatPersisted;

/// First word of a log file, "ZKLG".
pub const LOG_MAGIC: i32 = 0x5A4B_4C47;
/// First word of a snapshot file, "ZKSN".
pub const SNAPSHOT_MAGIC: i32 = 0x5A4B_534E;
/// Ends the body behind a SNAP packet.
pub const STREAM_END: &str = "BenWasHere";
/// The ACL index of znodes that are open to everyone.
pub const OPEN_ACL: i64 = -1;

records! {
    /// The first bytes of a log or snapshot file.
    #[derive(Copy)]
    FileHeader {
        /// [`LOG_MAGIC`] or [`SNAPSHOT_MAGIC`].
        magic: i32,
        /// Always 2.
        version: i32,
        /// 0 in logs, -1 in snapshots.
        dbid: i64,
    }
    /// A session.
    #[derive(Copy)]
    SessionRecord {
        /// Its id.
        session: SessionId,
        /// Its timeout, milliseconds.
        timeout: i32,
    }
    /// An ACL and the index that znodes name it by.
    AclRecord {
        /// The index.
        index: i64,
        /// The list.
        acl: Vec<Acl>,
    }
    /// A znode.
    ZnodeRecord {
        /// Its path; empty for the root.
        path: String,
        /// Its data.
        data: Option<Bytes>,
        /// Its ACL's index, [`OPEN_ACL`] for open.
        acl: i64,
        /// Its state.
        stat: StatPersisted,
    }
    /// The digest section of a snapshot file.
    #[derive(Copy)]
    ZxidDigest {
        /// At which zxid.
        zxid: Zxid,
        /// Always 2.
        version: i32,
        /// The tree's digest there.
        digest: u64,
    }
}

/// One piece of a snapshot, in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// How many sessions follow.
    Sessions(u32),
    /// One of them.
    Session(SessionRecord),
    /// How many ACLs follow.
    Acls(u32),
    /// One of them.
    Acl(AclRecord),
    /// A znode.
    Znode(ZnodeRecord),
    /// The end mark: the path `/`.
    End,
}
