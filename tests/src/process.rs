//! A process that a test started: its log, its end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A running program. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program whose output goes to the end of `log`.
    ///
    /// # Errors
    /// If the log cannot be written or the program not started.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let out = File::options().create(true).append(true).open(log);
        let out = out.with_context(|| format!("open {}", log.display()))?;
        let error = out.try_clone().context("share the log")?;
        command.stdin(Stdio::null()).stdout(out).stderr(error);
        Self::redirected(command, log)
    }

    /// Starts a program whose input and output are redirected already; `log` is where to look
    /// when it goes wrong.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn redirected(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let child = command.spawn();
        Ok(Self {
            child: child.with_context(|| format!("start {command:?}"))?,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If the process is no more.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("signal {}", self.id()))
    }

    /// Waits for its end, at most `limit`.
    ///
    /// # Errors
    /// If it goes on.
    pub fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().context("ask for the exit status")? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!(
                    "process {} did not end in {limit:?}, see {}",
                    self.id(),
                    self.log.display()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it as power loss would, and waits.
    ///
    /// # Errors
    /// If it cannot be ended.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().context("kill")?;
        self.child.wait().context("wait")?;
        Ok(())
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
