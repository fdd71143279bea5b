//! ZooKeeper's C client, as Debian packages it: its library under a program of ours, and its own
//! tests.

mod suite;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tests::ensemble::{Ensemble, Make};

use crate::{Setting, debian, foreign};

pub(crate) use suite::own_tests;

const LIMIT: Duration = Duration::from_secs(60);
/// What Debian 12 has, and what our expectations were seen with.
const VERSION: &str = "3.8.0";
const PACKAGES: &[(&str, Option<&str>)] = &[
    ("libzookeeper-mt2", Some(VERSION)),
    ("libzookeeper-mt-dev", Some(VERSION)),
    ("libcppunit-1.15-0", None),
    ("libcppunit-dev", None),
];
/// In the order of what they do to the members, which are new for each group.
const GROUPS: &[(&str, &[&str])] = &[
    ("extendedTypesEnabled=true", WHILE_THEY_LEAD),
    // Without sessions of one member alone nobody reads where there is no leader.
    (
        "extendedTypesEnabled=true\nreadonlymode.enabled=true\nlocalSessionsEnabled=true",
        &["reading_only"],
    ),
];
const WHILE_THEY_LEAD: &[&str] = &[
    "creating",
    "changing",
    "asynchronous",
    "watching",
    "removing_watches",
    "multis",
    "access_control",
    "configuration",
    "expiring",
    "reconnecting",
];

/// One program through the API of libzookeeper-mt, on Apache and on ours: the same transcript.
pub(crate) fn same(setting: &Setting) -> anyhow::Result<()> {
    let library = Library::fetch(&setting.cache)?;
    let program = library.build(&setting.folder)?;
    let told = |make| transcripts(setting, &library, &program, make);
    let (expected, found) = std::thread::scope(|scope| {
        let expected = scope.spawn(|| told(Make::Apache));
        let found = told(Make::Ferrokeeper);
        (expected.join(), found)
    });
    let expected = expected.map_err(|_| anyhow::anyhow!("the run on Apache panicked"))??;
    let found = found?;
    let mut differences = String::new();
    for ((part, expected), (_, found)) in expected.iter().zip(&found) {
        let first = expected
            .lines()
            .chain(std::iter::repeat("(nothing)"))
            .zip(found.lines().chain(std::iter::repeat("(nothing)")))
            .take(expected.lines().count().max(found.lines().count()))
            .enumerate()
            .find(|(_, (expected, found))| expected != found);
        if let Some((line, (expected, found))) = first {
            let line = line + 1;
            writeln!(
                differences,
                "{part}, line {line}: Apache tells {expected:?}, ours {found:?}"
            )?;
        }
    }
    ensure!(
        differences.is_empty(),
        "the transcripts differ:\n{differences}"
    );
    let lines: usize = expected.iter().map(|(_, text)| text.lines().count()).sum();
    ensure!(lines > 400, "only {lines} lines were told");
    println!(
        "        libzookeeper-mt {VERSION}: {} parts, {lines} lines, equal on Apache and on ours",
        expected.len()
    );
    Ok(())
}

/// The library and its headers, unpacked.
struct Library {
    root: PathBuf,
}

impl Library {
    fn fetch(cache: &Path) -> anyhow::Result<Self> {
        let root = debian::unpacked(cache, PACKAGES)?;
        Ok(Self { root })
    }

    fn headers(&self) -> PathBuf {
        self.root.join("usr/include")
    }

    /// The folder of Debian's name for this machine.
    fn objects(&self) -> anyhow::Result<PathBuf> {
        let folders = std::fs::read_dir(self.root.join("usr/lib")).context("list the libraries")?;
        folders
            .filter_map(|folder| Some(folder.ok()?.path()))
            .find(|folder| folder.join("libzookeeper_mt.so").exists())
            .context("libzookeeper-mt-dev holds no libzookeeper_mt.so")
    }

    fn build(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let program = folder.join("client");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/cclient");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-std=gnu11", "-Wall", "-Wextra", "-Wno-unused-parameter"])
            .args(["-Werror", "-DTHREADED", "-I"])
            .arg(self.headers().join("zookeeper"));
        for source in ["client.c", "calls.c", "session.c", "trouble.c"] {
            compiler.arg(sources.join(source));
        }
        compiler
            .arg("-o")
            .arg(&program)
            .arg("-L")
            .arg(self.objects()?);
        foreign::run(compiler.args(["-lzookeeper_mt", "-lpthread"]))
            .context("build the program over libzookeeper-mt")?;
        Ok(program)
    }
}

/// What each part told, on three members of one make.
fn transcripts(
    setting: &Setting,
    library: &Library,
    program: &Path,
    make: Make,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut told = Vec::new();
    for (settings, parts) in GROUPS {
        let folder = setting.folder.join(format!("{make:?}")).join(parts[0]);
        let mut ensemble = Ensemble::new(&setting.programs, &folder, &[make; 3], settings)?;
        ensemble.start_all()?;
        for part in *parts {
            let text = transcript(&mut ensemble, library, program, part, &folder)
                .with_context(|| format!("{part} on {make:?}"))?;
            told.push((*part, text));
        }
    }
    Ok(told)
}

fn transcript(
    ensemble: &mut Ensemble,
    library: &Library,
    program: &Path,
    part: &str,
    folder: &Path,
) -> anyhow::Result<String> {
    let leader = ensemble.leader(LIMIT)?;
    // Followers on both sides of the leader.
    let mut ids: Vec<i64> = ensemble.members.iter().map(|member| member.id).collect();
    ids.retain(|id| *id != leader);
    ids.insert(1, leader);
    let addresses: Vec<String> = ids
        .iter()
        .map(|id| ensemble.member(*id).client.to_string())
        .collect();
    let mut command = Command::new(program);
    command
        .arg(part)
        .arg(addresses.join(","))
        .env("LD_LIBRARY_PATH", library.objects()?);
    converse(&mut command, &folder.join(part), |order| {
        obey(ensemble, &ids, order)
    })
}

/// Runs the program, carries out what it orders, and returns what it tells.
fn converse(
    command: &mut Command,
    log: &Path,
    mut obey: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let errors = std::fs::File::create(log.with_extension("err")).context("make the log")?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .context("start the program")?;
    let mut answers = child.stdin.take().context("the program's input")?;
    let lines = BufReader::new(child.stdout.take().context("the program's output")?).lines();
    let mut told = String::new();
    // It ends by itself within minutes, whatever happens.
    for line in lines {
        let line = line.context("read what the program tells")?;
        match line.strip_prefix('!') {
            Some(order) => {
                if let Err(error) = obey(order) {
                    child.kill().context("end the program")?;
                    child.wait().context("wait for the program")?;
                    return Err(error.context(format!("{order:?}, after:\n{told}")));
                }
                answers.write_all(b"done\n").context("answer the program")?;
            }
            None => writeln!(told, "{}", without_ports(&line))?,
        }
    }
    std::fs::write(log.with_extension("txt"), &told).context("keep the transcript")?;
    let status = child.wait().context("wait for the program")?;
    let errors = std::fs::read_to_string(log.with_extension("err")).unwrap_or_default();
    ensure!(
        status.success(),
        "the program ended with {status}, after:\n{told}\n{errors}"
    );
    Ok(told)
}

/// Kills or starts members; `ids` has the one that clients connect to first in front.
fn obey(ensemble: &mut Ensemble, ids: &[i64], order: &str) -> anyhow::Result<()> {
    match order {
        "kill first" => ensemble.kill(ids[0]),
        "kill others" => ids[1..].iter().try_for_each(|id| ensemble.kill(*id)),
        "kill leader" => {
            let leader = ensemble.leader(LIMIT)?;
            ensemble.kill(leader)?;
            // A follower may serve for a moment more, and then lose what it was asked.
            ensemble.leader(LIMIT).map(|_| ())
        }
        "start" => {
            for id in ids {
                if ensemble.process(*id).is_err() {
                    ensemble.start(*id)?;
                }
            }
            ensemble.leader(LIMIT).map(|_| ())
        }
        other => bail!("the program orders {other:?}"),
    }
}

/// A line without the ports on loopback, which are others in each run.
fn without_ports(line: &str) -> String {
    let mut plain = String::new();
    for (index, piece) in line.split("127.0.0.1:").enumerate() {
        if index == 0 {
            plain.push_str(piece);
            continue;
        }
        plain.push_str("127.0.0.1:PORT");
        let rest = piece.trim_start_matches(|byte: char| byte.is_ascii_digit());
        // Two more follow the first in a server's line.
        let rest = rest
            .split(':')
            .map(|part| part.trim_start_matches(|byte: char| byte.is_ascii_digit()));
        plain.push_str(&rest.collect::<Vec<_>>().join(":"));
    }
    plain
}
