//! `cargo fuzz-all`: builds the fuzz targets with the compiler at hand, runs each for a while, and
//! says what came of it.
//!
//! The targets' bodies are in `tests/fuzz/bodies`; what each run has found that leads further is
//! kept under `target/fuzz`, and the little of it that every test run repeats under
//! `tests/fuzz/seeds`.

mod build;
mod outcome;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Parser;

use crate::build::Built;
use crate::outcome::Outcome;

/// Fuzzes every decoder of bytes from outside, and whole connections.
///
/// Needs a C++ compiler, for libFuzzer. Ends with status 1 if there is a finding, and says how to
/// see it again; with 3 if something that it needs is missing.
#[derive(Parser)]
struct Arguments {
    /// Run only these.
    targets: Vec<String>,
    /// Minutes for each target.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Targets that run at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Name the targets and end.
    #[arg(long)]
    list: bool,
    /// Run one target with this file alone.
    #[arg(long)]
    again: Option<PathBuf>,
}

/// Bytes of the longest input that is tried.
const LONGEST: usize = 4096;
/// Mebibytes that a target may take: more than a frame and its decoding justify, and less than a
/// server has.
const MEMORY: usize = 512;
/// Seconds that one input may take.
const PATIENCE: usize = 30;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        build::targets().iter().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let built = match build::build(&arguments.targets) {
        Ok(built) => built,
        Err(error) => {
            eprintln!("fuzz-all: {error:#}");
            return ExitCode::from(3);
        }
    };
    let done = match &arguments.again {
        Some(file) => again(&built, file),
        None => run_all(&built, &arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz-all: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a target with one input. False if that is a finding.
fn again(built: &Built, file: &Path) -> anyhow::Result<bool> {
    ensure!(built.targets.len() == 1, "--again takes one target");
    let status = Command::new(built.program(&built.targets[0]))
        .arg(file)
        .status()
        .context("start the target")?;
    Ok(status.success())
}

/// Runs all targets, some at a time. False if there is a finding.
fn run_all(built: &Built, arguments: &Arguments) -> anyhow::Result<bool> {
    ensure!(arguments.jobs > 0, "--jobs must be 1 at least");
    let seconds = (arguments.minutes * 60.0).max(1.0) as u64;
    let waiting: Mutex<VecDeque<&String>> = Mutex::new(built.targets.iter().collect());
    let outcomes = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = lock(&waiting).pop_front();
            let Some(name) = next else { return };
            println!("running {name} for {seconds} s");
            let outcome = run(built, name, seconds);
            lock(&outcomes).push((name, outcome));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.min(built.targets.len()) {
            scope.spawn(work);
        }
    });
    let mut outcomes = outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(name, _)| built.targets.iter().position(|other| other == *name));
    println!("{}", outcome::HEADER);
    let mut is_well = true;
    for (name, outcome) in &outcomes {
        match outcome {
            Ok(outcome) => {
                println!("{}", outcome.line(name));
                is_well &= outcome.is_well();
            }
            Err(error) => {
                println!("{name}: {error:#}");
                is_well = false;
            }
        }
    }
    for (name, outcome) in outcomes {
        for finding in outcome.iter().flat_map(|outcome| &outcome.findings) {
            println!("cargo fuzz-all {name} --again {}", finding.display());
        }
    }
    Ok(is_well)
}

fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a target.
fn run(built: &Built, name: &str, seconds: u64) -> anyhow::Result<Outcome> {
    let folder = built.folder.join("run").join(name);
    let (corpus, findings) = (folder.join("corpus"), folder.join("findings"));
    for folder in [&corpus, &findings] {
        std::fs::create_dir_all(folder).context("make a folder for the run")?;
    }
    let before = files(&findings)?;
    let log_path = folder.join("log");
    let log = std::fs::File::create(&log_path).context("make the run's log")?;
    let started = Instant::now();
    let mut command = Command::new(built.program(name));
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={LONGEST}"))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-timeout={PATIENCE}"))
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .arg("-print_final_stats=1")
        .arg(&corpus)
        .arg(build::root().join("tests/fuzz/seeds").join(name))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    let status = command.status().context("start the target")?;
    let text = std::fs::read(&log_path).context("read the run's log")?;
    let mut found = files(&findings)?;
    found.retain(|file| !before.contains(file));
    let mut outcome = Outcome::of(&String::from_utf8_lossy(&text));
    outcome.took = started.elapsed();
    outcome.findings = found;
    outcome.ended_well = status.success();
    outcome.log = log_path;
    Ok(outcome)
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).context("list findings")?;
    entries
        .map(|entry| Ok(entry.context("list findings")?.path()))
        .collect()
}
