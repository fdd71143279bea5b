//! What a pass is about: the first rule that applies wins.

use std::collections::BTreeMap;

use api::{
    Invalid, MemberId, Reason, ZooKeeperClusterStatus,
    status::{BootstrapPhase, MemberState, OperationKind},
};

use crate::{
    Desired, Observed,
    birth::Obstacle,
    boot::{Boot, Wait},
    health::{Health, View},
    observed::MemberObserved,
    words,
};

/// What a rule looks at.
pub(crate) struct Situation<'a> {
    pub(crate) desired: Result<&'a Desired, &'a [Invalid]>,
    pub(crate) observed: &'a Observed,
    /// The status as this pass leaves it.
    pub(crate) status: &'a ZooKeeperClusterStatus,
    pub(crate) begun: &'a Result<(), Obstacle>,
    pub(crate) health: &'a Health<'a>,
    pub(crate) boots: &'a BTreeMap<MemberId, Boot>,
}

/// What the pass is about, and what it says to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// For the column `Step`.
    pub(crate) name: &'static str,
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// Only a person can get it going again.
    pub(crate) stalled: bool,
    /// Nothing is left to do.
    pub(crate) settled: bool,
    /// A member to be removed that no ensemble ever listed.
    pub(crate) dismiss: Option<MemberId>,
}

impl Verdict {
    fn moving(name: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            name,
            reason,
            message: message.into(),
            stalled: false,
            settled: false,
            dismiss: None,
        }
    }

    fn stalled(name: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            stalled: true,
            ..Self::moving(name, reason, message)
        }
    }
}

type Rule = fn(&Situation<'_>) -> Option<Verdict>;

/// The order of a pass. What disrupts nothing is converged before any of these and whatever they
/// say, unless the first three stop it.
///
/// Each rule may end the pass with at most one step. One that waits for a bad member keeps all
/// below it from disturbing another: that is what makes the rest of the list safe.
const ORDER: [Rule; 9] = [
    // Nothing is done that was not asked for.
    invalid_spec,
    paused,
    name_conflict,
    // The ensemble has to begin.
    birth,
    // No quorum: only what is proven not to serve may be touched.
    quorum_lost,
    // One member is bad: only that member may be touched.
    bad_member,
    // What the platform does not take is shown, lest everything looks done.
    refused,
    // What was begun is ended or abandoned before anything else is begun.
    operation,
    // Scaling down, scaling up, rolling and expanding stand here, in this order.
    membership,
];

pub(crate) fn verdict(situation: &Situation<'_>) -> Verdict {
    ORDER
        .iter()
        .find_map(|rule| rule(situation))
        .unwrap_or_else(|| Verdict {
            settled: true,
            ..Verdict::moving("Idle", Reason::AsDesired, at_rest(situation.observed))
        })
}

fn at_rest(observed: &Observed) -> String {
    let outdated = |found: &&MemberObserved| found.process.as_ref().is_some_and(|p| p.outdated);
    let members = observed.members.iter();
    let outdated: Vec<_> = members
        .filter(|(_, found)| outdated(found))
        .map(|(id, _)| *id)
        .collect();
    if outdated.is_empty() {
        return "every member is as the spec wants it".to_owned();
    }
    format!(
        "made from an earlier template: {}; this version restarts none for that, each takes the \
         newest when its process is made anew",
        words::members(&outdated)
    )
}

fn invalid_spec(situation: &Situation<'_>) -> Option<Verdict> {
    let wrong = situation.desired.err()?;
    let list: Vec<_> = wrong.iter().map(ToString::to_string).collect();
    Some(Verdict::stalled(
        "InvalidSpec",
        Reason::InvalidSpec,
        list.join("; "),
    ))
}

fn paused(situation: &Situation<'_>) -> Option<Verdict> {
    let paused = situation.desired.is_ok_and(|desired| desired.paused);
    paused.then(|| {
        let message = "spec.paused is true: only the status is kept up to date";
        Verdict {
            settled: true,
            ..Verdict::moving("Paused", Reason::Paused, message)
        }
    })
}

fn name_conflict(situation: &Situation<'_>) -> Option<Verdict> {
    let conflicts = &situation.observed.conflicts;
    (!conflicts.is_empty()).then(|| {
        let message = format!(
            "{} exists and is controlled by somebody else; rename or delete it, or choose another \
             name for this resource",
            conflicts.join(", ")
        );
        Verdict::stalled("NameConflict", Reason::NotControlled, message)
    })
}

fn birth(situation: &Situation<'_>) -> Option<Verdict> {
    let initialised = situation.status.phase() == BootstrapPhase::Initialised;
    match situation.begun {
        Ok(()) if initialised => None,
        Ok(()) => Some(Verdict::moving(
            "Birth",
            Reason::BirthGranted,
            "every volume is empty: the members are told to start a new ensemble",
        )),
        Err(obstacle) => Some(Verdict {
            stalled: obstacle.stalled,
            dismiss: obstacle.surplus,
            ..Verdict::moving("Birth", obstacle.reason, obstacle.message.clone())
        }),
    }
}

fn quorum_lost(situation: &Situation<'_>) -> Option<Verdict> {
    let health = situation.health;
    if health.quorum_serves() {
        return None;
    }
    let Some(quorum) = &health.quorum else {
        return Some(Verdict::moving(
            "QuorumLost",
            Reason::ObservationLost,
            format!("no member reports what the ensemble is{}", reasons(health)),
        ));
    };
    let has_vote = |id: &&MemberId| {
        let wiped = matches!(situation.boots.get(id), Some(Boot::Join { .. }));
        !wiped && !situation.observed.has_no_vote(**id)
    };
    let coming = |id: &&MemberId| {
        let told = matches!(
            situation.boots.get(id),
            Some(Boot::Start { .. } | Boot::Grant)
        );
        told || matches!(
            health.state(**id),
            Some(MemberState::Serving | MemberState::Starting | MemberState::Draining)
        )
    };
    let silent = |id: &&MemberId| health.state(**id) == Some(MemberState::Silent);
    let majority = quorum.voters.len() / 2 + 1;
    let voting = quorum.voters.iter().filter(has_vote);
    if voting.clone().count() < majority {
        let message = format!(
            "the volumes of a majority are lost, and with them what they had promised; nothing is \
             born over what is left{}",
            reasons(health)
        );
        return Some(Verdict::stalled("QuorumLost", Reason::QuorumLost, message));
    }
    let coming = voting.filter(coming).count();
    let silent = quorum.voters.iter().filter(silent).count();
    let (name, reason, what) = if coming >= majority {
        ("Start", Reason::AwaitingQuorum, "waiting for a leader")
    } else if coming + silent >= majority {
        (
            "QuorumLost",
            Reason::ObservationLost,
            "too few members report to tell whether a quorum serves",
        )
    } else {
        (
            "QuorumLost",
            Reason::QuorumLost,
            "no quorum of the committed configuration serves",
        )
    };
    let message = format!("{what}{}", reasons(health));
    Some(Verdict::moving(name, reason, message))
}

/// `: member 1: …; member 2: …`, or nothing.
fn reasons(health: &Health<'_>) -> String {
    let list: Vec<_> = health
        .not_serving()
        .map(|(id, view)| format!("member {id}: {}", view.why))
        .collect();
    if list.is_empty() {
        String::new()
    } else {
        format!(": {}", list.join("; "))
    }
}

fn bad_member(situation: &Situation<'_>) -> Option<Verdict> {
    // What a person must do comes first; members that are coming up need nobody.
    let (id, view, (reason, stalled)) = situation
        .health
        .not_serving()
        .map(|(id, view)| (id, view, badness(view, situation.boots.get(&id))))
        .max_by_key(|(id, _, (_, stalled))| (*stalled, std::cmp::Reverse(*id)))?;
    let message = format!("waiting for member {id}: {}", view.why);
    Some(Verdict {
        stalled,
        ..Verdict::moving("Member", reason, message)
    })
}

/// Why a member that does not serve is bad, and whether only a person can help.
fn badness(view: &View, boot: Option<&Boot>) -> (Reason, bool) {
    match (view.state, boot) {
        (MemberState::WaitingForPlan, Some(Boot::Wait(Wait::Foreign { .. }))) => {
            (Reason::ForeignData, true)
        }
        (MemberState::WaitingForPlan, Some(Boot::Wait(Wait::Unclaimed))) => {
            (Reason::UnclaimedData, true)
        }
        (MemberState::WaitingForPlan, Some(Boot::Wait(Wait::Parked { .. })))
        | (MemberState::Parked, _) => (Reason::MemberDown, true),
        (MemberState::WaitingForPlan, Some(Boot::Join { wiped: true, .. })) => {
            (Reason::MemberWiped, false)
        }
        (MemberState::WaitingForPlan | MemberState::Starting | MemberState::Draining, _) => {
            (Reason::MemberStarting, false)
        }
        _ => (Reason::MemberDown, false),
    }
}

fn refused(situation: &Situation<'_>) -> Option<Verdict> {
    let refusals = &situation.observed.refusals;
    (!refusals.is_empty()).then(|| {
        let message = refusals.join("; ");
        Verdict::stalled("Refused", Reason::PlatformRefuses, message)
    })
}

fn operation(situation: &Situation<'_>) -> Option<Verdict> {
    let operation = situation.status.operation.as_ref()?;
    (operation.kind != OperationKind::Birth).then(|| {
        let message = format!(
            "{:?} is under way, begun by a version of the operator that knows how; this one does \
             not",
            operation.kind
        );
        Verdict::stalled("Operation", Reason::NotSupported, message)
    })
}

fn membership(situation: &Situation<'_>) -> Option<Verdict> {
    let wanted = &situation.desired.ok()?.voters;
    let voters = &situation.health.quorum.as_ref()?.voters;
    (wanted != voters).then(|| {
        let has: Vec<_> = voters.iter().copied().collect();
        let message = format!(
            "the ensemble has {} as voters, and spec.replicas asks for {}; this version cannot \
             change that",
            words::members(&has),
            wanted.len()
        );
        Verdict::stalled("Scale", Reason::NotSupported, message)
    })
}
