//! The programs that are built from Go modules: all of Kubernetes in one file, CoreDNS, helm.
//!
//! Only results are kept, under a name that is a hash of all that they depend on. Go's own caches
//! are its own business.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use tokio::process::Command;

/// Which Kubernetes the module in `go/kubernetes` is.
const KUBERNETES: (&str, &str) = ("1", "34.4");

/// What one program may take to build where everything is downloaded first and two cores are
/// shared with others: five minutes were measured on idle ones.
const BUILD_WITHIN: Duration = Duration::from_secs(2400);

/// The parts of Kubernetes: names that its one program answers to.
const PARTS: &[&str] = &[
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
];

/// A Go module of ours and the program that it makes.
struct Module {
    name: &'static str,
    package: &'static str,
    minutes: u8,
}

const MODULES: &[Module] = &[
    Module {
        name: "kubernetes",
        package: ".",
        minutes: 6,
    },
    Module {
        name: "coredns",
        package: ".",
        minutes: 2,
    },
    Module {
        name: "helm",
        package: "helm.sh/helm/v4/cmd/helm",
        minutes: 3,
    },
];

/// The folder with the built programs, each by its name.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Builds what is not in the cache yet.
    pub(crate) async fn prepare() -> anyhow::Result<Self> {
        let go = output(Command::new("go").arg("version"))
            .await
            .context("Go 1.26 or later builds Kubernetes, CoreDNS and helm: put it on the PATH")?;
        let cache = cache()?;
        let folder = cache.join(key(&go)?);
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let lock = File::create(cache.join("lock")).context("the cache's lock")?;
        let waiting = Instant::now();
        let mut told = false;
        while lock.try_lock().is_err() {
            if !told {
                println!("waiting for another `cargo e2e` that builds");
                told = true;
            }
            ensure!(
                waiting.elapsed() < BUILD_WITHIN,
                "another `cargo e2e` builds without an end"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        for module in MODULES {
            build(module, &folder).await?;
        }
        for part in PARTS {
            let link = folder.join(part);
            if !link.exists() {
                symlink("kubernetes", &link).context("link to a part of Kubernetes")?;
            }
        }
        Ok(Self { folder })
    }

    /// Where they all are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// One of them.
    pub(crate) fn get(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// What outlives `cargo clean`.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME says where to keep the built Kubernetes")?;
    Ok(base.join("ferrokeeper/kube"))
}

async fn build(module: &Module, folder: &Path) -> anyhow::Result<()> {
    let result = folder.join(module.name);
    if result.exists() {
        return Ok(());
    }
    println!(
        "building {} from Go modules, once: about {} minutes on two idle cores",
        module.name, module.minutes
    );
    let started = Instant::now();
    let unfinished = folder.join(format!("{}.unfinished", module.name));
    let (major, minor) = KUBERNETES;
    let version = "-X k8s.io/component-base/version";
    let flags = format!(
        "-s -w {version}.gitVersion=v{major}.{minor} {version}.gitMajor={major} \
         {version}.gitMinor={}",
        minor.split('.').next().unwrap_or(minor)
    );
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-ldflags", &flags, "-o"])
        .arg(&unfinished)
        .arg(module.package)
        .current_dir(sources().join(module.name))
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let building = go.status();
    tokio::pin!(building);
    let status = loop {
        tokio::select! {
            status = &mut building => break status.context("start go")?,
            () = tokio::time::sleep(Duration::from_secs(30)) => {
                let took = started.elapsed();
                ensure!(took < BUILD_WITHIN, "{} is not built in {took:?}", module.name);
                println!("  still building {}, {} s", module.name, took.as_secs());
            }
        }
    };
    ensure!(
        status.success(),
        "building {} ended with {status}",
        module.name
    );
    std::fs::rename(&unfinished, &result).context("name the built program")?;
    println!(
        "  built {} in {} s",
        module.name,
        started.elapsed().as_secs()
    );
    Ok(())
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kube/go")
}

/// Changes with anything that could change a program.
fn key(go: &str) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    hash.update(go);
    for module in MODULES {
        for name in ["go.mod", "go.sum", "main.go"] {
            let path = sources().join(module.name).join(name);
            match std::fs::read(&path) {
                Ok(content) => hash.update(content),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| path.display().to_string()),
            }
            hash.update([0]);
        }
    }
    Ok(hex(&hash.finalize())[..16].to_owned())
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a command prints, if it succeeds.
pub(crate) async fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("start {:?}", command.as_std()))?;
    if !output.status.success() {
        bail!(
            "{:?} ended with {}: {}{}",
            command.as_std(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    String::from_utf8(output.stdout).context("output that is no UTF-8")
}
