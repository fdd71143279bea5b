//! Pass after pass, for as long as this operator leads.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::{debug, warn};

use crate::metrics::Metrics;
use crate::platform::{Platform, PlatformError};
use crate::reconcile::{Leadership, PassError, reconcile};
use crate::sidecars::Orders;

/// Shortest wait between two passes that changed nothing, and after a conflict.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

/// First wait after a failed pass, doubled for each further one.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// Longest wait after failed passes.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Reconciles one ensemble until `shutdown` resolves or another operator leads. `at_rest` is the
/// longest wait between two passes; `wake` ends a wait early.
///
/// # Errors
/// [`PassError::Superseded`] only; every other failure is logged and tried again.
pub async fn drive<P: Platform, O: Orders>(
    platform: &P,
    sidecars: &O,
    metrics: &Metrics,
    at_rest: Duration,
    wake: &Notify,
    shutdown: impl Future<Output = ()>,
) -> Result<(), PassError> {
    let mut lead = Leadership::default();
    let mut retry = FIRST_RETRY;
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let started = Instant::now();
        let outcome = tokio::select! {
            outcome = reconcile(platform, sidecars, &mut lead, metrics) => outcome,
            () = &mut shutdown => return Ok(()),
        };
        metrics.passed(label(&outcome), started.elapsed().as_secs_f64());
        let wait = match outcome {
            Ok(wait) => {
                retry = FIRST_RETRY;
                jittered(wait.min(at_rest)).max(SHORTEST_WAIT)
            }
            Err(error @ PassError::Superseded { .. }) => return Err(error),
            Err(PassError::Platform(PlatformError::Conflict(what))) => {
                debug!(what, "changed since it was read");
                SHORTEST_WAIT
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                warn!(%error, cause, again_in = ?retry, "the pass ended early");
                let wait = retry;
                retry = (retry * 2).min(LONGEST_RETRY).min(at_rest.max(FIRST_RETRY));
                wait
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = wake.notified() => {}
            () = &mut shutdown => return Ok(()),
        }
    }
}

fn label(outcome: &Result<Duration, PassError>) -> &'static str {
    match outcome {
        Ok(_) => "done",
        Err(PassError::Platform(PlatformError::Conflict(_))) => "conflict",
        Err(PassError::Platform(_)) => "platform",
        Err(PassError::Order { .. }) => "order",
        Err(PassError::Superseded { .. }) => "superseded",
    }
}

/// Up to a tenth less, so that operators started together do not ask together.
fn jittered(wait: Duration) -> Duration {
    let nanos = jiff::Timestamp::now().subsec_nanosecond().unsigned_abs();
    wait - wait / 10 * (nanos % 1000) / 1000
}
