//! `ferrokeeper storm`: how many sessions come back after a failover, and how fast.
//!
//! Each session has an ephemeral and a watch, and pings. Then a member is killed or all
//! connections are cut, and the clients do what ZooKeeper's own do: after a pause of up to a second
//! they try the next server with their session, and set their watch again. At the end each session
//! has shown that its ephemeral is there and has been told of a change. Works on any ZooKeeper.
//!
//! [`run`] directs; a `part` holds as many sessions as one process may have open files, in a
//! process of its own if one does not do; `client` is one session.

mod client;
mod control;
mod link;
mod part;
mod parts;
mod report;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use control::Control;
use part::Order;
use parts::Parts;
pub use report::Report;

/// The znode below which everything is made.
const ROOT: &str = "/ferrokeeper-storm";
/// Sessions that watch one znode.
const WATCHERS: usize = 100;
/// Between the last session's opening and the storm, so that nothing of the opening is under way.
const CALM: Duration = Duration::from_secs(2);
/// Between two looks at the servers.
const PAUSE: Duration = Duration::from_millis(20);

/// What to do to whom.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Servers, `host:port` separated by commas; sessions are opened at them in turn.
    #[arg(long, default_value = "127.0.0.1:2181", value_delimiter = ',')]
    pub servers: Vec<String>,
    /// Sessions. The servers need `maxClientCnxns=0`.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub sessions: u32,
    /// Milliseconds without a sign of life after which a session may end.
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(100..=86_400_000))]
    pub timeout: u32,
    /// A process to kill once all sessions are there: the leader's, as a rule.
    #[arg(long = "kill", value_name = "PID", required_unless_present_any = ["cut", "part"])]
    pub kill: Vec<u32>,
    /// Cut all connections at that moment, also those that their servers would keep.
    #[arg(long)]
    pub cut: bool,
    /// Seconds until the storm must be over.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub limit: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Be one part of a storm that another process directs.
    #[arg(long, hide = true)]
    pub part: Option<String>,
}

/// What the parts of a storm share.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    servers: Vec<SocketAddr>,
    /// The znode below which this storm's are.
    root: String,
    timeout: u32,
    /// The first session's number, and how many there are in this part.
    first: usize,
    count: usize,
}

impl Plan {
    fn ephemeral(&self, number: usize) -> String {
        format!("{}/ephemerals/{number}", self.root)
    }

    fn watched(&self, number: usize) -> String {
        watched(&self.root, number / WATCHERS)
    }
}

fn watched(root: &str, at: usize) -> String {
    format!("{root}/watched/{at}")
}

/// Directs a storm, telling `progress` what is being done. Blocks.
///
/// # Errors
/// If a server cannot be reached, or the sessions cannot be opened.
pub fn run(arguments: &Arguments, progress: impl Fn(&str)) -> anyhow::Result<Option<Report>> {
    crate::commands::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(async {
        if let Some(plan) = &arguments.part {
            let plan = serde_json::from_str(plan).context("read the plan")?;
            parts::be_one(plan).await?;
            return Ok(None);
        }
        direct(arguments, progress).await.map(Some)
    })
}

async fn direct(arguments: &Arguments, progress: impl Fn(&str)) -> anyhow::Result<Report> {
    let limit = Duration::from_secs(arguments.limit);
    let sessions = arguments.sessions as usize;
    let servers = resolve(&arguments.servers).await?;
    let plan = Plan {
        servers: servers.clone(),
        root: format!("{ROOT}/{:x}", crate::boot::random()),
        timeout: arguments.timeout,
        first: 0,
        count: sessions,
    };
    let mut control = Control::open(servers.clone(), arguments.timeout).await?;
    let znodes = sessions.div_ceil(WATCHERS);
    control.lay_out(&plan.root, znodes).await?;

    progress(&format!("{sessions} sessions: opening"));
    let started = Instant::now();
    let mut parts = Parts::start(&plan)?;
    let opened = parts.all_open(limit).await?;
    ensure!(
        opened == sessions,
        "only {opened} of {sessions} sessions could be opened in {limit:?}"
    );
    let opening = started.elapsed();
    sleep(CALM).await;

    let control = control.write_on(&plan.root);
    sleep(CALM / 4).await;
    progress("the storm");
    let struck = Instant::now();
    let at = wall_micros();
    for pid in &arguments.kill {
        let pid = Pid::from_raw(i32::try_from(*pid).context("a process id")?);
        kill_process(pid.context("a process id")?, Signal::KILL).context("kill")?;
    }
    let cut = arguments.cut;
    parts.order(&Order::Strike { at, cut }).await?;
    let serving = control.written_since(struck, limit).await?;
    all_serve(&servers, limit).await?;
    parts.order(&Order::Prove).await?;
    parts
        .all_proven(limit.saturating_sub(struck.elapsed()))
        .await?;
    let slowest = control.stop(limit).await?;

    progress("all are back: telling their watches");
    let mut control = Control::open(servers, arguments.timeout).await?;
    parts.order(&Order::Watch).await?;
    for at in 0..znodes {
        control.set(&watched(&plan.root, at)).await?;
    }
    parts.all_told(limit).await?;
    let results = parts.results(limit).await?;
    Ok(Report::new(sessions, opening, serving, slowest, &results))
}

/// Waits until each server that can be reached serves.
async fn all_serve(servers: &[SocketAddr], limit: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    for server in servers {
        while let Ok(answer) = timeout(limit, srvr(*server)).await.context("ask srvr")? {
            if answer.contains("Mode: ") || answer.contains("whitelist") {
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "{server} does not serve in {limit:?}"
            );
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

async fn srvr(server: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(b"srvr").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn resolve(names: &[String]) -> anyhow::Result<Vec<SocketAddr>> {
    let mut servers = Vec::new();
    for name in names {
        let mut found = tokio::net::lookup_host(name)
            .await
            .with_context(|| name.clone())?;
        servers.push(
            found
                .next()
                .with_context(|| format!("{name} has no address"))?,
        );
    }
    Ok(servers)
}

/// A moment that processes of one machine can compare.
fn wall_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}
