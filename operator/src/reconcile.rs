//! One pass over one ensemble.

use std::time::Duration;

use api::condition::{Condition, ConditionStatus, ConditionType, Reason, merge};
use api::sidecar::{OrderResponse, Term};
use api::{Invalid, ZooKeeperClusterStatus};
use plan::{Converge, Desired, MemberOrder, Plan, Step, plan, validate};
use tracing::{info, warn};

use crate::metrics::Metrics;
use crate::platform::{Platform, PlatformError, Seen};
use crate::sidecars::{SidecarError, Sidecars};

/// How long an invalid spec is left alone: its change starts a pass by itself where the platform
/// says so.
const INVALID_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How soon the orders follow that a term was taken for.
const AT_ONCE: Duration = Duration::ZERO;

/// An operator's time at the lead of one ensemble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The term it gives orders under, taken before the first.
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
}

/// One pass; answers when to look again at the latest.
///
/// # Errors
/// [`PassError`]; whatever was done up to then stands, and the next pass goes on from there.
pub async fn reconcile<P: Platform>(
    platform: &P,
    sidecars: &Sidecars,
    lead: &mut Leadership,
    metrics: &Metrics,
) -> Result<Duration, PassError> {
    let mut seen = observe(platform, sidecars).await?;
    metrics.observed(&seen.observed);
    let before = seen.resource.status.clone().unwrap_or_default();
    let desired = match validate(&seen.resource) {
        Ok(desired) => desired,
        Err(wrong) => {
            let status = invalid(&seen, before, &wrong);
            platform.write_status(&mut seen, status).await?;
            return Ok(INVALID_AGAIN_AFTER);
        }
    };
    let planned = lead.fence(plan(&desired, &seen.observed, &before), &before, &seen)?;
    platform
        .write_status(&mut seen, planned.status.clone())
        .await?;
    apply(platform, sidecars, &seen, &desired, &planned).await?;
    metrics.planned(&planned);
    Ok(planned.requeue_after)
}

async fn observe<P: Platform>(
    platform: &P,
    sidecars: &Sidecars,
) -> Result<Seen<P::World>, PlatformError> {
    let mut seen = platform.observe().await?;
    for (member, report) in sidecars.ask_all(&seen.sidecars).await {
        seen.observed.members.entry(member).or_default().report = Some(report);
    }
    seen.observed.now = jiff::Timestamp::now();
    Ok(seen)
}

impl Leadership {
    /// Sees to it that orders are given under this leadership's term only. Before the first one
    /// a plan becomes one that does nothing but take a term, higher than all that were seen.
    fn fence<W>(
        &mut self,
        mut planned: Plan,
        before: &ZooKeeperClusterStatus,
        seen: &Seen<W>,
    ) -> Result<Plan, PassError> {
        let reported = seen
            .observed
            .all_fresh()
            .map(|(_, report)| report.term)
            .max();
        let highest = before.term.max(reported.unwrap_or_default());
        if let Some(own) = self.term {
            if highest > own {
                return Err(PassError::Superseded { seen: highest });
            }
            if before.term == own || !gives_orders(&planned) {
                return Ok(planned);
            }
        } else if !gives_orders(&planned) {
            return Ok(planned);
        }
        // Kept even if its write fails: a term that was never written orders nothing.
        let term = Term(highest.0 + 1);
        info!(%term, "taking the lead");
        self.term = Some(term);
        planned.status = ZooKeeperClusterStatus {
            term,
            ..before.clone()
        };
        planned.converge.clear();
        planned.step = None;
        planned.requeue_after = AT_ONCE;
        Ok(planned)
    }
}

fn gives_orders(planned: &Plan) -> bool {
    let boots = planned
        .converge
        .iter()
        .any(|c| matches!(c, Converge::Boot(_)));
    // A step without orders of its own is fenced too: it stops a process.
    boots || planned.step.is_some()
}

async fn apply<P: Platform>(
    platform: &P,
    sidecars: &Sidecars,
    seen: &Seen<P::World>,
    desired: &Desired,
    planned: &Plan,
) -> Result<(), PassError> {
    for what in &planned.converge {
        match what {
            Converge::Boot(order) => give(sidecars, seen, order).await?,
            _ => platform.converge(seen, desired, what).await?,
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
            platform.step(seen, desired, step).await?;
        }
    }
    Ok(())
}

async fn give<W>(
    sidecars: &Sidecars,
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

/// The status of a spec that cannot be carried out: what runs goes on.
fn invalid<W>(
    seen: &Seen<W>,
    mut status: ZooKeeperClusterStatus,
    wrong: &[Invalid],
) -> ZooKeeperClusterStatus {
    let now = seen.observed.now;
    let why: Vec<_> = wrong.iter().map(ToString::to_string).collect();
    let why = why.join("; ");
    let mut conditions: Vec<_> = status
        .conditions
        .iter()
        .filter(|c| c.type_ != ConditionType::Stalled)
        .cloned()
        .collect();
    conditions.push(Condition {
        observed_generation: seen.resource.metadata.generation,
        ..Condition::new(
            now,
            ConditionType::Stalled,
            ConditionStatus::True,
            Reason::InvalidSpec,
            why,
        )
    });
    status.conditions = merge(&status.conditions, conditions);
    status.observed_generation = seen.resource.metadata.generation;
    status.step = Some("InvalidSpec".into());
    status
}
