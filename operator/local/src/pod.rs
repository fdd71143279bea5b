//! One pod: a sidecar and a server on one volume, started and ended in order.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use ferrokeeper_operator::authority::Holder;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

use crate::authority::Authority;
use crate::process::{End, Recipe, ending, keep};
use crate::world::{Container, Ports, Probe, Template, World};

/// A sidecar has nothing to finish.
const SIDECAR_GRACE: Duration = Duration::from_secs(2);

/// How often the server's readiness is asked for.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// A probe without an answer by then has failed.
const PROBE_WITHIN: Duration = Duration::from_secs(1);

/// The control socket, seen from the pod's folder.
const SOCKET: &str = "sidecar.sock";

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Operator(Container),
    Sidecar(String, Container),
    Server(String, Container),
    Probed(String, Probe),
    /// All its processes have ended.
    Gone(String),
}

/// How the parts are started: this binary, starting itself again, or another server.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) own: PathBuf,
    pub(crate) server: PathBuf,
    pub(crate) server_arguments: Vec<String>,
}

/// Everything that a pod is made from.
#[derive(Clone, Debug)]
pub(crate) struct Blueprint {
    name: String,
    folder: PathBuf,
    ports: Ports,
    sidecar: Recipe,
    server: Recipe,
    hook: Recipe,
}

impl Blueprint {
    /// For the pod of this name; `None` if the world lacks something it needs.
    pub(crate) fn of(world: &World, name: &str, root: &Path, programs: &Programs) -> Option<Self> {
        let pod = world.pods.get(name)?;
        let template = &world.sets.get(&pod.member.kind())?.template;
        let ports = *world.ports.get(&pod.member)?;
        let folder = root.join("members").join(name);
        let volume = root.join("volumes").join(&pod.volume);
        let recipe = |part: &str, program: &Path, arguments: Vec<String>| Recipe {
            name: format!("{name} {part}"),
            program: program.to_owned(),
            arguments,
            folder: folder.clone(),
            environment: Vec::new(),
            log: root.join("logs").join(format!("{name}-{part}.log")),
            life: root.join("life"),
        };
        let text = |text: &str| text.to_owned();
        let sidecar_arguments = vec![
            text("sidecar"),
            format!("--member={}", pod.member),
            format!("--ensemble={}", world.uid()),
            format!("--volume={}", volume.display()),
            format!("--socket={SOCKET}"),
            format!("--orders=127.0.0.1:{}", ports.orders),
            format!("--plain=127.0.0.1:{}", ports.plain),
            text("--certificates=certificates"),
        ];
        let mut sidecar = recipe("sidecar", &programs.own, sidecar_arguments);
        sidecar.environment = vec![(
            text("FERROKEEPER_ZOO_CFG"),
            zoo_cfg(world, template, ports.admin),
        )];
        let mut server_arguments = programs.server_arguments.clone();
        server_arguments.extend(["serve", "zoo.cfg", "--sidecar", SOCKET].map(text));
        if template.log_json {
            server_arguments.push(text("--log-format=json"));
        }
        let mut server = recipe("server", &programs.server, server_arguments);
        server.environment = vec![(text("RUST_LOG"), template.log_level.clone())];
        if template.log_json {
            server
                .environment
                .push((text("FERROKEEPER_LOG_FORMAT"), text("json")));
        }
        // The server keeps ten seconds of its grace for itself.
        let seconds = template.grace_seconds.saturating_sub(10).max(1);
        let hook_arguments = vec![
            text("pre-stop"),
            format!("--socket={SOCKET}"),
            format!("--seconds={seconds}"),
        ];
        Some(Self {
            hook: recipe("sidecar", &programs.own, hook_arguments),
            name: name.to_owned(),
            sidecar,
            server,
            folder,
            ports,
        })
    }

    /// Makes the pod's folder and the sidecar's certificates; the rest is the sidecar's to make.
    pub(crate) fn prepare(&self, authority: &Authority) -> anyhow::Result<()> {
        let certificates = self.folder.join("certificates");
        std::fs::create_dir_all(&certificates)
            .with_context(|| certificates.display().to_string())?;
        authority.issue(
            &certificates,
            Holder::Sidecar(std::slice::from_ref(&self.name)),
        )
    }

    /// Runs the pod until it is ended; its last event is [`Event::Gone`].
    pub(crate) async fn run(
        self,
        end: watch::Receiver<Option<End>>,
        events: mpsc::UnboundedSender<Event>,
    ) {
        // Nobody listens any more only when the supervisor itself ends.
        let tell = |event| drop(events.send(event));
        let (end_sidecar, sidecar_ends) = watch::channel(None);
        let sidecar = keep(&self.sidecar, None, sidecar_ends, |state| {
            tell(Event::Sidecar(self.name.clone(), state));
        });
        let mut early = end.clone();
        let server = async {
            tokio::select! {
                () = self.sidecar_listens() => {
                    keep(&self.server, Some(&self.hook), end, |state| {
                        tell(Event::Server(self.name.clone(), state));
                    })
                    .await;
                }
                _ = ending(&mut early) => {}
            }
            end_sidecar.send_replace(Some(End {
                grace: SIDECAR_GRACE,
                pre_stop: false,
            }));
        };
        tokio::select! {
            _ = async { tokio::join!(sidecar, server) } => {}
            () = self.probe(|found| tell(Event::Probed(self.name.clone(), found))) => {}
        }
        tell(Event::Gone(self.name.clone()));
    }

    /// As a native sidecar's startupProbe: its socket accepts.
    async fn sidecar_listens(&self) {
        // Relative to the state folder, which is the current one: a socket's path must be short.
        let socket = Path::new("members").join(&self.name).join(SOCKET);
        while UnixStream::connect(&socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Reports what the server's probe finds, for ever.
    async fn probe(&self, report: impl Fn(Probe)) {
        loop {
            tokio::time::sleep(PROBE_EVERY).await;
            report(probe(self.ports.plain).await.unwrap_or_default());
        }
    }
}

/// The server's settings, the first members among them.
fn zoo_cfg(world: &World, template: &Template, admin: u16) -> String {
    let own = [
        "admin.serverAddress=127.0.0.1".to_owned(),
        format!("admin.serverPort={admin}"),
    ];
    let members = world.addresses().map(|(id, a)| a.line(id, id.kind()));
    let lines = template.settings.iter().cloned().chain(own).chain(members);
    lines.map(|line| line + "\n").collect()
}

/// What `/ready` on the sidecar's plain port says. Small enough not to need a client.
async fn probe(port: u16) -> io::Result<Probe> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let asked = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /ready HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.take(4096).read_to_string(&mut answer).await?;
        let (head, role) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let ready = head.split(' ').nth(1) == Some("200");
        let role = role.trim();
        // Anything else is a sentence about a server that does not run.
        let is_role = !role.is_empty() && role.bytes().all(|byte| byte.is_ascii_lowercase());
        let role = is_role.then(|| role.to_owned());
        Ok(Probe { ready, role })
    };
    tokio::time::timeout(PROBE_WITHIN, asked).await?
}
