//! The AdminServer: `/commands`, as Apache's, and `/live`, `/ready` and `/metrics`.
//!
//! The ports open before the member reads its disk, so that a long recovery is seen to be alive.
//! A port that cannot be had is a warning: the ensemble needs its members more than people need
//! to look at them, and so does Apache.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Path as UrlPath, Query, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use axum::serve::ListenerExt as _;
use prometheus::TextEncoder;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Gauge, Metric, MetricFamily, MetricType};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use wire::config::Address;

use super::commands::{self, Answer, COMMANDS, Command, Does};
use super::idle::{self, Busy, Patient};
use super::snapshot::{self, Asked, Paused};
use crate::config::Admin;
use crate::inbox::Work;
use crate::serve::Stop;
use crate::shared::{Serving, Shared};
use crate::vital;

/// The member, once it has started.
pub(crate) type Started = Arc<OnceLock<Arc<Shared>>>;

/// What the routes share.
#[derive(Clone, Default)]
pub(super) struct Monitored {
    pub(super) started: Started,
    /// When a snapshot was asked for, and when one was restored.
    pub(super) paused: Arc<Paused>,
    pub(super) stop: Stop,
}

/// How long the member thread may take for what it has at hand: more than any batch takes it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether it has moved.
const LOOK: Duration = Duration::from_millis(10);

/// Listens where the configuration says, as far as possible.
pub(crate) fn open(config: &Admin, stop: &Stop, runtime: &Handle) -> Started {
    let monitored = Monitored {
        stop: stop.clone(),
        ..Monitored::default()
    };
    if let Some(address) = &config.http {
        let commands = &config.commands;
        let index = config.commands.clone();
        let routes = Router::new()
            .route("/live", get(live))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .route(&format!("{commands}/{{name}}"), any(run))
            .route(commands, get(move || async move { list(&index) }))
            .route(&format!("{commands}/"), {
                let index = config.commands.clone();
                get(move || async move { list(&index) })
            });
        let listens = (address, config.idle);
        serve("admin.serverPort", listens, routes, &monitored, runtime);
    }
    if let Some(address) = &config.metrics {
        let routes = Router::new().route("/metrics", get(metrics));
        serve(
            "metricsProvider.httpPort",
            (address, config.idle),
            routes,
            &monitored,
            runtime,
        );
    }
    monitored.started
}

fn serve(
    key: &'static str,
    (address, idle): (&Address, Duration),
    routes: Router<Monitored>,
    monitored: &Monitored,
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
            let busy = Busy::default();
            let routes = routes
                .layer(from_fn_with_state(busy.clone(), idle::carry_out))
                .with_state(monitored.clone())
                .into_make_service_with_connect_info::<SocketAddr>();
            vital::task(runtime, "monitors", async move {
                let patient = Patient {
                    listener,
                    idle,
                    busy,
                };
                // Tapped, since axum tells peers' addresses of its own kinds of listener alone.
                if let Err(error) = axum::serve(patient.tap_io(|_| {}), routes).await {
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
async fn live(State(monitored): State<Monitored>) -> Response {
    let Some(shared) = monitored.started.get() else {
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

async fn ready(State(monitored): State<Monitored>) -> Response {
    match why_not_ready(monitored.started.get().map(AsRef::as_ref)) {
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
        Serving::ReadOnly => Some("without a quorum: read-only"),
        Serving::Holding => Some("without a leader: clients are kept, and wait"),
        Serving::No => Some("without a leader: no quorum, or not synced to it yet"),
    }
}

/// The index of the commands.
fn list(path: &str) -> Html<String> {
    let link = |command: &Command| {
        let name = command.names[0];
        format!("<a href=\"{path}/{name}\">{name}</a>\n<br/>\n")
    };
    Html(COMMANDS.iter().map(link).collect())
}

/// Runs a command.
async fn run(
    State(monitored): State<Monitored>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    UrlPath(name): UrlPath<String>,
    Query(arguments): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let is_post = request.method() == Method::POST;
    if !is_post && !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let Some(command) = commands::find(&name) else {
        let unknown = format!("Unknown command: {name}");
        return json(Answer::new(&name, StatusCode::OK, Some(&unknown)));
    };
    let shared = monitored.started.get();
    let refusal = command.refusal(shared.map(AsRef::as_ref));
    let (Some(shared), None) = (shared, refusal) else {
        let refusal = command.refusal(None);
        return refusal.map_or_else(|| StatusCode::OK.into_response(), json);
    };
    shared.metrics.insecure_admin_count.inc();
    let asked = Asked::new(command.names[0], peer, request.headers());
    if command.is_restricted()
        && let Err((status, why)) = asked.check(shared)
    {
        return asked.refuse(status, Some(why));
    }
    if is_post != matches!(command.does, Does::Restore) {
        let wanted = if is_post { "GET" } else { "POST" };
        let why = format!("{} wants {wanted}", command.names[0]);
        let refusal = Answer::new(command.names[0], StatusCode::METHOD_NOT_ALLOWED, Some(&why));
        return json(refusal);
    }
    match command.does {
        Does::Snapshot => snapshot::take(shared, &monitored.paused, &asked, &arguments).await,
        Does::Restore => snapshot::restore(shared, &monitored, &asked, request.into_body()).await,
        Does::Tell(_) | Does::TellSessions(_) | Does::SetMask => {
            json(command.tell(shared, &arguments).await)
        }
    }
}

pub(super) fn json(answer: Answer) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (answer.status, kind, answer.text()).into_response()
}

async fn metrics(State(monitored): State<Monitored>) -> Response {
    let Some(shared) = monitored.started.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response();
    };
    match TextEncoder::new().encode_to_string(&families(shared)) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// What only grows and is a gauge in Apache all the same.
const COUNTED_GAUGES: [&str; 3] = ["auth_failed_count", "packets_received", "packets_sent"];

/// Whether it is one in Apache.
pub(super) fn is_gauge(family: &MetricFamily) -> bool {
    family.get_field_type() == MetricType::GAUGE || COUNTED_GAUGES.contains(&family.name())
}

/// All metrics, under the names of 3.9, or of 3.10 if that is asked for.
pub(super) fn families(shared: &Shared) -> Vec<MetricFamily> {
    let mut families = shared.metrics.registry.gather();
    for family in &mut families {
        if COUNTED_GAUGES.contains(&family.name()) {
            let value = family.get_metric().first();
            let value = value.map_or(0.0, |metric| metric.get_counter().get_value());
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            family.set_field_type(MetricType::GAUGE);
            family.set_metric(vec![Metric::from_gauge(gauge)]);
        }
    }
    if shared.config.admin.total_names {
        for family in &mut families {
            if family.get_field_type() == MetricType::COUNTER {
                family.set_name(format!("{}_total", family.name()));
            }
        }
    }
    // By the names that Java's client library has, too.
    families.extend(ProcessCollector::for_self().collect());
    families
}
