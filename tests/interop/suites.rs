//! Whole test suites of clients that others wrote, as they are, on our servers: what passes on
//! Apache passes on ours.
//!
//! The suites start and stop servers themselves, as Java processes: [`kazoo`] and [`go`] put ours
//! in Java's place. What became of the tests on Apache is known from a list beside the suite's
//! module, see [`Known`]; `--with-apache` runs them on Apache too, and the list must hold.

pub(crate) mod go;
pub(crate) mod kazoo;
mod known;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use tests::ensemble::Make;
use tests::process::Process;

use crate::Setting;
use known::Known;

/// How often a test that fails on Apache now and then may be run again.
const AGAIN: usize = 2;
/// How long a suite may take: several times what Apache takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(2400);

/// What became of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// What became of each test, by name.
type Outcomes = BTreeMap<String, Outcome>;

/// One suite.
trait Suite {
    /// Its name and version.
    const NAME: &'static str;
    /// What is known of it, as [`Known::parse`] reads it.
    const KNOWN: &'static str;

    /// Runs the tests of these names, or all.
    ///
    /// # Errors
    /// If the suite could not run; that a test fails is no error.
    fn run(
        &self,
        setting: &Setting,
        make: Make,
        names: Option<&BTreeSet<String>>,
    ) -> anyhow::Result<Outcomes>;
}

/// Runs a suite on ours, and on Apache if that is wanted; prints a line of figures for each.
fn hold<S: Suite>(suite: &S, setting: &Setting) -> anyhow::Result<()> {
    let known = Known::parse(S::KNOWN).context("read what is known of the suite")?;
    let mut wrong = Vec::new();
    let apache = if setting.with_apache {
        let found = ran(suite, setting, Make::Apache, None)?;
        wrong.extend(known.on_apache(&found).into_iter().map(on("Apache")));
        format!("Apache 3.9.5: {}", figures(&found))
    } else {
        let skipped = known.skipped.len();
        let passed = known.tests - skipped;
        format!(
            "Apache 3.9.5 (on {}): {passed} passed, 0 failed, {skipped} skipped",
            known.date
        )
    };
    let found = ran(suite, setting, Make::Ferrokeeper, Some(&known.flaky))?;
    println!(
        "        {}: {} tests; {apache}; ours: {} ({} excepted)",
        S::NAME,
        known.tests,
        figures(&found),
        known.excepted.len()
    );
    wrong.extend(known.on_ours(&found).into_iter().map(on("ours")));
    ensure!(wrong.is_empty(), "\n        {}", wrong.join("\n        "));
    Ok(())
}

fn on(server: &str) -> impl Fn(String) -> String {
    move |what| format!("on {server}: {what}")
}

/// Runs all tests, and those again that failed and are among these; without `flaky` each that
/// failed.
fn ran<S: Suite>(
    suite: &S,
    setting: &Setting,
    make: Make,
    flaky: Option<&BTreeSet<String>>,
) -> anyhow::Result<Outcomes> {
    let mut outcomes = suite.run(setting, make, None)?;
    for _ in 0..AGAIN {
        let names: BTreeSet<String> = outcomes
            .iter()
            .filter(|(_, outcome)| **outcome == Outcome::Failed)
            .map(|(name, _)| name.clone())
            .filter(|name| flaky.is_none_or(|flaky| flaky.contains(name)))
            .collect();
        if names.is_empty() {
            break;
        }
        for (name, outcome) in suite.run(setting, make, Some(&names))? {
            if outcome == Outcome::Passed && names.contains(&name) {
                println!(
                    "        {}: {make:?}: passed only when it ran again: {name}",
                    S::NAME
                );
                outcomes.insert(name, outcome);
            }
        }
    }
    Ok(outcomes)
}

fn figures(outcomes: &Outcomes) -> String {
    let count = |wanted| {
        let like = outcomes.values().filter(|outcome| **outcome == wanted);
        like.count()
    };
    format!(
        "{} passed, {} failed, {} skipped",
        count(Outcome::Passed),
        count(Outcome::Failed),
        count(Outcome::Skipped)
    )
}

/// Runs a program to its end, then ends what it left behind: a suite that breaks off does not
/// stop its servers.
fn run_whole(command: &mut Command, log: &Path) -> anyhow::Result<ExitStatus> {
    command.process_group(0);
    let mut process = Process::start(command, log)?;
    let status = process.wait(LIMIT);
    let group = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        // An error says that nobody is left.
        let _ = kill_process_group(group, Signal::KILL);
    }
    status
}

/// Writes a shell script that may be executed.
fn script(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = std::fs::write(path, format!("#!/bin/sh\n{text}\n"))
        .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(0o755)));
    written.with_context(|| format!("write {}", path.display()))
}
