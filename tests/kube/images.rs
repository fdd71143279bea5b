//! The images that pods of the tests run: ours, laid out as the Dockerfile lays them out, and those
//! that tests need beside them.

pub(crate) mod archive;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tokio::process::Command;

use crate::packages;
use crate::programs::{Programs, output};
use archive::{Entry, Image, Recipe};

/// What holds a pod's namespaces: the same shell image under a fixed name, since containerd's
/// configuration names it.
pub(crate) const PAUSE: &str = "e2e.ferrokeeper.local/pause:1";

/// The Python client that scenarios use.
const KAZOO: &str = "kazoo==2.10.0";

/// Every image.
#[derive(Debug)]
pub(crate) struct Images {
    /// Holds a pod's namespaces.
    pub(crate) pause: Image,
    /// A shell.
    pub(crate) busybox: Image,
    /// The cluster's DNS.
    pub(crate) coredns: Image,
    /// Python with kazoo, and the client of the scenarios at `/client.py`.
    pub(crate) kazoo: Image,
    /// `ferrokeeper` and `ferrokeeper-sidecar`.
    pub(crate) server: Image,
    /// `ferrokeeper-sidecar`.
    pub(crate) sidecar: Image,
    /// `ferrokeeper-operator`.
    pub(crate) operator: Image,
    _folder: Folder,
}

impl Images {
    /// Builds what is ours, and packs everything. With `release` as it is shipped, else as the
    /// other tests build it, which takes minutes less.
    pub(crate) async fn prepare(programs: &Programs, release: bool) -> anyhow::Result<Self> {
        let cache = crate::programs::cache()?;
        let folder = Folder::make(&cache.join("images"))?;
        let binaries = build(release).await?;
        let ours = |image, names: &[&str]| {
            let recipe = ours(image, names, &binaries, &folder.0)?;
            let packed = recipe.pack(&folder.0)?;
            let size = packed.size as f64 / f64::from(1 << 20);
            println!("image {image}: {size:.1} MiB");
            anyhow::Ok(packed)
        };
        let shell = shell()?;
        let pause = Recipe {
            name: "pause",
            tag: Some("1"),
            entrypoint: ["/bin/busybox", "sleep", "2147483647"]
                .map(str::to_owned)
                .into(),
            user: "65535:65535",
            ..shell.clone()
        };
        let mut coredns = Recipe {
            name: "coredns",
            entrypoint: vec!["/coredns".to_owned()],
            user: "0:0",
            ..Recipe::default()
        };
        let program = programs.get("coredns");
        coredns
            .entries
            .insert("coredns".to_owned(), Entry::File(program));
        Ok(Self {
            pause: pause.pack(&folder.0)?,
            busybox: shell.pack(&folder.0)?,
            coredns: coredns.pack(&folder.0)?,
            kazoo: python(&cache).await?.pack(&folder.0)?,
            server: ours(
                "ferrokeeper-server",
                &["ferrokeeper", "ferrokeeper-sidecar"],
            )?,
            sidecar: ours("ferrokeeper-sidecar", &["ferrokeeper-sidecar"])?,
            operator: ours("ferrokeeper-operator", &["ferrokeeper-operator"])?,
            _folder: folder,
        })
    }

    /// All of them.
    pub(crate) fn all(&self) -> [&Image; 7] {
        [
            &self.pause,
            &self.busybox,
            &self.coredns,
            &self.kazoo,
            &self.server,
            &self.sidecar,
            &self.operator,
        ]
    }
}

/// Where one run packs its images: named after its process, gone with it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn make(all: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(all).context("the folder of images")?;
        for other in std::fs::read_dir(all)
            .context("the folder of images")?
            .flatten()
        {
            // Left by a run that was killed.
            if !Path::new("/proc").join(other.file_name()).exists() {
                let _ = std::fs::remove_dir_all(other.path());
            }
        }
        let own = all.join(std::process::id().to_string());
        std::fs::create_dir_all(&own).context("the folder of images")?;
        Ok(Self(own))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An image of ours: programs, the first of which is what runs.
fn ours(
    name: &'static str,
    programs: &[&str],
    binaries: &Path,
    folder: &Path,
) -> anyhow::Result<Recipe> {
    let mut recipe = Recipe {
        name,
        entrypoint: vec![format!("/usr/local/bin/{}", programs[0])],
        user: "65532:65532",
        ..Recipe::default()
    };
    for program in programs {
        let file = strip(&binaries.join(program), &folder.join(program))?;
        recipe.program(&file, &format!("usr/local/bin/{program}"))?;
    }
    Ok(recipe)
}

/// Builds our binaries and returns the folder that they are in.
async fn build(release: bool) -> anyhow::Result<PathBuf> {
    println!("building ferrokeeper, its sidecar and its operator");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--quiet",
        "-p",
        "ferrokeeper",
        "-p",
        "ferrokeeper-sidecar",
    ]);
    cargo.args(["-p", "ferrokeeper-operator"]);
    // With this package beside them dependencies are those that the other tests use, too: nothing
    // is compiled twice.
    cargo.args(if release {
        &["--release"][..]
    } else {
        &["-p", "tests", "--bins"]
    });
    output(&mut cargo).await.context("build our binaries")?;
    let this = std::env::current_exe().context("this program")?;
    let target = this
        .parent()
        .and_then(Path::parent)
        .context("the target folder")?;
    Ok(target.join(if release { "release" } else { "debug" }))
}

/// Leaves out what only a debugger reads.
fn strip(binary: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    let status = std::process::Command::new("strip")
        .args(["--strip-debug", "-o"])
        .args([to, binary])
        .status()
        .context("start strip, which comes with the linker")?;
    ensure!(
        status.success(),
        "strip {} ended with {status}",
        binary.display()
    );
    Ok(to.to_owned())
}

/// Commands of the shell that scripts in pods use.
const APPLETS: &[&str] = &[
    "cat", "chmod", "cp", "date", "dd", "echo", "env", "false", "find", "grep", "head", "hostname",
    "id", "kill", "ls", "mkdir", "mv", "nc", "nslookup", "ps", "rm", "sed", "sh", "sleep", "sort",
    "stat", "sync", "tail", "test", "timeout", "touch", "tr", "true", "wc", "wget", "xargs",
];

fn shell() -> anyhow::Result<Recipe> {
    let busybox = packages::find("busybox").context("busybox is not installed")?;
    let mut shell = Recipe {
        name: "busybox",
        entrypoint: vec!["/bin/sh".to_owned()],
        user: "65532:65532",
        ..Recipe::default()
    };
    shell.program(&busybox, "bin/busybox")?;
    for applet in APPLETS {
        let link = Entry::Link("busybox".to_owned());
        shell.entries.insert(format!("bin/{applet}"), link);
    }
    Ok(shell)
}

/// This machine's Python at the paths where it is here, kazoo beside it.
async fn python(cache: &Path) -> anyhow::Result<Recipe> {
    let packages = cache.join("python").join(KAZOO);
    if !packages.exists() {
        println!("fetching {KAZOO} with pip");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]);
        output(pip.arg(&packages).arg(KAZOO))
            .await
            .context("fetch kazoo")?;
    }
    let ask = "import sys, sysconfig; \
        print(sys.base_prefix, sysconfig.get_python_version(), sysconfig.get_path('stdlib'))";
    let told = output(Command::new("python3").args(["-c", ask])).await?;
    let [prefix, version, library] = told.split_whitespace().collect::<Vec<_>>()[..] else {
        anyhow::bail!("Python says of itself: {told}");
    };
    let interpreter = Path::new(prefix).join(format!("bin/python{version}"));
    let mut recipe = Recipe {
        name: "kazoo",
        user: "65532:65532",
        ..Recipe::default()
    };
    recipe.program(
        &interpreter,
        interpreter.to_string_lossy().trim_start_matches('/'),
    )?;
    let skip = [
        "__pycache__",
        "test",
        "idlelib",
        "tkinter",
        "ensurepip",
        "site-packages",
        "lib2to3",
    ];
    recipe.folder(Path::new(library), &skip)?;
    for entry in walk(&packages)? {
        let inside = entry.strip_prefix(&packages).context("a path of kazoo")?;
        let inside = format!("packages/{}", inside.display());
        recipe.entries.insert(inside, Entry::File(entry));
    }
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("kube/client.py");
    recipe
        .entries
        .insert("client.py".to_owned(), Entry::File(client));
    recipe.entrypoint = vec![
        interpreter.display().to_string(),
        "-B".to_owned(),
        "-u".to_owned(),
        "/client.py".to_owned(),
    ];
    Ok(recipe)
}

/// All files below a folder.
fn walk(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        if path.is_dir() {
            files.extend(walk(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
