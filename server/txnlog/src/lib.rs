//! One member's data on a disk: transaction log, snapshots, epochs, and how they are recovered.
//!
//! Start with [`Store`]; [`Disk`] is what it needs of a disk, with [`RealDisk`] and
//! [`crashing::CrashingDisk`] to choose from. [`tail`] decides what may be cut off a log.
//! [`LogFile`] and [`SnapshotReader`] read single files, for tools.
//!
//! Files are those of Apache ZooKeeper 3.8 and 3.9, byte for byte, in both directions.
//!
//! Invariants:
//! - What was synced is there after any crash, or the start is refused; nothing appears that was
//!   never appended.
//! - Space that records are written to holds zeros, and at most [`UNSYNCED_LIMIT`] bytes of
//!   records are unsynced.
//! - A file's name is durable before anything that depends on it is promised.
//! - Truncation and installation happen as a whole or not at all, whatever crashes.
//! - A failed write or sync is final: the [`Store`] refuses everything afterwards.
//!
//! Calls block. This crate knows no znode tree, no peers, no clock and no threads: who calls
//! decides which thread waits.

mod appender;
pub mod crashing;
mod disk;
mod epochs;
mod error;
mod marks;
mod names;
mod pending;
mod reader;
mod real;
mod record;
mod recovery;
mod rejoin;
mod replay;
mod retention;
mod segment;
mod snapshot;
mod spare;
mod store;
pub mod tail;
#[cfg(test)]
mod tests;

pub use appender::Amount;
pub use disk::{Disk, DiskFile, SECTOR};
pub use error::{
    AppendError, OpenError, ReadError, Refusal, SnapshotReadError, SnapshotWriteError,
    TruncateError,
};
pub use marks::{Mark, Marks};
pub use names::{Compression, LogName, Paths, SnapshotFile};
pub use reader::{LogPart, LogRange, LogReader};
pub use real::RealDisk;
pub use recovery::{Cut, Recovered};
pub use rejoin::set_aside;
pub use replay::{Rejected, Replay, Replayed};
pub use retention::KEEP_MIN;
pub use segment::{LogFile, RawRecord};
pub use snapshot::{SnapshotReader, SnapshotWriter, Snapshots, StagedSnapshot, Trailer};
pub use spare::SpareJob;
pub use store::{Options, Purge, Store, list_snapshots};
pub use tail::UNSYNCED_LIMIT;
