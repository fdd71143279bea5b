//! A Kubernetes that is started for tests: every part is the genuine one.
//!
//! Start with [`Cluster::start`]. The control plane runs as plain processes on the address of a
//! bridge of its own, nodes in namespaces (`node`); `journal` says how nothing is left behind.
//!
//! Invariants: what a cluster makes outside its folder is in its journal; a cluster's number is
//! taken by who holds its lock, or kept by processes that still run; all traffic stays on the
//! cluster's bridge and the routes through it.

pub(crate) mod addresses;
mod base;
mod control;
pub(crate) mod journal;
pub(crate) mod node;
mod pki;
pub(crate) mod volumes;

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod};
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::images::Images;
use crate::programs::{Programs, output};
use addresses::{Addresses, CLUSTERS, root};
use journal::{Journal, Made};
use node::Node;
use pki::Pki;

/// What a start may take. Five to ten seconds on an idle machine; up to eighty-five were seen on a
/// busy one.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// How often conditions are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A running cluster. Gone when dropped, unless it is kept.
pub(crate) struct Cluster {
    addresses: Addresses,
    programs: Programs,
    nodes: Vec<Node>,
    /// The control plane's processes.
    parts: Vec<(&'static str, u32)>,
    client: Client,
    keep: bool,
    undo: Undo,
}

/// Takes a cluster away when it is dropped.
struct Undo {
    addresses: Addresses,
    keep: bool,
    /// Held while the cluster is ours, or while it is taken away.
    lock: Option<File>,
}

impl Cluster {
    /// Starts a cluster of `nodes` nodes, and waits until it takes pods.
    pub(crate) async fn start(
        programs: &Programs,
        images: &Images,
        nodes: u8,
        keep: bool,
    ) -> anyhow::Result<Self> {
        let started = Instant::now();
        let (addresses, lock) = take()?;
        let folder = addresses.folder();
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let undo = Undo {
            addresses,
            keep: false,
            lock: Some(lock),
        };
        let mut journal = Journal::open(&folder)?;
        let pki = Pki::make(addresses, nodes)?;
        let kubeconfig = folder.join("kubeconfig");
        let server = control::server(addresses);
        pki.kubeconfig("admin", &kubeconfig, &server)?;
        for name in ["controllers", "scheduler"] {
            pki.kubeconfig(name, &folder.join(format!("{name}.kubeconfig")), &server)?;
        }
        bridge(addresses, &mut journal)?;
        let mut parts = Vec::new();
        let mut start = |name: &'static str, program: &Path, arguments: Vec<String>| {
            let pid = start(name, program, &arguments, &folder, keep, &mut journal)?;
            parts.push((name, pid));
            anyhow::Ok(())
        };
        control::write_audit_policy(&folder).context("the audit policy")?;
        start("etcd", &programs.get("etcd"), control::etcd(addresses))?;
        let apiserver = control::apiserver(addresses, &pki);
        start("kube-apiserver", &programs.get("kube-apiserver"), apiserver)?;
        let client = client(&kubeconfig).await?;
        let mut prepared = Vec::new();
        for number in 1..=nodes {
            let node = Node::prepare(
                addresses,
                number,
                nodes,
                &pki,
                programs.folder(),
                &mut journal,
            )?;
            prepared.push(node);
        }
        node::run(&format!(
            "ip route add {} via {}",
            addresses.services(),
            addresses.node(1)
        ))?;
        let mut cluster = Self {
            addresses,
            programs: programs.clone(),
            nodes: prepared,
            parts,
            client,
            keep,
            undo,
        };
        let outcome = cluster.run_parts(&pki, images, started).await;
        if outcome.is_err() {
            eprintln!("{}", ends_of_logs(&folder));
        }
        outcome.context("start a cluster")?;
        cluster.undo.keep = keep;
        Ok(cluster)
    }

    async fn run_parts(
        &mut self,
        pki: &Pki,
        images: &Images,
        started: Instant,
    ) -> anyhow::Result<()> {
        let addresses = self.addresses;
        let folder = addresses.folder();
        let mut journal = Journal::open(&folder)?;
        for node in &self.nodes {
            let words = node.command();
            let (program, arguments) = words.split_first().context("a node's command")?;
            let name = node.name();
            let pid = start(
                &name,
                Path::new(program),
                arguments,
                &folder,
                self.keep,
                &mut journal,
            )?;
            let init = self.until_child(pid).await?;
            journal.note_process(init)?;
        }
        self.until("the API server is ready", READY_WITHIN, async || {
            let ready = http::Request::get("/readyz")
                .body(Vec::new())
                .context("a request")?;
            Ok(self.client.request_text(ready).await.is_ok())
        })
        .await?;
        let keep = self.keep;
        let parts = &mut self.parts;
        let mut start = |name: &'static str, program: &Path, arguments: Vec<String>| {
            let pid = start(name, program, &arguments, &folder, keep, &mut journal)?;
            parts.push((name, pid));
            anyhow::Ok(())
        };
        let controllers = "kube-controller-manager";
        start(
            controllers,
            &self.programs.get(controllers),
            control::controllers(addresses, pki),
        )?;
        let scheduler = "kube-scheduler";
        start(
            scheduler,
            &self.programs.get(scheduler),
            control::scheduler(addresses),
        )?;
        // Not by its name: what is there may have been built anew since.
        let this = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
        let provision = vec!["--provision".to_owned(), folder.display().to_string()];
        start("volumes", &this, provision)?;
        for image in images.all() {
            self.import(&image.archive).await?;
        }
        let objects = base::objects(addresses, &images.coredns.reference).to_string();
        self.apply(&objects).await?;
        self.until_ready(self.nodes.len()).await?;
        println!(
            "Kubernetes with {} node(s) is ready after {:.1} s",
            self.nodes.len(),
            started.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// Waits for the only child of a process.
    async fn until_child(&self, pid: u32) -> anyhow::Result<i32> {
        let path = format!("/proc/{pid}/task/{pid}/children");
        let child = || -> Option<i32> {
            let text = std::fs::read_to_string(&path).ok()?;
            text.split_whitespace().next()?.parse().ok()
        };
        self.until("a node's first process runs", READY_WITHIN, async || {
            Ok(child().is_some())
        })
        .await?;
        child().context("a node ended at once")
    }

    async fn until_ready(&self, count: usize) -> anyhow::Result<()> {
        let nodes: Api<NodeObject> = Api::all(self.client());
        self.until("all nodes are ready", READY_WITHIN, async || {
            let nodes = nodes.list(&ListParams::default()).await?.items;
            Ok(nodes.iter().filter(|node| is_ready(node)).count() == count)
        })
        .await?;
        let pods: Api<Pod> = Api::namespaced(self.client(), "kube-system");
        self.until("CoreDNS is ready", READY_WITHIN, async || {
            let pods = pods
                .list(&ListParams::default().labels("k8s-app=kube-dns"))
                .await?;
            Ok(pods.items.iter().any(|pod| {
                let conditions = pod
                    .status
                    .as_ref()
                    .and_then(|status| status.conditions.as_ref());
                conditions.is_some_and(|all| {
                    all.iter()
                        .any(|one| one.type_ == "Ready" && one.status == "True")
                })
            }))
        })
        .await
    }

    /// Imports an image's archive into every node.
    pub(crate) async fn import(&self, archive: &Path) -> anyhow::Result<()> {
        for node in &self.nodes {
            self.until("containerd listens", READY_WITHIN, async || {
                Ok(output(node.ctr().arg("version")).await.is_ok())
            })
            .await?;
            output(node.ctr().args(["images", "import"]).arg(archive))
                .await
                .with_context(|| format!("import {}", archive.display()))?;
        }
        Ok(())
    }

    /// Has `kubectl` apply manifests.
    pub(crate) async fn apply(&self, manifests: &str) -> anyhow::Result<()> {
        let file = self.addresses.folder().join("applied.yaml");
        std::fs::write(&file, manifests).context("manifests")?;
        output(
            self.kubectl()
                .args(["apply", "--server-side", "-f"])
                .arg(&file),
        )
        .await?;
        Ok(())
    }

    /// `kubectl` for this cluster.
    pub(crate) fn kubectl(&self) -> tokio::process::Command {
        self.tool("kubectl")
    }

    /// A program of those that were built, for this cluster.
    pub(crate) fn tool(&self, name: &str) -> tokio::process::Command {
        let mut tool = tokio::process::Command::new(self.programs.get(name));
        tool.env("KUBECONFIG", self.kubeconfig());
        tool.kill_on_drop(true);
        tool
    }

    /// A client with all rights.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Which cluster of this machine it is.
    pub(crate) fn number(&self) -> u8 {
        self.addresses.cluster
    }

    /// For tools.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.addresses.folder().join("kubeconfig")
    }

    /// A file of the scenario's own making.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.addresses.folder().join(name)
    }

    /// Where the API server writes who changed what.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.addresses.folder().join("audit.jsonl")
    }

    /// Looks until `condition` holds, at most `limit`.
    pub(crate) async fn until(
        &self,
        what: &str,
        limit: Duration,
        condition: impl AsyncFn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let is_gone = |pid: u32| journal::start_of(pid.cast_signed()).is_none();
            if let Some((part, _)) = self.parts.iter().find(|(_, pid)| is_gone(*pid)) {
                bail!("{part} ended, before this: {what}");
            }
            let last = condition().await;
            if matches!(last, Ok(true)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                match last {
                    Err(error) => {
                        return Err(error.context(format!("not within {limit:?}: {what}")));
                    }
                    Ok(_) => bail!("not within {limit:?}: {what}"),
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let folder = self.addresses.folder();
        if !self.keep
            && let Err(error) = journal::undo(&folder)
        {
            eprintln!(
                "e2e: the cluster in {} is not gone: {error:#}",
                folder.display()
            );
        }
        if let Some(lock) = self.lock.take() {
            unlock(self.addresses, lock);
        }
    }
}

/// A client from a kubeconfig file.
pub(crate) async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig).context("the kubeconfig")?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .context("the kubeconfig")?;
    // Scenarios want to see a refused eviction, not a client that asks again and again.
    config.default_retry = false;
    Client::try_from(config).context("a client")
}

/// Removes the clusters that were kept, or only one. Those that another process runs are left
/// alone.
pub(crate) fn stop_kept(number: Option<u8>) -> anyhow::Result<usize> {
    let mut stopped = 0;
    let meant = |cluster: &u8| number.is_none_or(|number| number == *cluster);
    for cluster in (0..CLUSTERS).filter(meant) {
        let addresses = Addresses { cluster };
        if !addresses.folder().exists() {
            continue;
        }
        if let Some(lock) = lock(addresses)? {
            let folder = addresses.folder();
            match journal::undo(&folder) {
                Ok(()) => println!("stopped the cluster in {}", folder.display()),
                Err(error) => {
                    eprintln!(
                        "e2e: the cluster in {} is not gone: {error:#}",
                        folder.display()
                    );
                }
            }
            unlock(addresses, lock);
            stopped += 1;
        }
    }
    Ok(stopped)
}

/// The first number that nobody uses; removes what a crashed run left.
fn take() -> anyhow::Result<(Addresses, File)> {
    let routes = Command::new("ip").args(["-4", "route", "show"]).output();
    let routes = routes.context("start ip")?.stdout;
    let routes = String::from_utf8_lossy(&routes).into_owned();
    for cluster in 0..CLUSTERS {
        let addresses = Addresses { cluster };
        let Some(lock) = lock(addresses)? else {
            continue;
        };
        let folder = addresses.folder();
        if folder.exists() {
            if journal::has_processes(&folder) {
                unlock(addresses, lock);
                continue;
            }
            println!(
                "removing what an interrupted run left in {}",
                folder.display()
            );
            journal::undo(&folder)?;
        } else if is_used_by_others(addresses, &routes) {
            unlock(addresses, lock);
            continue;
        }
        return Ok((addresses, lock));
    }
    bail!("all {CLUSTERS} clusters of this machine are in use; `cargo e2e --stop` ends kept ones");
}

/// Takes a cluster's lock, unless another process holds it.
fn lock(addresses: Addresses) -> anyhow::Result<Option<File>> {
    loop {
        std::fs::create_dir_all(root()).with_context(|| root().display().to_string())?;
        let file = File::create(addresses.lock()).context("a cluster's lock")?;
        if file.try_lock().is_err() {
            return Ok(None);
        }
        // Its last holder removed it, perhaps after we opened it.
        let ours = file.metadata().context("a cluster's lock")?.ino();
        if std::fs::metadata(addresses.lock()).is_ok_and(|there| there.ino() == ours) {
            return Ok(Some(file));
        }
    }
}

/// Gives a cluster's number back.
fn unlock(addresses: Addresses, lock: File) {
    let _ = std::fs::remove_file(addresses.lock());
    drop(lock);
    journal::undo_shared();
}

/// Whether the machine has something of that name or range which no cluster of ours made.
fn is_used_by_others(addresses: Addresses, routes: &str) -> bool {
    let ranges = [
        format!("172.30.{}.", addresses.cluster),
        format!("10.{}.", 100 + addresses.cluster),
        format!("10.{}.", 200 + addresses.cluster),
    ];
    let bridge = Path::new("/sys/class/net").join(addresses.bridge());
    bridge.exists() || ranges.iter().any(|range| routes.contains(range))
}

fn bridge(addresses: Addresses, journal: &mut Journal) -> anyhow::Result<()> {
    let name = addresses.bridge();
    journal.note(&Made::Link(name.clone()))?;
    node::run(&format!("ip link add {name} type bridge"))?;
    node::run(&format!(
        "ip address add {}/24 dev {name}",
        addresses.host()
    ))?;
    node::run(&format!("ip link set {name} up"))
}

/// Starts a part of the cluster. It ends with this process unless the cluster is kept. Only to be
/// called from the main thread: the kernel's notice is bound to the thread.
fn start(
    name: &str,
    program: &Path,
    arguments: &[String],
    folder: &Path,
    keep: bool,
    journal: &mut Journal,
) -> anyhow::Result<u32> {
    let log = folder.join(format!("{name}.log"));
    let log = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .context("a log")?;
    let mut command = if keep {
        Command::new(program)
    } else {
        let mut tied = Command::new("setpriv");
        tied.args(["--pdeathsig", "KILL", "--"]).arg(program);
        tied
    };
    let child = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("share a log")?)
        .stderr(log)
        // An interrupt from the terminal is for us alone: we take the cluster away in order.
        .process_group(0)
        .spawn()
        .with_context(|| format!("start {name}"))?;
    let pid = i32::try_from(child.id()).context("a process id")?;
    journal.note_process(pid)?;
    Ok(child.id())
}

/// The last lines of every log of a cluster.
fn ends_of_logs(folder: &Path) -> String {
    let mut text = String::new();
    let folders = std::iter::once(folder.to_owned())
        .chain((1..=u8::MAX).map(|node| folder.join(format!("n{node}"))))
        .take_while(|folder| folder.is_dir());
    for entry in folders
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .flatten()
    {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let log = std::fs::read(&path).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES_OF_A_LOG)..];
        text += &format!("--- the end of {}\n{}\n", path.display(), last.join("\n"));
    }
    text
}

/// Of each part's log when a start fails.
const LINES_OF_A_LOG: usize = 15;

fn is_ready(node: &NodeObject) -> bool {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| {
        all.iter()
            .any(|one| one.type_ == "Ready" && one.status == "True")
    })
}
