//! Rebuilding a member's state: the newest valid snapshot, then the log behind it.

use std::path::PathBuf;

use wire::Zxid;
use wire::snapshot::Piece;
use wire::txn::Entry;

use crate::appender::Amount;
use crate::disk::Disk;
use crate::error::{OpenError, Refusal, SnapshotReadError};
use crate::names::{LogName, SnapshotFile};
use crate::recovery::{failed, unreadable};
use crate::segment::LogFile;
use crate::snapshot::{self, SnapshotReader, Snapshots, Trailer};
use crate::tail::Tail;
use crate::{reader, record};

/// Takes what a replay reads, in order: the pieces of one snapshot with its trailer (none if
/// there is no snapshot), then the transactions after it.
pub trait Replay {
    /// A snapshot begins, which holds everything up to `zxid`. If it is a fuzzy one, as Apache
    /// writes, it holds parts of what follows too.
    fn snapshot(&mut self, zxid: Zxid);

    /// A piece of it.
    ///
    /// # Errors
    /// If it makes no tree; the snapshot is then rejected.
    fn piece(&mut self, piece: Piece) -> Result<(), Refusal>;

    /// It is complete and valid.
    ///
    /// # Errors
    /// If the tree is not what the trailer says; the snapshot is then rejected.
    fn trailer(&mut self, trailer: Trailer) -> Result<(), Refusal>;

    /// It is not valid after all: forget all of it. An older one may follow.
    fn snapshot_rejected(&mut self, rejected: &Rejected);

    /// A transaction.
    ///
    /// # Errors
    /// If it cannot be applied; the replay then fails.
    fn entry(&mut self, entry: Entry) -> Result<(), Refusal>;
}

/// A snapshot that is not valid.
#[derive(Debug)]
pub struct Rejected {
    /// Which.
    pub snapshot: SnapshotFile,
    /// Why.
    pub why: SnapshotReadError,
}

/// What a replay has delivered.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The snapshot that it began with.
    pub snapshot: Option<SnapshotFile>,
    /// Newer ones that are not valid, newest first; they may be removed.
    pub rejected: Vec<Rejected>,
    /// The last transaction.
    pub last_zxid: Zxid,
    /// What the log held after the snapshot.
    pub log: Amount,
    /// Records that were in the log already when they came again; skipped.
    pub repeated: u64,
}

/// Reads a member's state for `visitor`.
pub(crate) fn replay<D: Disk>(
    disk: &D,
    snapshots: &Snapshots<D>,
    logs: &LogDir,
    trust_empty: bool,
    visitor: &mut impl Replay,
) -> Result<Replayed, OpenError> {
    let mut replayed = Replayed::default();
    let candidates = snapshots
        .list()
        .map_err(|source| failed(snapshots.dir(), "list", source))?;
    for candidate in candidates {
        match load(disk, snapshots, &candidate, visitor) {
            Ok(()) => {
                replayed.last_zxid = candidate.zxid;
                replayed.snapshot = Some(candidate);
                break;
            }
            Err(Loading::Disk(error)) => return Err(error),
            Err(Loading::Invalid(why)) => {
                let rejected = Rejected {
                    snapshot: candidate,
                    why,
                };
                visitor.snapshot_rejected(&rejected);
                replayed.rejected.push(rejected);
            }
        }
    }
    let files = logs.files(disk)?;
    check_base(&replayed, &files, trust_empty)?;
    LogReplay {
        disk,
        visitor,
        reaches: replayed
            .rejected
            .first()
            .is_none_or(|newest| newest.snapshot.zxid.counter() == 0),
        replayed: &mut replayed,
    }
    .run(&files)?;
    Ok(replayed)
}

/// Where the logs are.
#[derive(Clone, Debug)]
pub(crate) struct LogDir {
    pub(crate) path: PathBuf,
}

impl LogDir {
    fn files<D: Disk>(&self, disk: &D) -> Result<Vec<LogName>, OpenError> {
        reader::list(disk, &self.path).map_err(|source| failed(&self.path, "list", source))
    }
}

/// Why a snapshot was not loaded.
enum Loading {
    /// The disk failed: nothing can be said about the snapshot.
    Disk(OpenError),
    Invalid(SnapshotReadError),
}

fn load<D: Disk>(
    disk: &D,
    snapshots: &Snapshots<D>,
    candidate: &SnapshotFile,
    visitor: &mut impl Replay,
) -> Result<(), Loading> {
    let disk_failed = |source| Loading::Disk(failed(&candidate.path, "read", source));
    let rejected = |error| match error {
        SnapshotReadError::Io(source) if !is_damage(&source) => disk_failed(source),
        error => Loading::Invalid(error),
    };
    if !snapshot::looks_complete(disk, candidate).map_err(disk_failed)? {
        return Err(Loading::Invalid(SnapshotReadError::Incomplete));
    }
    let mut reader: SnapshotReader = snapshots.open(candidate).map_err(rejected)?;
    visitor.snapshot(candidate.zxid);
    while let Some(piece) = reader.next_piece().map_err(rejected)? {
        visitor
            .piece(piece)
            .map_err(|refusal| Loading::Invalid(SnapshotReadError::Refused(refusal)))?;
    }
    visitor
        .trailer(reader.trailer())
        .map_err(|refusal| Loading::Invalid(SnapshotReadError::Refused(refusal)))
}

/// Errors by which the decompressors say that the data is bad.
fn is_damage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

fn check_base(replayed: &Replayed, files: &[LogName], trust_empty: bool) -> Result<(), OpenError> {
    if replayed.snapshot.is_some() {
        return Ok(());
    }
    if let Some(newest) = replayed.rejected.first() {
        // A damaged snapshot of nothing at all is no loss.
        let matters = newest.snapshot.zxid != Zxid::ZERO || !files.is_empty();
        if matters && (files.is_empty() || !trust_empty) {
            return Err(snapshot_lost(newest));
        }
    }
    match files.first() {
        Some(oldest) if !trust_empty => Err(OpenError::NoSnapshot {
            path: oldest.path.clone(),
        }),
        _ => Ok(()),
    }
}

fn snapshot_lost(newest: &Rejected) -> OpenError {
    let mut why = newest.why.to_string();
    if let Some(cause) = std::error::Error::source(&newest.why) {
        why = format!("{why}: {cause}");
    }
    OpenError::SnapshotLost {
        path: newest.snapshot.path.clone(),
        why,
    }
}

/// Delivers the log behind a snapshot.
struct LogReplay<'a, D, V> {
    disk: &'a D,
    visitor: &'a mut V,
    replayed: &'a mut Replayed,
    /// Whether the log is known to go as far as the newest snapshot, should that be invalid.
    reaches: bool,
}

impl<D: Disk, V: Replay> LogReplay<'_, D, V> {
    fn run(mut self, files: &[LogName]) -> Result<(), OpenError> {
        let base = self.replayed.last_zxid;
        // A file that begins right behind the snapshot makes those before it unnecessary.
        let first = files
            .iter()
            .rposition(|file| file.first.0 <= base.0.saturating_add(1))
            .unwrap_or(0);
        for (i, file) in files.iter().enumerate().skip(first) {
            self.file(file, i + 1 < files.len())?;
        }
        match self.replayed.rejected.first() {
            Some(newest) if !self.reaches => Err(snapshot_lost(newest)),
            _ => Ok(()),
        }
    }

    fn file(&mut self, file: &LogName, closed: bool) -> Result<(), OpenError> {
        let last = self.replayed.last_zxid;
        let mut log =
            LogFile::open(self.disk, &file.path).map_err(|error| unreadable(error, last))?;
        let base = last;
        while let Some((offset, entry)) = log
            .next_entry()
            .map_err(|error| unreadable(error, self.replayed.last_zxid))?
        {
            if entry.zxid() > self.replayed.last_zxid {
                self.entry(file, offset, entry)?;
            } else if entry.zxid() > base {
                self.replayed.repeated += 1;
            }
        }
        match log
            .tail(closed)
            .map_err(|error| unreadable(error, self.replayed.last_zxid))?
        {
            // In a closed file this is what Apache leaves when it is killed; whether something
            // is missing shows at the next file's first transaction.
            Tail::Clean | Tail::Torn { .. } => Ok(()),
            Tail::Rotten { why } => Err(unreadable(
                log.corrupt(log.position(), why),
                self.replayed.last_zxid,
            )),
        }
    }

    fn entry(&mut self, file: &LogName, offset: u64, entry: Entry) -> Result<(), OpenError> {
        let zxid = entry.zxid();
        let after = self.replayed.last_zxid;
        let is_first = self.replayed.snapshot.is_none() && self.replayed.log.entries == 0;
        if !is_first && !zxid.follows(after) {
            return Err(OpenError::Gap {
                path: file.path.clone(),
                offset,
                after,
                found: zxid,
            });
        }
        let newest = self.replayed.rejected.first();
        self.reaches |= newest.is_some_and(|newest| newest.snapshot.zxid == zxid);
        self.replayed.last_zxid = zxid;
        self.replayed.log.entries += 1;
        self.replayed.log.bytes += record::OVERHEAD + entry.bytes().len() as u64;
        self.visitor
            .entry(entry)
            .map_err(|source| OpenError::Refused { zxid, source })
    }
}
