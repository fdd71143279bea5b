//! One ZooKeeper-compatible ensemble member: the shell around the state machine, and the tools.
//!
//! Start with [`serve::serve`], which runs a member until it is told to stop, and [`commands`],
//! the command line. Inside: the *member thread* (`member_thread`) owns the state machine, takes
//! what comes in (`inbox`) and carries out effects; the *log thread* (`log_thread`) owns the log;
//! `snapshots` and `chores` do slow work beside them; everything on sockets (`clients`, `peers`)
//! runs on a few workers. Clients' reads are served by the workers straight from the tree.
//!
//! Invariants:
//! - Only the member thread applies to the tree; events and replies are in the mailboxes before
//!   the write guard is released, and a worker empties its mailbox under its read guard.
//! - Only a connection's own task writes to its socket, and answers in the order of the requests.
//! - Nothing is acknowledged before the log thread has synced it; a disk that fails ends the
//!   process, and so does a panic anywhere.
//! - Every queue is bounded in bytes, and says what happens when it is full.
//!
//! This crate knows nothing of Kubernetes, and decides nothing that `member` decides.

mod admin;
mod apply;
mod assembly;
pub mod bench;
mod boot;
pub mod check;
mod chores;
mod clients;
mod clock;
pub mod commands;
pub mod config;
mod deviation;
mod inbox;
mod listen;
mod log_queue;
mod log_thread;
mod member_thread;
mod metrics;
mod peers;
#[cfg(any(test, feature = "rehearsal"))]
pub mod rehearsal;
mod restore;
mod routes;
pub mod serve;
mod shared;
mod sidecar;
mod snapshots;
pub mod tools;
mod vital;

pub use boot::BootError;
pub use listen::ListenError;
pub use log_thread::LogFailure;
pub use restore::RestoreError;
