//! Fetches what others wrote: Apache's server, kazoo. Builds ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tests::ensemble::Programs;

use crate::Setting;

/// The Apache version that we compare with.
const APACHE: &str = "apache-zookeeper-3.9.5";

/// Makes everything ready, from what is cached where possible.
pub(crate) fn prepare() -> anyhow::Result<Setting> {
    for (program, asked, why) in [
        ("java", "--version", "a JDK 17 runs Apache ZooKeeper"),
        ("mvn", "--version", "Maven fetches Apache ZooKeeper"),
        ("python3", "--version", "Python 3 runs kazoo"),
        ("go", "version", "Go runs the tests of go-zookeeper"),
    ] {
        let found = Command::new(program).arg(asked).output();
        ensure!(
            found.is_ok_and(|found| found.status.success()),
            "{program} is missing: {why}"
        );
    }
    let target = target()?;
    let ferrokeeper = build(&target, &[])?;
    let cache = target
        .parent()
        .context("the target folder's parent")?
        .join("interop");
    let apache = jars(&cache)?;
    let python = kazoo(&cache)?;
    let folder = cache.join("run");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("clear the last run")?;
    }
    std::fs::create_dir_all(&folder).context("create the run's folder")?;
    // Suites start it all the time, and meanwhile others build.
    let kept = folder.join("ferrokeeper");
    std::fs::copy(ferrokeeper, &kept).context("keep the program")?;
    let programs = Programs {
        ferrokeeper: kept,
        ferrokeeper_arguments: Vec::new(),
        ferrokeeper_environment: Vec::new(),
        apache: Some(apache),
    };
    Ok(Setting {
        programs,
        python,
        cache,
        folder,
        requests: 0,
        seed: 0,
        with_apache: false,
        sessions: None,
        stage: None,
        limit: Duration::MAX,
    })
}

/// The folder that this program was built into.
fn target() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("find this program")?;
    Ok(program
        .parent()
        .context("this program's folder")?
        .to_owned())
}

/// Ours with mistakes that `FERROKEEPER_DEVIATION` switches on, beside the usual program.
pub(crate) fn deviating() -> anyhow::Result<PathBuf> {
    let target = target()?;
    let built = build(&target, &["--features", "deviations"])?;
    let kept = target.join("ferrokeeper-deviating");
    std::fs::copy(built, &kept).context("keep the program with mistakes")?;
    build(&target, &[])?;
    Ok(kept)
}

/// Ours as it is to be measured.
pub(crate) fn released() -> anyhow::Result<PathBuf> {
    let release = target()?.with_file_name("release");
    build(&release, &[])
}

fn build(target: &Path, more: &[&str]) -> anyhow::Result<PathBuf> {
    println!("building ferrokeeper {}", more.join(" "));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "ferrokeeper"]);
    cargo.args(more);
    if target.ends_with("release") {
        cargo.arg("--release");
    }
    run(&mut cargo)?;
    Ok(target.join("ferrokeeper"))
}

fn jars(cache: &Path) -> anyhow::Result<PathBuf> {
    let jars = cache.join(APACHE);
    if jars.join("zookeeper-3.9.5.jar").exists() {
        return Ok(jars);
    }
    println!("fetching Apache ZooKeeper 3.9.5 with Maven");
    let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/apache/pom.xml");
    let mut maven = Command::new("mvn");
    maven
        .arg("-q")
        .arg("-f")
        .arg(pom)
        .arg("dependency:copy-dependencies");
    maven.arg(format!("-DoutputDirectory={}", jars.display()));
    run(&mut maven)?;
    Ok(jars)
}

/// kazoo with all that its tests use, at the versions that the list beside them says.
fn kazoo(cache: &Path) -> anyhow::Result<PathBuf> {
    let requirements = include_str!("suites/requirements.txt");
    let environment = cache.join("python");
    let python = environment.join("bin/python");
    let installed = environment.join("requirements.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == requirements) {
        return Ok(python);
    }
    println!("fetching kazoo with pip");
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&environment))?;
    let wanted = environment.join("wanted.txt");
    std::fs::write(&wanted, requirements).context("write pip's list")?;
    run(Command::new(environment.join("bin/pip"))
        // Its source, since that has the tests.
        .args([
            "install",
            "--quiet",
            "--no-binary",
            "kazoo",
            "--requirement",
        ])
        .arg(&wanted))?;
    std::fs::rename(&wanted, &installed).context("keep pip's list")?;
    Ok(python)
}

/// Runs a command to its end.
///
/// # Errors
/// If it cannot be started or fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
