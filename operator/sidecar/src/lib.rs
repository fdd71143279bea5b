//! What runs beside each member: it tells the operator what it sees and does what it is told.
//!
//! Start in [`steward`], which holds everything that is known; [`decide`] is the boot decision,
//! a pure function. [`link`] is the Unix socket that the server dials, [`ports`] are the HTTP
//! ports, [`journal`] is what is kept on the member's volume.
//!
//! Invariants:
//! - the highest term ever seen is on the volume before an order under it is carried out, and no
//!   lower one is obeyed;
//! - an order about how to start is on the volume before the server hears of it, so it holds
//!   through every restart of either;
//! - nobody is told to vote from an empty volume unless that very volume was granted a birth;
//! - a volume that belongs to another ensemble is neither started nor touched, apart from the
//!   sidecar's own folder `<volume>/ferrokeeper`;
//! - a member with an ensemble's data, listed in its own configuration, on a volume that was
//!   given to this resource, is started without asking anybody.
//!
//! It knows neither Kubernetes nor ZooKeeper's protocols, and it never judges a data directory:
//! only the server does.

pub mod decide;
pub mod journal;
pub mod link;
pub mod metrics;
pub mod ports;
pub mod prestop;
pub mod process;
pub mod steward;
pub mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use api::MemberId;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tracing::info;

use crate::ports::OperatorOnly;
use crate::steward::{Seat, Steward};
use crate::tls::Certificates;

/// How a sidecar is started.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Id of the member beside it.
    #[arg(long, value_parser = member_id)]
    pub member: MemberId,
    /// Uid of the ZooKeeperCluster that the member belongs to.
    #[arg(long, value_name = "UID")]
    pub ensemble: String,
    /// Root of the member's volume; the folder `ferrokeeper` in it is the sidecar's.
    #[arg(long, value_name = "DIR")]
    pub volume: PathBuf,
    /// Unix socket that the server dials.
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
    /// Where orders are taken, over mutual TLS and from the operator only.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9181")]
    pub orders: SocketAddr,
    /// Where /live, /ready and /metrics are answered.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9182")]
    pub plain: SocketAddr,
    /// Folder with ca.pem, tls.crt and tls.key.
    #[arg(long, value_name = "DIR")]
    pub certificates: PathBuf,
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
    let seat = Seat {
        member: settings.member,
        ensemble: settings.ensemble,
        volume: settings.volume.clone(),
    };
    let steward = Steward::open(seat)
        .with_context(|| format!("journal on volume {}", settings.volume.display()))?;
    let steward = Arc::new(steward);
    let certificates = Certificates::read(&settings.certificates)?;
    let acceptor = TlsAcceptor::from(Arc::new(certificates.into_server()?));
    let socket = link::listen(&settings.socket)
        .with_context(|| format!("control socket {}", settings.socket.display()))?;
    info!(member = %settings.member, orders = %orders.local_addr()?, "waiting for the server");
    let orders = axum::serve(
        OperatorOnly::new(orders, acceptor)?,
        ports::orders(Arc::clone(&steward)),
    );
    let plain = axum::serve(plain, ports::plain(Arc::clone(&steward)));
    tokio::select! {
        () = link::serve(socket, steward) => {}
        ended = orders.into_future() => ended.context("order port")?,
        ended = plain.into_future() => ended.context("plain port")?,
        () = shutdown => info!("asked to end"),
    }
    Ok(())
}

async fn bind(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{what} {address}"))
}
