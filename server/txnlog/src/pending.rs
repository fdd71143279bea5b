//! Truncation and installation: several files change, and a crash in between must not show.
//!
//! What is to happen is first written to one file, `pending`; then it is carried out; then the
//! file is removed. The next start carries out what it finds there. Each step is harmless when
//! it has already been done.

use std::io;
use std::path::{Path, PathBuf};

use wire::Zxid;

use crate::disk::{Disk, DiskFile, read_small, remove_durably, replace_small};
use crate::error::ReadError;
use crate::names::{Compression, snapshot_path};
use crate::segment::LogFile;
use crate::tail::Tail;
use crate::{reader, snapshot};

/// A change that concerns several files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// Forget everything after this.
    Truncate(Zxid),
    /// Replace everything by the staged snapshot.
    Install(Zxid),
    /// Forget everything but the epochs.
    Discard,
}

/// Why it could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PendingError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error("the staged snapshot {0} is gone")]
    Gone(PathBuf),
}

/// The two directories of a member's data.
#[derive(Clone, Copy)]
pub(crate) struct Dirs<'a> {
    pub(crate) snapshots: &'a Path,
    pub(crate) logs: &'a Path,
}

impl Pending {
    /// What was interrupted, if anything was. A file that says nothing known is an error.
    pub(crate) fn read<D: Disk>(disk: &D, dirs: Dirs<'_>) -> io::Result<Option<Self>> {
        let Some(bytes) = read_small(disk, &path(dirs))? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes);
        let (what, zxid) = match text.trim().split_once(" 0x") {
            Some((what, hex)) => (what, u64::from_str_radix(hex, 16).ok().map(Zxid)),
            None => (text.trim(), None),
        };
        let parsed = match (what, zxid) {
            ("truncate", Some(to)) => Some(Self::Truncate(to)),
            ("install", Some(zxid)) => Some(Self::Install(zxid)),
            ("discard", None) => Some(Self::Discard),
            _ => None,
        };
        match parsed {
            Some(pending) => Ok(Some(pending)),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{text:?} is nothing that this version does"),
            )),
        }
    }

    /// Announces it durably: from here on it happens, whatever crashes.
    pub(crate) fn announce<D: Disk>(self, disk: &D, dirs: Dirs<'_>) -> io::Result<()> {
        let text = match self {
            Self::Truncate(to) => format!("truncate {to}\n"),
            Self::Install(zxid) => format!("install {zxid}\n"),
            Self::Discard => "discard\n".to_owned(),
        };
        replace_small(disk, &path(dirs), text.as_bytes())
    }

    /// Does it, and takes the announcement back.
    pub(crate) fn carry_out<D: Disk>(self, disk: &D, dirs: Dirs<'_>) -> Result<(), PendingError> {
        match self {
            Self::Truncate(to) => truncate(disk, dirs, to)?,
            Self::Install(zxid) => install(disk, dirs, zxid)?,
            Self::Discard => clear(disk, dirs, None)?,
        }
        remove_durably(disk, &path(dirs))?;
        Ok(())
    }
}

pub(crate) fn path(dirs: Dirs<'_>) -> PathBuf {
    dirs.snapshots.join("pending")
}

fn truncate<D: Disk>(disk: &D, dirs: Dirs<'_>, to: Zxid) -> Result<(), PendingError> {
    for snapshot in snapshot::list(disk, dirs.snapshots)? {
        if snapshot.zxid > to {
            disk.remove(&snapshot.path)?;
        }
    }
    disk.sync_dir(dirs.snapshots)?;
    let mut logs = reader::list(disk, dirs.logs)?;
    while let Some(last) = logs.pop_if(|log| log.first > to) {
        disk.remove(&last.path)?;
    }
    if let Some(last) = logs.pop() {
        let mut log = LogFile::open(disk, &last.path)?;
        let mut end = log.position();
        loop {
            match log.next_record()? {
                Some(record) if record.zxid <= to => end = record.end(),
                Some(_) => break,
                None => {
                    if let Tail::Rotten { why } = log.tail(false)? {
                        return Err(log.corrupt(end, why).into());
                    }
                    break;
                }
            }
        }
        let file = disk.open(&last.path)?;
        file.set_len(end)?;
        file.sync()?;
    }
    disk.sync_dir(dirs.logs)?;
    Ok(())
}

fn install<D: Disk>(disk: &D, dirs: Dirs<'_>, zxid: Zxid) -> Result<(), PendingError> {
    let staged = snapshot::staged_path(dirs.snapshots, zxid);
    let installed = snapshot_path(dirs.snapshots, zxid, Compression::None);
    match disk.rename(&staged, &installed) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Renamed before the interruption, unless someone has removed it.
            if disk.open_read(&installed).is_err() {
                return Err(PendingError::Gone(staged));
            }
        }
        Err(error) => return Err(error.into()),
    }
    // All of the old log and the old snapshots are of a history that this member left: parts of
    // them may never have been committed, and none can stand in for the new snapshot.
    clear(disk, dirs, Some(&installed))
}

/// Removes all logs and all snapshots but one.
fn clear<D: Disk>(disk: &D, dirs: Dirs<'_>, but: Option<&Path>) -> Result<(), PendingError> {
    for log in reader::list(disk, dirs.logs)? {
        disk.remove(&log.path)?;
    }
    disk.sync_dir(dirs.logs)?;
    for snapshot in snapshot::list(disk, dirs.snapshots)? {
        if Some(snapshot.path.as_path()) != but {
            disk.remove(&snapshot.path)?;
        }
    }
    disk.sync_dir(dirs.snapshots)?;
    Ok(())
}
