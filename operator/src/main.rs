//! The operator's binary.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use ferrokeeper_operator::run::{RunError, Settings, run};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Reconciles ZooKeeperCluster resources.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Look after the ZooKeeperClusters of a Kubernetes cluster until SIGTERM.
    ///
    /// The cluster is the one that this pod runs in, or that KUBECONFIG names. Several may run:
    /// one acts, the others take over when it ends.
    #[command(after_help = RUN_HELP)]
    Run(Box<Run>),
    /// Print the CustomResourceDefinition.
    Crd,
}

const RUN_HELP: &str = "\
Ends with 0 when it was told to end, 1 if it cannot begin, 2 on a wrong argument, 3 if another \
operator leads now: started again, it stands by.

Outside of a cluster it can watch and write, and reaches sidecars only where pods' addresses are
routed to; elsewhere members are shown as silent, and nothing happens to them.

Examples:
  In a pod, beside others of the same Lease (the chart does this):
    ferrokeeper-operator run --server-image=ferrokeeper:1.0.0 \\
      --sidecar-image=ferrokeeper-sidecar:1.0.0
  For two namespaces only:
    ferrokeeper-operator run --namespaces=kafka,solr ...
  What it does:
    kubectl get lease,zookeeperclusters -A; curl http://POD:8080/metrics";

#[derive(clap::Args)]
struct Run {
    #[command(flatten)]
    settings: Settings,
    /// What is logged: error, warn, info, debug, trace, or a filter such as
    /// info,ferrokeeper_operator::reconcile=debug.
    #[arg(
        long,
        value_name = "FILTER",
        env = "FERROKEEPER_LOG",
        default_value = "info"
    )]
    log_level: String,
    /// How log lines look.
    #[arg(
        long,
        value_enum,
        env = "FERROKEEPER_LOG_FORMAT",
        default_value_t = LogFormat::Text
    )]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Another operator leads now.
const DEPOSED: u8 = 3;

fn main() -> ExitCode {
    let arguments = match Arguments::parse().command {
        Command::Crd => {
            print!("{}", api::crd::yaml());
            return ExitCode::SUCCESS;
        }
        Command::Run(arguments) => *arguments,
    };
    let Err(error) = operate(arguments) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error:#}");
    match error.downcast_ref::<RunError>() {
        Some(error) if error.is_deposed() => ExitCode::from(DEPOSED),
        _ => ExitCode::FAILURE,
    }
}

#[tokio::main]
async fn operate(arguments: Run) -> anyhow::Result<()> {
    start_log(&arguments)?;
    // Only fails if one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let told = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("told to end");
    };
    Ok(run(arguments.settings, told).await?)
}

fn start_log(arguments: &Run) -> anyhow::Result<()> {
    let level = &arguments.log_level;
    // What the client says of failed requests is said again, with its meaning, by who made them.
    let filter = EnvFilter::try_new(format!("kube_client=off,kube_runtime=off,{level}"))
        .with_context(|| format!("{level:?} is not a log filter (--log-level)"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
