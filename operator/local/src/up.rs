//! `up`: runs a manifest on this machine until it is told to end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use api::{Invalid, ZooKeeperCluster, validate_manifest, validate_update};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::folder::{self, Folder};
use crate::pod::Programs;
use crate::show::say;
use crate::supervisor::{Supervisor, own_program};
use crate::world::World;
use crate::{remote, show, tether};

/// The example that is run when no file is named.
const EXAMPLE: &str = include_str!("../examples/three.yaml");

/// How often the manifest is looked at for a change.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Run a ZooKeeperCluster manifest on this machine, without Kubernetes.
///
/// Starts the ensemble's members as processes, prints where clients connect and who leads, and
/// keeps it as the manifest says: when the file changes the ensemble follows, and a member that
/// is killed comes back. Ctrl-C ends all processes and keeps the data; the next `up` with the
/// same state folder finds the same ensemble on the same ports.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo up                                  the three-member example
  cargo up my-ensemble.yaml                 another manifest
  cargo up my.yaml --state /tmp/second      a second ensemble beside the first
  cargo run --release -p local -- status    what the running ensemble looks like

The state folder holds volumes/ (the members' data), logs/ (one file for each process) and
world.json (the resource with its status). Removing the folder removes the ensemble.")]
pub struct Up {
    /// The manifest; an example with three members if left out.
    pub file: Option<PathBuf>,
    /// Folder for data, logs and everything else; `.state` at the top of the repository if left
    /// out.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE, hide_default_value = true)]
    pub state: PathBuf,
    /// Another server's program, started as `PROGRAM serve zoo.cfg --sidecar SOCKET`.
    #[arg(long, value_name = "PROGRAM", hide = true)]
    pub server_program: Option<PathBuf>,
    /// Let clients of the supervisor's socket make it misbehave.
    #[arg(long, hide = true)]
    pub allow_faults: bool,
}

/// `.state` at the top of the repository, wherever in it `cargo up` is called.
pub const DEFAULT_STATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.state");

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The manifest is not valid.
    #[error("{file} is not a valid ZooKeeperCluster:{}", list(.wrong))]
    Invalid {
        /// The manifest.
        file: String,
        /// All that is wrong with it.
        wrong: Vec<Invalid>,
    },
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

fn list(wrong: &[Invalid]) -> String {
    wrong
        .iter()
        .map(|invalid| format!("\n  {invalid}"))
        .collect()
}

/// Runs until Ctrl-C or SIGTERM.
///
/// # Errors
/// If nothing could be started, or the state folder fails while it runs.
pub async fn up(arguments: Up) -> Result<(), UpError> {
    let file = match &arguments.file {
        Some(file) => Some(
            file.canonicalize()
                .with_context(|| format!("manifest {}", file.display()))?,
        ),
        None => None,
    };
    let manifest = Manifest { file };
    let text = manifest
        .read()
        .with_context(|| format!("manifest {}", manifest.name()))?;
    // Judged before anything is made: a typing error must not leave a folder behind.
    manifest.judge(None, &text)?;
    let programs = programs(&arguments)?;
    let folder = Folder::take(&arguments.state, &manifest.name())?;
    let root = folder.root().to_owned();
    tether::await_predecessors(Path::new("life"))?;
    let old = folder::read_json::<World>(Path::new("world.json"))?;
    let resource = manifest.judge(old.as_ref().map(|world| &world.ensemble), &text)?;

    say_hello(&manifest, &root, old.is_some());
    let supervisor = Supervisor::open(folder, resource.clone(), programs, arguments.allow_faults)?;
    let worlds = supervisor.watch();
    let (ask, asked) = mpsc::channel(16);
    let (changes, changed) = mpsc::channel(1);
    let (end, mut ending) = watch::channel(false);
    let (shown, kept) = (worlds.clone(), root.clone());
    tokio::spawn(async move { show::follow(shown, &kept).await });
    tokio::spawn(manifest.follow(worlds, text, changes));
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        end.send_replace(true);
        let kept = root.display();
        say(format_args!(
            "\nending all processes, the leader last; the data stays in {kept}"
        ));
        // One press may arrive as two signals.
        tokio::time::sleep(Duration::from_secs(1)).await;
        while tokio::time::timeout(Duration::ZERO, signals.next())
            .await
            .is_ok()
        {}
        signals.next().await;
        say("killing what is left");
        // The children die with their parent.
        std::process::exit(130);
    });
    let serving = async {
        match remote::serve(ask).await {
            Err(error) => Err(error.context("the supervisor's socket")),
            Ok(()) => Ok(()),
        }
    };
    let shutdown = async move { drop(ending.wait_for(|end| *end).await) };
    let running = supervisor.run(asked, changed, shutdown);
    tokio::select! {
        ended = running => ended?,
        failed = serving => failed?,
    }
    say("all processes have ended");
    Ok(())
}

fn say_hello(manifest: &Manifest, root: &Path, again: bool) {
    let found = if again {
        "found an ensemble there"
    } else {
        "a new ensemble"
    };
    say(format_args!(
        "running {} on this machine; state in {} ({found}); Ctrl-C ends it and keeps the data",
        manifest.name(),
        root.display()
    ));
}

fn programs(arguments: &Up) -> anyhow::Result<Programs> {
    let own = own_program();
    Ok(match &arguments.server_program {
        None => Programs {
            server: own.clone(),
            own,
            server_arguments: vec!["server".into()],
        },
        Some(program) => {
            let server = program
                .canonicalize()
                .with_context(|| format!("server program {}", program.display()))?;
            Programs {
                own,
                server,
                server_arguments: Vec::new(),
            }
        }
    })
}

/// Ctrl-C, SIGTERM, and the terminal that closes.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn next(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Where the resource comes from.
#[derive(Clone, Debug)]
struct Manifest {
    /// The example, if absent.
    file: Option<PathBuf>,
}

impl Manifest {
    fn name(&self) -> String {
        match &self.file {
            Some(file) => file.display().to_string(),
            None => "the three-member example".into(),
        }
    }

    fn read(&self) -> io::Result<String> {
        match &self.file {
            Some(file) => fs::read_to_string(file),
            None => Ok(EXAMPLE.into()),
        }
    }

    /// Parses it, as a change of `old` if there is one.
    fn judge(
        &self,
        old: Option<&ZooKeeperCluster>,
        text: &str,
    ) -> Result<ZooKeeperCluster, UpError> {
        let invalid = |wrong| UpError::Invalid {
            file: self.name(),
            wrong,
        };
        let Some(old) = old else {
            return validate_manifest(text).map_err(invalid);
        };
        let resource = validate_update(old, text).map_err(invalid)?;
        if resource.metadata.name != old.metadata.name {
            let name = |r: &ZooKeeperCluster| r.metadata.name.clone().unwrap_or_default();
            let why = format!(
                "is {:?}, and this state folder holds {:?}; give this one another folder with \
                 --state",
                name(&resource),
                name(old)
            );
            return Err(invalid(vec![Invalid::new("metadata.name", why)]));
        }
        Ok(resource)
    }

    /// Sends the resource each time that the file has changed and is valid.
    async fn follow(
        self,
        worlds: watch::Receiver<Arc<World>>,
        mut last: String,
        changes: mpsc::Sender<ZooKeeperCluster>,
    ) {
        let Some(file) = &self.file else { return };
        // It may have changed since it was first read.
        let mut seen = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = modified(file);
            if now == seen {
                continue;
            }
            seen = now;
            let Ok(text) = self.read() else {
                say(format_args!(
                    "{} cannot be read; the ensemble stays as it was",
                    self.name()
                ));
                continue;
            };
            if text == last {
                continue;
            }
            let old = worlds.borrow().ensemble.clone();
            match self.judge(Some(&old), &text) {
                Ok(resource) => {
                    say(format_args!("{} has changed", self.name()));
                    if changes.send(resource).await.is_err() {
                        return;
                    }
                }
                Err(error) => say(format_args!("{error}\nthe ensemble stays as it was")),
            }
            last = text;
        }
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|found| found.modified()).ok()
}
