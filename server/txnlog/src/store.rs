//! One member's data as a whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wire::txn::Entry;
use wire::{Epoch, Zxid};

use crate::appender::{Amount, Appender, fatal};
use crate::disk::Disk;
use crate::error::{AppendError, OpenError, ReadError, TruncateError};
use crate::names::{Compression, Paths, SnapshotFile};
use crate::pending::{Dirs, Pending, PendingError};
use crate::reader::{self, LogReader};
use crate::recovery::{self, Recovered};
use crate::replay::{self, LogDir, Replay, Replayed};
use crate::snapshot::{self, Snapshots, StagedSnapshot};
use crate::spare::SpareJob;
use crate::{epochs, retention};

/// How a member's data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of zeros that a new log file gets ahead of its records (`preAllocSize`); 0 for none.
    pub pre_alloc: u64,
    /// Begin with an empty tree where logs have no snapshot to continue
    /// (`snapshot.trust.empty`).
    pub trust_empty: bool,
    /// A snapshot is synced whenever this many bytes are written.
    pub snapshot_sync_every: u64,
    /// How this member's own snapshots are compressed (`snapshot.compression.method`).
    pub snapshot_compression: Compression,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pre_alloc: 64 * 1024 * 1024,
            trust_empty: false,
            snapshot_sync_every: 4 * 1024 * 1024,
            snapshot_compression: Compression::None,
        }
    }
}

/// One member's data: its log, epochs and snapshots. Belongs to the log's thread; other threads
/// get [`Store::snapshots`] and [`Store::log_reader`].
///
/// `synced_zxid() <= last_zxid()`. After a fatal error everything is refused until the data is
/// opened again.
pub struct Store<D: Disk> {
    disk: D,
    snapshot_dir: PathBuf,
    logs: LogDir,
    options: Options,
    appender: Appender<D>,
    snapshots: Snapshots<D>,
    _locks: Vec<D::Lock>,
}

impl<D: Disk> Store<D> {
    /// Opens a member's data, making the directories where they are missing and keeping other
    /// processes out of them as long as the store lives.
    ///
    /// Completes an interrupted truncation or installation, cuts a torn tail, removes what
    /// unfinished work has left. The state itself is read by [`Store::replay`], which finds what
    /// is wrong before the log's last file.
    ///
    /// # Errors
    /// If the data is damaged or contradictory, or the disk fails.
    pub fn open(disk: D, paths: &Paths, options: Options) -> Result<(Self, Recovered), OpenError> {
        let locks = recovery::enter(&disk, paths)?;
        let recovered = recovery::recover(&disk, paths)?;
        let snapshot_dir = paths.snapshots();
        let log_dir = paths.logs();
        let snapshots = Snapshots::new(disk.clone(), snapshot_dir.clone(), &options);
        let mut appender = Appender::new(disk.clone(), log_dir.clone(), options.pre_alloc);
        appender.restart_after(recovered.last_zxid, Amount::default());
        let store = Self {
            disk,
            snapshot_dir,
            logs: LogDir { path: log_dir },
            options,
            appender,
            snapshots,
            _locks: locks,
        };
        Ok((store, recovered))
    }

    /// Reads the member's whole state: a snapshot and the log after it. Everything appended must
    /// be synced.
    ///
    /// # Errors
    /// If the data is damaged, a part of it is missing, or `visitor` refuses a transaction.
    pub fn replay(&mut self, visitor: &mut impl Replay) -> Result<Replayed, OpenError> {
        let replayed = replay::replay(
            &self.disk,
            &self.snapshots,
            &self.logs,
            self.options.trust_empty,
            visitor,
        )?;
        self.appender.count_from(replayed.log);
        Ok(replayed)
    }

    /// The last transaction appended.
    #[must_use]
    pub const fn last_zxid(&self) -> Zxid {
        self.appender.last()
    }

    /// The last transaction known to be durable.
    #[must_use]
    pub const fn synced_zxid(&self) -> Zxid {
        self.appender.synced()
    }

    /// What was logged since the last [`Store::roll`], or after the snapshot that the last
    /// [`Store::replay`] began with: what the next snapshot is due by.
    #[must_use]
    pub const fn since_snapshot(&self) -> Amount {
        self.appender.since_roll()
    }

    /// Writes transactions behind the log's end. Nothing is durable before [`Store::sync`];
    /// batches may be appended one after the other and synced together.
    ///
    /// Syncs by itself only where more than [`UNSYNCED_LIMIT`](crate::UNSYNCED_LIMIT) would be
    /// unsynced otherwise.
    ///
    /// # Errors
    /// [`AppendError::Order`] leaves everything as it was; every other error is final.
    pub fn append(&mut self, entries: &[Arc<Entry>]) -> Result<(), AppendError> {
        self.appender.append(entries)
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    /// Every error is final.
    pub fn sync(&mut self) -> Result<(), AppendError> {
        self.appender.sync()
    }

    /// Syncs and closes the log file; the next transaction begins another. Called when a snapshot
    /// is begun, so that retention can remove what the snapshot covers.
    ///
    /// # Errors
    /// Every error is final.
    pub fn roll(&mut self) -> Result<(), AppendError> {
        self.appender.roll()
    }

    /// Work for another thread, if there is any: filling the next log file with zeros. Ask after
    /// opening and after each roll or append.
    pub fn spare_job(&self) -> Option<SpareJob<D>> {
        self.appender.spare_job()
    }

    /// Forgets every transaction after `to`, durably and as a whole, and says which is the last
    /// one then: `to`, or the last before it if this log does not have it. The state is to be
    /// replayed afterwards. Snapshots that were begun before will not appear.
    ///
    /// # Errors
    /// [`TruncateError::NoBase`] and [`TruncateError::Read`] leave everything as it was.
    pub fn truncate(&mut self, to: Zxid) -> Result<Zxid, TruncateError> {
        self.appender.sync()?;
        if to >= self.last_zxid() {
            return Ok(self.last_zxid());
        }
        let last = self.last_with_base(to)?;
        self.carry_out(Pending::Truncate(last))?;
        self.appender.restart_after(last, Amount::default());
        Ok(last)
    }

    /// Replaces the whole state by a snapshot received from a leader, durably and as a whole: all
    /// logs and other snapshots go. The state is to be replayed afterwards. Snapshots that were
    /// begun before will not appear.
    ///
    /// # Errors
    /// Every error is final.
    pub fn install_snapshot(&mut self, staged: &StagedSnapshot) -> Result<(), AppendError> {
        self.appender.check_alive()?;
        let zxid = staged.zxid();
        self.carry_out(Pending::Install(zxid))?;
        self.appender.restart_after(zxid, Amount::default());
        Ok(())
    }

    /// Removes all logs and snapshots, durably and as a whole: what follows
    /// [`TruncateError::NoBase`]. The epochs stay. A member that does this has forgotten what it
    /// had promised; [`Mark::Rejoin`](crate::Mark::Rejoin) is to be set before. Snapshots that
    /// were begun before will not appear.
    ///
    /// # Errors
    /// Every error is final.
    pub fn discard(&mut self) -> Result<(), AppendError> {
        self.appender.check_alive()?;
        self.carry_out(Pending::Discard)?;
        self.appender.restart_after(Zxid::ZERO, Amount::default());
        Ok(())
    }

    /// Stores `acceptedEpoch` durably.
    ///
    /// # Errors
    /// Every error is final.
    pub fn store_accepted(&mut self, epoch: Epoch) -> Result<(), AppendError> {
        self.store_epoch(epochs::ACCEPTED, epoch)
    }

    /// Stores `currentEpoch` durably. What is synced before is durable before it.
    ///
    /// # Errors
    /// Every error is final.
    pub fn store_current(&mut self, epoch: Epoch) -> Result<(), AppendError> {
        self.store_epoch(epochs::CURRENT, epoch)
    }

    /// The member's snapshots, for the thread that writes and reads them.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots<D> {
        self.snapshots.clone()
    }

    /// The log for reading, for any thread.
    #[must_use]
    pub fn log_reader(&self) -> LogReader<D> {
        LogReader::new(self.disk.clone(), self.logs.path.clone())
    }

    /// The last transactions in the log, oldest first, without a gap: at most `count`, and at
    /// most `bytes` together. They are what a learner that is a little behind is synced from
    /// after a restart. Everything appended must be synced.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn recent(&self, count: usize, bytes: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        reader::recent(&self.log_reader(), count, bytes)
    }

    /// Removes all but the newest `keep` snapshots (at least [`KEEP_MIN`](crate::KEEP_MIN)), and
    /// the logs that none of those kept needs. Returns what was removed. May take long on a slow
    /// disk; [`Purge::run`] does the same on another thread.
    ///
    /// # Errors
    /// If the disk fails; what is left is still complete.
    pub fn purge(&self, keep: usize) -> io::Result<Vec<PathBuf>> {
        self.purge_job(keep).run()
    }

    /// The work of [`Store::purge`], for another thread.
    #[must_use]
    pub fn purge_job(&self, keep: usize) -> Purge<D> {
        Purge {
            disk: self.disk.clone(),
            snapshots: self.snapshots.clone(),
            snapshot_dir: self.snapshot_dir.clone(),
            log_dir: self.logs.path.clone(),
            keep,
        }
    }

    /// The last transaction up to `to`, if there is a state that ends with it: a snapshot, and
    /// the log from there without a gap.
    fn last_with_base(&self, to: Zxid) -> Result<Zxid, TruncateError> {
        let list = snapshot::list(&self.disk, &self.snapshot_dir);
        let snapshots = list.map_err(|source| ReadError::Io {
            path: self.snapshot_dir.clone(),
            source,
        })?;
        let mut base = None;
        for snapshot in snapshots {
            if snapshot.zxid <= to
                && snapshot::looks_complete(&self.disk, &snapshot).unwrap_or(false)
            {
                base = Some(snapshot.zxid);
                break;
            }
        }
        let mut last = match base {
            Some(base) => base,
            None if self.options.trust_empty => Zxid::ZERO,
            None => return Err(TruncateError::NoBase { to }),
        };
        let mut cursor = self.log_reader().cursor(last)?;
        while let Some(entry) = cursor.next_entry()? {
            if entry.zxid() > to {
                return Ok(last);
            }
            if entry.zxid() > last {
                if !entry.zxid().follows(last) && base.is_some() {
                    return Err(TruncateError::NoBase { to });
                }
                last = entry.zxid();
            }
        }
        // There should have been something after `to`: the log is damaged or was given up.
        Err(TruncateError::NoBase { to })
    }

    /// Announces and does it. No snapshot of the old state appears once it is announced.
    fn carry_out(&mut self, pending: Pending) -> Result<(), AppendError> {
        let fence = self.snapshots.fence().clone();
        let mut generation = fence.lock();
        *generation += 1;
        let dirs = Dirs {
            snapshots: &self.snapshot_dir,
            logs: &self.logs.path,
        };
        let result = pending
            .announce(&self.disk, dirs)
            .map_err(PendingError::Io)
            .and_then(|()| pending.carry_out(&self.disk, dirs))
            .map_err(|error| {
                let source = match error {
                    PendingError::Io(source) => source,
                    other => io::Error::other(other),
                };
                fatal("complete a change in", &self.snapshot_dir, source)
            });
        self.appender.note(result)
    }

    fn store_epoch(&mut self, name: &str, epoch: Epoch) -> Result<(), AppendError> {
        self.appender.check_alive()?;
        let path: &Path = &self.snapshot_dir.join(name);
        let result = epochs::write(&self.disk, path, epoch);
        let result = result.map_err(|source| fatal("write", path, source));
        self.appender.note(result)
    }
}

/// See [`Store::purge`].
#[derive(Debug)]
pub struct Purge<D> {
    disk: D,
    snapshots: Snapshots<D>,
    snapshot_dir: PathBuf,
    log_dir: PathBuf,
    keep: usize,
}

impl<D: Disk> Purge<D> {
    /// Does it.
    ///
    /// # Errors
    /// If the disk fails; what is left is still complete.
    pub fn run(self) -> io::Result<Vec<PathBuf>> {
        // A truncation or installation changes what is needed, so they wait for each other.
        let _generation = self.snapshots.fence().lock();
        let dirs = Dirs {
            snapshots: &self.snapshot_dir,
            logs: &self.log_dir,
        };
        retention::purge(&self.disk, dirs, self.keep)
    }
}

/// The snapshots in a member's data directory, newest first, without opening its log: for tools.
///
/// # Errors
/// If the directory cannot be listed.
pub fn list_snapshots<D: Disk>(disk: &D, paths: &Paths) -> io::Result<Vec<SnapshotFile>> {
    snapshot::list(disk, &paths.snapshots())
}
