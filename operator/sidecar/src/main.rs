//! The sidecar's binary.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use ferrokeeper_sidecar::{Settings, prestop, run};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Stands beside one ferrokeeper member: tells the operator what it sees, does what it is told.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run beside a member until SIGTERM.
    Run(Box<Run>),
    /// Have the server drained before it is told to end: the container's preStop hook.
    PreStop {
        /// The sidecar's Unix socket.
        #[arg(long, value_name = "PATH")]
        socket: PathBuf,
        /// How long to wait; keep it ten seconds below the pod's grace period.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
}

#[derive(clap::Args)]
struct Run {
    #[command(flatten)]
    settings: Settings,
    /// How log lines look. What is logged is for RUST_LOG to say.
    #[arg(
        long,
        value_enum,
        env = "FERROKEEPER_LOG_FORMAT",
        default_value_t = LogFormat::Text
    )]
    log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match carry_out(Arguments::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn carry_out(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(arguments) => {
            let Run {
                settings,
                log_format,
            } = *arguments;
            log(log_format);
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            run(settings, async move {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            })
            .await
        }
        Command::PreStop { socket, seconds } => {
            println!("{}", prestop::run(&socket, seconds).await?);
            Ok(())
        }
    }
}

fn log(format: LogFormat) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
}
