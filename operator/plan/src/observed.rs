//! What a platform saw in this pass. Nothing here is remembered from an earlier one, except a
//! report whose time says so.

use std::{collections::BTreeMap, time::Duration};

use api::{
    EnsembleConfig, MemberAddress, MemberId,
    sidecar::{ServerState, SidecarStatus},
    status::Images,
};
use jiff::Timestamp;
use wire::control::{BootReport, MemberStatus};

/// A report older than this says nothing about the present. A pass asks every sidecar anew and
/// waits two seconds, so only one that did not answer is older.
pub const FRESH: Duration = Duration::from_secs(5);

/// Everything that a pass decides on, besides the spec and the status.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// When this was observed.
    pub now: Timestamp,
    /// The spec's generation, if the platform counts.
    pub generation: Option<i64>,
    /// What the platform can do.
    pub capabilities: Capabilities,
    /// Members of which anything is known, by id: a volume, a process, or what keeps them from
    /// being made.
    pub members: BTreeMap<MemberId, MemberObserved>,
    /// Where each member is reached, or will be: known before its process exists.
    pub addresses: BTreeMap<MemberId, MemberAddress>,
    /// Objects of the names that this resource needs, and that somebody else controls.
    pub conflicts: Vec<String>,
    /// What the platform was asked to make or change and refused, in sentences: a quota, a policy,
    /// a missing right, a value that it does not take. Tried again in each pass.
    pub refusals: Vec<String>,
    /// Images for an ensemble whose spec names none and whose status has pinned none.
    pub default_images: Images,
    /// A random id that no ensemble has, new in each pass: the cluster id, should this pass
    /// decide a birth.
    pub fresh_id: String,
}

/// How platforms differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Of each kind, only the member with the highest ordinal can be removed.
    pub only_last_ordinal_can_go: bool,
}

/// One member, as far as it can be seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberObserved {
    /// Its volume claim or directory, if there is one.
    pub volume: Option<VolumeObserved>,
    /// Its process or pod, if there is one.
    pub process: Option<ProcessObserved>,
    /// Its sidecar's last report.
    pub report: Option<Report>,
    /// What keeps it from running, as the platform says it: quota, image, scheduling, a claim.
    pub trouble: Option<String>,
}

/// A volume claim or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeObserved {
    /// The platform's own id of it.
    pub uid: String,
    /// It is on its way out.
    pub terminating: bool,
}

/// A process or a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessObserved {
    /// The platform's id of this incarnation.
    pub uid: String,
    /// What the platform knows of the server in it.
    pub state: ProcessState,
    /// It was made from another template than the one that there is now.
    pub outdated: bool,
}

/// What a platform knows of a server's process, whatever its sidecar says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs, or may.
    Running,
    /// It is proven not to run: exited, crash loop, image error, never scheduled.
    NotServing {
        /// For people.
        why: String,
    },
    /// It was asked to go and may still serve.
    Terminating,
}

/// A sidecar's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// When it was received.
    pub at: Timestamp,
    /// What it says.
    pub status: SidecarStatus,
}

impl Observed {
    /// The member's report, if it is of this pass.
    pub fn fresh(&self, id: MemberId) -> Option<&SidecarStatus> {
        let report = self.members.get(&id)?.report.as_ref()?;
        let age = self.now.duration_since(report.at);
        (age.unsigned_abs() <= FRESH).then_some(&report.status)
    }

    /// All members with a report of this pass.
    pub fn all_fresh(&self) -> impl Iterator<Item = (MemberId, &SidecarStatus)> {
        self.members
            .keys()
            .filter_map(|id| Some((*id, self.fresh(*id)?)))
    }

    /// What the member's running server says of itself in this pass.
    pub fn serving(&self, id: MemberId) -> Option<&MemberStatus> {
        let report = self.fresh(id)?;
        (report.server == ServerState::Running)
            .then_some(report.status.as_ref())
            .flatten()
    }

    /// What the server found on its volume, if it waits to be told how to start.
    pub fn waiting(&self, id: MemberId) -> Option<&BootReport> {
        let report = self.fresh(id)?;
        (report.server == ServerState::WaitingForPlan)
            .then_some(report.volume.as_ref())
            .flatten()
    }

    /// It runs and has no vote: its volume came empty and without a grant, and it has not followed
    /// a leader since.
    pub fn has_no_vote(&self, id: MemberId) -> bool {
        self.fresh(id).is_some_and(|report| {
            let found = report.volume.as_ref();
            let blank = |v: &BootReport| v.current_epoch == 0 && v.last_zxid == 0;
            // Between two leaders it has no epoch, but what it got from the first.
            let never = |s: &MemberStatus| s.epoch == 0 && s.last_zxid == 0;
            let never = report.status.as_ref().is_none_or(never);
            report.server == ServerState::Running
                && report.granted.is_none()
                && found.is_some_and(blank)
                && never
        })
    }

    /// The newest committed configuration that any member of `cluster_id` knows.
    pub fn committed_config(&self, cluster_id: &str) -> Option<EnsembleConfig> {
        self.all_fresh()
            .filter(|(_, report)| report.cluster_id() == Some(cluster_id))
            .filter_map(|(_, report)| report.committed_config())
            .max_by_key(|config| config.version)
    }
}

impl MemberObserved {
    /// Its server is proven not to serve. No report is no proof: it may serve behind a
    /// partition.
    pub fn proven_not_serving(&self, fresh: Option<&SidecarStatus>) -> bool {
        match self.process.as_ref().map(|p| &p.state) {
            Some(ProcessState::NotServing { .. }) => true,
            Some(ProcessState::Running | ProcessState::Terminating) => fresh.is_some_and(|s| {
                matches!(
                    s.server,
                    ServerState::Down { .. }
                        | ServerState::Parked { .. }
                        | ServerState::WaitingForPlan
                )
            }),
            None => false,
        }
    }
}
