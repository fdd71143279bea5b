//! The replicated state: znodes, ACLs and sessions, and the watches beside them.
//!
//! Start with [`Tree`] and its `apply`; then [`prepare`](prepare()), which turns a request into
//! the transaction that `apply` carries out; then [`WatchTable`].

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
mod read;
mod slab;
mod tree;
mod watch;
mod znodes;

pub use applied::{Applied, DigestMismatch, Event};
pub use cut::{CutId, CutProgress};
pub use load::{LoadError, Loader};
pub use prepare::{Pending, PrepareContext, Standing, prepare, prepare_error, prepare_reconfig};
pub use tree::{Caller, Options, Tree};
pub use watch::{CatchUp, WatchKind, WatchTable, Watcher, read_watch};
