//! One pass, from what was observed to what is to be done.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api::{
    EnsembleConfig, Invalid, MemberId, Term, ZooKeeperClusterStatus,
    sidecar::{Order, OrderRequest, ServerState},
    status::{BootstrapPhase, Operation, OperationKind},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    Converge, Desired, MemberOrder, Observed, Plan, Step, birth,
    boot::{self, Boot, Candidate, Ensemble},
    conditions::conditions,
    health::Health,
    observed::ProcessState,
    steps::{self, Situation, Verdict},
    summary,
    term::{self, Authority},
};

/// While something is awaited: sidecars cannot call, so they are asked each second.
const SOON: Duration = Duration::from_secs(1);
/// At rest.
const AT_REST: Duration = Duration::from_secs(10);

/// Plans one pass. `held` is the term that this leadership has taken for this ensemble, if it
/// has; after the plan's status was written its `term` is the one held.
///
/// An invalid spec changes nothing, and members of a living ensemble are still told to start.
pub fn plan(
    desired: Result<&Desired, &[Invalid]>,
    observed: &Observed,
    status: &ZooKeeperClusterStatus,
    held: Option<Term>,
) -> Plan {
    let authority = term::authority(held, status, observed);
    if let Authority::Superseded(_) = authority {
        return superseded(status);
    }
    let acts = observed.conflicts.is_empty() && !desired.is_ok_and(|desired| desired.paused);
    let mut next = status.clone();
    let begun = birth::advance(desired.ok().filter(|_| acts), observed, &mut next);
    track_birth(observed, &mut next);

    let committed = next
        .cluster_id
        .as_deref()
        .and_then(|cluster_id| observed.committed_config(cluster_id));
    let roster = birth::roster(desired.ok(), observed, &next, committed.as_ref());
    let boots = boots(desired.ok(), observed, &next, committed.as_ref());
    let health = Health::assess(
        observed,
        next.cluster_id.as_deref(),
        committed,
        changes_membership(next.operation.as_ref()),
        &roster,
        &boots,
    );
    let situation = Situation {
        desired,
        observed,
        status: &next,
        begun: &begun,
        health: &health,
        boots: &boots,
    };
    let verdict = steps::verdict(&situation);
    let conditions = conditions(&situation, &verdict, status);

    let mut orders = if desired.is_ok_and(|desired| desired.paused) {
        Vec::new()
    } else {
        orders(observed, &next, boots)
    };
    if let (Authority::Claim(term), false) = (authority, orders.is_empty()) {
        next.term = term;
    }
    for order in &mut orders {
        order.request.term = next.term;
    }
    let step = step(observed, &verdict, &mut orders)
        .or_else(|| renewal(observed).filter(|_| acts && desired.is_ok()));
    let mut converge = match desired {
        Ok(desired) if acts => shared(desired, &roster),
        _ => Vec::new(),
    };
    converge.extend(orders.into_iter().map(Converge::Boot));

    next.conditions = conditions;
    summary::fill(&mut next, desired.ok(), observed, &health, &verdict);
    Plan {
        converge,
        step,
        status: next,
        requeue_after: requeue_after(&verdict),
        superseded: None,
    }
}

fn superseded(status: &ZooKeeperClusterStatus) -> Plan {
    Plan {
        converge: Vec::new(),
        step: None,
        status: status.clone(),
        requeue_after: AT_REST,
        superseded: Some(status.term),
    }
}

fn requeue_after(verdict: &Verdict) -> Duration {
    if verdict.settled || verdict.stalled {
        AT_REST
    } else {
        SOON
    }
}

/// The birth is an operation like any other: written before it is told, gone when it is done.
fn track_birth(observed: &Observed, next: &mut ZooKeeperClusterStatus) {
    let is_birth = |operation: &Operation| operation.kind == OperationKind::Birth;
    match (next.phase(), &next.operation) {
        (BootstrapPhase::Granted, None) => {
            next.operation = Some(Operation {
                id: format!("birth-{}", next.cluster_id.as_deref().unwrap_or_default()),
                kind: OperationKind::Birth,
                member: None,
                volume_id: None,
                uid: None,
                expected_version: None,
                started_at: Time(observed.now),
            });
        }
        (BootstrapPhase::Initialised, Some(operation)) if is_birth(operation) => {
            next.operation = None;
        }
        _ => {}
    }
}

fn changes_membership(operation: Option<&Operation>) -> bool {
    operation.is_some_and(|operation| {
        matches!(
            operation.kind,
            OperationKind::ScaleUp | OperationKind::ScaleDown | OperationKind::Replace
        )
    })
}

/// What each waiting server is told.
fn boots(
    desired: Option<&Desired>,
    observed: &Observed,
    next: &ZooKeeperClusterStatus,
    newest: Option<&EnsembleConfig>,
) -> BTreeMap<MemberId, Boot> {
    let ensemble = match (next.phase(), &next.bootstrap) {
        (BootstrapPhase::Granted, Some(birth)) => Ensemble::Granted {
            birth,
            untouched: birth::untouched(observed, birth),
        },
        (BootstrapPhase::Initialised, Some(birth)) => Ensemble::Initialised { birth, newest },
        _ => Ensemble::Unborn,
    };
    let waiting = observed.members.keys().filter_map(|id| {
        let candidate = Candidate {
            id: *id,
            // Without a valid spec nobody is retired.
            wanted: desired.is_none_or(|desired| desired.wants(*id)),
            volume: observed.waiting(*id)?,
        };
        Some((*id, boot::boot(candidate, ensemble)))
    });
    waiting.collect()
}

fn orders(
    observed: &Observed,
    next: &ZooKeeperClusterStatus,
    boots: BTreeMap<MemberId, Boot>,
) -> Vec<MemberOrder> {
    let Some(birth) = &next.bootstrap else {
        return Vec::new();
    };
    let cluster_id = || birth.cluster_id.clone();
    let order = |id: MemberId, boot: Boot| {
        let volume_id = observed.waiting(id)?.volume_id.clone();
        let (name, order) = match boot {
            Boot::Grant => (
                "grant",
                Order::Grant {
                    cluster_id: cluster_id(),
                    volume_id,
                    config: boot::first_config(birth),
                },
            ),
            Boot::Start { config } => (
                "start",
                Order::Start {
                    cluster_id: cluster_id(),
                    volume_id,
                    config,
                },
            ),
            Boot::Join { config, .. } => (
                "join",
                Order::Join {
                    cluster_id: cluster_id(),
                    volume_id,
                    config,
                },
            ),
            Boot::Park { why } => (
                "park",
                Order::Park {
                    volume_id,
                    reason: why,
                },
            ),
            Boot::Wait(_) => return None,
        };
        // A server can come to wait again and again, so each pass gives a new order. That it
        // waits is what makes one given twice harmless.
        let operation_id = format!("{name}-{id}-{}", observed.now.as_millisecond());
        let request = OrderRequest {
            term: Term::default(),
            operation_id,
            order,
        };
        Some(MemberOrder {
            member: id,
            request,
        })
    };
    let orders = boots.into_iter().filter_map(|(id, boot)| order(id, boot));
    orders.collect()
}

/// The one step. Grants are taken out of `orders`: they go out together or not at all.
fn step(observed: &Observed, verdict: &Verdict, orders: &mut Vec<MemberOrder>) -> Option<Step> {
    let is_grant = |order: &MemberOrder| matches!(order.request.order, Order::Grant { .. });
    let (grants, others) = orders.drain(..).partition(is_grant);
    *orders = others;
    if !Vec::is_empty(&grants) {
        return Some(Step::Birth(grants));
    }
    let member = verdict.dismiss?;
    let found = observed.members.get(&member)?;
    let volume = found.volume.as_ref().filter(|volume| !volume.terminating)?;
    Some(Step::Dismiss {
        member,
        process: found.process.as_ref()?.uid.clone(),
        volume: volume.uid.clone(),
    })
}

/// A process that does not serve and cannot get better, because it came from an older template.
/// Whatever else is wrong: it is missed by nobody.
fn renewal(observed: &Observed) -> Option<Step> {
    observed.members.iter().find_map(|(member, found)| {
        let process = found.process.as_ref()?;
        let runs = observed
            .fresh(*member)
            .is_some_and(|report| report.server == ServerState::Running);
        let stuck = matches!(process.state, ProcessState::NotServing { .. }) && !runs;
        (stuck && process.outdated).then(|| Step::Renew {
            member: *member,
            process: process.uid.clone(),
        })
    })
}

fn shared(desired: &Desired, roster: &BTreeSet<MemberId>) -> Vec<Converge> {
    debug_assert!(!desired.paused);
    let members: Vec<_> = roster.iter().copied().collect();
    vec![
        Converge::Shared,
        Converge::Volumes(members.clone()),
        Converge::Processes(members),
    ]
}

#[cfg(test)]
mod tests;
