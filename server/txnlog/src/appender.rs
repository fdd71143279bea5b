//! The end of the log: append, sync, roll.
//!
//! A log file's space is filled with zeros before records are written to it, so that a sync
//! changes no metadata. The space comes as a spare file, made beside the work ([`SpareJob`]); if
//! none is ready, the file grows by small slices instead.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wire::txn::Entry;
use wire::{Record, Zxid};

use crate::disk::{Disk, DiskFile};
use crate::error::AppendError;
use crate::names::LogName;
use crate::record::{self, FILE_HEADER, LOG_HEADER};
use crate::spare::{SpareJob, SpareSlot};
use crate::tail::UNSYNCED_LIMIT;

/// How much was logged since some point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Transactions.
    pub entries: u64,
    /// Bytes in log files.
    pub bytes: u64,
}

/// What writes the log. `synced <= last`.
pub(crate) struct Appender<D: Disk> {
    disk: D,
    dir: PathBuf,
    pre_alloc: u64,
    spare: SpareSlot<D>,
    current: Option<Current<D::File>>,
    last: Zxid,
    synced: Zxid,
    /// Records not yet written, and the first one's zxid.
    buffer: Vec<u8>,
    buffer_first: Zxid,
    /// Bytes written or buffered since the last sync.
    unsynced: u64,
    since_roll: Amount,
    failed: bool,
}

/// The file that is appended to. `end <= filled`.
struct Current<F> {
    file: F,
    path: PathBuf,
    /// Where the next record goes.
    end: u64,
    /// Up to where the file has data or zeros.
    filled: u64,
}

impl<D: Disk> Appender<D> {
    pub(crate) fn new(disk: D, dir: PathBuf, pre_alloc: u64) -> Self {
        Self {
            disk,
            dir,
            pre_alloc,
            spare: SpareSlot::default(),
            current: None,
            last: Zxid::ZERO,
            synced: Zxid::ZERO,
            buffer: Vec::new(),
            buffer_first: Zxid::ZERO,
            unsynced: 0,
            since_roll: Amount::default(),
            failed: false,
        }
    }

    pub(crate) const fn last(&self) -> Zxid {
        self.last
    }

    pub(crate) const fn synced(&self) -> Zxid {
        self.synced
    }

    pub(crate) const fn since_roll(&self) -> Amount {
        self.since_roll
    }

    /// Goes on after `last`, which is durable, in a new file.
    pub(crate) fn restart_after(&mut self, last: Zxid, since_roll: Amount) {
        self.current = None;
        self.last = last;
        self.synced = last;
        self.unsynced = 0;
        self.buffer.clear();
        self.since_roll = since_roll;
    }

    /// Sets what counts as logged since the last roll.
    pub(crate) const fn count_from(&mut self, amount: Amount) {
        self.since_roll = amount;
    }

    pub(crate) fn spare_job(&self) -> Option<SpareJob<D>> {
        self.spare.job(&self.disk, &self.dir, self.pre_alloc)
    }

    pub(crate) fn append(&mut self, entries: &[Arc<Entry>]) -> Result<(), AppendError> {
        self.check_alive()?;
        let mut last = self.last;
        for entry in entries {
            if entry.zxid() <= last {
                return Err(AppendError::Order {
                    last,
                    found: entry.zxid(),
                });
            }
            last = entry.zxid();
        }
        let result = entries
            .iter()
            .try_for_each(|entry| self.push(entry))
            .and_then(|()| self.flush());
        self.note(result)
    }

    pub(crate) fn sync(&mut self) -> Result<(), AppendError> {
        self.check_alive()?;
        let result = self.sync_file();
        self.note(result)
    }

    pub(crate) fn roll(&mut self) -> Result<(), AppendError> {
        self.check_alive()?;
        let result = self.sync_file().and_then(|()| self.close_current());
        self.since_roll = Amount::default();
        self.note(result)
    }

    pub(crate) const fn check_alive(&self) -> Result<(), AppendError> {
        if self.failed {
            Err(AppendError::Failed)
        } else {
            Ok(())
        }
    }

    /// Remembers that a failure is final.
    pub(crate) fn note<T>(&mut self, result: Result<T, AppendError>) -> Result<T, AppendError> {
        self.failed |= result.is_err();
        result
    }

    /// Buffers a record, keeping what is unsynced within its limit.
    fn push(&mut self, entry: &Entry) -> Result<(), AppendError> {
        let size = record::OVERHEAD + entry.bytes().len() as u64;
        if self.unsynced > 0 && self.unsynced + size > UNSYNCED_LIMIT {
            self.flush()?;
            self.sync_file()?;
        }
        if self.buffer.is_empty() {
            self.buffer_first = entry.zxid();
        }
        record::encode(entry.bytes(), &mut self.buffer);
        self.unsynced += size;
        self.last = entry.zxid();
        self.since_roll.entries += 1;
        self.since_roll.bytes += size;
        if size > UNSYNCED_LIMIT {
            self.flush_in_pieces()?;
        } else if self.buffer.len() >= WRITE_SIZE {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), AppendError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let current = self.room_for(buffer.len() as u64)?;
        current.write(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        // A batch of huge entries must not hold its memory for ever.
        self.buffer.shrink_to(2 * WRITE_SIZE);
        Ok(())
    }

    /// Writes a record above the limit such that a crash leaves a beginning of it and at most one
    /// unsynced piece.
    fn flush_in_pieces(&mut self) -> Result<(), AppendError> {
        let buffer = std::mem::take(&mut self.buffer);
        let current = self.room_for(buffer.len() as u64)?;
        current.sync()?;
        for piece in buffer.chunks(UNSYNCED_LIMIT as usize) {
            current.write(piece)?;
            current.sync()?;
        }
        self.synced = self.last;
        self.unsynced = 0;
        Ok(())
    }

    fn sync_file(&mut self) -> Result<(), AppendError> {
        if self.unsynced > 0
            && let Some(current) = &self.current
        {
            current.sync()?;
        }
        self.unsynced = 0;
        self.synced = self.last;
        Ok(())
    }

    /// Syncs the current file and cuts it after its last record.
    fn close_current(&mut self) -> Result<(), AppendError> {
        if let Some(current) = &self.current {
            current.sync()?;
            let result = current.file.set_len(current.end);
            result.map_err(|source| fatal("cut", &current.path, source))?;
            current.sync()?;
            self.current = None;
        }
        Ok(())
    }

    /// The current file with at least `n` bytes of zeros behind its end.
    fn room_for(&mut self, n: u64) -> Result<&mut Current<D::File>, AppendError> {
        let is_full = self
            .current
            .as_ref()
            .is_some_and(|current| current.end + n > current.filled);
        if is_full && self.spare.is_ready() {
            self.close_current()?;
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.begin(self.buffer_first)?,
        };
        current.grow_to(current.end + n, self.pre_alloc)?;
        Ok(self.current.insert(current))
    }

    /// Makes the file whose first record will be `first`'s; its header is durable before any
    /// record is written.
    fn begin(&mut self, first: Zxid) -> Result<Current<D::File>, AppendError> {
        let path = LogName::new(&self.dir, first).path;
        let current = match self.spare.take() {
            Some(spare) => {
                self.disk
                    .rename(&spare.path, &path)
                    .map_err(|source| fatal("name", &path, source))?;
                Current {
                    file: spare.file,
                    path,
                    end: FILE_HEADER,
                    filled: spare.len,
                }
            }
            None => {
                let file = self
                    .disk
                    .create(&path)
                    .map_err(|source| fatal("make", &path, source))?;
                let mut current = Current {
                    file,
                    path,
                    end: 0,
                    filled: 0,
                };
                current.write(&LOG_HEADER.to_bytes())?;
                current.filled = FILE_HEADER;
                current.sync()?;
                current
            }
        };
        self.disk
            .sync_dir(&self.dir)
            .map_err(|source| fatal("sync", &self.dir, source))?;
        Ok(current)
    }
}

impl<F: DiskFile> Current<F> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), AppendError> {
        self.file
            .write_at(bytes, self.end)
            .map_err(|source| fatal("write", &self.path, source))?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Fills up to `needed`, and `ahead` more if it has to fill at all.
    fn grow_to(&mut self, needed: u64, ahead: u64) -> Result<(), AppendError> {
        if self.filled >= needed {
            return Ok(());
        }
        let goal = needed + ahead.min(ZEROS.len() as u64);
        while self.filled < goal {
            let n = (goal - self.filled).min(ZEROS.len() as u64);
            self.file
                .write_at(&ZEROS[..n as usize], self.filled)
                .map_err(|source| fatal("fill", &self.path, source))?;
            self.filled += n;
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), AppendError> {
        self.file
            .sync()
            .map_err(|source| fatal("sync", &self.path, source))
    }
}

pub(crate) fn fatal(action: &'static str, path: &Path, source: io::Error) -> AppendError {
    AppendError::Fatal {
        action,
        path: path.to_owned(),
        source,
    }
}

/// How much goes to the disk in one call; group commits are mostly smaller.
const WRITE_SIZE: usize = 1024 * 1024;
/// One step of growing a file while a write waits for it: a millisecond's work.
static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];
