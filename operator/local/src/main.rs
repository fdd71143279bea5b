//! One binary that links server, sidecar and operator, and starts itself again for each part.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use local::up::{Up, UpError};
use local::{operate, status, tether, up};
use tokio::signal::unix::{SignalKind, signal};

/// ferrokeeper on this machine, without Kubernetes.
#[derive(Parser)]
#[command(version, name = "local")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(Up),
    /// Show the ensemble that runs in a state folder.
    Status {
        /// The folder that `up` was given.
        #[arg(
            long,
            value_name = "DIR",
            default_value = up::DEFAULT_STATE,
            hide_default_value = true
        )]
        state: PathBuf,
    },
    /// The operator's process; its state folder is the current one.
    #[command(hide = true)]
    Operator,
    /// A member's sidecar.
    #[command(hide = true)]
    Sidecar(ferrokeeper_sidecar::Settings),
    /// A member.
    #[command(hide = true)]
    Server(ferrokeeper::commands::Arguments),
    /// A member's preStop hook.
    #[command(hide = true)]
    PreStop {
        #[arg(long)]
        socket: PathBuf,
        #[arg(long)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    // Held until the process ends.
    let _life = match tether::hold() {
        Ok(life) => life,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match Arguments::parse().command {
        // It starts its own threads and its own log.
        Command::Server(arguments) => match ferrokeeper::commands::run(arguments) {
            Ok(code) => return code,
            Err(error) => Err(UpError::from(error)),
        },
        command => run(command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ UpError::Invalid { .. }) => {
            eprintln!("error: {error}\nnothing was started");
            ExitCode::from(2)
        }
        Err(UpError::Other(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The kernel's notice of a parent's death is bound to the thread that started the child, so
/// everything runs on the main thread, which lives as long as the process.
#[tokio::main(flavor = "current_thread")]
async fn run(command: Command) -> Result<(), UpError> {
    log(&command);
    // Only fails if one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match command {
        Command::Up(arguments) => up::up(arguments).await,
        Command::Status { state } => Ok(status(&state).await?),
        Command::Operator => Ok(operate(terminated()).await?),
        Command::Sidecar(settings) => Ok(ferrokeeper_sidecar::run(settings, terminated()).await?),
        Command::Server(_) => unreachable!("it has its own runtime"),
        Command::PreStop { socket, seconds } => {
            println!(
                "{}",
                ferrokeeper_sidecar::prestop::run(&socket, seconds).await?
            );
            Ok(())
        }
    }
}

/// A person at `up` wants to know of trouble only; the parts write everything to their files.
fn log(command: &Command) {
    let for_people = matches!(command, Command::Up(_) | Command::Status { .. });
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| if for_people { "warn" } else { "info" }.into());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if for_people {
        log.without_time().with_target(false).init();
    } else {
        log.init();
    }
}

async fn terminated() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => drop(terminate.recv().await),
        // Then SIGTERM ends the process at once.
        Err(_) => std::future::pending().await,
    }
}
