//! Building the targets as cargo-fuzz would, without it and with the stable compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

/// LLVM's instrumentation for coverage, as libFuzzer reads it, and what finds more mistakes.
/// One unit for each crate: the linker would drop parts of the tables otherwise.
const FLAGS: [&str; 10] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "-Ccodegen-units=1",
    "--cfg",
    "fuzzing",
];

/// The targets' programs.
pub(crate) struct Built {
    /// Names, in the order in which they are to run.
    pub(crate) targets: Vec<String>,
    /// Where everything of fuzzing is kept.
    pub(crate) folder: PathBuf,
    host: String,
}

impl Built {
    /// A target's program.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(&self.host).join("release");
        folder.join(name)
    }
}

/// All targets, the riskiest first.
pub(crate) fn targets() -> Vec<String> {
    let names = fuzzing::TARGETS.iter().map(|(name, _)| *name);
    names.map(str::to_owned).collect()
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// Builds these targets, or all of them if none is named.
///
/// # Errors
/// If one does not exist, or what is needed to build is missing.
pub(crate) fn build(wanted: &[String]) -> anyhow::Result<Built> {
    let all = targets();
    for name in wanted {
        let known = all.join(", ");
        ensure!(
            all.contains(name),
            "there is no target {name}: there are {known}"
        );
    }
    let mut chosen = all;
    chosen.retain(|name| wanted.is_empty() || wanted.contains(name));
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let has_compiler = Command::new(&compiler).arg("--version").output();
    ensure!(
        has_compiler.is_ok_and(|output| output.status.success()),
        "{compiler} is missing: libFuzzer is built with a C++ compiler, for example by `apt-get \
         install g++`"
    );
    let crates = root().join("tests/fuzz");
    // The versions that the server has.
    let lock = crates.join("Cargo.lock");
    if !lock.exists() {
        std::fs::copy(root().join("Cargo.lock"), lock).context("copy Cargo.lock")?;
    }
    let folder = root().join("target/fuzz");
    let host = host()?;
    println!("building {} targets", chosen.len());
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--release"])
        // With a target named, build scripts and macros go without the flags.
        .args(["--target", &host])
        .arg("--manifest-path")
        .arg(crates.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&folder)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", FLAGS.join(" "));
    for name in &chosen {
        cargo.args(["--bin", name]);
    }
    let status = cargo.status().context("start cargo")?;
    ensure!(status.success(), "the targets do not build: see above");
    Ok(Built {
        targets: chosen,
        folder,
        host,
    })
}

/// The triple of this machine.
fn host() -> anyhow::Result<String> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .context("ask rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some(host) = text.lines().find_map(|line| line.strip_prefix("host: ")) else {
        bail!("rustc -vV names no host: {text}");
    };
    Ok(host.to_owned())
}
