//! The tests of kazoo, from its source distribution, with every optional part that they use.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use tests::ensemble::Make;

use super::known::Known;
use super::{Outcome, Outcomes, Suite, hold, run_whole, script};
use crate::Setting;

/// Ends a test that hangs; the longest takes 50 s on Apache on a busy machine.
const TEST_SECONDS: &str = "180";
/// Ends an excepted one: some wait for ever for what ours does not have.
const EXCEPTED_SECONDS: &str = "20";
/// A plugin of pytest that writes down what became of each test.
const OUTCOMES: &str = include_str!("outcomes.py");

struct Kazoo;

/// Nothing fails on ours that passes on Apache.
pub(crate) fn suite(setting: &Setting) -> anyhow::Result<()> {
    hold(&Kazoo, setting)
}

impl Suite for Kazoo {
    const NAME: &'static str = "kazoo 2.11.0";
    const KNOWN: &'static str = include_str!("kazoo.txt");

    fn run(
        &self,
        setting: &Setting,
        make: Make,
        names: Option<&BTreeSet<String>>,
    ) -> anyhow::Result<Outcomes> {
        let folder = setting.folder.join(format!("{make:?}"));
        let programs = folder.join("programs");
        std::fs::create_dir_all(&programs).context("create the folder of the server's script")?;
        std::fs::write(folder.join("outcomes.py"), OUTCOMES).context("write the plugin")?;
        let told = folder.join("outcomes");
        std::fs::write(&told, "").context("make the list of outcomes")?;
        let tests = tests(setting)?;
        let mut pytest = Command::new(&setting.python);
        pytest.args([
            "-m",
            "pytest",
            "-v",
            "-p",
            "outcomes",
            "-p",
            "no:cacheprovider",
        ]);
        pytest.args(["--timeout", TEST_SECONDS, "--timeout-method", "signal"]);
        pytest.arg("--rootdir").arg(&tests);
        match names {
            None => _ = pytest.arg(&tests),
            Some(names) => _ = pytest.args(names.iter().map(|name| tests.join(name))),
        }
        if make == Make::Ferrokeeper {
            script(&programs.join("java"), &in_place_of_java(setting))?;
            let known = Known::parse(Self::KNOWN)?;
            let excepted: Vec<String> = known.excepted.into_iter().collect();
            pytest.env("HURRIED", excepted.join("\n"));
            pytest.env("HURRIED_SECONDS", EXCEPTED_SECONDS);
        }
        let jars = setting.programs.apache.as_deref();
        let jars = jars.context("Apache's jars are not at hand")?;
        pytest
            .current_dir(&folder)
            .env("PATH", first_in_path(&programs)?)
            .env("PYTHONPATH", &folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("OUTCOMES", &told)
            .env("JAVA_TOOL_OPTIONS", "-Xmx256m")
            // Some tests run only there.
            .env("CI", "true")
            .env("ZOOKEEPER_VERSION", "3.9.5")
            .env("ZOOKEEPER_CLASSPATH", jars.join("*"))
            .env("ZOOKEEPER_PORT_OFFSET", ports()?.to_string());
        let log = folder.join("pytest.log");
        let status = run_whole(&mut pytest, &log)?;
        // 1: tests failed.
        ensure!(
            matches!(status.code(), Some(0 | 1)),
            "pytest ended with {status}, see {}",
            log.display()
        );
        let lines = std::fs::read_to_string(&told).context("read the outcomes")?;
        lines.lines().map(outcome).collect()
    }
}

fn outcome(line: &str) -> anyhow::Result<(String, Outcome)> {
    let (outcome, name) = line.split_once(' ').context("an outcome without a name")?;
    let outcome = match outcome {
        "passed" => Outcome::Passed,
        "skipped" => Outcome::Skipped,
        _ => Outcome::Failed,
    };
    Ok((name.to_owned(), outcome))
}

/// The folder of kazoo's tests.
fn tests(setting: &Setting) -> anyhow::Result<PathBuf> {
    let asked = Command::new(&setting.python)
        .args(["-c", "import kazoo.tests as t; print(t.__path__[0])"])
        .output()
        .context("ask where kazoo's tests are")?;
    let path = String::from_utf8(asked.stdout).context("read where kazoo's tests are")?;
    ensure!(asked.status.success(), "kazoo has no tests");
    Ok(path.trim().into())
}

/// Starts ours with what the suite gives to Java: `-cp JARS`, settings as `-D`, the class, and the
/// file that it wrote.
fn in_place_of_java(setting: &Setting) -> String {
    let program = setting.programs.ferrokeeper.display();
    [
        "for last; do :; done",
        "for argument; do",
        "    shift",
        "    case $argument in -D*) set -- \"$@\" \"$argument\" ;; esac",
        "done",
        &format!("exec '{program}' serve \"$@\" \"$last\""),
    ]
    .join("\n")
}

fn first_in_path(programs: &Path) -> anyhow::Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(all).context("put the server's script first in the PATH")
}

/// The first of the 25 ports in a row that the suite takes, below those that the kernel hands out.
fn ports() -> anyhow::Result<u16> {
    let first = u16::try_from(std::process::id() % 100)?;
    let free = |base: &u16| {
        let row = (*base..*base + 25).map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)));
        row.collect::<Result<Vec<_>, _>>().is_ok()
    };
    (0..100)
        .map(|turn| 20_000 + (first + turn) % 100 * 100)
        .find(free)
        .context("no 25 ports in a row are free between 20000 and 30000")
}
