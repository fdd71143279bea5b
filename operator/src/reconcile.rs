//! One pass over one ensemble.

use std::time::Duration;

use api::ZooKeeperClusterStatus;
use api::sidecar::{OrderResponse, ServerState, Term};
use plan::{Converge, Desired, MemberOrder, Plan, Step, plan, validate};
use tracing::{info, warn};

use crate::metrics::EnsembleMetrics;
use crate::notices::notices;
use crate::platform::{Platform, PlatformError, Seen};
use crate::sidecars::{Orders, SidecarError};

/// An operator's time at the lead of one ensemble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The term it gives orders under, taken with the first.
    pub term: Option<Term>,
}

/// Why a pass ended early. The next one observes anew.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The platform did not do something.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// An order may have been carried out or not.
    #[error("order to member {member}")]
    Order {
        /// To whom.
        member: api::MemberId,
        /// Why its answer is not known.
        source: SidecarError,
    },
    /// Another operator has taken a higher term: this one must give no more orders.
    #[error("another operator leads under term {seen}")]
    Superseded {
        /// The higher term.
        seen: Term,
    },
    /// Something did not answer, and whether it was done is not known.
    #[error("the pass was not finished within {0:?}")]
    Unfinished(Duration),
}

/// One pass; answers when to look again at the latest.
///
/// # Errors
/// [`PassError`]; whatever was done up to then stands, and the next pass goes on from there.
pub async fn reconcile<P: Platform, O: Orders>(
    platform: &P,
    sidecars: &O,
    lead: &mut Leadership,
    metrics: &EnsembleMetrics,
) -> Result<Duration, PassError> {
    let mut seen = observe(platform, sidecars).await?;
    let before = seen.resource.status.clone().unwrap_or_default();
    let desired = validate(&seen.resource);
    let planned = plan(
        desired.as_ref().map_err(Vec::as_slice),
        &seen.observed,
        &before,
        lead.term,
    );
    lead.record(platform, &mut seen, &before, &planned).await?;
    let news = notices(&before, &planned);
    if !news.is_empty() {
        platform.announce(&seen, &news).await;
    }
    apply(platform, sidecars, &seen, desired.as_ref().ok(), &planned).await?;
    metrics.report(&seen.observed, &planned);
    Ok(planned.requeue_after)
}

async fn observe<P: Platform, O: Orders>(
    platform: &P,
    sidecars: &O,
) -> Result<Seen<P::World>, PlatformError> {
    let mut seen = platform.observe().await?;
    for (member, mut report) in sidecars.ask_all(&seen.sidecars).await {
        let found = seen.observed.members.entry(member).or_default();
        if let ServerState::Down { exit, .. } = &mut report.status.server {
            // A sidecar sees that a process is gone, its platform how it went.
            *exit = exit.take().or_else(|| found.trouble.clone());
        }
        found.report = Some(report);
    }
    seen.observed.now = jiff::Timestamp::now();
    Ok(seen)
}

impl Leadership {
    /// Writes the status, and with it the term that the plan may have claimed: before that it
    /// orders nothing.
    async fn record<P: Platform>(
        &mut self,
        platform: &P,
        seen: &mut Seen<P::World>,
        before: &ZooKeeperClusterStatus,
        planned: &Plan,
    ) -> Result<(), PassError> {
        if let Some(seen) = planned.superseded {
            return Err(PassError::Superseded { seen });
        }
        if seen.resource.status.as_ref() != Some(&planned.status) {
            platform.write_status(seen, planned.status.clone()).await?;
        }
        if planned.status.term > before.term {
            info!(term = %planned.status.term, "this operator leads");
            self.term = Some(planned.status.term);
        }
        Ok(())
    }
}

/// Does what disrupts nothing, orders included, and then the step.
async fn apply<P: Platform, O: Orders>(
    platform: &P,
    sidecars: &O,
    seen: &Seen<P::World>,
    desired: Option<&Desired>,
    planned: &Plan,
) -> Result<(), PassError> {
    for what in &planned.converge {
        match (what, desired) {
            (Converge::Boot(order), _) => give(sidecars, seen, order).await?,
            (_, Some(desired)) => platform.converge(seen, desired, what).await?,
            (_, None) => unreachable!("an invalid spec shapes nothing"),
        }
    }
    match &planned.step {
        None => {}
        Some(Step::Birth(orders)) => {
            info!(members = orders.len(), "birth");
            for order in orders {
                give(sidecars, seen, order).await?;
            }
        }
        Some(step) => {
            info!(?step, "step");
            platform.step(seen, step).await?;
        }
    }
    Ok(())
}

async fn give<W: Sync, O: Orders>(
    sidecars: &O,
    seen: &Seen<W>,
    MemberOrder { member, request }: &MemberOrder,
) -> Result<(), PassError> {
    let Some(endpoint) = seen.sidecars.get(member) else {
        let why = format!("member {member} has no order port");
        return Err(PlatformError::Cannot(why).into());
    };
    let answered = sidecars.order(endpoint, request).await;
    match answered.map_err(|source| PassError::Order {
        member: *member,
        source,
    })? {
        OrderResponse::RefusedTerm { seen } => Err(PassError::Superseded { seen }),
        OrderResponse::Refused { why } => {
            warn!(%member, operation = request.operation_id, why, "order refused");
            Ok(())
        }
        response => {
            info!(%member, operation = request.operation_id, ?response, "ordered");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
