//! The command line: `ferrokeeper serve` and the tools.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::bench;
use crate::check;
use crate::config::Config;
use crate::serve::{self, Ended, Options, Stop};
use crate::tools::{cli, snapshot, storm, txnlog};

/// A ZooKeeper-compatible ensemble member, and its tools.
#[derive(Debug, Parser)]
#[command(name = "ferrokeeper", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one member of an ensemble, or a single server.
    ///
    /// Takes an Apache zoo.cfg and the myid file beside its data, unchanged. Ends cleanly on
    /// SIGTERM and SIGINT.
    #[command(after_help = SERVE_HELP)]
    Serve(Serve),
    /// Say what a configuration means, without starting anything.
    ///
    /// Ends with 1 if a member would not start with it.
    Check(check::Arguments),
    /// Measure an ensemble as its clients see it.
    Bench(bench::Arguments),
    /// Measure how many sessions come back after a failover.
    ///
    /// Ends with 1 if one is lost, or its ephemeral or its watch.
    Storm(storm::Arguments),
    /// A shell for znodes, with zkCli's commands and answers.
    Cli(cli::Arguments),
    /// Read transaction logs: print them, follow them, check them, repair a copy.
    Txnlog(txnlog::Arguments),
    /// Read snapshots: print them, compare them, sum them up.
    Snapshot(snapshot::Arguments),
}

const SERVE_HELP: &str = "\
Examples:
  A single server:
    printf 'dataDir=/tmp/zk\\nclientPort=2181\\n' > zoo.cfg && ferrokeeper serve zoo.cfg
  One of three:
    dataDir=/var/lib/zk          (with the number 1, 2 or 3 in /var/lib/zk/myid)
    initLimit=10
    syncLimit=5
    server.1=zk1:2888:3888;2181
    server.2=zk2:2888:3888;2181
    server.3=zk3:2888:3888;2181
  A member that lost its disk, in an ensemble that goes on without it:
    ferrokeeper serve --rejoin zoo.cfg";

/// `serve`'s arguments.
#[derive(clap::Args, Debug)]
pub struct Serve {
    /// The configuration.
    pub config: PathBuf,
    /// Settings besides those in the file.
    #[command(flatten)]
    pub settings: check::Settings,
    /// Ask the sidecar that listens on this Unix socket how to start, and take its orders.
    #[arg(long, env = "FERROKEEPER_SIDECAR")]
    pub sidecar: Option<PathBuf>,
    /// Start although data was lost or is damaged: take it from the ensemble, and have no vote
    /// until then. Damaged data is moved aside.
    #[arg(long)]
    pub rejoin: bool,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as
    /// info,ferrokeeper::clients=debug. RUST_LOG says the same.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Does what was asked, and says how the process should end.
///
/// # Errors
/// With what to tell the user.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Serve(arguments) => serve(arguments).map(|()| ExitCode::SUCCESS),
        Command::Check(arguments) => check::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Bench(arguments) => measure(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Storm(arguments) => weather(&arguments),
        Command::Cli(arguments) => cli::run(&arguments),
        Command::Txnlog(arguments) => Ok(told(txnlog::run(&arguments))),
        Command::Snapshot(arguments) => Ok(told(snapshot::run(&arguments))),
    }
}

/// 1 is an answer of these tools; trouble is 2, as with diff and grep.
fn told(outcome: anyhow::Result<u8>) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("ferrokeeper: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn measure(arguments: &bench::Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let progress = |what: &str| eprintln!("{what}");
    let measured = runtime.block_on(bench::run(arguments, progress))?;
    if arguments.json {
        for one in &measured {
            println!("{}", one.json());
        }
    } else {
        print!("{}", bench::table(&measured));
    }
    Ok(())
}

fn weather(arguments: &storm::Arguments) -> anyhow::Result<ExitCode> {
    let Some(report) = storm::run(arguments, |what| eprintln!("{what}"))? else {
        return Ok(ExitCode::SUCCESS);
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(if report.is_whole() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn serve(arguments: Serve) -> anyhow::Result<()> {
    start_log(&arguments)?;
    raise_open_files();
    let config = Config::load(&arguments.config, &arguments.settings.overrides()?)?;
    let stop = Stop::new();
    stop_on_signals(stop.clone())?;
    let options = Options {
        sidecar: arguments.sidecar,
        rejoin: arguments.rejoin,
        ..Options::default()
    };
    match serve::serve(config, options, &stop).context("the member ended")? {
        Ended::Stopped => Ok(()),
        Ended::Restored => start_again(),
    }
}

/// In the place of this process, with what it was told.
fn start_again() -> anyhow::Result<()> {
    let program = std::env::current_exe().context("find this program")?;
    let error = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .exec();
    Err(error).context("start again with the restored data")
}

/// Each client is an open file, and shells allow few of them by default.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the number of open files stays at the shell's limit");
    }
}

fn start_log(arguments: &Serve) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&arguments.log)
        .with_context(|| format!("{:?} is not a log filter", arguments.log))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    match arguments.log_format {
        LogFormat::Text => log.with_ansi(false).with_writer(std::io::stderr).init(),
        LogFormat::Json => log.json().with_writer(std::io::stderr).init(),
    }
    Ok(())
}

/// SIGTERM and SIGINT end the member cleanly.
fn stop_on_signals(stop: Stop) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("start the runtime for signals")?;
    let signals = {
        let _entered = runtime.enter();
        (
            signal(SignalKind::terminate()).context("watch SIGTERM")?,
            signal(SignalKind::interrupt()).context("watch SIGINT")?,
        )
    };
    let watch = async move {
        let (mut terminate, mut interrupt) = signals;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.stop();
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(watch))
        .context("start the thread for signals")?;
    Ok(())
}
