//! Pass after pass, for as long as this operator leads.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::metrics::EnsembleMetrics;
use crate::platform::{Platform, PlatformError};
use crate::reconcile::{Leadership, PassError, reconcile};
use crate::sidecars::Orders;

/// Shortest wait between two passes: what changes together is seen together.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

/// First wait after a failed pass, doubled for each further one.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// Longest wait after failed passes.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// A pass asks and writes a few dozen times; one that takes longer waits for an answer that will
/// not come.
const PASS_WITHIN: Duration = Duration::from_secs(60);

/// How long a pass that is under way may take when no other one is to follow.
const FINISH_WITHIN: Duration = Duration::from_secs(3);

/// Reconciles one ensemble until `shutdown` resolves or another operator leads. A pass that is
/// under way then is finished, if that does not take long. `at_rest` is the longest wait between
/// two passes; `wake` ends a wait early.
///
/// # Errors
/// [`PassError::Superseded`] only; every other failure is logged and tried again.
pub async fn drive<P: Platform, O: Orders>(
    platform: &P,
    sidecars: &O,
    metrics: &EnsembleMetrics,
    at_rest: Duration,
    wake: &Notify,
    shutdown: impl Future<Output = ()>,
) -> Result<(), PassError> {
    let mut lead = Leadership::default();
    let mut retry = FIRST_RETRY;
    let mut shutdown = pin!(shutdown);
    loop {
        let started = Instant::now();
        let outcome = {
            let mut pass = pin!(timeout(
                PASS_WITHIN,
                reconcile(platform, sidecars, &mut lead, metrics)
            ));
            tokio::select! {
                outcome = &mut pass => outcome.unwrap_or(Err(PassError::Unfinished(PASS_WITHIN))),
                () = &mut shutdown => {
                    // How it ends is for the next operator to see.
                    let _ = timeout(FINISH_WITHIN, pass).await;
                    return Ok(());
                }
            }
        };
        metrics.passed(label(&outcome), started.elapsed().as_secs_f64());
        let mut deaf = SHORTEST_WAIT;
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
            Err(PassError::Platform(PlatformError::Gone(what))) => {
                debug!(what, "gone");
                at_rest
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                warn!(%error, cause, again_in = ?retry, "the pass ended early");
                let wait = retry;
                // What fails may cause the very change that wakes.
                deaf = FIRST_RETRY;
                retry = (retry * 2).min(LONGEST_RETRY).min(at_rest.max(FIRST_RETRY));
                wait
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = woken(wake, deaf) => {}
            () = &mut shutdown => return Ok(()),
        }
    }
}

/// Not before `deaf` is over; several wakes that come together are one.
async fn woken(wake: &Notify, deaf: Duration) {
    sleep(deaf).await;
    wake.notified().await;
}

fn label(outcome: &Result<Duration, PassError>) -> &'static str {
    match outcome {
        Ok(_) => "done",
        Err(PassError::Platform(PlatformError::Conflict(_))) => "conflict",
        Err(PassError::Platform(PlatformError::Gone(_))) => "gone",
        Err(PassError::Platform(PlatformError::Refused(_))) => "refused",
        Err(PassError::Platform(_)) => "platform",
        Err(PassError::Order { .. }) => "order",
        Err(PassError::Superseded { .. }) => "superseded",
        Err(PassError::Unfinished(_)) => "unfinished",
    }
}

/// Up to a tenth less, so that operators started together do not ask together.
fn jittered(wait: Duration) -> Duration {
    let nanos = jiff::Timestamp::now().subsec_nanosecond().unsigned_abs();
    wait - wait / 10 * (nanos % 1000) / 1000
}
