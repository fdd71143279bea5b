//! What is known of a znode besides its data.

use crate::ids::Zxid;
use crate::jute::records;

records! {
    /// A znode's state as clients see it.
    #[derive(Copy, Default)]
    Stat {
        /// Zxid of the create.
        czxid: Zxid,
        /// Zxid of the last change of data.
        mzxid: Zxid,
        /// Time of the create, milliseconds since 1970.
        ctime: i64,
        /// Time of the last change of data, milliseconds since 1970.
        mtime: i64,
        /// How often the data changed.
        version: i32,
        /// How often a child came or went.
        cversion: i32,
        /// How often the ACL changed.
        aversion: i32,
        /// The owning session of an ephemeral, else 0.
        ephemeral_owner: i64,
        /// Bytes of data.
        data_length: i32,
        /// How many children there are.
        num_children: i32,
        /// Zxid of the last create or delete of a child.
        pzxid: Zxid,
    }
    /// A znode's state as snapshots keep it. `cversion` counts creates only, and
    /// `ephemeral_owner` also marks containers and TTL znodes.
    #[derive(Copy, Default)]
    StatPersisted {
        /// As in [`Stat`].
        czxid: Zxid,
        /// As in [`Stat`].
        mzxid: Zxid,
        /// As in [`Stat`].
        ctime: i64,
        /// As in [`Stat`].
        mtime: i64,
        /// As in [`Stat`].
        version: i32,
        /// How many children were ever created: the next sequence number.
        cversion: i32,
        /// As in [`Stat`].
        aversion: i32,
        /// Session of an ephemeral; `i64::MIN` for a container; `0xff` in the top byte and the
        /// milliseconds below for a TTL znode.
        ephemeral_owner: i64,
        /// As in [`Stat`].
        pzxid: Zxid,
    }
}
