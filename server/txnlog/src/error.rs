//! What can go wrong, and what to do about it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use wire::{DecodeError, Epoch, Zxid};

/// Why a visitor of a replay would not take a piece or an entry.
pub type Refusal = Box<dyn Error + Send + Sync>;

/// Why a member's data cannot be used as it lies on the disk.
///
/// Nothing has been changed when one is returned, except that an interrupted truncation or
/// installation may have been completed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The disk failed.
    #[error("{path}: cannot {action}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// Another process has this data open.
    #[error(
        "{path} is in use by another process: two members have the same dataDir, or the \
        one before this has not ended"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A log lies among snapshots or the other way round: dataDir and dataLogDir are swapped, or
    /// dataLogDir was introduced without moving the logs.
    #[error("{path} is in the wrong directory: move it to {belongs}")]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// Where files of its kind are expected.
        belongs: PathBuf,
    },
    /// A record that was synced cannot be read any more. Cutting it off would forget promises.
    #[error(
        "{path}: record at offset {offset}, after transaction {after}, is corrupt ({why}). {WAY_OUT}"
    )]
    Corrupt {
        /// The log file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// The last transaction before it.
        after: Zxid,
        /// What is wrong with it.
        why: String,
    },
    /// A record is intact, but says what this version does not understand.
    #[error("{path}: transaction at offset {offset} is not one that this version knows. {WAY_OUT}")]
    Undecodable {
        /// The log file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What does not decode.
        source: DecodeError,
    },
    /// Transactions between two that are there are missing.
    #[error(
        "{path}: transaction {found} at offset {offset} does not follow {after}: a part of the \
         log is missing. {WAY_OUT}"
    )]
    Gap {
        /// The log file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// The last transaction before the gap.
        after: Zxid,
        /// The first after it.
        found: Zxid,
    },
    /// There are logs, but no snapshot that they continue.
    #[error(
        "{path} has transactions but there is no valid snapshot that they continue. If the \
         snapshots were removed by hand, bring them back; if the logs reach back to the very \
         first transaction (an upgrade from ZooKeeper 3.4), set snapshot.trust.empty=true. \
         Else: {WAY_OUT}"
    )]
    NoSnapshot {
        /// The oldest log file.
        path: PathBuf,
    },
    /// The newest snapshot is invalid, and older ones with the logs do not reach its state.
    #[error("{path} is not a valid snapshot ({why}) and the logs cannot replace it. {WAY_OUT}")]
    SnapshotLost {
        /// The newest snapshot.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An epoch file does not hold a number.
    #[error("{path} holds {text:?} where an epoch is expected. {WAY_OUT}")]
    Epoch {
        /// The file.
        path: PathBuf,
        /// What it holds.
        text: String,
    },
    /// The epoch files contradict each other: they are not from the same directory.
    #[error("acceptedEpoch {accepted} is below currentEpoch {current}. {WAY_OUT}")]
    Epochs {
        /// From acceptedEpoch.
        accepted: Epoch,
        /// From currentEpoch.
        current: Epoch,
    },
    /// An interrupted truncation or installation cannot be completed.
    #[error("{path}: {why}. {WAY_OUT}")]
    Interrupted {
        /// The file that says what was going on.
        path: PathBuf,
        /// Why it cannot be completed.
        why: String,
    },
    /// The visitor refused a transaction.
    #[error("transaction {zxid} cannot be applied")]
    Refused {
        /// Which.
        zxid: Zxid,
        /// Why.
        source: Refusal,
    },
}

/// Ends every message after which the data on this disk cannot be used.
const WAY_OUT: &str = "Restore the file from a backup of this member, or start once with \
    --rejoin: the member then takes its data from the ensemble again and has no vote until it is \
    synced";

/// Why an append, sync or roll was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The disk failed. What is durable is unknown until the log is opened again, so the process
    /// must end.
    #[error("the transaction log failed: cannot {action} {path}")]
    Fatal {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// An earlier failure was fatal.
    #[error("the transaction log failed earlier; nothing more is written until a restart")]
    Failed,
    /// The entry is not newer than the last one; nothing was written.
    #[error("transaction {found} cannot follow {last} in the log")]
    Order {
        /// The last one in the log.
        last: Zxid,
        /// The one refused.
        found: Zxid,
    },
}

/// Why a truncation was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TruncateError {
    /// Nothing to go back to; nothing was changed. The member has to start empty and take a
    /// snapshot.
    #[error("no snapshot at or below {to} with the log up to there: a full copy is needed")]
    NoBase {
        /// Where the truncation was to end.
        to: Zxid,
    },
    /// The disk failed; the truncation is completed or has not begun at the next start.
    #[error(transparent)]
    Fatal(#[from] AppendError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why the log could not be read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The disk failed, or the file was purged meanwhile ([`io::ErrorKind::NotFound`]).
    #[error("{path}: cannot read the transaction log")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// A record is damaged.
    #[error("{path}: record at offset {offset} is corrupt ({why})")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// Transactions between two that are there are missing.
    #[error(
        "{path}: transaction {found} at offset {offset} does not follow {after}: a part of the \
         log is missing"
    )]
    Gap {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// The last one before the gap.
        after: Zxid,
        /// The first one after it.
        found: Zxid,
    },
    /// A record is intact, but not a transaction that this version knows.
    #[error("{path}: transaction at offset {offset} is not one that this version knows")]
    Undecodable {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What does not decode.
        source: DecodeError,
    },
}

/// Why a snapshot could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotWriteError {
    /// Writing failed (a full disk, mostly). The unfinished file is removed at the next start or
    /// the next snapshot; the log is unaffected.
    #[error("{path}: cannot write the snapshot")]
    Write {
        /// The unfinished file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// A sync failed: the disk is not to be trusted any more, and the process must end.
    #[error("{path}: cannot sync the snapshot")]
    Sync {
        /// The file or directory.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The log was truncated, or another state installed, since the snapshot was begun.
    #[error("the snapshot is of a state that was taken back")]
    Superseded,
}

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotReadError {
    /// The disk failed, or the compressed data is damaged ([`io::ErrorKind::InvalidData`]).
    #[error("cannot read")]
    Io(#[from] io::Error),
    /// Not a snapshot.
    #[error("does not start with a snapshot's header")]
    Header,
    /// The file does not end as a snapshot does: whoever wrote it was interrupted.
    #[error("it was not written to its end")]
    Incomplete,
    /// The file ends within a record.
    #[error("ends too early, at byte {at} of its content")]
    Truncated {
        /// How much there is.
        at: u64,
    },
    /// A record does not decode.
    #[error("record at byte {at} of its content is malformed")]
    Malformed {
        /// Where it starts.
        at: u64,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A checksum does not match.
    #[error("the {section} fails its checksum")]
    Checksum {
        /// Which part of the file.
        section: &'static str,
    },
    /// What follows the znodes is none of the known sections.
    #[error("{0} bytes follow the znodes, where 0, 21, 33 or 54 are known")]
    Trailer(usize),
    /// The visitor refused a piece.
    #[error("its content makes no tree")]
    Refused(#[source] Refusal),
}
