//! How the processes of one state folder end with their supervisor, whatever ends it.
//!
//! A child asks the kernel to be killed when its parent dies, then looks whether the parent had
//! died already. While it lives it holds a shared lock on a file of the state folder; a new
//! supervisor takes that lock alone before it starts anything, which proves that no process of an
//! earlier one is left.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use tokio::process::Command;

/// Tells a child which process must be its parent.
const PARENT: &str = "FERROKEEPER_PARENT";

/// Tells a child which file to hold locked.
const LIFE: &str = "FERROKEEPER_LIFE";

/// How long processes of a supervisor that was killed may take to end. They are killed by the
/// kernel, so only a disk that hangs makes this long.
const PREDECESSORS_END_WITHIN: Duration = Duration::from_secs(10);

/// Has `command` start a child that ends with this process. It must be started from the main
/// thread: the kernel's notice is bound to the thread, not to the process.
pub fn tie(command: &mut Command, life: &Path) {
    command
        .env(PARENT, getpid().as_raw_nonzero().to_string())
        .env(LIFE, life);
}

/// The child's part, to be called first in `main`: returns what must be held while it lives, or
/// `None` if this process was started by hand.
///
/// # Errors
/// If the parent is gone already.
pub fn hold() -> anyhow::Result<Option<File>> {
    let Ok(parent) = std::env::var(PARENT) else {
        return Ok(None);
    };
    let parent: i32 = parent.parse().context(PARENT)?;
    set_parent_process_death_signal(Some(Signal::KILL)).context("parent-death signal")?;
    if getppid() != Pid::from_raw(parent) {
        bail!("the supervisor ended");
    }
    let path = std::env::var_os(LIFE).context(LIFE)?;
    let life = File::open(&path).with_context(|| format!("{}", Path::new(&path).display()))?;
    life.lock_shared().context("lock on the state folder")?;
    Ok(Some(life))
}

/// Returns when no process of an earlier supervisor is left.
///
/// # Errors
/// If one does not end.
pub fn await_predecessors(life: &Path) -> anyhow::Result<()> {
    let file = File::create(life).with_context(|| life.display().to_string())?;
    let deadline = Instant::now() + PREDECESSORS_END_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(std::fs::TryLockError::WouldBlock) => bail!(
                "processes of an earlier `cargo up` on this state folder are still alive; see \
                 `fuser {}`",
                life.display()
            ),
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(error).context("lock on the state folder");
            }
        }
    }
}
