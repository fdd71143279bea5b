//! One member, from its configuration to its end.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Handle, Runtime};
use txnlog::{Mark, SnapshotWriteError};
use wire::config::EnsembleConfig;

use crate::admin::http;
use crate::assembly::{self, Running};
use crate::boot::{self, BootError, Opened, Vote};
use crate::clients::audit;
use crate::config::Config;
use crate::listen::{self, ListenError, Ports};
use crate::log_thread::LogFailure;
use crate::restore::{self, RestoreError, Staged};
use crate::sidecar::{self, Attended, Found, Lines};
use crate::vital;

/// Worker threads for sockets, where the machine has fewer processors.
const WORKERS: usize = 2;
/// How long the last answers may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Between two looks whether a member that waits for its plan is to end.
const LOOK: Duration = Duration::from_millis(50);

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
    /// A snapshot could not take the place of the data.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// How a member ended that was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// For good.
    Stopped,
    /// To be started again, since its data is another now.
    Restored,
}

/// Ends a member. Copies end the same one.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    inner: Arc<(Mutex<Option<End>>, Condvar)>,
}

#[derive(Debug)]
enum End {
    Asked,
    Restore(Staged),
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

    /// Ends the member, whose data this snapshot replaces then.
    pub(crate) fn restore(&self, staged: Staged) {
        self.end(End::Restore(staged));
    }

    pub(crate) fn fail(&self, error: ServeError) {
        self.end(End::Failed(error));
    }

    fn end(&self, end: End) {
        self.inner.0.lock().get_or_insert(end);
        self.inner.1.notify_all();
    }

    /// Waits until the member is told to end.
    async fn asked(&self) {
        while self.inner.0.lock().is_none() {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn wait(&self) -> Result<Option<Staged>, ServeError> {
        let mut end = self.inner.0.lock();
        loop {
            match end.take() {
                Some(End::Asked) => return Ok(None),
                Some(End::Restore(staged)) => return Ok(Some(staged)),
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
pub fn serve(config: Config, options: Options, stop: &Stop) -> Result<Ended, ServeError> {
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
    let kept = config.clone();
    let result = run(config, options, stop, runtime.handle());
    end_runtime(runtime);
    match result? {
        None => Ok(Ended::Stopped),
        Some(staged) => {
            restore::swap(&kept, &staged)?;
            Ok(Ended::Restored)
        }
    }
}

fn end_runtime(runtime: Runtime) {
    runtime.shutdown_timeout(LAST_WORDS);
}

fn run(
    config: Config,
    options: Options,
    stop: &Stop,
    runtime: &Handle,
) -> Result<Option<Staged>, ServeError> {
    let monitors = http::open(&config.admin, stop, runtime);
    let mut opened = boot::open(&config, options.rejoin)?;
    let start = match &options.sidecar {
        Some(socket) => runtime.block_on(async {
            tokio::select! {
                start = ask_sidecar(&config, &opened, socket) => start.map(Some),
                () = stop.asked() => Ok(None),
            }
        })?,
        None => Some(start_alone(&config, &opened)?),
    };
    let Some(start) = start else {
        tracing::info!("ending before the start");
        return Ok(None);
    };
    let zab_boot = opened.boot(&config, start.ensemble, start.vote)?;
    let report = opened.report()?;
    let ports = Ports::open(&config, &zab_boot.config, options.listeners, runtime)?;
    let running = assembly::start(config, opened, zab_boot, start.cluster_id, stop, runtime)?;
    listen::start(&running, ports, runtime);
    monitors.get_or_init(|| running.shared.clone());
    if let Some(socket) = options.sidecar {
        let attended = Attended {
            shared: running.shared.clone(),
            log: running.log.clone(),
            stop: stop.clone(),
            socket,
            report,
        };
        let talk = sidecar::attend(attended, start.lines);
        vital::task(runtime, "sidecar", talk);
    }
    wait_for_end(running, stop)
}

fn wait_for_end(running: Running, stop: &Stop) -> Result<Option<Staged>, ServeError> {
    tracing::info!("started");
    let does_audit = running.shared.config.admin.audit;
    if does_audit {
        audit::member("serverStart", "success");
    }
    let result = stop.wait();
    tracing::info!("ending");
    if does_audit {
        audit::member("serverStop", "invoked");
    }
    running.end();
    result
}

/// How to start.
struct Start {
    ensemble: EnsembleConfig,
    cluster_id: Option<String>,
    vote: Vote,
    /// The connection to the sidecar that said so.
    lines: Option<Lines>,
}

fn start_alone(config: &Config, opened: &Opened) -> Result<Start, ServeError> {
    opened.refuse_parked()?;
    // Where the membership cannot change the file says who the members are, as in Apache.
    let stored = match config.access.reconfig {
        true => opened.disk.stored_config()?,
        false => None,
    };
    Ok(Start {
        ensemble: newer(stored, config.ensemble.clone()),
        cluster_id: opened.disk.cluster_id()?,
        vote: Vote::AsFound,
        lines: None,
    })
}

async fn ask_sidecar(config: &Config, opened: &Opened, socket: &Path) -> Result<Start, ServeError> {
    let stored = opened.disk.stored_config()?;
    let found = Found {
        member: config.id,
        report: opened.report()?,
        stored: stored.clone(),
    };
    let park = |reason: &str| opened.disk.marks.set(Mark::Parked, reason);
    let (plan, lines) = sidecar::ask(socket, &found, park).await;
    opened.disk.claim(&plan.cluster_id)?;
    Ok(Start {
        ensemble: newer(stored, plan.ensemble),
        cluster_id: Some(plan.cluster_id),
        vote: plan.vote,
        lines,
    })
}

fn newer(stored: Option<EnsembleConfig>, told: EnsembleConfig) -> EnsembleConfig {
    stored
        .filter(|stored| stored.version > told.version)
        .unwrap_or(told)
}
