//! Every byte that ZooKeeper puts on a socket or a disk, as types: the client protocol, the
//! quorum protocol, the transaction log's entries and the snapshot's records.
//!
//! Start with [`jute`] (the encoding under everything), then [`client`] (what clients say),
//! [`txn`] (what is logged and replicated), [`quorum`] and [`election`] (what peers say),
//! [`snapshot`] (what a snapshot is made of), [`config`] (who the members are) and [`control`]
//! (what a server and the sidecar beside it say to each other). Streams are cut by
//! [`frame::FrameDecoder`], [`quorum::PacketDecoder`] and [`snapshot::PieceDecoder`]: fed with what
//! arrives, asked for what is complete.
//!
//! Invariants:
//! - Decoding hostile bytes returns a [`DecodeError`]; it never panics, never loops, and never
//!   allocates more than the input justifies: a small multiple of its bytes, see
//!   [`jute::AMPLIFICATION`]. Work is linear in the input, however small its pieces.
//! - `decode(encode(x)) == x` for every record.
//! - All integers are big endian.
//!
//! This crate knows no socket, file, clock or znode tree.

#![deny(clippy::little_endian_bytes, clippy::host_endian_bytes)]

pub mod acl;
pub mod client;
pub mod config;
pub mod control;
pub mod election;
mod extent;
pub mod frame;
pub mod ids;
pub mod jute;
pub mod quorum;
pub mod snapshot;
pub mod stat;
pub mod txn;

pub use acl::{Acl, Id, Perms};
pub use ids::{Epoch, PeerId, SessionId, Zxid};
pub use jute::{DecodeError, Reader, Record};
pub use stat::{Stat, StatPersisted};

#[cfg(test)]
mod tests;
