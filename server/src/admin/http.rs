//! `/live`, `/ready` and `/metrics` over HTTP.
//!
//! The ports open before the member reads its disk, so that a long recovery is seen to be alive.
//! A port that cannot be had is a warning: the ensemble needs its members more than people need
//! to look at them, and so does Apache.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::TextEncoder;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use wire::config::Address;

use crate::config::Admin;
use crate::inbox::Work;
use crate::shared::{Serving, Shared};
use crate::vital;

/// The member, once it has started.
pub(crate) type Started = Arc<OnceLock<Arc<Shared>>>;

/// How long the member thread may take for what it has at hand: more than any batch takes it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether it has moved.
const LOOK: Duration = Duration::from_millis(10);

/// Listens where the configuration says, as far as possible.
pub(crate) fn open(config: &Admin, runtime: &Handle) -> Started {
    let started = Started::default();
    if let Some(address) = &config.http {
        let routes = Router::new()
            .route("/live", get(live))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics));
        serve("admin.serverPort", address, routes, &started, runtime);
    }
    if let Some(address) = &config.metrics {
        let routes = Router::new().route("/metrics", get(metrics));
        serve(
            "metricsProvider.httpPort",
            address,
            routes,
            &started,
            runtime,
        );
    }
    started
}

fn serve(
    key: &'static str,
    address: &Address,
    routes: Router<Started>,
    started: &Started,
    runtime: &Handle,
) {
    let bound = runtime.block_on(async {
        let listener = TcpListener::bind((address.host.as_str(), address.port)).await?;
        let local = listener.local_addr()?;
        Ok::<_, std::io::Error>((listener, local))
    });
    match bound {
        Ok((listener, local)) => {
            tracing::info!(key, address = %local, "listening for monitors");
            let routes = routes.with_state(started.clone());
            vital::task(runtime, "monitors", async move {
                if let Err(error) = axum::serve(listener, routes).await {
                    tracing::warn!(key, %error, "monitors are not served any more");
                }
            });
        }
        Err(error) => tracing::warn!(
            key,
            port = address.port,
            %error,
            "cannot listen on {address}, which {key} names: the member goes on without it; choose \
             a free port, or 0 for any"
        ),
    }
}

/// Alive: starting, or its thread takes what it is given.
async fn live(State(started): State<Started>) -> Response {
    let Some(shared) = started.get() else {
        return (StatusCode::OK, "starting\n").into_response();
    };
    if moves(shared).await {
        (StatusCode::OK, "alive\n").into_response()
    } else {
        let why = format!("the member thread has not moved for {PATIENCE:?}\n");
        (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
    }
}

async fn moves(shared: &Shared) -> bool {
    let before = shared.rounds.load(Ordering::Relaxed);
    // Nothing to do, but something to wake up for.
    shared.inbox.push(Work::Touched(Vec::new()), 0);
    let moved = async {
        while shared.rounds.load(Ordering::Relaxed) == before {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, moved).await.is_ok()
}

async fn ready(State(started): State<Started>) -> Response {
    match why_not_ready(started.get().map(AsRef::as_ref)) {
        None => (StatusCode::OK, "ready\n").into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// Why clients should go elsewhere, if they should.
pub(super) fn why_not_ready(shared: Option<&Shared>) -> Option<&'static str> {
    let Some(shared) = shared else {
        return Some("starting: it reads its disk, or waits to be told how to start");
    };
    if shared.draining.load(Ordering::Acquire) {
        return Some("draining: it is about to be stopped");
    }
    match shared.serving() {
        Serving::Yes => None,
        Serving::Holding => Some("without a leader: clients are kept, and wait"),
        Serving::No => Some("without a leader: no quorum, or not synced to it yet"),
    }
}

async fn metrics(State(started): State<Started>) -> Response {
    let Some(shared) = started.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response();
    };
    match TextEncoder::new().encode_to_string(&shared.metrics.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
