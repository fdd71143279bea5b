//! What a cluster made outside its folder, written down so that any later process can undo it.
//!
//! Things are written down before they are made, processes right after (they die with the one that
//! started them unless the cluster is kept). Undoing takes only what is written there, and a
//! process only if it is still the one that was meant: process ids come round.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::addresses::root;

/// What killed processes may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// A thing that outlives the process that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// A process, by id and by when it started.
    Process { pid: i32, start: u64 },
    /// A network interface.
    Link(String),
    /// A file that something is mounted on.
    Mount(PathBuf),
    /// A folder in a cgroup tree; what is below it is ours too.
    Cgroup(PathBuf),
}

/// The list of things made.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

impl Journal {
    /// Opens the journal of a cluster's folder.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("journal");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        Ok(Self { file })
    }

    /// Writes one thing down.
    pub(crate) fn note(&mut self, made: &Made) -> anyhow::Result<()> {
        writeln!(self.file, "{}", line(made)).context("the journal")
    }

    /// Writes down a process that was just started.
    pub(crate) fn note_process(&mut self, pid: i32) -> anyhow::Result<()> {
        let start = start_of(pid).with_context(|| format!("process {pid} ended at once"))?;
        self.note(&Made::Process { pid, start })
    }
}

/// Undoes everything that the journal of `folder` names, then removes the folder.
pub(crate) fn undo(folder: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(folder.join("journal")).unwrap_or_default();
    let made: Vec<Made> = text.lines().filter_map(parse).collect();
    for thing in &made {
        if let Made::Process { pid, start } = *thing {
            kill(pid, start);
        }
    }
    let deadline = Instant::now() + GONE_WITHIN;
    while made.iter().any(is_running) {
        ensure!(
            Instant::now() < deadline,
            "killed processes of {} go on",
            folder.display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    for thing in made.iter().rev() {
        match thing {
            Made::Process { .. } => {}
            Made::Link(name) => remove_link(name)?,
            Made::Mount(path) => remove_mount(path)?,
            Made::Cgroup(path) => remove_cgroup(path)?,
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").context("mounts")?;
    let below = format!(" {}/", folder.display());
    ensure!(
        !mounts.contains(&below),
        "something is still mounted below {}",
        folder.display()
    );
    std::fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))
}

/// Writes down a folder of cgroups that clusters share; the last one takes it away.
pub(crate) fn note_shared(cgroup: &Path) -> anyhow::Result<()> {
    let file = File::options().create(true).append(true).open(shared());
    let mut file = file.context("the list of shared folders")?;
    writeln!(file, "{}", cgroup.display()).context("the list of shared folders")
}

/// Takes away what clusters shared, if nothing else is left of any.
pub(crate) fn undo_shared() {
    let others =
        std::fs::read_dir(root()).map(|all| all.flatten().any(|one| one.path() != shared()));
    if !matches!(others, Ok(false)) {
        return;
    }
    let text = std::fs::read_to_string(shared()).unwrap_or_default();
    for cgroup in text.lines().rev() {
        // Stays if somebody else has put something there.
        let _ = std::fs::remove_dir(cgroup);
    }
    let _ = std::fs::remove_file(shared());
    let _ = std::fs::remove_dir(root());
}

fn shared() -> PathBuf {
    root().join("shared-cgroups")
}

/// Whether a process that the journal of `folder` names is running.
pub(crate) fn has_processes(folder: &Path) -> bool {
    let text = std::fs::read_to_string(folder.join("journal")).unwrap_or_default();
    text.lines().filter_map(parse).any(|made| is_running(&made))
}

/// When a process started, in ticks since the machine did; `None` if there is none or it is dead
/// and only waits for its parent.
pub(crate) fn start_of(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    (!matches!(fields.first(), Some(&"Z" | &"X"))).then(|| fields.get(19)?.parse().ok())?
}

/// Kills a process if it is the one that is meant.
pub(crate) fn kill(pid: i32, start: u64) {
    let Some(id) = Pid::from_raw(pid) else {
        return;
    };
    // The descriptor is taken first: it stays with the process that is looked at.
    let Ok(process) = pidfd_open(id, PidfdFlags::empty()) else {
        return;
    };
    if start_of(pid) == Some(start) {
        let _ = pidfd_send_signal(&process, Signal::KILL);
    }
}

fn is_running(made: &Made) -> bool {
    matches!(made, Made::Process { pid, start } if start_of(*pid) == Some(*start))
}

fn line(made: &Made) -> String {
    match made {
        Made::Process { pid, start } => format!("process {pid} {start}"),
        Made::Link(name) => format!("link {name}"),
        Made::Mount(path) => format!("mount {}", path.display()),
        Made::Cgroup(path) => format!("cgroup {}", path.display()),
    }
}

fn parse(line: &str) -> Option<Made> {
    let (kind, rest) = line.split_once(' ')?;
    match kind {
        "process" => {
            let (pid, start) = rest.split_once(' ')?;
            Some(Made::Process {
                pid: pid.parse().ok()?,
                start: start.parse().ok()?,
            })
        }
        "link" => Some(Made::Link(rest.to_owned())),
        "mount" => Some(Made::Mount(rest.into())),
        "cgroup" => Some(Made::Cgroup(rest.into())),
        _ => None,
    }
}

fn remove_link(name: &str) -> anyhow::Result<()> {
    if !Path::new("/sys/class/net").join(name).exists() {
        return Ok(());
    }
    let output = Command::new("ip").args(["link", "delete", name]).output();
    output.context("start ip")?;
    ensure!(
        !Path::new("/sys/class/net").join(name).exists(),
        "the network interface {name} cannot be removed"
    );
    Ok(())
}

fn remove_mount(path: &Path) -> anyhow::Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").context("mounts")?;
    if mounts.contains(&format!(" {} ", path.display())) {
        rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH)
            .with_context(|| format!("unmount {}", path.display()))?;
    }
    Ok(())
}

fn remove_cgroup(path: &Path) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry.with_context(|| path.display().to_string())?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path())?;
        }
    }
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        match std::fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            // The kernel frees a cgroup a moment after its last process has ended.
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("remove {}", path.display()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
