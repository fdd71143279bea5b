//! The C client's own tests that need a server, one process and one server for each, on Apache and
//! on ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use parking_lot::Mutex;
use tests::ensemble::Make;
use tests::process::Process;

use super::{Library, VERSION};
use crate::{Setting, debian, foreign};

/// The files that hold tests with a server; those of the others bring a mock of it.
const FILES: &[&str] = &[
    "TestClient.cc",
    "TestMulti.cc",
    "TestClientRetry.cc",
    "TestReadOnlyClient.cc",
    "TestReconfigServer.cc",
    "TestSASLAuth.cc",
    "TestLogClientEnv.cc",
];
/// What does not pass on both, with a reason for each.
const EXCEPTIONS: &str = include_str!("exceptions.txt");
/// Most of a test's time is sleep.
const AT_ONCE: usize = 8;
const LIMIT: Duration = Duration::from_secs(180);
/// These start three members each, and give up on those that take long: one test at a time.
const CLUSTER: &str = "TestReconfigServer::";
/// What stands in the list for a test that passes or fails as it happens.
const EITHER: &str = "either";

/// What became of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// It is not there without TLS or SASL.
    NotBuilt,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotBuilt => "not-built",
        }
    }
}

/// Each test passes on both, but for the exceptions, which are exactly as they are listed.
pub(crate) fn own_tests(setting: &Setting) -> anyhow::Result<()> {
    let suite = Suite::build(setting)?;
    let tests = suite.tests()?;
    let outcomes = suite.outcomes(setting, &tests)?;
    let mut surprises = Vec::new();
    let mut listed = exceptions()?;
    for test in &tests {
        let found = [Make::Apache, Make::Ferrokeeper].map(|make| outcomes[&(test, name(make))]);
        let expected = listed
            .remove(test.as_str())
            .unwrap_or_else(|| [Outcome::Passed.name(); 2]);
        let is_as_listed = |(found, expected): (Outcome, &str)| match expected {
            EITHER => found != Outcome::NotBuilt,
            expected => found.name() == expected,
        };
        if !found.into_iter().zip(expected).all(is_as_listed) {
            surprises.push(format!(
                "{test}: {found:?} on Apache and ours, not {expected:?}"
            ));
        }
    }
    surprises.extend(
        listed
            .keys()
            .map(|test| format!("{test}: no test is called so")),
    );
    for make in [Make::Apache, Make::Ferrokeeper] {
        let count = |wanted| {
            let here = outcomes.iter().filter(|((_, on), _)| *on == name(make));
            here.filter(|(_, outcome)| **outcome == wanted).count()
        };
        println!(
            "        C client's tests, zookeeper {VERSION} of Debian, on {make:?}: {} passed, \
             {} failed, {} not built",
            count(Outcome::Passed),
            count(Outcome::Failed),
            count(Outcome::NotBuilt)
        );
    }
    ensure!(surprises.is_empty(), "{}", surprises.join("\n"));
    Ok(())
}

const fn name(make: Make) -> &'static str {
    match make {
        Make::Apache => "Apache",
        Make::Ferrokeeper => "Ferrokeeper",
    }
}

/// By test: what it does on Apache and on ours.
fn exceptions() -> anyhow::Result<BTreeMap<&'static str, [&'static str; 2]>> {
    EXCEPTIONS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split_whitespace();
            let mut word = || {
                words
                    .next()
                    .with_context(|| format!("exceptions.txt: {line:?}"))
            };
            let (test, apache, ours) = (word()?, word()?, word()?);
            word().context("each exception has a reason")?;
            Ok((test, [apache, ours]))
        })
        .collect()
}

/// The tests' program and what it was made from.
struct Suite {
    sources: PathBuf,
    program: PathBuf,
    objects: PathBuf,
}

impl Suite {
    /// As the sources' own CMake files say, without TLS and SASL.
    fn build(setting: &Setting) -> anyhow::Result<Self> {
        for (program, why) in [
            ("cmake", "it builds the C client's tests"),
            ("c++", "it compiles the C client's tests"),
            (
                "unshare",
                "the C client's tests have fixed ports, so each gets a network of its own",
            ),
            (
                "ip",
                "the C client's tests have fixed ports, so each gets a network of its own",
            ),
        ] {
            let found = Command::new(program)
                .arg(if program == "ip" { "-V" } else { "--version" })
                .stdout(Stdio::null())
                .status();
            ensure!(
                found.is_ok_and(|found| found.success()),
                "{program} is missing: {why}"
            );
        }
        let library = Library::fetch(&setting.cache)?;
        let objects = library.objects()?;
        let root = debian::source(&setting.cache, "zookeeper", VERSION)?;
        let sources = root.join("zookeeper-client/zookeeper-client-c");
        let built = setting.cache.join("debian/zktest");
        let suite = Self {
            program: built.join("zktest"),
            sources: sources.clone(),
            objects,
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/cclient/zkServer.sh");
        std::fs::copy(&script, sources.join("tests/zkServer.sh")).context("put our script")?;
        if suite.program.exists() {
            return Ok(suite);
        }
        println!("building the C client's tests");
        std::fs::create_dir_all(sources.join("generated")).context("create a folder")?;
        let jars = setting
            .programs
            .apache
            .as_deref()
            .context("Apache's jars")?;
        foreign::run(
            Command::new("java")
                .arg("-cp")
                .arg(jars.join("*"))
                .args(["org.apache.jute.compiler.generated.Rcc", "-l", "c"])
                .arg(root.join("zookeeper-jute/src/main/resources/zookeeper.jute"))
                .current_dir(sources.join("generated"))
                .stdout(Stdio::null()),
        )?;
        let flags = format!("-include time.h -w -I{}", library.headers().display());
        foreign::run(
            Command::new("cmake")
                .arg("-S")
                .arg(&sources)
                .arg("-B")
                .arg(&built)
                .args(["-DWITH_OPENSSL=OFF", "-DWITH_CYRUS_SASL=OFF"])
                .arg(format!("-DCMAKE_CXX_FLAGS={flags}"))
                .arg("-DCMAKE_C_FLAGS=-w")
                .arg(format!(
                    "-DCMAKE_EXE_LINKER_FLAGS=-L{}",
                    suite.objects.display()
                ))
                .stdout(Stdio::null()),
        )?;
        foreign::run(
            Command::new("cmake")
                .arg("--build")
                .arg(&built)
                .args(["--target", "zktest", "--parallel", "2"])
                .stdout(Stdio::null()),
        )?;
        Ok(suite)
    }

    /// All tests with a server that the sources name, as the program takes them.
    fn tests(&self) -> anyhow::Result<Vec<String>> {
        let mut tests = Vec::new();
        for file in FILES {
            let text = std::fs::read_to_string(self.sources.join("tests").join(file))
                .with_context(|| format!("read {file}"))?;
            let mut suite = "";
            for line in text.lines() {
                let named = |start| line.trim().strip_prefix(start)?.strip_suffix(");");
                if let Some(name) = named("CPPUNIT_TEST_SUITE(") {
                    suite = name;
                }
                if let Some(name) = named("CPPUNIT_TEST(") {
                    tests.push(format!("{suite}::{name}"));
                }
            }
        }
        ensure!(tests.len() > 40, "only {} tests were found", tests.len());
        Ok(tests)
    }

    /// What became of each test on each make.
    fn outcomes<'a>(
        &self,
        setting: &Setting,
        tests: &'a [String],
    ) -> anyhow::Result<BTreeMap<(&'a String, &'static str), Outcome>> {
        let on_both = |test: &'a String| [(test, Make::Apache), (test, Make::Ferrokeeper)];
        let runs = tests.iter().flat_map(on_both);
        let (clusters, others) = runs.partition(|(test, _)| test.starts_with(CLUSTER));
        let (clusters, others): (Mutex<Vec<_>>, Mutex<Vec<_>>) =
            (Mutex::new(clusters), Mutex::new(others));
        let found = Mutex::new(BTreeMap::new());
        let work = |runs: &Mutex<Vec<(&'a String, Make)>>| {
            while let Some((test, make)) = { runs.lock().pop() } {
                let outcome = self.run(setting, make, test);
                found.lock().insert((test, name(make)), outcome);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| work(&clusters));
            for _ in 1..AT_ONCE {
                scope.spawn(|| work(&others));
            }
        });
        let found = found.into_inner().into_iter();
        found.map(|(run, outcome)| Ok((run, outcome?))).collect()
    }

    /// One test, in a network and among processes of its own.
    fn run(&self, setting: &Setting, make: Make, test: &str) -> anyhow::Result<Outcome> {
        let folder = setting
            .folder
            .join(name(make))
            .join(test.replace("::", "-"));
        let (servers, root) = (folder.join("servers"), folder.join("root"));
        std::fs::create_dir_all(&servers).context("create the servers' folder")?;
        std::fs::create_dir_all(root.join("bin")).context("create the scripts' folder")?;
        let script = self.sources.join("tests/zkServer.sh");
        std::fs::copy(&script, root.join("bin/zkServer.sh")).context("put our script")?;
        let log = folder.join("log");
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", "ip link set lo up && \"$0\" \"$1\""])
            .arg(&self.program)
            .arg(test)
            .current_dir(&folder)
            .env("MAKE", name(make))
            .env("PROGRAM", &setting.programs.ferrokeeper)
            .env(
                "JARS",
                setting
                    .programs
                    .apache
                    .as_deref()
                    .context("Apache's jars")?,
            )
            .env("SERVERS", &servers)
            .env("TEMPLATE", self.sources.join("tests/zoo.cfg"))
            .env("ZKROOT", &root)
            .env("LD_LIBRARY_PATH", &self.objects);
        let ended = Process::start(&mut command, &log)?.wait(LIMIT);
        let told = std::fs::read(&log).with_context(|| format!("read {}", log.display()))?;
        let told = String::from_utf8_lossy(&told);
        Ok(match ended {
            Ok(_) if told.contains("ERROR: No test named") => Outcome::NotBuilt,
            Ok(status) if status.success() && told.contains("OK (1)") => Outcome::Passed,
            Ok(_) | Err(_) => Outcome::Failed,
        })
    }
}
