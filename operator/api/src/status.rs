//! What the operator writes back. It holds what changes rarely: positions and lag are metrics.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    condition::Condition,
    member::{Kind, MemberAddress, MemberId},
    sidecar::Term,
};

/// What is known of the ensemble, and the operator's memory between two passes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ZooKeeperClusterStatus {
    /// The `metadata.generation` that this status was planned on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Statements for people and for `kubectl wait`.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The ensemble's id, once its birth was granted or its volumes were adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Fencing term under which orders are given. Only grows.
    #[serde(default)]
    pub term: Term,
    /// How the ensemble began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapStatus>,
    /// What is being done, written before it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The members that exist or should.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    #[serde(default)]
    pub members: Vec<MemberSummary>,
    /// The leader's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<MemberId>,
    /// Version of the committed configuration, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<String>,
    /// What a client is given: `host:port,host:port,…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_string: Option<String>,
    /// Voters that exist.
    #[serde(default)]
    pub replicas: i32,
    /// Voters that serve in a quorum.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Observers that serve.
    #[serde(default)]
    pub observers: i32,
    /// Label selector of the voters, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Lowest server version that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Images in use; an operator's upgrade does not change them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Images>,
    /// What the last pass did or waits for, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// How the ensemble began. Written once; `phase` only moves forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootstrapStatus {
    /// The ensemble's id.
    pub cluster_id: String,
    /// How far it is.
    pub phase: BootstrapPhase,
    /// The first members, each with the volume that the grant is for. Empty if the volumes were
    /// adopted.
    pub members: Vec<BornMember>,
    /// Ids that this ensemble had before a recovery gave it a new one. A volume that still has
    /// one of them is parked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub predecessors: Vec<String>,
}

/// How far the ensemble's birth is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum BootstrapPhase {
    /// No decision was written yet.
    Pending,
    /// The grant is decided; members may have been told.
    Granted,
    /// A committed configuration was seen. Never again is an empty volume a first one.
    Initialised,
}

/// A first member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BornMember {
    /// Its id.
    pub id: MemberId,
    /// The `volume.id` that its server wrote.
    pub volume_id: String,
    /// Its line in the first configuration, so that a later grant is the same to the letter.
    pub server: String,
}

/// The one thing being done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Unique in this ensemble; sidecars do nothing twice for one `(term, id)`.
    pub id: String,
    /// What is done.
    pub kind: OperationKind,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<MemberId>,
    /// To which volume of that member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_id: Option<String>,
    /// To which process or pod of that member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The committed configuration's version that it was planned on, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<String>,
    /// When it was decided.
    pub started_at: Time,
}

/// What can be under way. Each is a list of stages that the planner derives from what it
/// observes, so none is stored.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum OperationKind {
    /// The ensemble's first start.
    Birth,
    /// A voter or observer joins.
    ScaleUp,
    /// A voter or observer leaves.
    ScaleDown,
    /// A member is restarted.
    Restart,
    /// A member's volume is replaced.
    Replace,
    /// A volume is made larger.
    Expand,
}

/// A member as `kubectl get -o yaml` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberSummary {
    /// Its id.
    pub id: MemberId,
    /// What it is for.
    pub kind: Kind,
    /// Its part in the ensemble as it says itself: looking, follower, leader, observer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// How it is.
    pub state: MemberState,
    /// Epoch that it serves in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub epoch: Option<u32>,
    /// Version of the configuration that it knows to be committed, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<String>,
    /// The `volume.id` that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_id: Option<String>,
    /// It serves in a quorum.
    pub ready: bool,
}

/// How a member is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum MemberState {
    /// Its volume or its process is not there.
    Missing,
    /// It exists, nothing is heard from its sidecar.
    Silent,
    /// Its server is not running.
    Down,
    /// Its server waits to be told how to start.
    WaitingForPlan,
    /// It runs and is not yet part of a quorum.
    Starting,
    /// It serves.
    Serving,
    /// It serves and is being emptied of clients.
    Draining,
    /// It is kept from starting.
    Parked,
}

/// Images in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Images {
    /// Of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Of the sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<String>,
}

impl ZooKeeperClusterStatus {
    /// How far the ensemble's birth is.
    pub fn phase(&self) -> BootstrapPhase {
        self.bootstrap
            .as_ref()
            .map_or(BootstrapPhase::Pending, |b| b.phase)
    }
}

/// Addresses of the members by id, as the platform made them.
pub type Addresses = BTreeMap<MemberId, MemberAddress>;
