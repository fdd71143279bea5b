//! The replicated state: znodes, ACLs and sessions, and the watches beside them.
//!
//! Start with [`Tree`] (what there is, and answers to reads); then [`Tree::apply`], which carries
//! out a committed transaction and yields the reply and the watch events ([`Applied`]); then
//! [`prepare()`], with which a leader turns a request into that transaction; then [`WatchTable`],
//! which says who is to be told. Snapshots leave through [`Tree::begin_cut`] and come in through
//! [`Loader`]. Who may do what is decided in [`acl`], how much of it in `quota`.
//!
//! Invariants:
//! - `apply` gives the same tree on every member, and the digest that the leader foretold. It
//!   depends on the transaction and the tree only: no clock, no randomness, no hash order. The
//!   seed keys hashing and shows nowhere.
//! - What `prepare` yields, `apply` carries out without fail on the tree and the overlay
//!   ([`Pending`]) that it was prepared on.
//! - Replaying transactions over a snapshot that has their changes already, wholly or in part,
//!   ends in the tree that they made.
//! - A cut is the tree at its beginning, exactly, whatever is applied while it is written.
//! - The tree's digest is the sum over its znodes outside `/zookeeper/`, at every moment.
//!
//! How it is kept (`znodes`): a znode that never changed takes 64 bytes in a chunked slab, one
//! allocation for name and data, and its place in one index. The index is keyed by parent and
//! name, so a path is looked up component by component: no path is stored, and the upper
//! components stay in the processor's cache. An index over whole paths would save some probes
//! for deep paths, and cost either the paths' bytes or a walk upwards to compare them. Nothing
//! grows by doubling in one step: slabs grow by chunks, indexes have 64 shards.
//!
//! This crate does not know: connections, members, quorums, the log, files, time. Who may answer
//! a read, and whether a session is expired or has moved, others decide.

pub mod acl;
mod applied;
mod apply;
mod cut;
mod digest;
mod encode;
mod hashing;
mod index;
mod load;
mod owner;
mod path;
mod prepare;
mod quota;
mod read;
mod slab;
mod tree;
mod watch;
mod znodes;

pub use applied::{Applied, DigestMismatch, Event};
pub use cut::{CutId, CutProgress};
pub use load::{LoadError, Loader};
pub use prepare::{
    Pending, PrepareContext, Standing, is_well_formed, prepare, prepare_error, prepare_reconfig,
};
pub use quota::{Quota, Usage};
pub use tree::{Caller, Options, Tree};
pub use watch::{CatchUp, WatchKind, WatchTable, Watcher, read_watch};

#[cfg(test)]
mod tests;
