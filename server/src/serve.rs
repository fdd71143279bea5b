//! One member, from its configuration to its end.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use member::{Member, ReapSettings, Settings};
use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::MissedTickBehavior;
use tree::WatchTable;
use txnlog::SnapshotWriteError;

use crate::boot::{self, BootError, Opened, Wish};
use crate::chores::Chores;
use crate::clock::Clock;
use crate::config::Config;
use crate::inbox::{Inbox, Work};
use crate::listen::{self, ListenError, Ports};
use crate::log_queue::{Job, LogQueue};
use crate::log_thread::{LogFailure, LogThread, Waiting};
use crate::member_thread::{MemberThread, State};
use crate::metrics::Metrics;
use crate::peers::directory::Directory;
use crate::peers::election::Election;
use crate::peers::links::{LinkSettings, Links};
use crate::shared::{Parts, Shared};
use crate::snapshots::Snapshooter;
use crate::vital;

/// Bytes of recent entries kept in memory to bring learners up to date.
pub(crate) const WINDOW_BYTES: usize = 32 << 20;
/// Worker threads for sockets, where the machine has fewer processors.
const WORKERS: usize = 2;
/// How long the last answers may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Milliseconds that an election waits for a better vote, as Apache.
const FINALIZE_WAIT: u64 = 200;

/// What a start is told besides the configuration.
#[derive(Debug, Default)]
pub struct Options {
    /// The sidecar's socket, which decides how to start.
    pub sidecar: Option<PathBuf>,
    /// Start without a vote, and without data that cannot be used, and take what is missing from
    /// the ensemble.
    pub rejoin: bool,
    /// Sockets that listen already, in place of those that the configuration names.
    pub listeners: Listeners,
}

/// Sockets that listen already.
#[derive(Debug, Default)]
pub struct Listeners {
    /// For clients.
    pub client: Option<TcpListener>,
    /// For learners.
    pub quorum: Option<TcpListener>,
    /// For votes.
    pub election: Option<TcpListener>,
}

/// Why a member ended that was not told to, or did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Its disk does not let it start.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A thread or the runtime could not be made.
    #[error("cannot start {part}")]
    Start {
        /// Which.
        part: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Two metrics have one name.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// The disk failed.
    #[error(transparent)]
    Log(#[from] LogFailure),
    /// A snapshot's sync failed: the disk is not to be trusted any more.
    #[error(transparent)]
    Snapshot(#[from] SnapshotWriteError),
}

/// Ends a member. Copies end the same one.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    inner: Arc<(Mutex<Option<End>>, Condvar)>,
}

#[derive(Debug)]
enum End {
    Asked,
    Failed(ServeError),
}

impl Stop {
    /// A handle for a member that is about to start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the member cleanly.
    pub fn stop(&self) {
        self.end(End::Asked);
    }

    fn fail(&self, error: ServeError) {
        self.end(End::Failed(error));
    }

    fn end(&self, end: End) {
        self.inner.0.lock().get_or_insert(end);
        self.inner.1.notify_all();
    }

    fn wait(&self) -> Result<(), ServeError> {
        let mut end = self.inner.0.lock();
        loop {
            match end.take() {
                Some(End::Asked) => return Ok(()),
                Some(End::Failed(error)) => return Err(error),
                None => self.inner.1.wait(&mut end),
            }
        }
    }
}

/// Runs a member until `stop` says so. Blocks.
///
/// # Errors
/// If it cannot start, or cannot go on.
pub fn serve(config: Config, options: Options, stop: &Stop) -> Result<(), ServeError> {
    for warning in &config.warnings {
        tracing::warn!(file = %config.file.display(), "{warning}");
    }
    let workers = std::thread::available_parallelism().map_or(WORKERS, |n| n.get().max(WORKERS));
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("worker")
        .enable_all()
        .build()
        .map_err(|source| ServeError::Start {
            part: "the runtime",
            source,
        })?;
    let result = run(config, options, stop, runtime.handle());
    end_runtime(runtime);
    result
}

fn end_runtime(runtime: Runtime) {
    runtime.shutdown_timeout(LAST_WORDS);
}

fn run(config: Config, options: Options, stop: &Stop, runtime: &Handle) -> Result<(), ServeError> {
    let wish = Wish {
        rejoin: options.rejoin,
        birth: false,
    };
    let mut opened = boot::open(&config, wish)?;
    let ensemble = match opened.disk.stored_config()? {
        Some(stored) if stored.version > config.ensemble.version => stored,
        _ => config.ensemble.clone(),
    };
    let zab_boot = opened.boot(&config, ensemble, wish)?;
    let ports = Ports::open(&config, &zab_boot.config, options.listeners, runtime)?;
    let running = start(config, opened, zab_boot, ports, stop, runtime)?;
    tracing::info!("started");
    let result = stop.wait();
    tracing::info!("ending");
    running.end();
    result
}

/// A member's threads.
struct Running {
    inbox: Arc<Inbox>,
    log: Arc<LogQueue>,
    stop: Arc<AtomicBool>,
    threads: [JoinHandle<()>; 2],
}

impl Running {
    /// Ends the threads, the log's last: what was appended is synced.
    fn end(self) {
        self.stop.store(true, Ordering::Release);
        self.inbox.push(Work::Touched(Vec::new()), 0);
        let [member, log] = self.threads;
        // A thread that panics ends the process by itself.
        let _ = member.join();
        self.log.push(Job::Stop);
        let _ = log.join();
    }
}

fn start(
    config: Config,
    opened: Opened,
    zab_boot: zab::Boot,
    ports: Ports,
    stop: &Stop,
    runtime: &Handle,
) -> Result<Running, ServeError> {
    let Opened {
        disk,
        recovered,
        tree,
    } = opened;
    let failed = |part| move |source| ServeError::Start { part, source };
    let clock = Clock::start();
    let inbox = Arc::new(Inbox::new());
    let log = Arc::new(LogQueue::default());
    let settings = settings(&config, &recovered);
    let directory = Arc::new(Directory::new(zab_boot.config.clone()));
    let connect_timeout = Duration::from_millis(config.election.connect_timeout);
    let link_settings = LinkSettings {
        connect_timeout,
        packet: config.limits.frame * 2,
    };
    let snapshots = disk.store.snapshots();
    let election = Election::new(
        config.id,
        connect_timeout,
        runtime.clone(),
        inbox.clone(),
        directory.clone(),
    );
    let links = Links::new(
        runtime.clone(),
        inbox.clone(),
        link_settings,
        snapshots.clone(),
    );
    let parts = Parts {
        clock,
        metrics: Metrics::new()?,
        inbox: inbox.clone(),
    };
    let watches = WatchTable::new(boot::random());
    let shared = Arc::new(Shared::new(config, tree, watches, parts));
    let (chores, _thread) = Chores::start(clock).map_err(failed("the thread for chores"))?;
    let stopped = Arc::new(AtomicBool::new(false));
    let on_failure = {
        let stop = stop.clone();
        Arc::new(move |error| stop.fail(ServeError::Snapshot(error)))
    };
    let log_thread = LogThread {
        shared: shared.clone(),
        disk,
        links: links.clone(),
        queue: log.clone(),
        snapshooter: Snapshooter::new(shared.clone(), snapshots, boot::random(), on_failure),
        chores,
        waiting: Waiting::default(),
    };
    let member_thread = MemberThread {
        shared: shared.clone(),
        member: Member::new(clock.now(), settings, zab_boot),
        log: log.clone(),
        election: election.clone(),
        links: links.clone(),
        directory,
        stop: stopped.clone(),
        state: State::default(),
    };
    let stop = stop.clone();
    let log_handle = vital::thread("log", move || {
        if let Err(error) = log_thread.run() {
            stop.fail(ServeError::Log(error));
        }
    })
    .map_err(failed("the log thread"))?;
    let member_handle = vital::thread("member", move || member_thread.run())
        .map_err(failed("the member thread"))?;
    listen::start(&shared, &election, &links, ports, runtime);
    vital::task(runtime, "touches", report_touches(shared.clone()));
    vital::task(runtime, "purge", purge(shared, log.clone()));
    Ok(Running {
        inbox,
        log,
        stop: stopped,
        threads: [member_handle, log_handle],
    })
}

fn settings(config: &Config, recovered: &txnlog::Recovered) -> Settings {
    let snapshot_bytes = recovered
        .snapshot
        .as_ref()
        .and_then(|snapshot| std::fs::metadata(&snapshot.path).ok())
        .map_or(0, |metadata| metadata.len());
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
            ensemble: None,
            standalone: config.standalone,
            seed: boot::random(),
        },
        reap: ReapSettings::default(),
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
