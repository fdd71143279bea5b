//! Speaks the control protocol and replicates nothing: makes tests of the operator's parts fast
//! and independent of the server. The reachable member with the highest id leads.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use api::EnsembleConfig;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use wire::control::{BootPlan, BootReport, FromServer, MemberStatus, Outcome, Role, ToServer};

/// How often peers are looked for and the status is sent.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is on the disk.
struct Disk {
    data: PathBuf,
    id: i64,
}

impl Disk {
    fn open(zoo_cfg: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(zoo_cfg)?;
        let data = text.lines().find_map(|line| line.strip_prefix("dataDir="));
        let data = PathBuf::from(data.context("dataDir")?);
        let id = fs::read_to_string(data.join("myid"))?.trim().parse()?;
        if !data.join("volume.id").exists() {
            let random = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
            fs::write(data.join("volume.id"), random.trim())?;
        }
        Ok(Self { data, id })
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.data.join(file)).ok()
    }

    fn epoch(&self) -> u32 {
        self.read("epoch")
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }

    fn report(&self) -> BootReport {
        BootReport {
            version: "fake".into(),
            volume_id: self.read("volume.id").unwrap_or_default(),
            cluster_id: self.read("cluster.id"),
            empty: self.epoch() == 0,
            accepted_epoch: self.epoch(),
            current_epoch: self.epoch(),
            last_zxid: u64::from(self.epoch()) << 32,
            config: self.read("zoo.cfg.dynamic"),
            parked: self.read("parked"),
            running: false,
        }
    }

    /// Tests read what happened here.
    fn note(&self, what: &str) -> anyhow::Result<()> {
        let path = self.data.join("events");
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        writeln!(file, "{} {what}", now.as_nanos())?;
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let _life = local::tether::hold()?;
    let arguments: Vec<String> = std::env::args().collect();
    let [_, _, zoo_cfg, _, socket] = arguments.as_slice() else {
        anyhow::bail!("serve ZOO_CFG --sidecar SOCKET");
    };
    let disk = Disk::open(Path::new(zoo_cfg))?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = serve(&disk, Path::new(socket)) => ended?,
        _ = terminate.recv() => {}
    }
    disk.note("ended")
}

async fn serve(disk: &Disk, socket: &Path) -> anyhow::Result<()> {
    let (read, mut write) = UnixStream::connect(socket).await?.into_split();
    let mut lines = BufReader::new(read).lines();
    send(&mut write, &FromServer::Report(disk.report())).await?;
    let config = loop {
        let line = lines.next_line().await?.context("the sidecar is gone")?;
        let ToServer::Boot(plan) = serde_json::from_str(&line)? else {
            continue;
        };
        match plan {
            BootPlan::Start {
                cluster_id,
                config,
                birth,
            } => {
                disk.note(if birth { "birth" } else { "start" })?;
                fs::write(disk.data.join("cluster.id"), cluster_id)?;
                break config;
            }
            BootPlan::Join { cluster_id, config } => {
                disk.note("join")?;
                fs::write(disk.data.join("cluster.id"), cluster_id)?;
                break config;
            }
            BootPlan::Park { reason } => {
                disk.note("park")?;
                fs::write(disk.data.join("parked"), reason)?;
            }
        }
    };
    let members = EnsembleConfig::parse(&config)?;
    let listening = TcpListener::bind(quorum_address(&members, disk.id)?).await?;
    let committed = format!(
        "{}\nversion=100000000",
        config.split("\nversion=").next().unwrap_or("")
    );
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            peer = listening.accept() => drop(peer?),
            line = lines.next_line() => {
                let line = line?.context("the sidecar is gone")?;
                if let ToServer::Order { id, .. } = serde_json::from_str(&line)? {
                    let outcome = Outcome::Refused("a fake obeys nobody".into());
                    send(&mut write, &FromServer::Done { id, outcome }).await?;
                }
            }
            _ = ticks.tick() => {
                let status = status(disk, &members, &committed).await?;
                send(&mut write, &FromServer::Status(status)).await?;
            }
        }
    }
}

async fn status(
    disk: &Disk,
    members: &EnsembleConfig,
    committed: &str,
) -> anyhow::Result<MemberStatus> {
    let mut reachable = vec![disk.id];
    for id in members
        .members
        .keys()
        .map(|id| i64::from(*id))
        .filter(|id| *id != disk.id)
    {
        if TcpStream::connect(quorum_address(members, id)?)
            .await
            .is_ok()
        {
            reachable.push(id);
        }
    }
    let quorum = reachable.len() >= members.majority();
    if quorum && disk.epoch() == 0 {
        fs::write(disk.data.join("zoo.cfg.dynamic"), committed)?;
        fs::write(disk.data.join("epoch"), "1")?;
    }
    // Nothing is committed before the first quorum.
    let committed = if disk.epoch() == 0 { "" } else { committed };
    let leader = reachable.iter().copied().max().filter(|_| quorum);
    Ok(MemberStatus {
        role: match leader {
            None => Role::Looking,
            Some(leader) if leader == disk.id => Role::Leader,
            Some(_) => Role::Follower,
        },
        ready: quorum,
        draining: false,
        epoch: disk.epoch(),
        last_zxid: 1 << 32,
        committed_zxid: 1 << 32,
        leader,
        synced: if leader == Some(disk.id) {
            reachable
        } else {
            Vec::new()
        },
        config_version: if committed.is_empty() {
            "0"
        } else {
            "100000000"
        }
        .into(),
        config: committed.into(),
        sessions: 0,
        connections: 0,
    })
}

fn quorum_address(members: &EnsembleConfig, id: i64) -> anyhow::Result<String> {
    let found = members
        .members
        .iter()
        .find(|(member, _)| i64::from(**member) == id);
    let (_, member) = found.context("not listed")?;
    let mut parts = member.server.split(':');
    let (host, port) = (parts.next().context("host")?, parts.next().context("port")?);
    Ok(format!("{host}:{port}"))
}

async fn send(
    write: &mut tokio::net::unix::OwnedWriteHalf,
    line: &FromServer,
) -> anyhow::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    Ok(write.write_all(&bytes).await?)
}
