//! `cargo interop`: our members beside genuine Apache ZooKeeper members, and under clients that
//! others wrote.

mod answers;
mod cclient;
mod cli;
mod debian;
mod files;
mod foreign;
mod kazoo;
mod metrics;
mod nulls;
mod patience;
mod quorum;
mod storm;
mod suites;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use tests::ensemble::Programs;

/// Runs our members beside genuine Apache ZooKeeper 3.9.5 and under clients that others wrote.
///
/// Needs Java 17, Maven, Python 3, Go, a C and a C++ compiler, CMake and Debian's apt on the PATH;
/// fetches Apache's jars, kazoo, go-zookeeper and the C client from the package registries once and
/// keeps them under target/interop. Ends with status 1 if a scenario fails, 3 if something that it
/// needs is missing.
#[derive(Parser)]
struct Arguments {
    /// Run only scenarios whose name contains this.
    only: Vec<String>,
    /// Name the scenarios and end.
    #[arg(long)]
    list: bool,
    /// Random requests of each scenario that compares answers.
    #[arg(long, default_value_t = 8_000)]
    requests: u64,
    /// What they are made from: the same for the same seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run the suites of kazoo and go-zookeeper on Apache too, to see that what is written down of
    /// that is still so; adds a quarter of an hour.
    #[arg(long)]
    with_apache: bool,
    /// Sessions of a storm over Apache's members and ours, in turn and in release; CI has a
    /// smaller one over ours alone.
    #[arg(long)]
    sessions: Option<u32>,
    /// Only this stage of `same_answers`, whose table is then not complete.
    #[arg(long)]
    stage: Option<String>,
    /// Minutes after which a scenario has failed that is not over.
    #[arg(long, default_value_t = 20)]
    limit: u64,
}

/// One thing to show, with what it may use.
type Scenario = (&'static str, fn(&Setting) -> anyhow::Result<()>);

/// What scenarios share.
#[derive(Clone)]
struct Setting {
    programs: Programs,
    python: PathBuf,
    /// What was fetched, kept from run to run.
    cache: PathBuf,
    /// What this run writes.
    folder: PathBuf,
    requests: u64,
    seed: u64,
    with_apache: bool,
    sessions: Option<u32>,
    stage: Option<String>,
    limit: Duration,
}

impl Setting {
    /// The same with another folder.
    fn within(&self, folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            ..self.clone()
        }
    }
}

/// They mostly wait, and run beside the others.
const SUITES: &[Scenario] = &[
    ("kazoo_suite", suites::kazoo::suite),
    ("go_zookeeper_suite", suites::go::suite),
];

const SCENARIOS: &[Scenario] = &[
    ("apache_alone", quorum::apache_alone),
    ("same_answers", answers::same),
    ("same_answers_pipelined", answers::same_pipelined),
    ("same_answers_to_null", nulls::same),
    ("same_metrics", metrics::same),
    ("same_expiry", answers::same_expiry),
    ("deviations_are_found", answers::deviations_are_found),
    ("same_cli", cli::same),
    ("c_client_api", cclient::same),
    ("c_client_tests", cclient::own_tests),
    ("join_by_snapshot", quorum::join_by_snapshot),
    ("join_by_diff", quorum::join_by_diff),
    ("join_by_truncation", quorum::join_by_truncation),
    ("survive_and_lead", quorum::survive_and_lead),
    ("apache_files_start_on_apache", files::apache_on_apache),
    ("apache_files_start_on_ours", files::apache_on_ours),
    ("our_files_start_on_apache", files::ours_on_apache),
    (
        "our_compressed_files_start_on_apache",
        files::compressed_on_apache,
    ),
    ("session_storm", storm::storms),
    ("kazoo_recipes_while_the_leader_dies", kazoo::recipes),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        let all = SUITES.iter().chain(SCENARIOS);
        all.for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let setting = match foreign::prepare() {
        Ok(setting) => Setting {
            requests: arguments.requests,
            seed: arguments.seed,
            with_apache: arguments.with_apache,
            sessions: arguments.sessions,
            stage: arguments.stage,
            limit: Duration::from_secs(60 * arguments.limit),
            ..setting
        },
        Err(error) => {
            eprintln!("interop: {error:#}");
            return ExitCode::from(3);
        }
    };
    let wanted = |name: &str| {
        arguments.only.is_empty()
            || arguments
                .only
                .iter()
                .any(|part| name.contains(part.as_str()))
    };
    let chosen = |of: &'static [Scenario]| of.iter().filter(|(name, _)| wanted(name));
    let runs: Vec<bool> = std::thread::scope(|scope| {
        let setting = &setting;
        let suites: Vec<_> = chosen(SUITES)
            .map(|suite| scope.spawn(move || run(setting, suite)))
            .collect();
        let mut runs: Vec<bool> = chosen(SCENARIOS)
            .map(|scenario| run(setting, scenario))
            .collect();
        runs.extend(
            suites
                .into_iter()
                .map(|suite| suite.join().unwrap_or(false)),
        );
        runs
    });
    patience::end_children();
    let failed = runs.iter().filter(|passed| !**passed).count();
    println!("{} passed, {failed} failed", runs.len() - failed);
    if failed == 0 && !runs.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run(setting: &Setting, (name, scenario): &'static Scenario) -> bool {
    let started = Instant::now();
    let folder = setting.folder.join(name);
    let own = setting.within(&folder);
    let outcome = std::fs::create_dir_all(&folder)
        .context("create the scenario's folder")
        .and_then(|()| patience::within(setting.limit, name, move || scenario(&own)));
    let took = started.elapsed().as_secs_f64();
    match outcome {
        Ok(()) => println!("ok      {name} ({took:.1} s)"),
        Err(error) => {
            println!(
                "FAILED  {name} ({took:.1} s): {error:#}\n        see {}",
                folder.display()
            );
            return false;
        }
    }
    true
}
