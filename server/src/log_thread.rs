//! The thread that owns the log: it appends what has come in, syncs once, and lets go what waited
//! for that.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use txnlog::{AppendError, LogReader, OpenError, RealDisk, Store, TruncateError};
use wire::Zxid;
use wire::quorum::Packet;
use zab::{Input, LinkId};

use crate::admin::digests::DigestLog;
use crate::boot::{self, Disk};
use crate::chores::{Chore, Chores};
use crate::clients::mailbox::Mail;
use crate::clock;
use crate::log_queue::{Job, LogQueue};
use crate::peers::links::Links;
use crate::shared::Shared;
use crate::snapshots::{Done, NotWritten, Snapshooter};
use crate::vital;

/// Why the log thread, and with it the member, ends.
#[derive(Debug, thiserror::Error)]
pub enum LogFailure {
    /// The disk failed. What was promised before is as safe as the disk; nothing more is promised.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log could not be cut.
    #[error("the log cannot be cut as the leader asked")]
    Truncate(#[source] TruncateError),
    /// The state could not be read back after it was cut or replaced.
    #[error("the state cannot be read back")]
    Reload(#[from] OpenError),
    /// A small file could not be written.
    #[error("cannot store {what}")]
    Store {
        /// Which.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

/// What the log thread owns.
pub(crate) struct LogThread {
    pub(crate) shared: Arc<Shared>,
    pub(crate) disk: Disk,
    pub(crate) links: Arc<Links>,
    pub(crate) queue: Arc<LogQueue>,
    pub(crate) snapshooter: Snapshooter,
    pub(crate) chores: Chores,
    /// What waits for the next sync.
    pub(crate) waiting: Waiting,
}

/// What waits for the next sync.
#[derive(Default)]
pub(crate) struct Waiting {
    is_dirty: bool,
    /// When the leader made those that were appended since, milliseconds since 1970.
    times: Vec<i64>,
    sends: Vec<(LinkId, Vec<Packet>)>,
    mark: Option<u64>,
}

impl LogThread {
    /// Runs until [`Job::Stop`].
    ///
    /// # Errors
    /// If the disk fails: the process must end.
    pub(crate) fn run(mut self) -> Result<(), LogFailure> {
        let mut jobs = Vec::new();
        self.fill_ahead();
        loop {
            self.queue.take(&mut jobs);
            for job in jobs.drain(..) {
                if matches!(job, Job::Stop) {
                    self.flush()?;
                    return Ok(());
                }
                self.carry_out(job)?;
            }
            self.flush()?;
            self.snapshot_if_due()?;
        }
    }

    fn store(&mut self) -> &mut Store<RealDisk> {
        &mut self.disk.store
    }

    fn carry_out(&mut self, job: Job) -> Result<(), LogFailure> {
        match job {
            Job::Append { entries, mark } => {
                self.store().append(&entries)?;
                let metrics = &self.shared.metrics;
                metrics
                    .sync_processor_request_queued
                    .inc_by(entries.len() as u64);
                let times = entries.iter().map(|entry| entry.header().time);
                self.waiting.times.extend(times);
                self.waiting.is_dirty = true;
                self.waiting.mark = Some(mark);
            }
            Job::Send { link, packets } => self.waiting.sends.push((link, packets)),
            Job::Accepted(epoch) => {
                self.flush()?;
                self.store().store_accepted(epoch)?;
            }
            Job::Current(epoch) => {
                self.flush()?;
                self.store().store_current(epoch)?;
            }
            Job::Truncate(to) => self.truncate(to)?,
            Job::Install { link, zxid } => self.install(link, zxid)?,
            Job::Read {
                link,
                after,
                through,
                limit,
            } => {
                self.flush()?;
                self.read_for_learner(link, after, through, limit);
            }
            Job::Config(config) => self
                .disk
                .store_config(&config)
                .map_err(store_failed("the configuration"))?,
            Job::Synced => self
                .disk
                .forget_rejoin()
                .map_err(store_failed("that this member is synced"))?,
            Job::Snapshot(done) => {
                self.flush()?;
                self.begin_snapshot(done)?;
            }
            Job::Purge => {
                let keep = self.shared.config.storage.retain;
                self.chores
                    .push(Chore::Purge(self.disk.store.purge_job(keep)));
            }
            Job::Stop => {}
        }
        Ok(())
    }

    /// Makes everything durable, and lets go what waited for it.
    fn flush(&mut self) -> Result<(), LogFailure> {
        if std::mem::take(&mut self.waiting.is_dirty) {
            let start = Instant::now();
            self.store().sync()?;
            let milliseconds = start.elapsed().as_secs_f64() * 1e3;
            let entries = self.waiting.times.len();
            let now = clock::wall();
            let metrics = &self.shared.metrics;
            metrics.fsynctime.observe(milliseconds);
            metrics
                .sync_processor_queue_flush_time_ms
                .observe(milliseconds);
            metrics.sync_processor_batch_size.observe(entries as f64);
            for time in self.waiting.times.drain(..) {
                let took = now.saturating_sub(time).max(0);
                metrics.proposal_ack_creation_latency.observe(took as f64);
            }
            if milliseconds > self.shared.config.storage.slow_sync as f64 {
                self.shared
                    .metrics
                    .slow_syncs
                    .fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    milliseconds,
                    "syncing the log took long: writes wait for the disk"
                );
            }
        }
        for (link, packets) in self.waiting.sends.drain(..) {
            self.links.send(link, &packets);
        }
        if let Some(mark) = self.waiting.mark.take() {
            self.shared.inbox.zab(Input::Synced { mark });
            self.fill_ahead();
        }
        Ok(())
    }

    fn truncate(&mut self, to: Zxid) -> Result<(), LogFailure> {
        self.flush()?;
        let last = match self.store().truncate(to) {
            Ok(last) => last,
            Err(TruncateError::NoBase { to }) => {
                tracing::warn!(%to, "no snapshot reaches back far enough: a full copy is needed");
                return self.start_empty();
            }
            Err(error) => return Err(LogFailure::Truncate(error)),
        };
        tracing::info!(%to, %last, "log cut");
        if self.shared.applied() > last {
            self.reload()?;
        }
        self.shared.inbox.zab(Input::Truncated { last });
        Ok(())
    }

    /// Forgets all, and lets the leader send it again.
    fn start_empty(&mut self) -> Result<(), LogFailure> {
        self.disk
            .remember_rejoin("its log could not be cut as a leader asked")
            .map_err(store_failed("that this member needs a full copy"))?;
        self.store().discard()?;
        self.snapshooter.start_from(None);
        let tree = boot::empty_tree(&self.shared.config);
        self.replace_tree(tree, DigestLog::default());
        let last = Zxid::ZERO;
        self.shared.inbox.zab(Input::Truncated { last });
        Ok(())
    }

    fn install(&mut self, link: LinkId, zxid: Zxid) -> Result<(), LogFailure> {
        self.flush()?;
        let Some(staged) = self.links.staged().take(link) else {
            self.shared.inbox.zab(Input::SnapshotDropped { link });
            return Ok(());
        };
        self.store().install_snapshot(&staged)?;
        self.reload()?;
        self.shared
            .has_foreign_snapshot
            .store(true, Ordering::Release);
        tracing::info!(%zxid, "snapshot installed");
        let input = Input::SnapshotInstalled { link, zxid };
        self.shared.inbox.zab(input);
        Ok(())
    }

    fn reload(&mut self) -> Result<(), LogFailure> {
        let loaded = boot::load(&mut self.disk.store, &self.shared.config)?;
        self.snapshooter
            .start_from(loaded.replayed.snapshot.as_ref());
        self.replace_tree(loaded.tree, loaded.digests);
        Ok(())
    }

    /// Nobody is served meanwhile; who kept a connection so far loses it, since watches know
    /// nothing of what a snapshot changed.
    fn replace_tree(&self, tree: tree::Tree, digests: DigestLog) {
        let old = self.shared.replace_tree(tree, digests);
        let connections: Vec<_> = self.shared.connections.lock().values().cloned().collect();
        for mailbox in connections {
            mailbox.post_now(Mail::Close("the member's state was replaced"));
        }
        self.chores.push(Chore::Drop(Box::new(old)));
    }

    fn read_for_learner(&self, link: LinkId, after: Zxid, through: Zxid, limit: u64) {
        let reader = self.disk.store.log_reader();
        let inbox = self.shared.inbox.clone();
        let started = vital::thread("log reader", move || {
            let entries = read_range(&reader, after, through, limit).map(|entries| {
                let entries = entries.into_iter();
                entries.map(Arc::new).collect()
            });
            inbox.zab(Input::LogRead { link, entries });
        });
        if let Err(error) = started {
            tracing::warn!(%error, "cannot start a thread to read the log; the learner gets a snapshot");
            let entries = None;
            self.shared.inbox.zab(Input::LogRead { link, entries });
        }
    }

    fn fill_ahead(&mut self) {
        if let Some(job) = self
            .chores
            .may_fill()
            .then(|| self.disk.store.spare_job())
            .flatten()
        {
            self.chores.push(Chore::Fill(job));
        }
    }

    fn snapshot_if_due(&mut self) -> Result<(), LogFailure> {
        let amount = self.disk.store.since_snapshot();
        if self.snapshooter.is_due(amount) {
            self.begin_snapshot(None)?;
        }
        Ok(())
    }

    fn begin_snapshot(&mut self, done: Option<Done>) -> Result<(), LogFailure> {
        if self.snapshooter.is_running() {
            if let Some(done) = done {
                done(Err(NotWritten::Busy));
            }
            return Ok(());
        }
        self.disk.store.roll()?;
        self.fill_ahead();
        self.snapshooter.begin(done);
        Ok(())
    }
}

fn store_failed(what: &'static str) -> impl FnOnce(std::io::Error) -> LogFailure {
    move |source| LogFailure::Store { what, source }
}

/// The entries behind `after`, if the log has `after` and no more than `limit` bytes follow.
fn read_range(
    reader: &LogReader<RealDisk>,
    after: Zxid,
    through: Zxid,
    limit: u64,
) -> Option<Vec<wire::txn::Entry>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    match reader.read(after, through, limit) {
        Ok(part) if part.base == Some(after) && !part.more => Some(part.entries),
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(%error, "cannot read the log for a learner; it gets a snapshot");
            None
        }
    }
}
