//! What a start finds on the disk: interrupted changes are completed, the log's end is found and
//! a torn tail cut.

use std::io;
use std::path::{Path, PathBuf};

use wire::{Epoch, Zxid};

use crate::disk::{Disk, DiskFile};
use crate::epochs;
use crate::error::{OpenError, ReadError};
use crate::names::{LogName, Paths, SnapshotFile};
use crate::pending::{self, Dirs, Pending, PendingError};
use crate::reader;
use crate::segment::LogFile;
use crate::snapshot;
use crate::spare::SPARE;
use crate::tail::Tail;

/// What a start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// `acceptedEpoch`; `None` where there is no such file, which stands for the epoch of
    /// `last_zxid`.
    pub accepted_epoch: Option<Epoch>,
    /// `currentEpoch`; likewise. It may be below the epoch of `last_zxid`: the member crashed
    /// after it had synced a new leader's history and before it had joined its epoch.
    pub current_epoch: Option<Epoch>,
    /// The newest snapshot; not known to be valid before it is replayed.
    pub snapshot: Option<SnapshotFile>,
    /// The last transaction that this member has.
    pub last_zxid: Zxid,
    /// There is neither snapshot nor transaction.
    pub empty: bool,
    /// The torn tail that was cut off.
    pub cut: Option<Cut>,
}

/// A torn tail that was cut off: parts of a batch that was never synced, so never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The log file.
    pub path: PathBuf,
    /// Its length now.
    pub offset: u64,
    /// The last transaction before the cut; `None` if the file had no other.
    pub after: Option<Zxid>,
    /// How many bytes were there.
    pub bytes: u64,
}

/// Makes a member's directories where they are missing and keeps other processes out of them.
pub(crate) fn enter<D: Disk>(disk: &D, paths: &Paths) -> Result<Vec<D::Lock>, OpenError> {
    let mut dirs = vec![paths.snapshots(), paths.logs()];
    dirs.dedup();
    let mut locks = Vec::new();
    for dir in dirs {
        disk.create_dir(&dir)
            .map_err(|source| failed(&dir, "make", source))?;
        locks.push(disk.lock(&dir).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse { path: dir },
            _ => failed(&dir, "lock", source),
        })?);
    }
    Ok(locks)
}

/// Finds what is there, in directories that were entered.
pub(crate) fn recover<D: Disk>(disk: &D, paths: &Paths) -> Result<Recovered, OpenError> {
    let (snapshots, logs) = (paths.snapshots(), paths.logs());
    let dirs = Dirs {
        snapshots: &snapshots,
        logs: &logs,
    };
    if snapshots != logs {
        refuse_misplaced(disk, dirs)?;
    }
    complete_pending(disk, dirs)?;
    remove_leftovers(disk, dirs)?;
    let newest = snapshot::list(disk, &snapshots)
        .map_err(|source| failed(&snapshots, "list", source))?
        .into_iter()
        .next();
    let (last, cut) = find_end(disk, &logs)?;
    let last_zxid = last
        .unwrap_or(Zxid::ZERO)
        .max(newest.as_ref().map_or(Zxid::ZERO, |newest| newest.zxid));
    let epochs = epochs::read(disk, &snapshots, last_zxid)?;
    Ok(Recovered {
        accepted_epoch: epochs.accepted,
        current_epoch: epochs.current,
        empty: newest.is_none() && last.is_none(),
        snapshot: newest,
        last_zxid,
        cut,
    })
}

fn refuse_misplaced<D: Disk>(disk: &D, dirs: Dirs<'_>) -> Result<(), OpenError> {
    let snapshot_among_logs = snapshot::list(disk, dirs.logs)
        .map_err(|source| failed(dirs.logs, "list", source))?
        .pop()
        .map(|snapshot| (snapshot.path, dirs.snapshots));
    let log_among_snapshots = reader::list(disk, dirs.snapshots)
        .map_err(|source| failed(dirs.snapshots, "list", source))?
        .pop()
        .map(|log| (log.path, dirs.logs));
    match snapshot_among_logs.or(log_among_snapshots) {
        Some((path, belongs)) => Err(OpenError::Misplaced {
            path,
            belongs: belongs.to_owned(),
        }),
        None => Ok(()),
    }
}

fn complete_pending<D: Disk>(disk: &D, dirs: Dirs<'_>) -> Result<(), OpenError> {
    let path = pending::path(dirs);
    let pending =
        Pending::read(disk, dirs).map_err(|source| failed(&path, "understand", source))?;
    let Some(pending) = pending else {
        return Ok(());
    };
    pending.carry_out(disk, dirs).map_err(|error| match error {
        PendingError::Io(source) => failed(&path, "complete", source),
        PendingError::Log(error) => unreadable(error, Zxid::ZERO),
        PendingError::Gone(_) => OpenError::Interrupted {
            path,
            why: error.to_string(),
        },
    })
}

fn remove_leftovers<D: Disk>(disk: &D, dirs: Dirs<'_>) -> Result<(), OpenError> {
    let names = |dir| disk.list(dir).map_err(|source| failed(dir, "list", source));
    let unfinished = names(dirs.snapshots)?
        .into_iter()
        .filter(|name| snapshot::is_unfinished(name))
        .map(|name| dirs.snapshots.join(name));
    let spare = names(dirs.logs)?
        .into_iter()
        .filter(|name| name == SPARE)
        .map(|name| dirs.logs.join(name));
    for path in unfinished.chain(spare) {
        disk.remove(&path)
            .map_err(|source| failed(&path, "remove", source))?;
    }
    Ok(())
}

/// The last transaction in the log. Empty files at its end are removed, a torn tail is cut, and
/// so is the space filled ahead.
fn find_end<D: Disk>(disk: &D, dir: &Path) -> Result<(Option<Zxid>, Option<Cut>), OpenError> {
    let mut files = reader::list(disk, dir).map_err(|source| failed(dir, "list", source))?;
    let mut cut = None;
    while let Some(file) = files.pop() {
        let end = scan(disk, &file)?;
        if let Tail::Torn { bytes } = end.tail {
            // Only the last file can have been written to when the power went; that an empty
            // one follows does not change it.
            cut = Some(Cut {
                path: file.path.clone(),
                offset: end.offset,
                after: end.last,
                bytes,
            });
        }
        if end.last.is_none() {
            disk.remove(&file.path)
                .and_then(|()| disk.sync_dir(dir))
                .map_err(|source| failed(&file.path, "remove", source))?;
            continue;
        }
        if end.offset < end.file_len {
            shorten(disk, &file.path, end.offset)
                .map_err(|source| failed(&file.path, "cut", source))?;
        }
        return Ok((end.last, cut));
    }
    Ok((None, cut))
}

struct End {
    last: Option<Zxid>,
    offset: u64,
    file_len: u64,
    tail: Tail,
}

fn scan<D: Disk>(disk: &D, file: &LogName) -> Result<End, OpenError> {
    let mut log = LogFile::open(disk, &file.path).map_err(|error| unreadable(error, Zxid::ZERO))?;
    let mut last = None;
    while let Some(record) = log
        .next_record()
        .map_err(|error| unreadable(error, last.unwrap_or_default()))?
    {
        last = last.max(Some(record.zxid));
    }
    let tail = log
        .tail(false)
        .map_err(|error| unreadable(error, last.unwrap_or_default()))?;
    if let Tail::Rotten { why } = tail {
        let error = log.corrupt(log.position(), why);
        return Err(unreadable(error, last.unwrap_or_default()));
    }
    Ok(End {
        last,
        offset: log.position(),
        file_len: log.file_len(),
        tail,
    })
}

fn shorten<D: Disk>(disk: &D, path: &Path, len: u64) -> io::Result<()> {
    let file = disk.open(path)?;
    file.set_len(len)?;
    file.sync()
}

pub(crate) fn failed(path: &Path, action: &'static str, source: io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        action,
        source,
    }
}

/// A log that cannot be read at the start cannot be used.
pub(crate) fn unreadable(error: ReadError, after: Zxid) -> OpenError {
    match error {
        ReadError::Gap {
            path,
            offset,
            after,
            found,
        } => OpenError::Gap {
            path,
            offset,
            after,
            found,
        },
        ReadError::Io { path, source } => OpenError::Io {
            path,
            action: "read",
            source,
        },
        ReadError::Corrupt { path, offset, why } => OpenError::Corrupt {
            path,
            offset,
            after,
            why,
        },
        ReadError::Undecodable {
            path,
            offset,
            source,
        } => OpenError::Undecodable {
            path,
            offset,
            source,
        },
    }
}
