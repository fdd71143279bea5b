//! The replicated state: znodes, ACLs and sessions, and the watches beside them.
//!
//! Start with [`Tree`] and its `apply`; then [`prepare`](prepare()), which turns a request into
//! the transaction that `apply` carries out; then [`WatchTable`].

pub mod acl;
mod applied;
mod cut;
mod load;
mod prepare;
mod tree;
mod watch;

pub use applied::{Applied, DigestMismatch, Event};
pub use cut::{CutId, CutProgress};
pub use load::{LoadError, Loader};
pub use prepare::{Pending, PrepareContext, Standing, prepare, prepare_error, prepare_reconfig};
pub use tree::{Caller, Options, Tree};
pub use watch::{CatchUp, WatchKind, WatchTable, Watcher, read_watch};
