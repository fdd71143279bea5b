//! Putting a member together: what is shared, the threads, the tasks that tick.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use member::{Member, ReapSettings, Settings};
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;
use tree::WatchTable;
use txnlog::{RealDisk, Snapshots};

use crate::admin::gauges::Gauges;
use crate::boot::{self, Opened};
use crate::chores::Chores;
use crate::clock::Clock;
use crate::config::Config;
use crate::inbox::{Inbox, Work};
use crate::log_queue::{Job, LogQueue};
use crate::log_thread::{LogThread, Waiting};
use crate::member_thread::{MemberThread, State};
use crate::metrics::Metrics;
use crate::peers::directory::Directory;
use crate::peers::election::Election;
use crate::peers::links::{LinkSettings, Links};
use crate::serve::{ServeError, Stop};
use crate::shared::{Parts, Shared};
use crate::snapshots::{self, Snapshooter};
use crate::vital;

/// Bytes of recent entries kept in memory to bring learners up to date.
pub(crate) const WINDOW_BYTES: usize = 32 << 20;
/// Bytes that a packet between members may have at least: the end of a session with a hundred
/// thousand ephemerals is one transaction.
const PACKET: usize = 16 << 20;
/// Milliseconds that an election waits for a better vote, as Apache.
const FINALIZE_WAIT: u64 = 200;

/// A member that runs.
pub(crate) struct Running {
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Arc<LogQueue>,
    pub(crate) election: Arc<Election>,
    pub(crate) links: Arc<Links>,
    stop: Arc<AtomicBool>,
    threads: [JoinHandle<()>; 2],
}

impl Running {
    /// Ends the threads, the log's last: what was appended is synced.
    pub(crate) fn end(self) {
        self.stop.store(true, Ordering::Release);
        self.shared.inbox.push(Work::Touched(Vec::new()), 0);
        let [member, log] = self.threads;
        // A thread that panics ends the process by itself.
        let _ = member.join();
        self.log.push(Job::Stop);
        let _ = log.join();
    }
}

/// Starts a member from what was found on its disk.
///
/// # Errors
/// If a thread cannot be made.
pub(crate) fn start(
    config: Config,
    opened: Opened,
    boot: zab::Boot,
    cluster_id: Option<String>,
    stop: &Stop,
    runtime: &Handle,
) -> Result<Running, ServeError> {
    let Opened {
        disk,
        recovered,
        tree,
        digests,
        took,
    } = opened;
    let clock = Clock::start();
    let inbox = Arc::new(Inbox::new());
    let log = Arc::new(LogQueue::default());
    let snapshot_bytes = snapshots::size(recovered.snapshot.as_ref());
    let settings = settings(&config, snapshot_bytes, cluster_id);
    let directory = Arc::new(Directory::new(boot.config.clone()));
    let snapshots = disk.store.snapshots();
    let (election, links) = peers(&config, &directory, &inbox, snapshots.clone(), runtime);
    let parts = Parts {
        clock,
        metrics: Metrics::new()?,
        inbox,
        digests,
    };
    let watches = WatchTable::new(boot::random());
    let shared = Arc::new(Shared::new(config, tree, watches, parts));
    shared
        .metrics
        .registry
        .register(Box::new(Gauges::of(&shared)?))?;
    shared.metrics.dbinittime.observe(took.all);
    shared.metrics.startup_snap_load_time.observe(took.snapshot);
    if took.entries > 0 {
        shared.metrics.startup_txns_load_time.observe(took.log);
    }
    shared
        .metrics
        .startup_txns_loaded
        .observe(took.entries as f64);
    let on_failure = {
        let stop = stop.clone();
        Arc::new(move |error| stop.fail(ServeError::Snapshot(error)))
    };
    let log_thread = LogThread {
        shared: shared.clone(),
        disk,
        links: links.clone(),
        queue: log.clone(),
        snapshooter: Snapshooter::new(
            shared.clone(),
            snapshots,
            snapshot_bytes,
            boot::random(),
            on_failure,
        ),
        chores: Chores::start(clock).map_err(failed("the thread for chores"))?,
        waiting: Waiting::default(),
    };
    let stopped = Arc::new(AtomicBool::new(false));
    let member_thread = MemberThread {
        shared: shared.clone(),
        member: Member::new(clock.now(), settings, boot),
        log: log.clone(),
        election: election.clone(),
        links: links.clone(),
        directory,
        stop: stopped.clone(),
        state: State::default(),
    };
    let threads = start_threads(member_thread, log_thread, stop.clone())?;
    vital::task(runtime, "touches", report_touches(shared.clone()));
    vital::task(runtime, "purge", purge(shared.clone(), log.clone()));
    Ok(Running {
        shared,
        log,
        election,
        links,
        stop: stopped,
        threads,
    })
}

/// The ways to other members.
pub(crate) fn peers(
    config: &Config,
    directory: &Arc<Directory>,
    inbox: &Arc<Inbox>,
    snapshots: Snapshots<RealDisk>,
    runtime: &Handle,
) -> (Arc<Election>, Arc<Links>) {
    let connect_timeout = Duration::from_millis(config.election.connect_timeout);
    let election = Election::new(
        config.id,
        connect_timeout,
        runtime.clone(),
        inbox.clone(),
        directory.clone(),
    );
    let settings = LinkSettings {
        connect_timeout,
        packet: (config.limits.frame * 2).max(PACKET),
    };
    let links = Links::new(
        runtime.clone(),
        inbox.clone(),
        directory.clone(),
        settings,
        snapshots,
    );
    (election, links)
}

fn start_threads(
    member: MemberThread,
    log: LogThread,
    stop: Stop,
) -> Result<[JoinHandle<()>; 2], ServeError> {
    let log = vital::thread("log", move || {
        if let Err(error) = log.run() {
            stop.fail(ServeError::Log(error));
        }
    })
    .map_err(failed("the log thread"))?;
    let member =
        vital::thread("member", move || member.run()).map_err(failed("the member thread"))?;
    Ok([member, log])
}

fn failed(part: &'static str) -> impl FnOnce(std::io::Error) -> ServeError {
    move |source| ServeError::Start { part, source }
}

/// What the state machine is told; `snapshot_bytes` are those of the snapshot that it starts from.
pub(crate) fn settings(config: &Config, snapshot_bytes: u64, ensemble: Option<String>) -> Settings {
    Settings {
        zab: zab::Settings {
            id: config.id,
            tick: config.tick_time,
            init_limit: config.init_limit,
            sync_limit: config.sync_limit,
            max_wait_for_epoch: config.election.max_wait_for_epoch,
            finalize_wait: FINALIZE_WAIT,
            notification_interval: config.election.notification_interval,
            window_entries: config.storage.window,
            window_bytes: WINDOW_BYTES,
            disk_sync_bytes: snapshot_bytes * config.storage.disk_sync_percent / 100,
            ensemble,
            reconfig: config.access.reconfig,
            standalone: config.standalone,
            seed: boot::random(),
        },
        local_sessions: config.local_sessions,
        reap: ReapSettings {
            interval: config.storage.container_interval,
            per_minute: config.storage.containers_per_minute,
            never_used: config.storage.container_never_used,
        },
    }
}

/// Twice a tick, tells the member which sessions were heard from.
async fn report_touches(shared: Arc<Shared>) {
    let period = Duration::from_millis((shared.config.tick_time / 2).max(1));
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let sessions = shared.touched.collect();
        if !sessions.is_empty() {
            shared.inbox.push(Work::Touched(sessions), 0);
        }
    }
}

/// Removes old files at the start and then as often as configured.
async fn purge(shared: Arc<Shared>, log: Arc<LogQueue>) {
    let hours = shared.config.storage.purge_interval;
    if hours == 0 {
        return;
    }
    let mut interval = tokio::time::interval(Duration::from_secs(hours * 3600));
    loop {
        interval.tick().await;
        log.push(Job::Purge);
    }
}
