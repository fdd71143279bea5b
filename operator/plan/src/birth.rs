//! The ensemble's beginning: decided once, written before it is told, never twice.
//!
//! `Pending -> Granted -> Initialised`, and never back. While `Pending` every volume there is gets
//! looked at; only if each is blank are its members granted a birth. While `Granted` the same
//! grant goes to the same volumes only. `Initialised` begins with the first committed
//! configuration that anyone reports.

use std::collections::BTreeSet;

use api::{
    EnsembleConfig, Kind, MemberId, Reason, ZooKeeperClusterStatus,
    cluster::BootstrapMode,
    sidecar::SidecarStatus,
    status::{BootstrapPhase, BootstrapStatus, BornMember},
};

use crate::{
    Desired, Observed,
    observed::{MemberObserved, ProcessObserved, ProcessState},
    words,
};

/// What stands in the way of the next phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// For programs.
    pub reason: Reason,
    /// For people: who or what is awaited.
    pub message: String,
    /// Only a person can remove it.
    pub stalled: bool,
    /// This member was made for a birth whose spec now asks for fewer, and its volume is blank.
    pub surplus: Option<MemberId>,
}

impl Obstacle {
    fn awaiting(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            stalled: false,
            surplus: None,
        }
    }

    fn stalled(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            stalled: true,
            ..Self::awaiting(reason, message)
        }
    }
}

/// Moves the phase forward as far as this observation allows; `Err` says why not further.
/// `Initialised` is recognised without `desired`; nothing else is decided without it.
pub fn advance(
    desired: Option<&Desired>,
    observed: &Observed,
    status: &mut ZooKeeperClusterStatus,
) -> Result<(), Obstacle> {
    if let Some(birth) = &mut status.bootstrap
        && birth.phase == BootstrapPhase::Granted
        && observed.committed_config(&birth.cluster_id).is_some()
    {
        birth.phase = BootstrapPhase::Initialised;
    }
    match (status.phase(), &mut status.bootstrap) {
        (BootstrapPhase::Initialised, _) => Ok(()),
        (BootstrapPhase::Granted, Some(birth)) => granted(desired, observed, birth),
        _ => {
            let desired = desired.ok_or_else(|| {
                Obstacle::stalled(Reason::InvalidSpec, "the spec must be put right first")
            })?;
            let birth = pending(desired, observed)?;
            status.cluster_id = Some(birth.cluster_id.clone());
            status.bootstrap = Some(birth);
            Ok(())
        }
    }
}

/// Members whose volumes must be looked at before a birth: those wanted, and whoever else has a
/// volume or may be running on one.
pub fn population(desired: &Desired, observed: &Observed) -> BTreeSet<MemberId> {
    let may_run = |process: &ProcessObserved| {
        let not_serving = matches!(process.state, ProcessState::NotServing { .. });
        !not_serving
    };
    let counts = |found: &MemberObserved| {
        found.volume.is_some() || found.process.as_ref().is_some_and(may_run)
    };
    with_others(desired, observed, counts)
}

/// Those wanted, and those of the others that have a volume to be looked at. One that is being
/// dismissed is not made anew.
fn to_be_made(desired: &Desired, observed: &Observed) -> BTreeSet<MemberId> {
    let has_volume = |found: &MemberObserved| found.volume.as_ref().is_some_and(|v| !v.terminating);
    with_others(desired, observed, has_volume)
}

fn with_others(
    desired: &Desired,
    observed: &Observed,
    counts: impl Fn(&MemberObserved) -> bool,
) -> BTreeSet<MemberId> {
    let found = observed.members.iter();
    let others = found.filter(|(_, found)| counts(found)).map(|(id, _)| *id);
    desired.voters.iter().copied().chain(others).collect()
}

/// What a volume is before anything was decided.
enum Claim {
    Blank,
    /// It had the grant of this ensemble, and promised nothing.
    Granted(String),
    Data(String),
    Unclaimed,
}

fn claim(report: &SidecarStatus) -> Claim {
    match (report.cluster_id(), report.has_followed()) {
        (None, false) => Claim::Blank,
        (None, true) => Claim::Unclaimed,
        (Some(id), false) => Claim::Granted(id.to_owned()),
        (Some(id), true) => Claim::Data(id.to_owned()),
    }
}

fn pending(desired: &Desired, observed: &Observed) -> Result<BootstrapStatus, Obstacle> {
    let population = population(desired, observed);
    let mut silent = Vec::new();
    let mut claims = Vec::new();
    for id in &population {
        match observed.fresh(*id).filter(|r| r.volume_is_current()) {
            Some(report) => claims.push((*id, claim(report))),
            None => silent.push(*id),
        }
    }
    let clusters = clusters(desired, &claims)?;
    let with_data = claims.iter().any(|(_, c)| matches!(c, Claim::Data(_)));
    if let Some(cluster_id) = clusters.into_iter().next() {
        if with_data {
            return adopt(&cluster_id, desired, observed, &silent);
        }
        nobody_silent(desired, observed, &silent)?;
        // A birth whose status was lost: each volume was just seen, and none promised anything.
        return first_members(desired, observed, &claims, cluster_id);
    }
    if desired.bootstrap.mode == BootstrapMode::Adopt && silent.is_empty() {
        return Err(Obstacle::stalled(
            Reason::NothingToAdopt,
            "spec.bootstrap.mode is Adopt, and every volume is empty; set it to New for a new \
             ensemble",
        ));
    }
    nobody_silent(desired, observed, &silent)?;
    first_members(desired, observed, &claims, observed.fresh_id.clone())
}

/// The ensembles that the volumes belong to: none or one.
fn clusters(desired: &Desired, claims: &[(MemberId, Claim)]) -> Result<BTreeSet<String>, Obstacle> {
    let mut clusters = BTreeSet::new();
    let mut unclaimed = Vec::new();
    let mut named = Vec::new();
    for (id, claim) in claims {
        match claim {
            Claim::Blank => {}
            Claim::Unclaimed => unclaimed.push(*id),
            Claim::Granted(cluster) | Claim::Data(cluster) => {
                named.push(format!("member {id}'s of {cluster}"));
                clusters.insert(cluster.clone());
            }
        }
    }
    if !unclaimed.is_empty() {
        return Err(Obstacle::stalled(
            Reason::UnclaimedData,
            format!(
                "{} data that names no ensemble; nothing is born over it: move the data away, or \
                 delete the volumes if it is worthless",
                words::volumes(&unclaimed, "holds", "hold")
            ),
        ));
    }
    if clusters.len() > 1 {
        return Err(Obstacle::stalled(
            Reason::ConflictingData,
            format!(
                "the volumes belong to different ensembles ({}); keep those of one",
                named.join(", ")
            ),
        ));
    }
    let asked = desired.bootstrap.adopt.as_ref();
    let asked = asked.and_then(|adopt| adopt.cluster_id.as_ref());
    if let (Some(asked), Some(found)) = (asked, clusters.first())
        && asked != found
    {
        return Err(Obstacle::stalled(
            Reason::ForeignData,
            format!("the volumes are of ensemble {found}, and spec.bootstrap asks for {asked}"),
        ));
    }
    Ok(clusters)
}

fn nobody_silent(
    desired: &Desired,
    observed: &Observed,
    silent: &[MemberId],
) -> Result<(), Obstacle> {
    let Some(first) = silent.first() else {
        return Ok(());
    };
    let rest = silent.len() - 1;
    let others = if rest == 0 {
        String::new()
    } else {
        format!(", and for {rest} more")
    };
    let mut why = words::unheard(observed, *first);
    if !desired.wants(*first) {
        why.push_str(
            " (it is no longer asked for, but what is on its volume must be known before the \
             birth; delete the volume if that is worthless)",
        );
    }
    Err(Obstacle::awaiting(
        Reason::AwaitingReports,
        format!("waiting for member {first}: {why}{others}"),
    ))
}

/// Volumes that agree on one ensemble, of whose last known voters a majority is here, or all
/// that there are were seen.
fn adopt(
    cluster_id: &str,
    desired: &Desired,
    observed: &Observed,
    silent: &[MemberId],
) -> Result<BootstrapStatus, Obstacle> {
    let known = |id: &MemberId| {
        let report = observed.fresh(*id);
        report.is_some_and(|r| r.cluster_id() == Some(cluster_id) && r.has_followed())
    };
    let committed = observed.committed_config(cluster_id);
    if let Some(config) = &committed {
        reached_here(cluster_id, config, observed)?;
    }
    let majority = committed.is_some_and(|config| {
        !config.weighted && config.voters().filter(known).count() >= config.majority()
    });
    if !majority {
        nobody_silent(desired, observed, silent)?;
    }
    Ok(BootstrapStatus {
        cluster_id: cluster_id.to_owned(),
        phase: BootstrapPhase::Initialised,
        members: Vec::new(),
        predecessors: Vec::new(),
    })
}

/// Volumes of an ensemble that lives elsewhere, copied or moved here, are not this resource's:
/// its members would look for each other where they were.
fn reached_here(
    cluster_id: &str,
    config: &EnsembleConfig,
    observed: &Observed,
) -> Result<(), Obstacle> {
    for (id, member) in &config.members {
        let Some(here) = observed.addresses.get(id) else {
            continue;
        };
        if !here.is_of(&member.server) {
            return Err(Obstacle::stalled(
                Reason::ForeignData,
                format!(
                    "the volumes are of ensemble {cluster_id}, whose member {id} is at {} and not \
                     at {}:{}:{}; this resource cannot be it: give it volumes of its own",
                    member.server, here.host, here.quorum_port, here.election_port
                ),
            ));
        }
    }
    Ok(())
}

/// The decision to grant. Each wanted member reported a blank volume in this pass.
fn first_members(
    desired: &Desired,
    observed: &Observed,
    claims: &[(MemberId, Claim)],
    cluster_id: String,
) -> Result<BootstrapStatus, Obstacle> {
    nobody_surplus(desired, claims)?;
    let mut members = Vec::new();
    for id in &desired.voters {
        let volume = observed.fresh(*id).and_then(SidecarStatus::volume_id);
        let (Some(volume), Some(address)) = (volume, observed.addresses.get(id)) else {
            return Err(Obstacle::awaiting(
                Reason::CreatingMembers,
                format!("waiting for the address of member {id}"),
            ));
        };
        members.push(BornMember {
            id: *id,
            volume_id: volume.to_owned(),
            server: address.line(*id, Kind::Voter),
        });
    }
    let volumes: BTreeSet<_> = members.iter().map(|born| &born.volume_id).collect();
    if volumes.len() < members.len() {
        return Err(Obstacle::stalled(
            Reason::ConflictingData,
            "two members report the same volume id: one volume is a copy of the other; delete the \
             copy",
        ));
    }
    Ok(BootstrapStatus {
        cluster_id,
        phase: BootstrapPhase::Granted,
        members,
        predecessors: Vec::new(),
    })
}

/// Members that were made while the spec asked for more go before the birth: the number that
/// counts is the one at the grant.
fn nobody_surplus(desired: &Desired, claims: &[(MemberId, Claim)]) -> Result<(), Obstacle> {
    // The last ordinal first: some platforms can remove no other.
    let Some((surplus, claim)) = claims.iter().rfind(|(id, _)| !desired.wants(*id)) else {
        return Ok(());
    };
    if matches!(claim, Claim::Blank) {
        return Err(Obstacle {
            surplus: Some(*surplus),
            ..Obstacle::awaiting(
                Reason::CreatingMembers,
                format!("member {surplus} is no longer asked for and is removed before the birth"),
            )
        });
    }
    Err(Obstacle::stalled(
        Reason::ConflictingData,
        format!(
            "the volume of member {surplus} belongs to the ensemble that is being born, and \
             spec.replicas leaves that member out; ask for it, or delete its volume"
        ),
    ))
}

/// Each first member reports in this pass, from its granted volume, and none has promised a leader
/// anything. One that was killed before its grant may find another with its first snapshot.
pub fn untouched(observed: &Observed, birth: &BootstrapStatus) -> bool {
    birth.members.iter().all(|born| {
        observed.fresh(born.id).is_some_and(|report| {
            report.volume_is_current()
                && report.volume_id() == Some(&born.volume_id)
                && !report.has_promised()
        })
    })
}

fn granted(
    desired: Option<&Desired>,
    observed: &Observed,
    birth: &mut BootstrapStatus,
) -> Result<(), Obstacle> {
    let lost: Vec<_> = birth
        .members
        .iter()
        .filter_map(|born| {
            let found = observed.fresh(born.id)?.volume_id()?;
            (found != born.volume_id).then(|| (born.id, born.volume_id.clone()))
        })
        .collect();
    if lost.is_empty() {
        return Err(awaiting_quorum(observed, birth));
    }
    let confirmed = desired.is_some_and(|desired| {
        let named = |(_, volume): &(_, String)| desired.given_up.contains(volume);
        lost.iter().all(named)
    });
    if confirmed && let Some(renewed) = renewed(observed, birth) {
        birth.members = renewed;
        return Err(awaiting_quorum(observed, birth));
    }
    let named: Vec<_> = lost.iter().map(|(_, volume)| volume.as_str()).collect();
    let ids: Vec<_> = lost.iter().map(|(id, _)| *id).collect();
    Err(Obstacle::stalled(
        Reason::GrantedVolumeLost,
        format!(
            "{} lost after the birth was granted and before it was seen to be done. If the others \
             form a quorum this heals by itself. If nothing was ever written to this ensemble, \
             confirm by the annotation {}={}",
            words::volumes(&ids, "was", "were"),
            api::RESET_BIRTH,
            named.join(",")
        ),
    ))
}

/// The first members with the volumes that they have now, if all are seen and none of them ever
/// promised anything or belongs elsewhere.
fn renewed(observed: &Observed, birth: &BootstrapStatus) -> Option<Vec<BornMember>> {
    let renew = |born: &BornMember| {
        let report = observed.fresh(born.id)?;
        let ours = report.cluster_id().is_none_or(|id| id == birth.cluster_id);
        let volume_id = report.volume_id()?.to_owned();
        let blank = report.volume_is_current() && !report.has_followed();
        (ours && blank).then(|| BornMember {
            volume_id,
            ..born.clone()
        })
    };
    birth.members.iter().map(renew).collect()
}

fn awaiting_quorum(observed: &Observed, birth: &BootstrapStatus) -> Obstacle {
    let unheard = |born: &&BornMember| observed.fresh(born.id).is_none();
    let message = match birth.members.iter().find(unheard) {
        Some(born) => format!(
            "waiting for member {}: {}",
            born.id,
            words::unheard(observed, born.id)
        ),
        None => "the members were told to start; waiting for their first quorum".to_owned(),
    };
    Obstacle::awaiting(Reason::BirthGranted, message)
}

/// Members that exist or should: the first ones, or the committed ones, or all that are wanted.
pub fn roster(
    desired: Option<&Desired>,
    observed: &Observed,
    status: &ZooKeeperClusterStatus,
    committed: Option<&EnsembleConfig>,
) -> BTreeSet<MemberId> {
    match (status.phase(), &status.bootstrap) {
        (BootstrapPhase::Granted, Some(birth)) => birth.members.iter().map(|b| b.id).collect(),
        (BootstrapPhase::Initialised, Some(birth)) => match committed {
            Some(config) => config.members.keys().copied().collect(),
            // Nobody can be asked: those known before are to be there, so that someone can.
            None if !status.members.is_empty() => status.members.iter().map(|m| m.id).collect(),
            None => birth.members.iter().map(|b| b.id).collect(),
        },
        _ => desired.map_or_else(BTreeSet::new, |d| to_be_made(d, observed)),
    }
}

#[cfg(test)]
mod tests;
