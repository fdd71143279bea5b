//! Snapshot files: which there are, writing one, reading one.
//!
//! A file is a header, the body's pieces ([`wire::snapshot`]), a seal, and two optional sections
//! with a seal each: the digest, and the last transaction. A seal is the Adler32 of everything
//! before it and the path `/`. The sections carry no mark; a reader tells them by what remains
//! (0, 21, 33 or 54 bytes), and Apache by its configuration: with its defaults it needs both.

mod compressed;
mod reader;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wire::Zxid;
use wire::snapshot::{FileHeader, SNAPSHOT_MAGIC, ZxidDigest};

pub use reader::SnapshotReader;
pub use writer::{SnapshotWriter, StagedSnapshot};

use crate::disk::{Disk, DiskFile};
use crate::error::{SnapshotReadError, SnapshotWriteError};
use crate::names::{Compression, Paths, SnapshotFile};
use crate::store::Options;

/// The sections behind a snapshot's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trailer {
    /// The tree's digest, and at which transaction it was so.
    pub digest: Option<ZxidDigest>,
    /// The last transaction applied when the body ended. In an exact snapshot it is the one that
    /// the file is named by.
    pub last_zxid: Option<Zxid>,
}

/// A member's snapshots. A handle that may be used by another thread than the log's.
#[derive(Clone, Debug)]
pub struct Snapshots<D> {
    disk: D,
    dir: PathBuf,
    sync_every: u64,
    compression: Compression,
    fence: Fence,
}

impl<D: Disk> Snapshots<D> {
    /// Those of a directory that no [`Store`](crate::Store) has open.
    #[must_use]
    pub fn of(disk: D, paths: &Paths) -> Self {
        Self::new(disk, paths.snapshots(), &Options::default())
    }

    pub(crate) fn new(disk: D, dir: PathBuf, options: &Options) -> Self {
        Self {
            disk,
            dir,
            sync_every: options.snapshot_sync_every,
            compression: options.snapshot_compression,
            fence: Fence::default(),
        }
    }

    /// The snapshots in the directory, newest first; not known to be valid.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn list(&self) -> io::Result<Vec<SnapshotFile>> {
        list(&self.disk, &self.dir)
    }

    /// Begins a snapshot of this member's own state: an exact cut at `zxid`, or a fuzzy one that
    /// holds at least everything up to it.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn begin(&self, zxid: Zxid) -> Result<SnapshotWriter<D>, SnapshotWriteError> {
        SnapshotWriter::begin(self, zxid, "writing", self.compression)
    }

    /// Begins a snapshot received from a leader, which takes effect only by
    /// [`Store::install_snapshot`](crate::Store::install_snapshot). It is not compressed: a
    /// learner has to be up to date soon.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn begin_staged(&self, zxid: Zxid) -> Result<SnapshotWriter<D>, SnapshotWriteError> {
        SnapshotWriter::begin(self, zxid, STAGING, Compression::None)
    }

    /// Opens a snapshot for reading.
    ///
    /// # Errors
    /// If it cannot be read or does not start as one.
    pub fn open(&self, snapshot: &SnapshotFile) -> Result<SnapshotReader, SnapshotReadError> {
        SnapshotReader::open(&self.disk, snapshot)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) const fn fence(&self) -> &Fence {
        &self.fence
    }
}

/// Keeps a snapshot that was begun before a truncation or an installation from appearing after
/// it: it would bring back what was taken away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fence(Arc<Mutex<u64>>);

impl Fence {
    /// The number of truncations and installations so far; they wait while the guard lives.
    pub(crate) fn lock(&self) -> MutexGuard<'_, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a snapshot file starts with.
const HEADER: FileHeader = FileHeader {
    magic: SNAPSHOT_MAGIC,
    version: 2,
    dbid: -1,
};

const STAGING: &str = "staging";

/// The name that an unfinished or staged snapshot has. It does not start with `snapshot`, so that
/// Apache does not take it for one.
fn unfinished_path(dir: &Path, kind: &str, zxid: Zxid) -> PathBuf {
    dir.join(format!("{kind}.{:x}", zxid.0))
}

pub(crate) fn staged_path(dir: &Path, zxid: Zxid) -> PathBuf {
    unfinished_path(dir, STAGING, zxid)
}

/// Whether a file of this name is of no use after a restart.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with("writing.") || name.starts_with("staging.")
}

/// The snapshots in `dir`, newest first.
pub(crate) fn list<D: Disk>(disk: &D, dir: &Path) -> io::Result<Vec<SnapshotFile>> {
    let mut found: Vec<SnapshotFile> = disk
        .list(dir)?
        .iter()
        .filter_map(|name| SnapshotFile::parse(dir, name))
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Whether the file ends as a complete snapshot does, as far as that can be told without reading
/// all of it. Apache does not sync its snapshots, so its newest one may be cut.
pub(crate) fn looks_complete<D: Disk>(disk: &D, snapshot: &SnapshotFile) -> io::Result<bool> {
    let file = disk.open_read(&snapshot.path)?;
    let len = file.size()?;
    if snapshot.compression != Compression::None {
        return Ok(len > 0);
    }
    let Some(at) = len.checked_sub(SEAL_END.len() as u64) else {
        return Ok(false);
    };
    let mut end = [0; SEAL_END.len()];
    let mut filled = 0;
    while filled < end.len() {
        match file.read_at(&mut end[filled..], at + filled as u64)? {
            0 => return Ok(false),
            n => filled += n,
        }
    }
    Ok(end == SEAL_END)
}

/// The path `/`, the end of every seal.
const SEAL_END: [u8; 5] = [0, 0, 0, 1, b'/'];
/// Checksum and path.
const SEAL: usize = 13;
/// zxid, version, digest and a seal.
const DIGEST_SECTION: usize = 20 + SEAL;
/// zxid and a seal.
const LAST_ZXID_SECTION: usize = 8 + SEAL;

#[cfg(test)]
mod tests;
