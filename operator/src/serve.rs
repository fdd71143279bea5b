//! The plain port: probes and metrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use parking_lot::RwLock;

use crate::lease::Standing;
use crate::metrics::Metrics;

/// What this process is doing, for whoever asks.
#[derive(Clone, Debug, Default)]
pub struct Part(Arc<RwLock<Doing>>);

#[derive(Clone, Debug, Default)]
enum Doing {
    #[default]
    Starting,
    StandingBy(Standing),
    Leading,
    /// It leads, and lacks something to act.
    Hindered(String),
}

impl Part {
    pub(crate) fn stand_by(&self, standing: &Standing) {
        *self.0.write() = Doing::StandingBy(standing.clone());
    }

    pub(crate) fn lead(&self) {
        *self.0.write() = Doing::Leading;
    }

    pub(crate) fn be_hindered(&self, why: String) {
        *self.0.write() = Doing::Hindered(why);
    }

    /// Ready is who acts, and who could take over.
    fn is_ready(&self) -> (bool, String) {
        match &*self.0.read() {
            Doing::Starting => (false, "starting".into()),
            Doing::StandingBy(Standing::Behind(holder)) => {
                (true, format!("standing by: {holder} leads"))
            }
            Doing::StandingBy(Standing::Blind) => (
                false,
                "the API server does not answer, or refuses the Lease; the log says which".into(),
            ),
            Doing::Leading => (true, "leading".into()),
            Doing::Hindered(why) => (false, why.clone()),
        }
    }
}

/// What the plain port answers.
pub fn routes(part: Part, metrics: Metrics) -> Router {
    let ready = |State(part): State<Part>| async move {
        let (ready, text) = part.is_ready();
        let code = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (code, text + "\n")
    };
    let scrape = || async move {
        let format = [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)];
        (format, metrics.text()).into_response()
    };
    Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(scrape))
        .with_state(part)
}
