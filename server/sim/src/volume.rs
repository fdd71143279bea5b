//! A member's disk, and the tree that is read back from it.

use std::sync::Arc;

use bytes::Bytes;
use tree::{Loader, Tree};
use txnlog::crashing::CrashingDisk;
use txnlog::{
    Compression, Disk, OpenError, Options, Paths, Refusal, Rejected, Replay, SnapshotWriter,
    StagedSnapshot, Store, Trailer, TruncateError,
};
use wire::config::EnsembleConfig;
use wire::snapshot::{Piece, PieceDecoder, ZxidDigest};
use wire::txn::Entry;
use wire::{Epoch, Zxid};

use crate::error::SimError;

const DIR: &str = "/data";

/// Enough for every record that the workload makes.
pub(crate) const RECORD_LIMIT: usize = 1 << 20;

const OPTIONS: Options = Options {
    pre_alloc: 16 * 1024,
    trust_empty: false,
    snapshot_sync_every: 4 * 1024,
    snapshot_compression: Compression::None,
};

/// The data of a running member.
pub(crate) struct Volume {
    pub(crate) store: Store<CrashingDisk>,
    disk: CrashingDisk,
}

/// What a member starts with.
pub(crate) struct Recovered {
    pub(crate) volume: Volume,
    pub(crate) tree: Tree,
    pub(crate) accepted: Epoch,
    pub(crate) current: Epoch,
    pub(crate) recent: Vec<Arc<Entry>>,
}

fn paths() -> Paths {
    Paths::single(DIR)
}

/// The tree that every member of an ensemble begins with.
pub(crate) fn first_tree(config: &EnsembleConfig) -> Tree {
    let mut tree = Tree::new(TREE_SEED, tree::Options::default());
    tree.set_initial_config(&config.to_string(), Zxid(config.version), 0);
    tree
}

/// Keys the trees' hashing. Nothing that is compared may depend on it.
const TREE_SEED: u64 = 7;

impl Volume {
    /// Opens a disk and reads back what is on it. An empty one gets a first snapshot.
    pub(crate) fn open(
        disk: &CrashingDisk,
        config: &EnsembleConfig,
        window: usize,
    ) -> Result<Recovered, SimError> {
        let (store, recovered) = Store::open(disk.clone(), &paths(), OPTIONS)?;
        let mut volume = Self {
            store,
            disk: disk.clone(),
        };
        let tree = if recovered.empty {
            let mut tree = first_tree(config);
            let cut = OwnSnapshot::begin(&mut volume, &mut tree)?;
            cut.finish(&mut tree)?;
            tree
        } else {
            volume.replay()?
        };
        let recent = volume.store.recent(window, usize::MAX)?;
        let last = tree.last_zxid();
        Ok(Recovered {
            volume,
            tree,
            accepted: recovered.accepted_epoch.unwrap_or_else(|| last.epoch()),
            current: recovered.current_epoch.unwrap_or_else(|| last.epoch()),
            recent,
        })
    }

    /// The tree as the disk has it.
    pub(crate) fn replay(&mut self) -> Result<Tree, SimError> {
        let mut rebuild = Rebuild::default();
        let replayed = self.store.replay(&mut rebuild)?;
        let tree = rebuild.tree.ok_or(SimError::NoSnapshot)?;
        if tree.last_zxid() != replayed.last_zxid {
            return Err(SimError::Replay {
                log: replayed.last_zxid,
                tree: tree.last_zxid(),
            });
        }
        Ok(tree)
    }

    /// Cuts the log. `None` if nothing is left to build on; the disk is then empty but for the
    /// epochs.
    pub(crate) fn truncate(&mut self, to: Zxid) -> Result<Option<Zxid>, SimError> {
        match self.store.truncate(to) {
            Ok(last) => Ok(Some(last)),
            Err(TruncateError::NoBase { .. }) => {
                self.wipe()?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes logs, then snapshots, so that an interruption leaves a state that was once there.
    fn wipe(&mut self) -> Result<(), SimError> {
        let dir = paths().logs();
        let is = |name: &str, prefix| name.starts_with(prefix);
        for prefix in ["log.", "snapshot."] {
            for name in self.disk.list(&dir)? {
                if is(&name, prefix) {
                    self.disk.remove(&dir.join(&name))?;
                    self.disk.sync_dir(&dir)?;
                }
            }
        }
        let (store, _) = Store::open(self.disk.clone(), &paths(), OPTIONS)?;
        self.store = store;
        Ok(())
    }

    /// The log behind `after`, if it has `after` and all of it is no more than `limit` bytes.
    pub(crate) fn read(
        &self,
        after: Zxid,
        through: Zxid,
        limit: u64,
    ) -> Result<Option<Vec<Arc<Entry>>>, SimError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let part = self.store.log_reader().read(after, through, limit)?;
        if part.more || part.base != Some(after) {
            return Ok(None);
        }
        Ok(Some(part.entries.into_iter().map(Arc::new).collect()))
    }
}

/// Builds a tree from what a store replays.
#[derive(Default)]
struct Rebuild {
    loader: Option<Loader>,
    zxid: Zxid,
    tree: Option<Tree>,
    applied: tree::Applied,
}

impl Replay for Rebuild {
    fn snapshot(&mut self, zxid: Zxid) {
        self.zxid = zxid;
        self.loader = Some(Loader::new(TREE_SEED, tree::Options::default()));
    }

    fn piece(&mut self, piece: Piece) -> Result<(), Refusal> {
        match &mut self.loader {
            Some(loader) => Ok(loader.push(piece)?),
            None => Err("a piece without a snapshot".into()),
        }
    }

    fn trailer(&mut self, trailer: Trailer) -> Result<(), Refusal> {
        let loader = self.loader.take().ok_or("a trailer without a snapshot")?;
        let mut tree = loader.finish(self.zxid)?;
        if let Some(digest) = trailer.digest
            && let Some(mismatch) = tree.expect_digest(digest)
        {
            return Err(format!("{mismatch:?}").into());
        }
        self.tree = Some(tree);
        Ok(())
    }

    fn snapshot_rejected(&mut self, _rejected: &Rejected) {
        self.loader = None;
        self.tree = None;
    }

    fn entry(&mut self, entry: Entry) -> Result<(), Refusal> {
        let tree = self
            .tree
            .as_mut()
            .ok_or("a transaction without a snapshot")?;
        tree.apply(&entry, &mut self.applied);
        match self.applied.mismatch() {
            None => Ok(()),
            Some(mismatch) => Err(format!("{mismatch:?}").into()),
        }
    }
}

/// A snapshot of a member's own state, on its way to the disk.
pub(crate) struct OwnSnapshot {
    cut: tree::CutId,
    writer: SnapshotWriter<CrashingDisk>,
    trailer: Trailer,
}

/// Znodes that are written in one step.
const STEP: usize = 16;

impl OwnSnapshot {
    pub(crate) fn begin(volume: &mut Volume, tree: &mut Tree) -> Result<Self, SimError> {
        volume.store.roll()?;
        let cut = tree.begin_cut();
        let (zxid, digest) = tree.cut_position(cut).ok_or(SimError::CutGone)?;
        Ok(Self {
            cut,
            writer: volume.store.snapshots().begin(zxid)?,
            trailer: Trailer {
                digest: Some(ZxidDigest {
                    zxid,
                    version: 2,
                    digest,
                }),
                last_zxid: Some(zxid),
            },
        })
    }

    /// Writes a part. True when there is no more.
    pub(crate) fn step(&mut self, tree: &mut Tree) -> Result<bool, SimError> {
        if tree.cut_position(self.cut).is_none() {
            return Err(SimError::CutGone);
        }
        let mut body = Vec::new();
        let progress = tree.cut_next(self.cut, STEP, &mut body);
        self.writer.write(&body)?;
        Ok(progress == tree::CutProgress::Done)
    }

    /// Makes it a snapshot once every step is done. One that a truncation has overtaken vanishes.
    pub(crate) fn complete(self) -> Result<(), SimError> {
        match self.writer.finish(self.trailer) {
            Ok(_) | Err(txnlog::SnapshotWriteError::Superseded) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives it up.
    pub(crate) fn abandon(self, tree: &mut Tree) {
        tree.abandon_cut(self.cut);
    }

    fn finish(mut self, tree: &mut Tree) -> Result<(), SimError> {
        while !self.step(tree)? {}
        self.complete()
    }
}

/// A snapshot that comes from a leader.
pub(crate) struct Staging {
    zxid: Zxid,
    decoder: PieceDecoder,
    loader: Option<Loader>,
    writer: Option<SnapshotWriter<CrashingDisk>>,
}

/// One that came whole, on the disk and as a tree.
pub(crate) struct Staged {
    pub(crate) snapshot: StagedSnapshot,
    pub(crate) tree: Tree,
}

impl Staging {
    pub(crate) fn begin(volume: &Volume, zxid: Zxid) -> Result<Self, SimError> {
        Ok(Self {
            zxid,
            decoder: PieceDecoder::of_stream(RECORD_LIMIT),
            loader: Some(Loader::new(TREE_SEED, tree::Options::default())),
            writer: Some(volume.store.snapshots().begin_staged(zxid)?),
        })
    }

    /// Takes a part of the stream. What is complete is durable.
    pub(crate) fn take(&mut self, mut bytes: Bytes) -> Result<Option<Staged>, SimError> {
        while let Some(piece) = self.decoder.poll(&mut bytes)? {
            let (Some(loader), Some(writer)) = (&mut self.loader, &mut self.writer) else {
                return Err(SimError::CutGone);
            };
            writer.write_piece(&piece)?;
            loader.push(piece)?;
        }
        if !self.decoder.is_done() {
            return Ok(None);
        }
        let (Some(loader), Some(writer)) = (self.loader.take(), self.writer.take()) else {
            return Err(SimError::CutGone);
        };
        let tree = loader.finish(self.zxid)?;
        let trailer = Trailer {
            digest: Some(ZxidDigest {
                zxid: self.zxid,
                version: 2,
                digest: tree.digest(),
            }),
            last_zxid: Some(self.zxid),
        };
        let snapshot = writer.finish_staged(trailer)?;
        Ok(Some(Staged { snapshot, tree }))
    }
}

impl From<OpenError> for SimError {
    fn from(error: OpenError) -> Self {
        Self::Open(error.to_string())
    }
}
