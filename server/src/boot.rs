//! From what is on the disk to a member that can start.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tree::{Applied, Loader, Tree};
use txnlog::{
    Mark, Marks, OpenError, Paths, ReadError, RealDisk, Recovered, Refusal, Rejected, Replay,
    Replayed, SnapshotWriteError, Store, Trailer,
};
use wire::config::EnsembleConfig;
use wire::control::BootReport;
use wire::snapshot::Piece;
use wire::txn::Entry;
use wire::{Epoch, Zxid};

use crate::admin::digests::DigestLog;
use crate::config::Config;

/// Why a member does not start from its disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// The data cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log cannot be read back.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The first snapshot cannot be written.
    #[error("the first snapshot cannot be written")]
    FirstSnapshot(#[from] SnapshotWriteError),
    /// A small file cannot be read or written.
    #[error("{}: cannot {action}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Epochs without data: this member has lost what it promised.
    #[error(
        "{}: there are epochs but neither transactions nor snapshots: this member has lost its \
         data. Restore the directory, or start once with --rejoin: the member then takes its data \
         from the ensemble and has no vote until it is synced",
        path.display()
    )]
    LostData {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody decided that this volume must not start.
    #[error("{}: this member is parked: {reason}", path.display())]
    Parked {
        /// The mark.
        path: PathBuf,
        /// Why it was parked.
        reason: String,
    },
}

/// The member's files.
pub(crate) struct Disk {
    pub(crate) store: Store<RealDisk>,
    pub(crate) marks: Marks<RealDisk>,
    pub(crate) paths: Paths,
    has_rejoin_mark: bool,
}

/// A member's files, found and read.
pub(crate) struct Opened {
    pub(crate) disk: Disk,
    pub(crate) recovered: Recovered,
    pub(crate) tree: Tree,
    pub(crate) digests: DigestLog,
    pub(crate) took: Took,
}

/// Milliseconds that reading took.
pub(crate) struct Took {
    /// With the search for what is to be read.
    pub(crate) all: f64,
    pub(crate) snapshot: f64,
    pub(crate) log: f64,
    /// Transactions of the log.
    pub(crate) entries: u64,
}

/// Whether a member may vote from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    /// As what is on the disk allows.
    AsFound,
    /// Yes, since this is the ensemble's first boot.
    Birth,
    /// Not before it is synced.
    No,
}

/// Opens and reads the member's files.
///
/// # Errors
/// If what is there cannot be used; with `rejoin`, what is damaged is moved aside.
pub(crate) fn open(config: &Config, rejoin: bool) -> Result<Opened, BootError> {
    let start = Instant::now();
    let paths = Paths {
        data: config.data_dir.clone(),
        log: config.log_dir.clone(),
    };
    let marks = Marks::new(RealDisk, &paths);
    let mut has_rejoin_mark = get_mark(&marks, &paths, Mark::Rejoin)?.is_some();
    if rejoin && !has_rejoin_mark {
        set_mark(&marks, &paths, Mark::Rejoin, "asked for")?;
        has_rejoin_mark = true;
    }
    let (store, recovered, loaded) = match read(config, &paths) {
        Ok(found) => found,
        Err(error) if rejoin && is_damage(&error) => {
            tracing::warn!(%error, "the data cannot be used and is moved aside");
            move_aside(&paths)?;
            read(config, &paths)?
        }
        Err(error) => return Err(error.into()),
    };
    let disk = Disk {
        store,
        marks,
        paths,
        has_rejoin_mark,
    };
    Ok(Opened {
        disk,
        recovered,
        took: Took {
            all: milliseconds(start.elapsed()),
            snapshot: milliseconds(loaded.snapshot),
            log: milliseconds(loaded.log),
            entries: loaded.replayed.log.entries,
        },
        tree: loaded.tree,
        digests: loaded.digests,
    })
}

fn read(config: &Config, paths: &Paths) -> Result<(Store<RealDisk>, Recovered, Loaded), OpenError> {
    let options = txnlog::Options {
        pre_alloc: config.storage.preallocate,
        trust_empty: config.storage.trust_empty,
        snapshot_compression: config.storage.compression,
        ..txnlog::Options::default()
    };
    let (mut store, recovered) = Store::open(RealDisk, paths, options)?;
    if let Some(cut) = &recovered.cut {
        tracing::warn!(
            file = %cut.path.display(),
            offset = cut.offset,
            bytes = cut.bytes,
            "a torn tail, which was never acknowledged, is cut off the log"
        );
    }
    let start = Instant::now();
    let loaded = load(&mut store, config)?;
    tracing::info!(
        last = %loaded.replayed.last_zxid,
        log_entries = loaded.replayed.log.entries,
        znodes = loaded.tree.znode_count(),
        milliseconds = start.elapsed().as_millis() as u64,
        "state read"
    );
    Ok((store, recovered, loaded))
}

/// The last transaction of the snapshot in a folder of its own, if there is one that can be read.
///
/// # Errors
/// If there is none that can be used.
pub(crate) fn last_zxid_of(config: &Config, paths: &Paths) -> Result<Option<Zxid>, OpenError> {
    let (_, _, loaded) = read(config, paths)?;
    let last = loaded.replayed.last_zxid;
    Ok(loaded.replayed.snapshot.map(|_| last))
}

/// Damage is what a member can do without by taking its data from the ensemble.
fn is_damage(error: &OpenError) -> bool {
    !matches!(error, OpenError::Io { .. } | OpenError::Misplaced { .. })
}

fn move_aside(paths: &Paths) -> Result<(), BootError> {
    let mut dirs = vec![paths.snapshots()];
    if paths.logs() != paths.snapshots() {
        dirs.push(paths.logs());
    }
    for dir in dirs {
        let aside = dir.with_extension(format!("aside-{}", crate::clock::wall()));
        tracing::warn!(from = %dir.display(), to = %aside.display(), "data moved aside");
        fs::rename(&dir, &aside).map_err(|source| BootError::File {
            path: dir,
            action: "move aside",
            source,
        })?;
    }
    Ok(())
}

fn get_mark(
    marks: &Marks<RealDisk>,
    paths: &Paths,
    mark: Mark,
) -> Result<Option<String>, BootError> {
    marks.get(mark).map_err(|source| BootError::File {
        path: paths.data.join(mark.file()),
        action: "read",
        source,
    })
}

fn set_mark(
    marks: &Marks<RealDisk>,
    paths: &Paths,
    mark: Mark,
    text: &str,
) -> Result<(), BootError> {
    marks.set(mark, text).map_err(|source| BootError::File {
        path: paths.data.join(mark.file()),
        action: "write",
        source,
    })
}

impl Opened {
    /// What the state machine starts from, and the configuration to start with. An empty disk
    /// gets its first snapshot, so that it is told from a lost one later.
    ///
    /// # Errors
    /// If the member must not start from this disk.
    pub(crate) fn boot(
        &mut self,
        config: &Config,
        ensemble: EnsembleConfig,
        vote: Vote,
    ) -> Result<zab::Boot, BootError> {
        let recovered = self.recovered.clone();
        let last = self.disk.store.last_zxid();
        let epoch_or = |epoch: Option<Epoch>| epoch.unwrap_or_else(|| last.epoch());
        let (accepted, current) = (
            epoch_or(recovered.accepted_epoch),
            epoch_or(recovered.current_epoch),
        );
        let has_epochs = recovered.accepted_epoch.is_some() || recovered.current_epoch.is_some();
        if recovered.empty && has_epochs && !self.disk.has_rejoin_mark {
            let path = self.disk.paths.snapshots();
            return Err(BootError::LostData { path });
        }
        let may_vote = self.may_vote(config, vote)?;
        if recovered.empty && may_vote {
            self.write_first_snapshot(config)?;
        }
        let recent = self
            .disk
            .store
            .recent(config.storage.window, crate::assembly::WINDOW_BYTES)?;
        Ok(zab::Boot {
            config: ensemble,
            accepted: accepted.max(current),
            current,
            last,
            recent,
            may_vote,
        })
    }

    fn may_vote(&mut self, config: &Config, vote: Vote) -> Result<bool, BootError> {
        if vote == Vote::No && !self.disk.has_rejoin_mark {
            let Disk { marks, paths, .. } = &self.disk;
            set_mark(marks, paths, Mark::Rejoin, "joins an ensemble")?;
            self.disk.has_rejoin_mark = true;
        }
        if self.disk.has_rejoin_mark {
            return Ok(false);
        }
        if !self.recovered.empty || vote == Vote::Birth || config.storage.autocreate {
            return Ok(true);
        }
        let Disk { marks, paths, .. } = &self.disk;
        let may_begin = get_mark(marks, paths, Mark::Initialize)?.is_some();
        if may_begin {
            marks
                .clear(Mark::Initialize)
                .map_err(|source| BootError::File {
                    path: paths.data.join(Mark::Initialize.file()),
                    action: "remove",
                    source,
                })?;
        }
        Ok(may_begin)
    }

    /// What the sidecar is told of the volume. On first sight of it, it gets its name.
    ///
    /// # Errors
    /// If the volume cannot be read or written.
    pub(crate) fn report(&self) -> Result<BootReport, BootError> {
        let Disk { marks, paths, .. } = &self.disk;
        let volume_id = match get_mark(marks, paths, Mark::VolumeId)? {
            Some(id) => id,
            None => {
                let id = format!("{:016x}{:016x}", random(), random());
                set_mark(marks, paths, Mark::VolumeId, &id)?;
                id
            }
        };
        let recovered = &self.recovered;
        let number = |epoch: Option<Epoch>| epoch.unwrap_or_else(|| recovered.last_zxid.epoch()).0;
        let has_epochs = recovered.accepted_epoch.is_some() || recovered.current_epoch.is_some();
        Ok(BootReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            volume_id,
            cluster_id: get_mark(marks, paths, Mark::ClusterId)?,
            empty: recovered.empty && !has_epochs,
            accepted_epoch: number(recovered.accepted_epoch),
            current_epoch: number(recovered.current_epoch),
            last_zxid: recovered.last_zxid.0,
            config: self.disk.stored_config()?.map(|config| config.to_string()),
            parked: get_mark(marks, paths, Mark::Parked)?,
            running: false,
        })
    }

    /// Refuses a parked member: nobody is there who could say that it may start after all.
    ///
    /// # Errors
    /// If there is a park mark.
    pub(crate) fn refuse_parked(&self) -> Result<(), BootError> {
        let Disk { marks, paths, .. } = &self.disk;
        match get_mark(marks, paths, Mark::Parked)? {
            Some(reason) => Err(BootError::Parked {
                path: paths.data.join(Mark::Parked.file()),
                reason,
            }),
            None => Ok(()),
        }
    }

    fn write_first_snapshot(&mut self, config: &Config) -> Result<(), BootError> {
        let mut writer = self.disk.store.snapshots().begin(Zxid::ZERO)?;
        let cut = self.tree.begin_cut();
        let mut body = Vec::new();
        while self.tree.cut_next(cut, usize::MAX, &mut body) == tree::CutProgress::More {}
        writer.write(&body)?;
        let digest = config.storage.digest.then(|| wire::snapshot::ZxidDigest {
            zxid: Zxid::ZERO,
            version: 2,
            digest: self.tree.digest(),
        });
        let last_zxid = config.storage.last_zxid_in_snapshot.then_some(Zxid::ZERO);
        writer.finish(Trailer { digest, last_zxid })?;
        Ok(())
    }
}

impl Disk {
    /// The newest configuration that was in force here.
    ///
    /// # Errors
    /// If there is one that cannot be read.
    pub(crate) fn stored_config(&self) -> Result<Option<EnsembleConfig>, BootError> {
        let path = self.config_path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(BootError::File {
                    path,
                    action: "read",
                    source,
                });
            }
        };
        let config = text.parse().map_err(|error| BootError::File {
            path,
            action: "understand",
            source: io::Error::new(io::ErrorKind::InvalidData, error),
        })?;
        Ok(Some(config))
    }

    /// Stores the configuration in force, durably.
    pub(crate) fn store_config(&self, config: &EnsembleConfig) -> io::Result<()> {
        replace_durably(&self.config_path(), config.to_string().as_bytes())
    }

    fn config_path(&self) -> PathBuf {
        self.paths.data.join("ensemble.dynamic")
    }

    /// The ensemble that the volume belongs to.
    ///
    /// # Errors
    /// If that cannot be read.
    pub(crate) fn cluster_id(&self) -> Result<Option<String>, BootError> {
        get_mark(&self.marks, &self.paths, Mark::ClusterId)
    }

    /// From now on the volume belongs to this ensemble.
    ///
    /// # Errors
    /// If that cannot be written.
    pub(crate) fn claim(&self, cluster_id: &str) -> Result<(), BootError> {
        if self.cluster_id()?.is_none() {
            set_mark(&self.marks, &self.paths, Mark::ClusterId, cluster_id)?;
        }
        Ok(())
    }

    /// From now on the member has no vote at its start.
    pub(crate) fn remember_rejoin(&mut self, why: &str) -> io::Result<()> {
        self.has_rejoin_mark = true;
        self.marks.set(Mark::Rejoin, why)
    }

    /// The member is synced: nothing that it promised is missing any more.
    pub(crate) fn forget_rejoin(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.has_rejoin_mark) {
            self.marks.clear(Mark::Rejoin)?;
        }
        Ok(())
    }
}

fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A state, and how it was read.
pub(crate) struct Loaded {
    /// How long the snapshot took, and the log.
    snapshot: Duration,
    log: Duration,
    pub(crate) tree: Tree,
    pub(crate) digests: DigestLog,
    pub(crate) replayed: Replayed,
}

/// Reads the member's state from its disk.
pub(crate) fn load(store: &mut Store<RealDisk>, config: &Config) -> Result<Loaded, OpenError> {
    let start = Instant::now();
    let mut builder = Builder {
        snapshot_read: start,
        options: tree_options(config),
        loader: None,
        tree: empty_tree(config),
        zxid: Zxid::ZERO,
        applied: Applied::default(),
        digests: DigestLog::default(),
        mismatches: 0,
    };
    let replayed = store.replay(&mut builder)?;
    let (snapshot, log) = (
        builder.snapshot_read - start,
        builder.snapshot_read.elapsed(),
    );
    for rejected in &replayed.rejected {
        tracing::warn!(
            file = %rejected.snapshot.path.display(),
            why = %rejected.why,
            "snapshot not used"
        );
    }
    if builder.mismatches > 0 {
        tracing::error!(
            transactions = builder.mismatches,
            "the state read differs from what the leader had: its digest does not match"
        );
    }
    Ok(Loaded {
        snapshot,
        log,
        tree: builder.tree,
        digests: builder.digests,
        replayed,
    })
}

/// The state of a fresh member.
pub(crate) fn empty_tree(config: &Config) -> Tree {
    Tree::new(random(), tree_options(config))
}

/// The configuration's part that the tree follows.
pub(crate) fn tree_options(config: &Config) -> tree::Options {
    tree::Options {
        digest: config.storage.digest,
        extended_types: config.access.extended_types,
        emulate_353: config.access.emulate_353,
        enforce_quota: config.access.enforce_quota,
        skip_acl: config.access.skip_acl,
        schemes: config.access.schemes.clone(),
    }
}

/// A number that nobody outside can guess, for hashing and for choices that must differ between
/// members.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

struct Builder {
    snapshot_read: Instant,
    options: tree::Options,
    loader: Option<Loader>,
    tree: Tree,
    zxid: Zxid,
    applied: Applied,
    digests: DigestLog,
    mismatches: u64,
}

impl Replay for Builder {
    fn snapshot(&mut self, zxid: Zxid) {
        self.zxid = zxid;
        self.loader = Some(Loader::new(random(), self.options.clone()));
    }

    fn piece(&mut self, piece: Piece) -> Result<(), Refusal> {
        match &mut self.loader {
            Some(loader) => Ok(loader.push(piece)?),
            None => Err("a piece without a snapshot".into()),
        }
    }

    fn trailer(&mut self, trailer: Trailer) -> Result<(), Refusal> {
        let loader = self.loader.take().ok_or("a trailer without a snapshot")?;
        self.tree = loader.finish(self.zxid)?;
        self.snapshot_read = Instant::now();
        match trailer.digest {
            Some(digest) => {
                if let Some(mismatch) = self.tree.expect_digest(digest) {
                    return Err(format!(
                        "its digest is {:#x} where {:#x} is expected",
                        mismatch.actual, mismatch.expected
                    )
                    .into());
                }
            }
            None => self
                .tree
                .fuzzy_until(trailer.last_zxid.unwrap_or(self.zxid)),
        }
        Ok(())
    }

    fn snapshot_rejected(&mut self, _rejected: &Rejected) {
        self.loader = None;
        self.tree = Tree::new(random(), self.options.clone());
    }

    fn entry(&mut self, entry: Entry) -> Result<(), Refusal> {
        self.tree.apply(&entry, &mut self.applied);
        if self.applied.mismatch().is_some() {
            self.mismatches += 1;
        }
        let zxid = entry.zxid();
        if DigestLog::is_due(&self.tree, zxid) {
            self.digests.push(zxid, self.tree.digest());
        }
        Ok(())
    }
}
