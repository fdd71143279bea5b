//! `cargo e2e`: the product on a real Kubernetes, which this program builds and starts.
//!
//! Start with [`cluster`]; [`stage`] is where one scenario plays.

mod chart;
mod cluster;
mod facts;
mod images;
mod packages;
mod product;
mod programs;
mod script;
mod stage;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use tokio::signal::unix::{SignalKind, signal};

use cluster::Cluster;
use images::Images;
use programs::Programs;
use stage::{Stage, Theatre};

/// Runs the product on a real Kubernetes.
///
/// Builds Kubernetes, CoreDNS and helm from Go modules once and keeps them below ~/.cache; starts
/// a cluster in namespaces of this machine; plays each scenario in a Kubernetes namespace of its
/// own; leaves nothing behind. Needs root, Go, and a few Debian packages that it names. Ends with
/// status 1 if a scenario fails, 2 if something that it needs is missing.
#[derive(Parser)]
struct Arguments {
    /// Run only scenarios whose name contains this.
    only: Vec<String>,
    /// Name the scenarios and end.
    #[arg(long)]
    list: bool,
    /// Leave the cluster running, after the named scenarios or none, and say how to use it.
    #[arg(long)]
    keep: bool,
    /// Remove the clusters that were kept, or only the one of this number, and end.
    #[arg(long, value_name = "NUMBER", num_args = 0..=1, conflicts_with = "keep")]
    stop: Option<Option<u8>>,
    /// How many nodes the cluster has.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// Build our images as they are shipped: optimised, which takes minutes more.
    #[arg(long)]
    release: bool,
    /// Install missing Debian packages; also done where CI=true.
    #[arg(long)]
    install: bool,
    /// Serve the claims of the cluster in this folder.
    #[arg(long, hide = true)]
    provision: Option<PathBuf>,
}

/// One thing to show.
type Scenario = (
    &'static str,
    for<'a> fn(&'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>>,
);

/// A scenario from its name and its function.
macro_rules! scenario {
    ($name:literal, $play:path) => {
        ($name, |stage| Box::pin($play(stage)))
    };
}

const SCENARIOS: &[Scenario] = &[
    scenario!("facts_stop_order", facts::pods::stop_order),
    scenario!("facts_eviction", facts::pods::eviction),
    scenario!(
        "facts_claim_deleted_first",
        facts::claims::deleted_before_its_pod
    ),
    scenario!("facts_adoption", facts::sets::adoption),
    scenario!("facts_claim_template", facts::sets::claim_template),
    scenario!("facts_replicas_left_out", facts::sets::replicas_left_out),
    scenario!("facts_image", facts::obstacles::image),
    scenario!("facts_quota", facts::obstacles::quota),
    scenario!("facts_pod_security", facts::obstacles::pod_security),
    scenario!("facts_scheduling", facts::obstacles::scheduling),
    scenario!("chart_renders", chart::renders),
    scenario!("chart_refuses", chart::refuses),
    scenario!("chart_grants_the_least", chart::grants_the_least),
    scenario!("chart_lets_users_in", chart::lets_users_in),
    scenario!("script_of_kubernetes", script::holds),
    scenario!("install_and_use", product::first::install_and_use),
    scenario!("leader_lost_under_load", product::losses::leader_under_load),
    scenario!("all_pods_lost", product::losses::all_pods),
    scenario!("volume_lost", product::volumes::one),
    scenario!("two_volumes_lost", product::volumes::two),
    scenario!(
        "operator_killed_in_birth",
        product::operators::killed_in_birth
    ),
    scenario!("operator_stands_in", product::operators::stands_in),
    scenario!("deleted_and_applied_again", product::lives::applied_again),
    scenario!("policy_delete", product::lives::policy_delete),
    scenario!("namespace_deleted", product::lives::namespace),
    scenario!("refused_values", product::refusals::refused),
    scenario!("refused_fields", product::refusals::unknown_fields),
    scenario!("birth_waits_for_a_quota", product::refusals::quota),
    scenario!("birth_waits_for_an_image", product::refusals::image),
    scenario!("birth_waits_for_a_node", product::refusals::node),
    scenario!("at_rest", product::rest::no_writes),
];

/// What one scenario may take at most.
const SCENARIO_WITHIN: Duration = Duration::from_secs(300);

// One thread starts all processes: those of a cluster end with the thread that started them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        SCENARIOS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let work = async {
        if let Some(folder) = &arguments.provision {
            let volumes = folder.join("volumes");
            cluster::volumes::provision(&folder.join("kubeconfig"), &volumes).await?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(number) = arguments.stop {
            if cluster::stop_kept(number)? == 0 {
                println!("no cluster is kept");
            }
            return Ok(ExitCode::SUCCESS);
        }
        play(&arguments).await
    };
    // Dropping the work takes its cluster away.
    let outcome = tokio::select! {
        outcome = work => outcome,
        name = interrupted() => Err(anyhow::anyhow!("{name}: ended before it was done")),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("e2e: {error:#}");
        ExitCode::FAILURE
    })
}

async fn interrupted() -> &'static str {
    let Ok(mut interrupt) = signal(SignalKind::interrupt()) else {
        return std::future::pending().await;
    };
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "interrupted",
        _ = terminate.recv() => "terminated",
    }
}

async fn play(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(why) = unmet(arguments.install)? {
        eprintln!("e2e: {why}");
        return Ok(ExitCode::from(2));
    }
    let programs = Programs::prepare().await?;
    let images = Images::prepare(&programs, arguments.release).await?;
    let wanted = |name: &str| {
        let matches = |part: &String| name.contains(part.as_str());
        arguments.only.iter().any(matches) || (arguments.only.is_empty() && !arguments.keep)
    };
    let chosen: Vec<&Scenario> = SCENARIOS.iter().filter(|(name, _)| wanted(name)).collect();
    if chosen.is_empty() && !arguments.keep {
        eprintln!("e2e: no scenario has such a name; `cargo e2e --list` names them");
        return Ok(ExitCode::FAILURE);
    }
    let cluster = Cluster::start(&programs, &images, arguments.nodes, arguments.keep).await?;
    let theatre = Theatre::new(cluster, images);
    let mut failed = 0;
    for scenario in &chosen {
        failed += usize::from(!run(&theatre, scenario).await);
    }
    println!("{} passed, {failed} failed", chosen.len() - failed);
    if arguments.keep {
        if chosen.is_empty()
            && let Err(error) = theatre.operator().await
        {
            println!("the operator is not installed: {error:#}");
        }
        println!(
            "the cluster is kept:\n  export KUBECONFIG={}\n  export PATH={}:$PATH\n\
             `cargo e2e --stop {}` removes it",
            theatre.cluster.kubeconfig().display(),
            programs.folder().display(),
            theatre.cluster.number()
        );
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is missing on this machine, and what to do about it.
fn unmet(install: bool) -> anyhow::Result<Option<String>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Some(
            "nodes are made of namespaces: run this as root".to_owned(),
        ));
    }
    if !Path::new("/sys/fs/cgroup/memory").is_dir() {
        let why = "nodes are made for cgroup v1, and this machine has v2 alone: \
            boot it with systemd.unified_cgroup_hierarchy=0";
        return Ok(Some(why.to_owned()));
    }
    let missing = packages::missing();
    if missing.is_empty() {
        return Ok(None);
    }
    if install || std::env::var("CI").is_ok_and(|value| value == "true") {
        packages::install(&missing).context("install packages")?;
        return Ok(None);
    }
    Ok(Some(format!(
        "packages are missing; install them, or run with --install:\n  {}",
        packages::command(&missing)
    )))
}

async fn run(theatre: &Theatre, (name, scenario): &Scenario) -> bool {
    let started = Instant::now();
    let stage = match Stage::set(theatre, name).await {
        Ok(stage) => stage,
        Err(error) => {
            println!("FAILED  {name}: {error:#}");
            return false;
        }
    };
    let playing = AssertUnwindSafe(scenario(&stage)).catch_unwind();
    let outcome = match tokio::time::timeout(SCENARIO_WITHIN, playing).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(anyhow::anyhow!("it panicked")),
        Err(_) => Err(anyhow::anyhow!("it is not done in {SCENARIO_WITHIN:?}")),
    };
    let took = started.elapsed().as_secs_f64();
    match &outcome {
        Ok(()) => println!("ok      {name} ({took:.1} s)"),
        Err(error) => {
            println!("{}", stage.tell().await);
            println!("FAILED  {name} ({took:.1} s): {error:#}");
        }
    }
    if let Err(error) = stage.strike().await {
        println!("        {error:#}");
    }
    outcome.is_ok()
}
