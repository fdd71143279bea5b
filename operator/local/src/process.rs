//! One process, kept running: its log, its restarts, its end.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::folder::open_log;
use crate::tether;
use crate::world::{Container, ContainerState};

/// A process that ran this long is started again at once: it was not the start that failed.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// Wait before the second start in a row, doubled for each further one. Shorter than a
/// kubelet's ten seconds, because a person waits.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// Longest wait between two starts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// How a process is started.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// What `ps` and the messages call it.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Current folder of the process.
    pub(crate) folder: PathBuf,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) log: PathBuf,
    /// Locked by it while it lives.
    pub(crate) life: PathBuf,
}

/// How a process is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// From now to SIGKILL, the preStop hook included.
    pub(crate) grace: Duration,
    /// The preStop hook runs before SIGTERM.
    pub(crate) pre_stop: bool,
}

impl Recipe {
    /// Starts it.
    pub(crate) fn start(&self) -> io::Result<Child> {
        let log = open_log(&self.log)?;
        self.command(&log)?.spawn()
    }

    fn command(&self, log: &File) -> io::Result<Command> {
        let mut command = Command::new(&self.program);
        command
            .arg0(&self.name)
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(&self.folder)
            // A Ctrl-C in the terminal is the supervisor's to act on.
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?);
        tether::tie(&mut command, &self.life);
        Ok(command)
    }
}

/// Keeps a process running until `end` says how to end it. `report` hears of each change;
/// `pre_stop` is run before SIGTERM if the end asks for it.
pub(crate) async fn keep(
    recipe: &Recipe,
    pre_stop: Option<&Recipe>,
    mut end: watch::Receiver<Option<End>>,
    report: impl Fn(Container),
) {
    let mut container = Container::default();
    let mut backoff = Duration::ZERO;
    while end.borrow().is_none() {
        let started = Instant::now();
        let exit = match recipe.start() {
            Ok(mut child) => {
                container.state = ContainerState::Running {
                    pid: child.id().unwrap_or_default(),
                    since: Timestamp::now(),
                };
                report(container.clone());
                tokio::select! {
                    exit = child.wait() => describe(exit),
                    how = ending(&mut end) => {
                        stop(&mut child, &recipe.name, pre_stop, how).await;
                        break;
                    }
                }
            }
            Err(error) => format!("not started: {error}"),
        };
        let settled = started.elapsed() >= SETTLED_AFTER;
        backoff = if settled { Duration::ZERO } else { backoff };
        warn!(
            "{} ended: {exit}; it is started again {}; its log is {}",
            recipe.name,
            if backoff.is_zero() {
                "at once".to_owned()
            } else {
                format!("in {backoff:?}")
            },
            recipe.log.display()
        );
        container.state = ContainerState::Waiting;
        container.restarts += 1;
        container.last_exit = Some(exit);
        report(container.clone());
        tokio::select! {
            () = tokio::time::sleep(backoff) => {}
            _ = ending(&mut end) => {}
        }
        backoff = (backoff * 2).clamp(FIRST_BACKOFF, LONGEST_BACKOFF);
    }
    container.state = ContainerState::Ended;
    report(container);
}

/// Resolves when an end is asked for.
pub(crate) async fn ending(end: &mut watch::Receiver<Option<End>>) -> End {
    match end.wait_for(Option::is_some).await {
        Ok(how) => how.unwrap_or(End {
            grace: Duration::ZERO,
            pre_stop: false,
        }),
        // The supervisor is going down in disorder.
        Err(_) => End {
            grace: Duration::ZERO,
            pre_stop: false,
        },
    }
}

async fn stop(child: &mut Child, name: &str, pre_stop: Option<&Recipe>, how: End) {
    let deadline = tokio::time::Instant::now() + how.grace;
    if let Some(hook) = pre_stop.filter(|_| how.pre_stop) {
        let hooked = async {
            let ended = match hook.start() {
                Ok(mut running) => describe(running.wait().await),
                Err(error) => format!("not started: {error}"),
            };
            info!(process = name, hook = ended, "preStop");
        };
        tokio::select! {
            // Ended by itself, as a `stop` order does it.
            exit = child.wait() => return info!(process = name, exit = describe(exit), "ended"),
            _ = tokio::time::timeout_at(deadline, hooked) => {}
        }
    }
    signal(child, Signal::TERM);
    match tokio::time::timeout_at(deadline, child.wait()).await {
        Ok(exit) => info!(process = name, exit = describe(exit), "ended"),
        Err(_) => {
            warn!(
                process = name,
                "killed: it did not end within its grace period"
            );
            if let Err(error) = child.kill().await {
                warn!(process = name, %error, "kill");
            }
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    // The id is there until the child was waited for, so it is this child's.
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // A child that has just ended needs no signal.
        let _ = kill_process(pid, signal);
    }
}

fn describe(exit: io::Result<ExitStatus>) -> String {
    exit.map_or_else(|error| error.to_string(), |exit| exit.to_string())
}
