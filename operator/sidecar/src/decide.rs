//! How the server is to start: a pure decision on what it found on its volume, what was ordered,
//! and whose volume this is.
//!
//! Two rules bear the rest: nobody votes from an empty disk unless this very volume was granted a
//! birth, and a volume that is not provably ours is never started and never touched.

use std::fmt;

use api::MemberId;
use api::sidecar::start_alone;
use serde::{Deserialize, Serialize};
use wire::control::{BootPlan, BootReport};

/// How the operator wants this member to start; kept in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Intent {
    /// Nothing was ordered: only a member that needs nobody's word starts.
    #[default]
    Unsaid,
    /// The ensemble's first boot, granted to one volume.
    #[serde(rename_all = "camelCase")]
    Birth {
        /// The new ensemble's id.
        cluster_id: String,
        /// Its first configuration.
        config: String,
        /// The grant holds for this volume only: a wiped disk has a new id.
        volume_id: String,
    },
    /// Start from what is on disk, which belongs to `cluster_id` or to nobody yet.
    #[serde(rename_all = "camelCase")]
    Start {
        /// The ensemble's id.
        cluster_id: String,
        /// A configuration, in case the disk has none or an older one.
        config: String,
    },
    /// Start without a vote until synced.
    #[serde(rename_all = "camelCase")]
    Join {
        /// The ensemble's id.
        cluster_id: String,
        /// The members to ask.
        config: String,
    },
    /// Do not start.
    #[serde(rename_all = "camelCase")]
    Park {
        /// For people.
        reason: String,
    },
}

/// What the sidecar answers to a server's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start, or park, like this.
    Boot(BootPlan),
    /// Leave it waiting, alive and unready.
    Wait(Waiting),
}

/// What a server waits for that may not start yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The volume is empty: a grant, or an order to join.
    Grant,
    /// The volume holds data that no ensemble's id is on: a confirmation by people.
    Claim,
    /// The volume belongs to an ensemble, but not yet to this resource: to be adopted.
    Adoption,
    /// The volume belongs to another ensemble than the one that was ordered.
    Foreign,
    /// The configuration on the volume does not list this member: an order to join.
    Listing,
    /// A park mark is on the volume.
    Unparking,
}

/// Decides. `member` is this member's id; `ours` says that the volume was given to the resource
/// that this sidecar belongs to, and the intent with it.
#[must_use]
pub fn decide(member: MemberId, ours: bool, report: &BootReport, intent: &Intent) -> Decision {
    if let Intent::Park { reason } = intent {
        return Decision::Boot(BootPlan::Park {
            reason: reason.clone(),
        });
    }
    if report.parked.is_some() {
        return Decision::Wait(Waiting::Unparking);
    }
    // What another resource ordered, on a volume that came from there, is not for this one.
    let intent = if ours { intent } else { &Intent::Unsaid };
    if let Some(ordered) = ordered_cluster(intent)
        && report
            .cluster_id
            .as_deref()
            .is_some_and(|found| found != ordered)
    {
        return Decision::Wait(Waiting::Foreign);
    }
    match (&report.cluster_id, report.empty) {
        (None, false) => unclaimed(intent),
        (_, true) => empty(report, intent),
        (Some(cluster_id), false) => known(member, ours, report, cluster_id, intent),
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grant => "the volume is empty: for a grant, or an order to join",
            Self::Claim => "the volume holds data of no known ensemble: for a confirmation",
            Self::Adoption => "the volume belongs to an ensemble: to be adopted by this one",
            Self::Foreign => "the volume belongs to another ensemble",
            Self::Listing => "the volume's configuration does not list this member: to join",
            Self::Unparking => "a park mark is on the volume",
        })
    }
}

/// The ensemble that an intent speaks of.
#[must_use]
pub fn ordered_cluster(intent: &Intent) -> Option<&str> {
    match intent {
        Intent::Birth { cluster_id, .. }
        | Intent::Start { cluster_id, .. }
        | Intent::Join { cluster_id, .. } => Some(cluster_id),
        Intent::Unsaid | Intent::Park { .. } => None,
    }
}

/// Data that no ensemble's id is on: started only by an order that says so.
fn unclaimed(intent: &Intent) -> Decision {
    match intent {
        Intent::Start { cluster_id, config } => Decision::Boot(BootPlan::Start {
            cluster_id: cluster_id.clone(),
            config: config.clone(),
            birth: false,
        }),
        _ => Decision::Wait(Waiting::Claim),
    }
}

/// A volume that never promised anything; it may bear a cluster id already, if the member crashed
/// between its grant and its first data.
fn empty(report: &BootReport, intent: &Intent) -> Decision {
    match intent {
        Intent::Birth {
            cluster_id,
            config,
            volume_id,
        } if *volume_id == report.volume_id => Decision::Boot(BootPlan::Start {
            cluster_id: cluster_id.clone(),
            config: config.clone(),
            birth: true,
        }),
        Intent::Join { cluster_id, config } => Decision::Boot(BootPlan::Join {
            cluster_id: cluster_id.clone(),
            config: config.clone(),
        }),
        _ => Decision::Wait(Waiting::Grant),
    }
}

/// A volume of an ensemble, with data.
fn known(
    member: MemberId,
    ours: bool,
    report: &BootReport,
    cluster_id: &str,
    intent: &Intent,
) -> Decision {
    let start = |config: &str, birth| {
        let (cluster_id, config) = (cluster_id.to_owned(), config.to_owned());
        Decision::Boot(BootPlan::Start {
            cluster_id,
            config,
            birth,
        })
    };
    if let Intent::Birth {
        config, volume_id, ..
    } = intent
    {
        // Without a finished discovery no leader was ever followed, so nothing was acknowledged.
        if report.current_epoch == 0 && *volume_id == report.volume_id {
            return start(config, true);
        }
    }
    let alone = start_alone(member, report);
    match (alone, intent) {
        (Some(plan), _) if ours => Decision::Boot(plan),
        (_, Intent::Join { config, .. }) => Decision::Boot(BootPlan::Join {
            cluster_id: cluster_id.to_owned(),
            config: config.clone(),
        }),
        (_, Intent::Start { config, .. } | Intent::Birth { config, .. }) => start(config, false),
        (Some(_), _) => Decision::Wait(Waiting::Adoption),
        (None, _) => Decision::Wait(Waiting::Listing),
    }
}

#[cfg(test)]
mod tests;
