//! The two HTTP ports: orders over mutual TLS, and the plain one for probes and metrics.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::sidecar::{
    ORDERS_PATH, OrderRequest, OrderResponse, STATUS_PATH, ServerState, SidecarStatus,
};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::metrics;
use crate::steward::Steward;
use crate::tls::{self, Acceptor};

/// A handshake that takes longer is not the operator's.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// Handshakes done and not yet served.
const ACCEPTED_QUEUED: usize = 16;

/// Largest order: a configuration of 254 members with long names.
const ORDER_LIMIT: usize = 256 << 10;

/// What the order port answers.
pub fn orders(steward: Arc<Steward>) -> Router {
    Router::new()
        .route(STATUS_PATH, get(status))
        .route(ORDERS_PATH, post(order))
        .layer(DefaultBodyLimit::max(ORDER_LIMIT))
        .with_state(steward)
}

/// What the plain port answers.
pub fn plain(steward: Arc<Steward>) -> Router {
    Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(scrape))
        .with_state(steward)
}

async fn status(State(steward): State<Arc<Steward>>) -> Json<SidecarStatus> {
    Json(steward.status())
}

async fn order(
    State(steward): State<Arc<Steward>>,
    Json(request): Json<OrderRequest>,
) -> Json<OrderResponse> {
    Json(steward.order(request).await)
}

/// Ready is the server, not the sidecar: clients may be sent to this member. The text is its role.
async fn ready(State(steward): State<Arc<Steward>>) -> (StatusCode, String) {
    let status = steward.status();
    match (status.status, status.server) {
        (Some(server), ServerState::Running) => {
            let code = if server.ready {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            (code, format!("{:?}\n", server.role).to_lowercase())
        }
        (_, state) => (StatusCode::SERVICE_UNAVAILABLE, format!("{state:?}\n")),
    }
}

async fn scrape(State(steward): State<Arc<Steward>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)],
        metrics::text(&steward.status()),
    )
}

/// A TCP port whose connections have passed their handshake and showed the operator's name.
pub struct OperatorOnly {
    address: SocketAddr,
    accepted: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl OperatorOnly {
    /// Accepts on `listener` from now on. Handshakes run beside each other, so a silent client
    /// delays nobody.
    ///
    /// # Errors
    /// If the listener has no address.
    pub fn new(listener: TcpListener, acceptor: Arc<Acceptor>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (send, accepted) = mpsc::channel(ACCEPTED_QUEUED);
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, from)) => {
                        tokio::spawn(admit(acceptor.current(), stream, from, send.clone()));
                    }
                    Err(error) => {
                        warn!(%error, "order port");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
        Ok(Self { address, accepted })
    }
}

async fn admit(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    from: SocketAddr,
    send: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let stream = match tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%from, %error, "handshake"),
        Err(_) => return debug!(%from, "no handshake in time"),
    };
    if !tls::is_operator(stream.get_ref().1.peer_certificates()) {
        return warn!(%from, "refused: the certificate is not the operator's");
    }
    // A closed queue means that the port is being closed.
    let _ = send.send((stream, from)).await;
}

impl axum::serve::Listener for OperatorOnly {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}
