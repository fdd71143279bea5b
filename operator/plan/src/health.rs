//! How the ensemble and each of its members are, as far as this pass can tell.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    EnsembleConfig, MemberId,
    sidecar::{ServerState, SidecarStatus},
    status::MemberState,
};
use wire::control::{MemberStatus, Role};

use crate::{
    Observed,
    boot::{Boot, Wait},
    guard::{self, Quorum},
    observed::ProcessState,
    words,
};

/// The ensemble, seen from outside.
#[derive(Clone, Debug)]
pub(crate) struct Health<'a> {
    /// The newest committed configuration that anyone reports.
    pub(crate) committed: Option<EnsembleConfig>,
    /// Who leads, and what it says.
    pub(crate) leader: Option<(MemberId, &'a MemberStatus)>,
    /// What the guard counts with; absent without a committed configuration.
    pub(crate) quorum: Option<Quorum>,
    /// Each member that exists or should.
    pub(crate) members: BTreeMap<MemberId, View>,
}

/// A member, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// How it is.
    pub(crate) state: MemberState,
    /// Completes `waiting for member 2: …`.
    pub(crate) why: String,
}

impl<'a> Health<'a> {
    pub(crate) fn assess(
        observed: &'a Observed,
        cluster_id: Option<&str>,
        committed: Option<EnsembleConfig>,
        reconfig_pending: bool,
        roster: &BTreeSet<MemberId>,
        boots: &BTreeMap<MemberId, Boot>,
    ) -> Self {
        let leader = cluster_id.and_then(|cluster_id| guard::leader(observed, cluster_id));
        let quorum = cluster_id
            .zip(committed.as_ref())
            .map(|(cluster_id, committed)| {
                Quorum::observe(observed, cluster_id, committed, None, reconfig_pending)
            });
        let epoch = leader.map(|(_, status)| status.epoch);
        let members = roster
            .iter()
            .map(|id| (*id, view(observed, *id, epoch, boots.get(id))))
            .collect();
        Self {
            committed,
            leader,
            quorum,
            members,
        }
    }

    /// A leader has a majority of the committed voters behind it.
    pub(crate) fn quorum_serves(&self) -> bool {
        let (Some((_, leader)), Some(quorum)) = (self.leader, &self.quorum) else {
            return false;
        };
        let synced = |id: &&MemberId| leader.synced.contains(&i64::from(**id));
        quorum.voters.iter().filter(synced).count() > quorum.voters.len() / 2
    }

    /// Members that do not serve, the lowest id first.
    pub(crate) fn not_serving(&self) -> impl Iterator<Item = (MemberId, &View)> {
        self.members
            .iter()
            .filter(|(_, view)| view.state != MemberState::Serving)
            .map(|(id, view)| (*id, view))
    }

    pub(crate) fn state(&self, id: MemberId) -> Option<MemberState> {
        self.members.get(&id).map(|view| view.state)
    }
}

fn view(observed: &Observed, id: MemberId, epoch: Option<u32>, boot: Option<&Boot>) -> View {
    let (state, why) = match observed.fresh(id) {
        None => unseen(observed, id),
        Some(report) => match &report.server {
            ServerState::Running if observed.has_no_vote(id) => (
                MemberState::Starting,
                "its volume came empty: it has no vote before it has synchronised with a leader"
                    .to_owned(),
            ),
            ServerState::Running => running(observed.serving(id), epoch),
            ServerState::WaitingForPlan => (MemberState::WaitingForPlan, waiting(boot)),
            ServerState::Parked { why } => (MemberState::Parked, format!("it is parked: {why}")),
            ServerState::Down { .. } => (MemberState::Down, words::unheard(observed, id)),
            ServerState::NotSeen | ServerState::Lost { .. } => lost(observed, id, report),
        },
    };
    View { state, why }
}

fn unseen(observed: &Observed, id: MemberId) -> (MemberState, String) {
    let member = observed.members.get(&id);
    let process = member.and_then(|m| m.process.as_ref());
    let state = match process.map(|process| &process.state) {
        None => MemberState::Missing,
        Some(ProcessState::NotServing { .. }) => MemberState::Down,
        Some(ProcessState::Running | ProcessState::Terminating) => MemberState::Silent,
    };
    (state, words::unheard(observed, id))
}

fn lost(observed: &Observed, id: MemberId, report: &SidecarStatus) -> (MemberState, String) {
    let process = observed.members.get(&id).and_then(|m| m.process.as_ref());
    let gone =
        process.is_some_and(|process| matches!(process.state, ProcessState::NotServing { .. }));
    if gone {
        return (MemberState::Down, words::unheard(observed, id));
    }
    let why = match report.server {
        ServerState::Lost { .. } => "its sidecar has lost its server",
        _ => "its server has not come up yet",
    };
    (MemberState::Silent, why.to_owned())
}

fn running(status: Option<&MemberStatus>, epoch: Option<u32>) -> (MemberState, String) {
    let Some(status) = status else {
        return (MemberState::Starting, "its server is starting".to_owned());
    };
    if status.draining {
        return (
            MemberState::Draining,
            "it is being emptied of clients".to_owned(),
        );
    }
    let why = match status.role {
        Role::Looking => "it is looking for a leader",
        _ if epoch.is_some_and(|epoch| epoch != status.epoch) => "it follows a former leader",
        _ if !status.ready => "it is synchronising",
        _ => return (MemberState::Serving, "it serves".to_owned()),
    };
    (MemberState::Starting, why.to_owned())
}

fn waiting(boot: Option<&Boot>) -> String {
    match boot {
        None => "its server waits to be told how to start".to_owned(),
        Some(Boot::Grant) => "it is told to start the new ensemble".to_owned(),
        Some(Boot::Start { .. }) => "it is told to start".to_owned(),
        Some(Boot::Join { wiped: false, .. }) => "it is told to join".to_owned(),
        Some(Boot::Join { wiped: true, .. }) => {
            "its volume is empty, and it is told to synchronise before it votes again".to_owned()
        }
        Some(Boot::Park { why }) => format!("it is told not to start: {why}"),
        Some(Boot::Wait(wait)) => match wait {
            Wait::Unborn => "its server waits for the ensemble's birth".to_owned(),
            Wait::NotInBirth => "its server waits for the birth that it is not part of".to_owned(),
            Wait::Partners => {
                "its server waits until every first member reports from its granted volume"
                    .to_owned()
            }
            Wait::GrantedVolumeLost { granted } => {
                format!("the birth was granted to volume {granted}, and this is another")
            }
            Wait::NobodyReachable => {
                "its volume is empty, and no member that knows the ensemble can be asked".to_owned()
            }
            Wait::NotWanted => "neither the spec nor the ensemble has such a member".to_owned(),
            Wait::Parked { why } => format!("its volume is parked: {why}"),
            Wait::Foreign { cluster_id } => format!(
                "its volume holds data of another ensemble, {cluster_id}; it is never started or \
                 deleted: move it away, or delete the volume"
            ),
            Wait::Unclaimed => {
                "its volume holds data that names no ensemble; it is never started or deleted: \
                 move it away, or delete the volume"
                    .to_owned()
            }
        },
    }
}
