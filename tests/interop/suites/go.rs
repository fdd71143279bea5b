//! The tests of go-zookeeper/zk, from its published module.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde::Deserialize;
use tests::ensemble::Make;

use super::{LIMIT, Outcome, Outcomes, Suite, hold, run_whole, script};
use crate::Setting;

const MODULE: &str = "github.com/go-zookeeper/zk@v1.0.4";
/// The module's hash, as it stands in every `go.sum` that names it.
const SUM: &str = "h1:DPzxraQx7OrPyXq2phlGlNSIyWEsAox0RJmjTseMV6I=";
/// The suite waits until the client's own reader of `srvr` understands the answer, and that knows
/// only an older form of the build date (06/25/2016): on a genuine 3.9 no test would begin.
const MENDED: (&str, [(&str, &str); 2]) = (
    "flw.go",
    [
        (r"\d\d/\d\d/\d\d\d\d \d\d:\d\d", r"[\d/-]{10} \d\d:\d\d"),
        (
            "buildTime, err := time.Parse(\"01/02/2006 15:04 MST\", match[1])",
            "buildTime, err := time.Parse(\"01/02/2006 15:04 MST\", \
             regexp.MustCompile(`^(....)-(..)-(..)`).ReplaceAllString(match[1], \"$2/$3/$1\"))",
        ),
    ],
);

/// go-zookeeper's tests, unpacked.
struct GoZookeeper {
    folder: PathBuf,
}

/// Nothing fails on ours that passes on Apache.
pub(crate) fn suite(setting: &Setting) -> anyhow::Result<()> {
    let folder = setting.folder.join("zk");
    unpack(&setting.folder, &folder).context("fetch go-zookeeper")?;
    hold(&GoZookeeper { folder }, setting)
}

/// What `go mod download` tells.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Download {
    dir: PathBuf,
    sum: String,
}

/// Copies the module, since what Go fetched cannot be changed.
fn unpack(within: &Path, folder: &Path) -> anyhow::Result<()> {
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json", MODULE]);
    let told = go
        .current_dir(within)
        .env("GOWORK", "off")
        .env("GO111MODULE", "on")
        .output();
    let told = told.context("start go")?;
    ensure!(
        told.status.success(),
        "{go:?} ended with {}:\n{}{}",
        told.status,
        String::from_utf8_lossy(&told.stdout),
        String::from_utf8_lossy(&told.stderr)
    );
    let module: Download = serde_json::from_slice(&told.stdout).context("read what go told")?;
    ensure!(
        module.sum == SUM,
        "{MODULE} is {}, expected {SUM}",
        module.sum
    );
    std::fs::create_dir_all(folder)?;
    for file in std::fs::read_dir(&module.dir).context("list the module")? {
        let file = file.context("list the module")?;
        if file.file_type().context("list the module")?.is_file() {
            std::fs::copy(file.path(), folder.join(file.file_name())).context("copy")?;
        }
    }
    let (file, changes) = MENDED;
    let mut text = std::fs::read_to_string(folder.join(file))?;
    for (from, to) in changes {
        ensure!(
            text.matches(from).count() == 1,
            "{file} does not hold once: {from}"
        );
        text = text.replace(from, to);
    }
    std::fs::remove_file(folder.join(file))?;
    Ok(std::fs::write(folder.join(file), text)?)
}

/// A line of `go test -json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    test: Option<String>,
}

impl Suite for GoZookeeper {
    const NAME: &'static str = "go-zookeeper 1.0.4";
    const KNOWN: &'static str = include_str!("go.txt");

    fn run(
        &self,
        setting: &Setting,
        make: Make,
        names: Option<&BTreeSet<String>>,
    ) -> anyhow::Result<Outcomes> {
        let programs = setting.folder.join(format!("{make:?}"));
        std::fs::create_dir_all(&programs).context("create the folder of the server's script")?;
        script(&programs.join("zkServer.sh"), &server(setting, make)?)?;
        let told = programs.join("go-test.json");
        // Go says where a test hangs, if it may end the run itself.
        let seconds = format!("{}s", LIMIT.as_secs() - 60);
        let mut go = Command::new("go");
        go.args(["test", "-json", "-count=1", "-timeout", &seconds]);
        if let Some(names) = names {
            // What is below a test runs with it.
            let names: BTreeSet<&str> = names
                .iter()
                .filter_map(|name| name.split('/').next())
                .collect();
            let names: Vec<&str> = names.into_iter().collect();
            go.arg("-run").arg(format!("^({})$", names.join("|")));
        }
        go.arg(".")
            .current_dir(&self.folder)
            .env("GOWORK", "off")
            // The module is older than random ports.
            .env("GODEBUG", "randautoseed=1")
            .env("ZK_VERSION", "3.9.5")
            .env("ZOOKEEPER_BIN_PATH", &programs);
        if told.exists() {
            std::fs::remove_file(&told).context("remove what an earlier run told")?;
        }
        run_whole(&mut go, &told)?;
        let mut outcomes = Outcomes::new();
        for line in std::fs::read_to_string(&told)?.lines() {
            let Ok(event) = serde_json::from_str::<Event>(line) else {
                continue;
            };
            let outcome = match event.action.as_str() {
                "pass" => Outcome::Passed,
                "fail" => Outcome::Failed,
                "skip" => Outcome::Skipped,
                _ => continue,
            };
            if let Some(test) = event.test {
                outcomes.insert(test, outcome);
            }
        }
        ensure!(!outcomes.is_empty(), "no test ran, see {}", told.display());
        Ok(outcomes)
    }
}

/// What the suite starts: `zkServer.sh start-foreground CONFIGURATION`, with Java's flags in
/// SERVER_JVMFLAGS.
fn server(setting: &Setting, make: Make) -> anyhow::Result<String> {
    Ok(match make {
        Make::Ferrokeeper => {
            format!(
                "exec '{}' serve \"$2\"",
                setting.programs.ferrokeeper.display()
            )
        }
        Make::Apache => {
            let jars = setting.programs.apache.as_deref();
            let jars = jars.context("Apache's jars are not at hand")?;
            format!(
                "exec java -Xmx256m $SERVER_JVMFLAGS -cp '{}/*' \
                 org.apache.zookeeper.server.quorum.QuorumPeerMain \"$2\"",
                jars.display()
            )
        }
    })
}
