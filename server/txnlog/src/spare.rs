//! The next log file, filled with zeros ahead of time.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wire::Record;

use crate::disk::{Disk, DiskFile};
use crate::record::{FILE_HEADER, LOG_HEADER};

/// Fills the next log file with zeros, in synced slices.
///
/// Run it on a thread that may wait. Dropped without being run, it is offered again.
#[must_use = "without a spare the log grows in small slices, each of which costs a slow sync"]
pub struct SpareJob<D: Disk> {
    disk: D,
    path: PathBuf,
    len: u64,
    slot: SpareSlot<D>,
}

impl<D: Disk> SpareJob<D> {
    /// Does it.
    ///
    /// # Errors
    /// If the disk fails, or is full. The log then goes on without a spare; asking for the next
    /// job at once would most likely fail again.
    pub fn run(self) -> io::Result<()> {
        let file = self.fill().inspect_err(|_| {
            // Only space is at stake: the next start removes it.
            let _ = self.disk.remove(&self.path);
        })?;
        *self.slot.lock() = State::Ready(Spare {
            file,
            path: self.path.clone(),
            len: self.len,
        });
        Ok(())
    }

    fn fill(&self) -> io::Result<D::File> {
        let file = self.disk.create(&self.path)?;
        file.write_at(&LOG_HEADER.to_bytes(), 0)?;
        let mut at = FILE_HEADER;
        while at < self.len {
            let n = (self.len - at).min(SLICE.len() as u64);
            file.write_at(&SLICE[..n as usize], at)?;
            file.sync()?;
            at += n;
        }
        file.sync()?;
        Ok(file)
    }
}

impl<D: Disk> Drop for SpareJob<D> {
    fn drop(&mut self) {
        let mut state = self.slot.lock();
        if matches!(*state, State::Filling) {
            *state = State::Empty;
        }
    }
}

/// A slice is written and synced as a whole; smaller ones delay the log's own syncs less.
static SLICE: [u8; 256 * 1024] = [0; 256 * 1024];

/// A file of zeros behind a header, durable but for its name.
pub(crate) struct Spare<F> {
    pub(crate) file: F,
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
}

/// Where the spare is handed over.
pub(crate) struct SpareSlot<D: Disk>(Arc<Mutex<State<D::File>>>);

enum State<F> {
    Empty,
    Filling,
    Ready(Spare<F>),
}

impl<D: Disk> SpareSlot<D> {
    /// Work to do, unless there is a spare or one is being made. A spare of the size of one slice
    /// or less would gain nothing.
    pub(crate) fn job(&self, disk: &D, dir: &Path, len: u64) -> Option<SpareJob<D>> {
        let mut state = self.lock();
        if len <= FILE_HEADER || !matches!(*state, State::Empty) {
            return None;
        }
        *state = State::Filling;
        Some(SpareJob {
            disk: disk.clone(),
            path: dir.join(SPARE),
            len,
            slot: Self(Arc::clone(&self.0)),
        })
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(*self.lock(), State::Ready(_))
    }

    pub(crate) fn take(&self) -> Option<Spare<D::File>> {
        let mut state = self.lock();
        if matches!(*state, State::Ready(_))
            && let State::Ready(spare) = std::mem::replace(&mut *state, State::Empty)
        {
            return Some(spare);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State<D::File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Disk> Default for SpareSlot<D> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State::Empty)))
    }
}

impl<D: Disk> fmt::Debug for SpareJob<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpareJob")
            .field("path", &self.path)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// The spare's name. It does not start with `log`, so that Apache does not take it for one.
pub(crate) const SPARE: &str = "spare";
