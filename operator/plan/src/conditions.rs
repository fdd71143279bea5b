//! What the status says, worked out in one place.

use api::{
    Condition, ConditionStatus, ConditionType, MemberId, Reason, ZooKeeperClusterStatus, condition,
    status::{BootstrapPhase, MemberState},
};

use crate::steps::{Situation, Verdict};

/// All conditions, each time, in the same order.
pub(crate) fn conditions(
    situation: &Situation<'_>,
    verdict: &Verdict,
    before: &ZooKeeperClusterStatus,
) -> Vec<Condition> {
    let observed = situation.observed;
    let all = [
        (ConditionType::Ready, ready(situation, verdict)),
        (ConditionType::Progressing, progressing(verdict)),
        (ConditionType::Degraded, degraded(situation, verdict)),
        (ConditionType::QuorumAtRisk, quorum_at_risk(situation)),
        (ConditionType::Stalled, stalled(verdict)),
        (ConditionType::NameConflict, name_conflict(situation)),
    ];
    let new = all
        .into_iter()
        .map(|(type_, (status, reason, message))| Condition {
            observed_generation: observed.generation,
            ..Condition::new(observed.now, type_, status, reason, message)
        })
        .collect();
    condition::merge(&before.conditions, new)
}

type Statement = (ConditionStatus, Reason, String);

fn ready(situation: &Situation<'_>, verdict: &Verdict) -> Statement {
    let health = situation.health;
    let initialised = situation.status.phase() == BootstrapPhase::Initialised;
    let complete = situation.desired.is_ok_and(|desired| {
        let voters = health.quorum.as_ref().map(|quorum| &quorum.voters);
        voters == Some(&desired.voters)
    });
    let serves = initialised && health.quorum_serves() && health.not_serving().next().is_none();
    if serves && complete {
        let message = format!("all {} members serve", health.members.len());
        return (ConditionStatus::True, Reason::AsDesired, message);
    }
    (
        ConditionStatus::False,
        verdict.reason,
        verdict.message.clone(),
    )
}

fn progressing(verdict: &Verdict) -> Statement {
    let moving = !verdict.settled && !verdict.stalled;
    let reason = match verdict.reason {
        Reason::AsDesired => Reason::Idle,
        reason => reason,
    };
    (moving.into(), reason, verdict.message.clone())
}

fn degraded(situation: &Situation<'_>, verdict: &Verdict) -> Statement {
    let initialised = situation.status.phase() == BootstrapPhase::Initialised;
    let bad: Vec<_> = situation
        .health
        .not_serving()
        .map(|(id, view)| format!("member {id}: {}", view.why))
        .collect();
    if initialised && !bad.is_empty() {
        let reason = match verdict.reason {
            Reason::AsDesired | Reason::Paused | Reason::InvalidSpec => Reason::MemberDown,
            reason => reason,
        };
        return (ConditionStatus::True, reason, bad.join("; "));
    }
    if verdict.stalled {
        return (
            ConditionStatus::True,
            verdict.reason,
            verdict.message.clone(),
        );
    }
    (
        ConditionStatus::False,
        Reason::Healthy,
        "nothing is known to be wrong".to_owned(),
    )
}

fn quorum_at_risk(situation: &Situation<'_>) -> Statement {
    let health = situation.health;
    let Some(quorum) = &health.quorum else {
        let message = "there is no committed configuration to count by".to_owned();
        return (ConditionStatus::Unknown, Reason::AwaitingQuorum, message);
    };
    if !health.quorum_serves() {
        let message = "no leader with a majority behind it is seen".to_owned();
        return (ConditionStatus::True, Reason::QuorumLost, message);
    }
    // Not by lag, as the guard does: that changes under load from one pass to the next.
    let serves = |id: &&MemberId| health.state(**id) == Some(MemberState::Serving);
    let (up, all) = (
        quorum.voters.iter().filter(serves).count(),
        quorum.voters.len(),
    );
    let message = format!("{up} of {all} voters serve");
    if all == 1 {
        (ConditionStatus::True, Reason::SingleMember, message)
    } else if up <= all / 2 + 1 {
        (ConditionStatus::True, Reason::NoSpareMember, message)
    } else {
        (ConditionStatus::False, Reason::SpareMembers, message)
    }
}

fn stalled(verdict: &Verdict) -> Statement {
    if verdict.stalled {
        return (
            ConditionStatus::True,
            verdict.reason,
            verdict.message.clone(),
        );
    }
    let message = "nothing waits for a person".to_owned();
    (ConditionStatus::False, Reason::Healthy, message)
}

fn name_conflict(situation: &Situation<'_>) -> Statement {
    let conflicts = &situation.observed.conflicts;
    let reason = if conflicts.is_empty() {
        Reason::NoConflict
    } else {
        Reason::NotControlled
    };
    let message = if conflicts.is_empty() {
        "no object of this resource's names belongs to somebody else".to_owned()
    } else {
        format!("{} belongs to somebody else", conflicts.join(", "))
    };
    ((!conflicts.is_empty()).into(), reason, message)
}
