//! The sidecar's binary.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use ferrokeeper_sidecar::{Settings, prestop, run};
use tokio::signal::unix::{SignalKind, signal};

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
    Run(Settings),
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

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .init();
    match Arguments::parse().command {
        Command::Run(settings) => {
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
