//! Snapshots beside the work: to files, and to learners.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tree::{CutId, CutProgress};
use txnlog::{Amount, RealDisk, SnapshotFile, SnapshotWriteError, Snapshots, Trailer};
use wire::Zxid;
use wire::snapshot::{ZxidDigest, encode_stream_end};

use crate::peers::link_queue::Piece;
use crate::shared::Shared;
use crate::vital;

/// Znodes written under one guard: about a quarter of a millisecond.
const SLICE: usize = 256;
/// Bytes a second written to a snapshot file: a disk that syncs the log meanwhile has to keep up.
const RATE: u64 = 64 << 20;
/// Bytes set aside by changes meanwhile above which a snapshot is written at full speed.
const BACKLOG: usize = 32 << 20;
/// Pieces of a stream that wait for a learner's socket.
const PIECES: usize = 4;
/// Bytes of one piece of a stream.
const PIECE: usize = 256 << 10;

/// Who wants to know where a snapshot is.
pub(crate) type Done = Box<dyn FnOnce(Result<SnapshotFile, NotWritten>) + Send>;

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotWritten {
    /// Another one is being written.
    #[error("another snapshot is being written")]
    Busy,
    /// It was given up, as the log says.
    #[error("the snapshot could not be written: the log says why")]
    Failed,
}

/// Decides when snapshots are due, and has them written.
pub(crate) struct Snapshooter {
    shared: Arc<Shared>,
    snapshots: Snapshots<RealDisk>,
    running: Arc<AtomicBool>,
    /// Bytes of the one that a start would read.
    size: Arc<AtomicU64>,
    due: Amount,
    seed: u64,
    on_failure: Arc<dyn Fn(SnapshotWriteError) + Send + Sync>,
}

impl Snapshooter {
    /// `size` is that of the snapshot that this member started from.
    pub(crate) fn new(
        shared: Arc<Shared>,
        snapshots: Snapshots<RealDisk>,
        size: u64,
        seed: u64,
        on_failure: Arc<dyn Fn(SnapshotWriteError) + Send + Sync>,
    ) -> Self {
        let mut snapshooter = Self {
            shared,
            snapshots,
            running: Arc::default(),
            size: Arc::new(size.into()),
            due: Amount::default(),
            seed,
            on_failure,
        };
        snapshooter.draw();
        snapshooter
    }

    /// Whether so much was logged that a snapshot is due.
    ///
    /// A large tree that changes fast would be written all the time, if only transactions counted.
    /// So a snapshot waits until reading the log again takes about as long as reading the last one:
    /// what is written stays in proportion to what is logged, and a start to the tree's size.
    pub(crate) fn is_due(&self, logged: Amount) -> bool {
        let percent = u128::from(self.shared.config.storage.snapshot_log_percent);
        let worth = u128::from(self.size.load(Ordering::Relaxed)) * percent / 100;
        let reached = logged.bytes > self.due.bytes
            || (logged.entries > self.due.entries && u128::from(logged.bytes) >= worth);
        reached && !self.is_running()
    }

    /// The tree was replaced by what this snapshot and the log behind it hold.
    pub(crate) fn start_from(&self, snapshot: Option<&SnapshotFile>) {
        self.size.store(size(snapshot), Ordering::Relaxed);
    }

    /// Whether one is being written.
    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Begins one on a thread of its own. The log was rolled.
    pub(crate) fn begin(&mut self, done: Option<Done>) {
        self.draw();
        self.running.store(true, Ordering::Release);
        let shared = self.shared.clone();
        let snapshots = self.snapshots.clone();
        let running = self.running.clone();
        let newest = self.size.clone();
        let on_failure = self.on_failure.clone();
        let started = vital::thread("snapshot", move || {
            let result = write(&shared, &snapshots);
            if let Ok(file @ Some(_)) = &result {
                newest.store(size(file.as_ref()), Ordering::Relaxed);
            }
            running.store(false, Ordering::Release);
            if let Some(done) = done {
                done(match &result {
                    Ok(Some(file)) => Ok(file.clone()),
                    Ok(None) | Err(_) => Err(NotWritten::Failed),
                });
            }
            match result {
                Ok(_) => {}
                Err(error @ SnapshotWriteError::Sync { .. }) => on_failure(error),
                Err(error) => tracing::error!(%error, "snapshot failed; the log is unaffected"),
            }
        });
        if let Err(error) = started {
            self.running.store(false, Ordering::Release);
            tracing::error!(%error, "cannot start a thread for the snapshot");
        }
    }

    /// Draws when the next one is due: between half and all of what is configured, so that the
    /// members of an ensemble do not write theirs at the same time.
    fn draw(&mut self) {
        self.seed = self.seed.wrapping_mul(MULTIPLIER).wrapping_add(1);
        let share = (self.seed >> 33) % 1000;
        let between = |n: u64| n / 2 + (u128::from(n / 2) * u128::from(share) / 1000) as u64;
        let storage = &self.shared.config.storage;
        self.due = Amount {
            entries: between(storage.snapshot_every),
            bytes: storage.snapshot_every_bytes.map_or(u64::MAX, between),
        };
    }
}

/// Bytes of a snapshot's file, 0 if there is none.
pub(crate) fn size(snapshot: Option<&SnapshotFile>) -> u64 {
    let metadata = snapshot.and_then(|snapshot| std::fs::metadata(&snapshot.path).ok());
    metadata.map_or(0, |metadata| metadata.len())
}

/// Knuth's, for a sequence that only has to differ between members.
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

/// A cut of the tree that is abandoned if it is not walked to its end.
struct Cut<'a> {
    shared: &'a Shared,
    id: CutId,
    /// Which tree it is of: the next tree gives the same numbers again.
    generation: u64,
    is_done: bool,
}

impl<'a> Cut<'a> {
    fn begin(shared: &'a Shared) -> Self {
        let (id, generation) = begin(shared);
        Self::of(shared, id, generation)
    }

    const fn of(shared: &'a Shared, id: CutId, generation: u64) -> Self {
        Self {
            shared,
            id,
            generation,
            is_done: false,
        }
    }

    /// To be asked under a guard of the tree.
    fn is_there(&self) -> bool {
        self.shared.tree_generation() == self.generation
    }

    fn position(&self) -> Option<(Zxid, u64)> {
        let tree = self.shared.tree.read();
        self.is_there().then(|| tree.cut_position(self.id))?
    }

    /// Appends the next part; `None` if the tree was replaced meanwhile.
    fn next(&mut self, out: &mut Vec<u8>) -> Option<Progress> {
        let mut tree = self.shared.tree.write();
        if !self.is_there() {
            return None;
        }
        self.is_done = tree.cut_next(self.id, SLICE, out) == CutProgress::Done;
        let backlog = if self.is_done {
            0
        } else {
            tree.cut_backlog(self.id)
        };
        Some(Progress {
            is_done: self.is_done,
            backlog,
        })
    }
}

struct Progress {
    is_done: bool,
    backlog: usize,
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            let mut tree = self.shared.tree.write();
            if self.is_there() {
                tree.abandon_cut(self.id);
            }
        }
    }
}

/// Begins a cut of the tree as it is now; with it goes the number of the tree.
pub(crate) fn begin(shared: &Shared) -> (CutId, u64) {
    let mut tree = shared.tree.write();
    (tree.begin_cut(), shared.tree_generation())
}

/// Ends a cut that nobody walks.
pub(crate) fn abandon(shared: &Shared, (cut, generation): (CutId, u64)) {
    drop(Cut::of(shared, cut, generation));
}

/// Writes a snapshot of the tree as it is now; none if the tree is replaced meanwhile.
pub(crate) fn write(
    shared: &Shared,
    snapshots: &Snapshots<RealDisk>,
) -> Result<Option<SnapshotFile>, SnapshotWriteError> {
    let start = Instant::now();
    let mut cut = Cut::begin(shared);
    let Some((zxid, digest)) = cut.position() else {
        return Ok(None);
    };
    let mut writer = snapshots.begin(zxid)?;
    let mut part = Vec::new();
    let mut written = 0;
    loop {
        let Some(progress) = cut.next(&mut part) else {
            tracing::info!("snapshot given up: the tree was replaced");
            return Ok(None);
        };
        writer.write(&part)?;
        written += part.len() as u64;
        part.clear();
        if progress.is_done {
            break;
        }
        let due = start + Duration::from_micros(written * 1_000_000 / RATE);
        if progress.backlog < BACKLOG {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    let storage = &shared.config.storage;
    let file = writer.finish(Trailer {
        digest: storage.digest.then_some(ZxidDigest {
            zxid,
            version: DIGEST_VERSION,
            digest,
        }),
        last_zxid: storage.last_zxid_in_snapshot.then_some(zxid),
    })?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    shared.metrics.snapshottime.observe(milliseconds);
    tracing::info!(%zxid, bytes = written, milliseconds, "snapshot written");
    Ok(Some(file))
}

/// Apache's version of the digest.
const DIGEST_VERSION: i32 = 2;

/// Sends the body of a cut that has begun, and what ends it, on a thread of its own.
pub(crate) fn stream(
    shared: Arc<Shared>,
    (cut, generation): (CutId, u64),
) -> io::Result<(mpsc::Receiver<Piece>, JoinHandle<()>)> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let thread = vital::thread("snapshot stream", move || {
        let mut cut = Cut::of(&shared, cut, generation);
        let mut part = Vec::new();
        while let Some(progress) = cut.next(&mut part) {
            if progress.is_done {
                encode_stream_end(&mut part);
            } else if part.len() < PIECE {
                continue;
            }
            let piece = Piece::Bytes(Bytes::from(std::mem::take(&mut part)));
            if sender.blocking_send(piece).is_err() {
                return;
            }
            if progress.is_done {
                // The link may be gone; then nobody needs the end.
                let _ = sender.blocking_send(Piece::End);
                return;
            }
        }
    })?;
    Ok((receiver, thread))
}
