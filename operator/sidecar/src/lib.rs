//! What runs beside each member: it tells the operator what it sees and does what it is told.
//!
//! Start in [`steward`], which holds everything that is known; [`decide`] is the boot decision,
//! a pure function. [`link`] is the Unix socket that the server dials, [`ports`] are the HTTP
//! ports, [`journal`] is what is kept on the member's volume, [`mod@provision`] is what a server
//! finds when it starts.
//!
//! Invariants:
//! - the highest term ever seen is on the volume before an order under it is carried out, and no
//!   lower one is obeyed;
//! - an order about how to start is on the volume before the server hears of it, so it holds
//!   through every restart of either;
//! - nobody is told to vote from an empty volume unless that very volume was granted a birth;
//! - a volume that belongs to another ensemble is neither started nor touched, apart from the
//!   sidecar's own folder `<volume>/ferrokeeper` and the member's number in `<volume>/data/myid`;
//! - a member with an ensemble's data, listed in its own configuration, on a volume that was
//!   given to this resource, is started without asking anybody.
//!
//! It knows neither Kubernetes nor ZooKeeper's protocols, and it never judges a data directory:
//! only the server does.

pub mod decide;
pub mod files;
pub mod journal;
pub mod link;
pub mod metrics;
pub mod ports;
pub mod prestop;
pub mod process;
pub mod provision;
pub mod steward;
pub mod tls;

use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use api::{Kind, MemberId};
use tokio::net::TcpListener;
use tracing::info;

use crate::ports::OperatorOnly;
use crate::provision::{ProvisionError, provision};
use crate::steward::{Seat, Steward};
use crate::tls::Acceptor;

/// How a sidecar is started.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Id of the member beside it. In a pod it follows from --pod-name and --role.
    #[arg(long, value_parser = member_id)]
    pub member: Option<MemberId>,
    /// Name of the pod: its ordinal says which member this is.
    #[arg(
        long,
        value_name = "NAME",
        env = "POD_NAME",
        required_unless_present = "member"
    )]
    pub pod_name: Option<String>,
    /// What the pod's set is for, voter or observer: each kind counts its ids from its own start.
    #[arg(long, value_name = "KIND", default_value = "voter", value_parser = kind)]
    pub role: Kind,
    /// Uid of the ZooKeeperCluster that the member belongs to.
    #[arg(long, value_name = "UID")]
    pub ensemble: String,
    /// Root of the member's volume; the folder `ferrokeeper` in it is the sidecar's, `data` is the
    /// server's.
    #[arg(long, value_name = "DIR")]
    pub volume: PathBuf,
    /// Unix socket that the server dials.
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
    /// The server's settings, lines of a zoo.cfg without dataDir. With dataDir they are written
    /// into zoo.cfg beside the socket, before the socket is there; without this option that file
    /// is somebody else's.
    #[arg(
        long,
        value_name = "TEXT",
        env = "FERROKEEPER_ZOO_CFG",
        hide_env_values = true
    )]
    pub zoo_cfg: Option<String>,
    /// Where orders are taken, over mutual TLS and from the operator only.
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:9181")]
    pub orders: SocketAddr,
    /// Where /live, /ready and /metrics are answered.
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:9182")]
    pub plain: SocketAddr,
    /// Folder with ca.pem, tls.crt and tls.key. New files in it are taken over.
    #[arg(long, value_name = "DIR")]
    pub certificates: PathBuf,
}

impl Settings {
    fn member(&self) -> Result<MemberId, ProvisionError> {
        match (self.member, &self.pod_name) {
            (Some(member), _) => Ok(member),
            (None, pod) => provision::member_of(pod.as_deref().unwrap_or_default(), self.role),
        }
    }

    /// The socket's folder, which is the server's as well.
    fn folder(&self) -> &Path {
        let folder = self.socket.parent().filter(|f| !f.as_os_str().is_empty());
        folder.unwrap_or_else(|| Path::new("."))
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "voter" => Ok(Kind::Voter),
        "observer" => Ok(Kind::Observer),
        _ => Err("it is voter or observer".into()),
    }
}

fn member_id(text: &str) -> Result<MemberId, String> {
    let number: i64 = text
        .parse()
        .map_err(|_| format!("{text} is not a number"))?;
    MemberId::try_from(number).map_err(|error| error.to_string())
}

/// Runs until `shutdown` resolves.
///
/// # Errors
/// If the volume, the socket, a port or the certificates cannot be used.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    // The plain port first: a probe gets an answer before certificates and volume are read.
    let plain = bind(settings.plain, "plain port").await?;
    let orders = bind(settings.orders, "order port").await?;
    let member = settings.member()?;
    if let Some(lines) = &settings.zoo_cfg {
        provision(member, &settings.volume, settings.folder(), lines)?;
    }
    let seat = Seat {
        member,
        ensemble: settings.ensemble,
        volume: settings.volume.clone(),
    };
    let steward = Steward::open(seat)
        .with_context(|| format!("journal on volume {}", settings.volume.display()))?;
    let steward = Arc::new(steward);
    let acceptor = Arc::new(Acceptor::open(&settings.certificates)?);
    let socket = link::listen(&settings.socket)
        .with_context(|| format!("control socket {}", settings.socket.display()))?;
    info!(%member, orders = %orders.local_addr()?, "waiting for the server");
    let orders = axum::serve(
        OperatorOnly::new(orders, Arc::clone(&acceptor))?,
        ports::orders(Arc::clone(&steward)),
    );
    let plain = axum::serve(plain, ports::plain(Arc::clone(&steward)));
    tokio::select! {
        () = link::serve(socket, steward) => {}
        () = acceptor.follow() => {}
        ended = orders.into_future() => ended.context("order port")?,
        ended = plain.into_future() => ended.context("plain port")?,
        () = shutdown => info!("asked to end"),
    }
    Ok(())
}

/// Where there is no IPv6 at all, its wildcard stands for every address there is.
async fn bind(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    let bound = match TcpListener::bind(address).await {
        Err(_) if address.ip() == Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    bound.with_context(|| format!("{what} {address}"))
}
