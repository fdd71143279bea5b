//! Fetches packages of the Debian that this machine runs, without installing them: apt with lists,
//! a cache and sources of its own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::foreign::run;

/// Packages, unpacked into one folder as if it were `/`.
///
/// # Errors
/// If apt is missing, or a package is not of `version` (what stands before Debian's own number).
pub(crate) fn unpacked(cache: &Path, packages: &[(&str, Option<&str>)]) -> anyhow::Result<PathBuf> {
    let root = cache.join("debian/root");
    if root.join("complete").exists() {
        return Ok(root);
    }
    let folder = cache.join("debian/packages");
    std::fs::create_dir_all(&folder).context("create the folder for packages")?;
    let apt = Apt::new(cache)?;
    let names: Vec<&str> = packages.iter().map(|(name, _)| *name).collect();
    println!("fetching {} from Debian", names.join(", "));
    run(apt.command("download").args(&names).current_dir(&folder))?;
    for (name, version) in packages {
        let file = downloaded(&folder, &format!("{name}_"), ".deb")?;
        if let Some(version) = version {
            let wanted = format!("{name}_{version}-");
            ensure!(
                file_name(&file).starts_with(&wanted),
                "this Debian's {name} is {}, and what is expected of it was seen with {version}",
                file_name(&file)
            );
        }
        run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&root))?;
    }
    std::fs::write(root.join("complete"), "").context("mark the packages as complete")?;
    Ok(root)
}

/// The sources of a package as their authors published them, unpacked, and their version here.
///
/// # Errors
/// If apt is missing, or they are not of `version`.
pub(crate) fn source(cache: &Path, package: &str, version: &str) -> anyhow::Result<PathBuf> {
    let root = cache.join("debian/source").join(package);
    if root.join("complete").exists() {
        return Ok(root);
    }
    let folder = cache.join("debian/packages");
    std::fs::create_dir_all(&folder).context("create the folder for packages")?;
    let apt = Apt::new(cache)?;
    println!("fetching the sources of {package} {version} from Debian");
    run(apt
        .command("source")
        .args(["--download-only", package])
        .current_dir(&folder))?;
    let archive = downloaded(&folder, &format!("{package}_{version}.orig.tar"), "z")
        .with_context(|| format!("this Debian has no {package} {version}"))?;
    std::fs::create_dir_all(&root).context("create the folder for the sources")?;
    run(Command::new("tar")
        .args(["--strip-components=1", "-x", "-C"])
        .arg(&root)
        .arg("-f")
        .arg(&archive))?;
    std::fs::write(root.join("complete"), "").context("mark the sources as complete")?;
    Ok(root)
}

fn downloaded(folder: &Path, start: &str, end: &str) -> anyhow::Result<PathBuf> {
    let files = std::fs::read_dir(folder).context("list the packages")?;
    files
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|file| file_name(file).starts_with(start) && file_name(file).ends_with(end))
        .max()
        .with_context(|| format!("apt fetched nothing that is called {start}*{end}"))
}

fn file_name(file: &Path) -> std::borrow::Cow<'_, str> {
    file.file_name().unwrap_or_default().to_string_lossy()
}

/// apt with state of its own, so that nothing of the machine's changes and sources are listed too.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(cache: &Path) -> anyhow::Result<Self> {
        let found = Command::new("apt-get").arg("--version").output();
        ensure!(
            found.is_ok_and(|found| found.status.success()),
            "apt-get is missing: it fetches the C client, which is taken from Debian"
        );
        let apt = Self {
            folder: cache.join("debian/apt"),
        };
        if !apt.folder.join("complete").exists() {
            for folder in ["sources", "lists/partial", "cache/archives/partial"] {
                std::fs::create_dir_all(apt.folder.join(folder)).context("create apt's folders")?;
            }
            apt.write_sources(Path::new("/etc/apt/sources.list.d"))?;
            run(apt.command("update").arg("-qq"))?;
            std::fs::write(apt.folder.join("complete"), "").context("mark the lists")?;
        }
        Ok(apt)
    }

    /// What the machine's own files list, and the sources of it.
    fn write_sources(&self, machine: &Path) -> anyhow::Result<()> {
        let mut files: Vec<PathBuf> = match std::fs::read_dir(machine) {
            Ok(files) => files.filter_map(|file| Some(file.ok()?.path())).collect(),
            Err(_) => Vec::new(),
        };
        files.push(PathBuf::from("/etc/apt/sources.list"));
        for file in files {
            let Ok(text) = std::fs::read_to_string(&file) else {
                continue;
            };
            let text = match file.extension().and_then(|end| end.to_str()) {
                Some("sources") => text.replace("Types: deb\n", "Types: deb deb-src\n"),
                Some("list") => text
                    .lines()
                    .filter_map(|line| line.strip_prefix("deb "))
                    .fold(String::new(), |mut text, line| {
                        let _ = writeln!(text, "deb {line}\ndeb-src {line}");
                        text
                    }),
                _ => continue,
            };
            std::fs::write(self.folder.join("sources").join(&*file_name(&file)), text)
                .context("write apt's sources")?;
        }
        Ok(())
    }

    fn command(&self, order: &str) -> Command {
        let mut command = Command::new("apt-get");
        for (option, folder) in [
            ("Dir::Etc::sourceparts", "sources"),
            ("Dir::State::lists", "lists"),
            ("Dir::Cache", "cache"),
        ] {
            let folder = self.folder.join(folder);
            command
                .arg("-o")
                .arg(format!("{option}={}", folder.display()));
        }
        command.args(["-qq", "-o", "Dir::Etc::sourcelist=/dev/null"]);
        command.args(["-o", "APT::Sandbox::User=root", order]);
        command
    }
}
