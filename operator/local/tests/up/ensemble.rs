//! An `up` under test.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use local::remote::Remote;
use local::world::{ContainerState, Pod, Request, World};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Longest wait for anything: a machine busy with other tests is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// A manifest of one ensemble.
pub(crate) fn manifest(name: &str, replicas: u32, size: &str) -> String {
    format!(
        "apiVersion: ferrokeeper.io/v1alpha1\nkind: ZooKeeperCluster\nmetadata:\n  name: {name}\n\
         spec:\n  replicas: {replicas}\n  storage:\n    size: {size}\n"
    )
}

/// A running `local up`; killed when dropped.
pub(crate) struct Up {
    child: Child,
    state: PathBuf,
    manifest: PathBuf,
    _folder: tempfile::TempDir,
    output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    runtime: tokio::runtime::Runtime,
}

impl Up {
    /// With servers that only speak the control protocol.
    pub(crate) fn start(state: &Path, text: &str) -> Self {
        let server = Path::new(env!("CARGO_BIN_EXE_local")).with_file_name("examples/fake_server");
        // Cargo builds it with all tests, but not with one test by name.
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/fake_server.rs");
        let changed = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
        assert!(
            changed(&server) >= changed(Path::new(source)),
            "build it with `cargo build -p local --examples`"
        );
        Self::spawn(state, text, Some(&server))
    }

    /// With the servers that users get.
    pub(crate) fn start_genuine(state: &Path, text: &str) -> Self {
        Self::spawn(state, text, None)
    }

    fn spawn(state: &Path, text: &str, server: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let manifest = folder.path().join("ensemble.yaml");
        fs::write(&manifest, text).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
        command
            .arg("up")
            .arg(&manifest)
            .arg("--state")
            .arg(state)
            .arg("--allow-faults");
        if let Some(server) = server {
            command.arg("--server-program").arg(server);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let output = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            gather(child.stdout.take().expect("piped"), Arc::clone(&output)),
            gather(child.stderr.take().expect("piped"), Arc::clone(&output)),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Self {
            child,
            state: state.to_owned(),
            manifest,
            _folder: folder,
            output,
            readers,
            runtime: runtime.expect("a runtime"),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Replaces the manifest.
    pub(crate) fn change(&self, text: &str) {
        fs::write(&self.manifest, text).expect("written");
    }

    /// What the supervisor answers; panics if it refuses.
    pub(crate) fn ask(&self, request: &Request) -> World {
        let mut world = None;
        eventually("the supervisor answers", || {
            world = self.try_ask(request);
            world.is_some()
        });
        world.expect("an answer")
    }

    fn try_ask(&self, request: &Request) -> Option<World> {
        // Only the client is made here; a provider that is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let remote = Remote::new(&self.state).expect("a client");
        self.runtime.block_on(remote.ask(request)).ok()
    }

    /// Waits until the world is as wanted.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&World) -> bool) -> World {
        let mut found = None;
        let deadline = Instant::now() + PATIENCE;
        while found.is_none() {
            found = self.try_ask(&Request::Observe).filter(&wanted);
            if Instant::now() > deadline {
                let status = self.try_ask(&Request::Observe).map(|w| w.ensemble.status);
                panic!("waited in vain until {what}\n{}\n{status:#?}", self.said());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        found.expect("found")
    }

    /// Waits until so many members serve.
    pub(crate) fn ready(&self, members: usize) -> World {
        self.until("all members serve", |world| {
            says_ready(world)
                && world.pods.values().filter(|pod| pod.probe.ready).count() == members
        })
    }

    /// Kills the operator so long after its start, and its successor too.
    pub(crate) fn kill_operator_twice(&self, after: Duration) {
        for killed in 0..2 {
            let runs = |world: &World| {
                let operator = &world.operator;
                let running = matches!(operator.state, ContainerState::Running { .. });
                running && operator.restarts == killed
            };
            let world = self.until("the operator runs", runs);
            let ContainerState::Running { pid, .. } = world.operator.state else {
                panic!("it does not")
            };
            // Not to wait for anything: the moment of the kill is what is varied.
            std::thread::sleep(after);
            kill(pid);
        }
    }

    /// What clients are given.
    pub(crate) fn connection_string(&self) -> String {
        let status = self
            .ask(&Request::Observe)
            .ensemble
            .status
            .expect("a status");
        status.connection_string.expect("a connection string")
    }

    /// Process of the server that leads.
    pub(crate) fn leader(&self) -> u32 {
        let leads = |pod: &Pod| pod.probe.role.as_deref() == Some("leader");
        let world = self.until("somebody leads", |world| world.pods.values().any(leads));
        let pod = world
            .pods
            .values()
            .find(|pod| leads(pod))
            .expect("one leads");
        let ContainerState::Running { pid, .. } = pod.server.state else {
            panic!("a leader that does not run")
        };
        pid
    }

    /// Waits until something is printed.
    pub(crate) fn printed(&self, text: &str) {
        eventually(text, || self.said().contains(text));
    }

    fn said(&self) -> String {
        self.output.lock().expect("not poisoned").clone()
    }

    /// Every process that it started.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let world = self.ask(&Request::Observe);
        let pods = world
            .pods
            .values()
            .flat_map(|pod| [&pod.sidecar, &pod.server]);
        let states = pods
            .chain([&world.operator])
            .map(|container| container.state.clone());
        states
            .filter_map(|state| match state {
                ContainerState::Running { pid, .. } => Some(pid),
                _ => None,
            })
            .collect()
    }

    /// The servers' processes.
    pub(crate) fn servers(world: &World) -> Vec<u32> {
        let running = |pod: &Pod| match pod.server.state {
            ContainerState::Running { pid, .. } => Some(pid),
            _ => None,
        };
        world.pods.values().filter_map(running).collect()
    }

    /// What happened to each member's server, in order.
    pub(crate) fn events(&self) -> Vec<Vec<String>> {
        let world = self.ask(&Request::Observe);
        let volumes = world
            .pods
            .values()
            .map(|pod| self.state.join("volumes").join(&pod.volume));
        volumes.map(|volume| events_in(&volume)).collect()
    }

    /// Ctrl-C, then as [`Up::wait`].
    pub(crate) fn interrupt(self) -> (Option<i32>, String) {
        signal(self.pid(), Signal::INT);
        self.wait()
    }

    /// Waits for its end; answers its exit code and everything that it printed.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let mut exit = None;
        eventually("it ends", || {
            exit = self.child.try_wait().expect("waited for");
            exit.is_some()
        });
        for reader in self.readers.drain(..) {
            reader.join().expect("read to the end");
        }
        (exit.and_then(|exit| exit.code()), self.said())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the members' servers noted on a volume, without the times.
pub(crate) fn events_in(volume: &Path) -> Vec<String> {
    let text = fs::read_to_string(volume.join("data/events")).unwrap_or_default();
    text.lines()
        .filter_map(|line| Some(line.split_once(' ')?.1.to_owned()))
        .collect()
}

/// When each member's server last ended, by ordinal.
pub(crate) fn ended_at(state: &Path) -> Vec<(usize, u128)> {
    let ended = |ordinal: usize| {
        let path = state.join(format!("volumes/data-demo-{ordinal}/data/events"));
        let text = fs::read_to_string(path).ok()?;
        let (at, _) = text
            .lines()
            .rfind(|line| line.ends_with("ended"))?
            .split_once(' ')?;
        Some((ordinal, at.parse().ok()?))
    };
    (0..3).filter_map(ended).collect()
}

/// Whether a condition has this reason.
pub(crate) fn says(world: &World, reason: &str) -> bool {
    let status = world.ensemble.status.as_ref();
    status.is_some_and(|s| {
        s.conditions
            .iter()
            .any(|c| format!("{:?}", c.reason) == reason)
    })
}

fn says_ready(world: &World) -> bool {
    use api::{ConditionStatus, ConditionType};
    let status = world.ensemble.status.as_ref();
    let ready =
        |c: &api::Condition| c.type_ == ConditionType::Ready && c.status == ConditionStatus::True;
    status.is_some_and(|status| status.conditions.iter().any(ready))
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Waits until it holds, with a limit.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// As a process that hangs.
pub(crate) fn freeze(pid: u32) {
    signal(pid, Signal::STOP);
}

fn signal(pid: u32, signal: Signal) {
    kill_process(process(pid), signal).expect("it runs");
}

/// Whether there is such a process that has not ended: a zombie that nobody has waited for yet
/// has.
pub(crate) fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let zombie = stat
        .rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('Z'));
    test_kill_process(process(pid)).is_ok() && !zombie
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("not zero")
}

fn gather(from: impl std::io::Read + Send + 'static, to: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut output = to.lock().expect("not poisoned");
            output.push_str(&line);
            output.push('\n');
        }
    })
}
