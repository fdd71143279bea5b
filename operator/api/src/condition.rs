//! The resource's conditions: a closed list of types and of reasons.
//!
//! In JSON a condition is exactly Kubernetes' `meta/v1` one, so `kubectl wait` works on it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One statement about the resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the statement is about.
    #[serde(rename = "type")]
    #[schemars(with = "String", length(max = 64))]
    pub type_: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, for programs.
    #[schemars(with = "String", length(max = 128))]
    pub reason: Reason,
    /// Why, for people: names what is awaited and from whom.
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Time,
    /// The `metadata.generation` that this statement judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What a condition is about.
///
/// A name that this version does not know is read as `Unknown`, so that an older operator can
/// read a newer one's status; it is never written.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum ConditionType {
    /// A quorum serves, and every member that the spec asks for is part of it.
    Ready,
    /// Something is under way.
    Progressing,
    /// Something is not as it should be; clients may still be served.
    Degraded,
    /// One more loss ends the service, or it has ended.
    QuorumAtRisk,
    /// Nothing moves until a person acts.
    Stalled,
    /// An object that this resource needs belongs to somebody else.
    NameConflict,
    /// Written by a newer operator.
    #[serde(other)]
    Unknown,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// What would tell cannot be seen.
    Unknown,
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Why a condition is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// Everything is as the spec wants it.
    AsDesired,
    /// `spec.paused`: only the status is kept up to date.
    Paused,
    /// The spec cannot be carried out; the message lists what is wrong.
    InvalidSpec,
    /// Volumes or processes of members are being made.
    CreatingMembers,
    /// Sidecars or servers have not reported yet.
    AwaitingReports,
    /// The ensemble's first start was decided and is on its way to the members.
    BirthGranted,
    /// Members were told to start, a leader is not there yet.
    AwaitingQuorum,
    /// A member is starting or synchronising.
    MemberStarting,
    /// Members join or leave.
    Scaling,
    /// Members are restarted one by one.
    Rolling,
    /// A member's volume is being replaced.
    Replacing,
    /// A member is missing, crashing or does not follow.
    MemberDown,
    /// A member came back with an empty disk and is synchronised without a vote.
    MemberWiped,
    /// No quorum of the committed configuration serves.
    QuorumLost,
    /// A quorum serves, one more loss ends it.
    NoSpareMember,
    /// Members can be lost without ending the service.
    SpareMembers,
    /// One member: any loss ends the service.
    SingleMember,
    /// Too few sidecars report to say anything.
    ObservationLost,
    /// A volume holds another ensemble's data.
    ForeignData,
    /// A volume holds data that names no ensemble.
    UnclaimedData,
    /// Volumes hold data of different ensembles.
    ConflictingData,
    /// Data was to be adopted, and there is none.
    NothingToAdopt,
    /// A granted volume was lost before the ensemble's first committed configuration.
    GrantedVolumeLost,
    /// An order needs something that this platform cannot do.
    PlatformCannot,
    /// The platform does not take what it was asked to make or change: a quota, a policy, a right,
    /// a value. It is asked again and again.
    PlatformRefuses,
    /// A sidecar saw a higher term: another operator leads.
    Superseded,
    /// Something in this version is not built yet.
    NotSupported,
    /// An object of this name belongs to somebody else.
    NotControlled,
    /// Nothing speaks against it.
    NoConflict,
    /// Nothing is under way.
    Idle,
    /// Nothing is known to be wrong.
    Healthy,
    /// Written by a newer operator.
    #[serde(other)]
    Unknown,
}

/// Puts `new` in place of what `old` says, keeping the time of each status that did not change.
/// Types that `new` does not name are dropped.
pub fn merge(old: &[Condition], new: Vec<Condition>) -> Vec<Condition> {
    new.into_iter()
        .map(|mut condition| {
            let before = old.iter().find(|c| c.type_ == condition.type_);
            if let Some(before) = before.filter(|c| c.status == condition.status) {
                condition.last_transition_time = before.last_transition_time.clone();
            }
            condition
        })
        .collect()
}

impl Condition {
    /// A condition that changed `now`; [`merge`] puts the right time in.
    pub fn new(
        now: Timestamp,
        type_: ConditionType,
        status: ConditionStatus,
        reason: Reason,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_,
            status,
            reason,
            message: message.into(),
            last_transition_time: Time(now),
            observed_generation: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready(second: i64, status: ConditionStatus, message: &str) -> Condition {
        Condition::new(
            at(second),
            ConditionType::Ready,
            status,
            Reason::Idle,
            message,
        )
    }

    #[test]
    fn a_transition_is_a_change_of_status_and_of_nothing_else() {
        let old = [ready(1, ConditionStatus::True, "before")];
        let same = merge(&old, vec![ready(2, ConditionStatus::True, "after")]);
        assert_eq!(same, [ready(1, ConditionStatus::True, "after")]);
        let other = merge(&old, vec![ready(2, ConditionStatus::False, "after")]);
        assert_eq!(other, [ready(2, ConditionStatus::False, "after")]);
    }

    #[test]
    fn a_condition_is_one_of_kubernetes() {
        let ours = ready(1, ConditionStatus::True, "m");
        let text = serde_json::to_string(&ours).unwrap();
        let theirs: k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition =
            serde_json::from_str(&text).unwrap();
        assert_eq!(
            (theirs.type_.as_str(), theirs.status.as_str()),
            ("Ready", "True")
        );
    }

    #[test]
    fn words_of_a_newer_operator_can_be_read() {
        let text = r#"{"type":"Amazing","status":"True","reason":"NeverHeard","message":"",
            "lastTransitionTime":"2026-01-01T00:00:00Z"}"#;
        let read: Condition = serde_json::from_str(text).unwrap();
        assert_eq!(
            (read.type_, read.reason),
            (ConditionType::Unknown, Reason::Unknown)
        );
    }
}
