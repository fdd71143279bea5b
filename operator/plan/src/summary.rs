//! The status' fields that people and other programs read.

use api::{
    CLUSTER_LABEL, Kind, MemberId, ROLE_LABEL, ZooKeeperClusterStatus,
    sidecar::SidecarStatus,
    status::{BootstrapPhase, Images, MemberState, MemberSummary},
};
use wire::control::Role;

use crate::{Desired, Observed, health::Health, steps::Verdict};

/// Fills in what follows from this observation. What cannot be seen now stays as it was where it
/// cannot have changed.
pub(crate) fn fill(
    next: &mut ZooKeeperClusterStatus,
    desired: Option<&Desired>,
    observed: &Observed,
    health: &Health<'_>,
    verdict: &Verdict,
) {
    next.observed_generation = observed.generation;
    next.step = Some(verdict.name.to_owned());
    next.members = members(next, observed, health);
    next.leader = health.leader.map(|(id, _)| id);
    if let Some(config) = &health.committed {
        next.config_version = Some(format!("{:x}", config.version));
    }
    if next.phase() != BootstrapPhase::Pending {
        next.connection_string = connection_string(observed, health);
    }
    let serving = |kind: Kind| {
        let count = next
            .members
            .iter()
            .filter(|member| member.kind == kind && member.ready)
            .count();
        i32::try_from(count).unwrap_or(i32::MAX)
    };
    let (voters, observers) = (serving(Kind::Voter), serving(Kind::Observer));
    next.ready_replicas = voters;
    next.observers = observers;
    let exist = observed
        .members
        .iter()
        .filter(|(id, member)| id.kind() == Kind::Voter && member.process.is_some())
        .count();
    next.replicas = i32::try_from(exist).unwrap_or(i32::MAX);
    next.version = lowest_version(observed).or_else(|| next.version.take());
    if let Some(desired) = desired {
        next.selector = Some(format!(
            "{CLUSTER_LABEL}={},{ROLE_LABEL}=voter",
            desired.name
        ));
        // Before the birth nothing runs that could be restarted.
        let pinned = next.images.take();
        let pinned = pinned.filter(|_| next.phase() != BootstrapPhase::Pending);
        next.images = Some(images(pinned, desired, observed));
    }
}

/// The spec's images, else those pinned before, else the operator's own.
fn images(pinned: Option<Images>, desired: &Desired, observed: &Observed) -> Images {
    let pinned = pinned.unwrap_or_default();
    let defaults = observed.default_images.clone();
    Images {
        server: desired.image.clone().or(pinned.server).or(defaults.server),
        sidecar: desired
            .sidecar_image
            .clone()
            .or(pinned.sidecar)
            .or(defaults.sidecar),
    }
}

fn members(
    before: &ZooKeeperClusterStatus,
    observed: &Observed,
    health: &Health<'_>,
) -> Vec<MemberSummary> {
    let summary = |(id, view): (&MemberId, &crate::health::View)| {
        let known = before.members.iter().find(|member| member.id == *id);
        let status = observed.serving(*id);
        let volume_id = observed.fresh(*id).and_then(SidecarStatus::volume_id);
        MemberSummary {
            id: *id,
            kind: kind(*id, health),
            role: status.map(|status| role(status.role).to_owned()),
            state: view.state,
            epoch: status.map(|status| status.epoch),
            config_version: status.map(|status| status.config_version.clone()),
            volume_id: volume_id
                .map(str::to_owned)
                .or_else(|| known.and_then(|member| member.volume_id.clone())),
            ready: view.state == MemberState::Serving,
        }
    };
    health.members.iter().map(summary).collect()
}

fn kind(id: MemberId, health: &Health<'_>) -> Kind {
    let configured = health.committed.as_ref().and_then(|c| c.members.get(&id));
    configured.map_or_else(|| id.kind(), |member| member.kind)
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Looking => "looking",
        Role::Follower => "follower",
        Role::Leader => "leader",
        Role::Observer => "observer",
        Role::Standalone => "standalone",
    }
}

fn connection_string(observed: &Observed, health: &Health<'_>) -> Option<String> {
    let clients: Vec<_> = health
        .members
        .keys()
        .filter_map(|id| observed.addresses.get(id))
        .map(api::MemberAddress::client)
        .collect();
    (!clients.is_empty()).then(|| clients.join(","))
}

fn lowest_version(observed: &Observed) -> Option<String> {
    let numbers = |version: &String| -> Vec<u64> {
        let parts = version.split(['.', '-', '+']);
        parts.map_while(|part| part.parse().ok()).collect()
    };
    observed
        .all_fresh()
        .filter_map(|(_, report)| report.volume.as_ref())
        .map(|volume| volume.version.clone())
        .min_by_key(numbers)
}
