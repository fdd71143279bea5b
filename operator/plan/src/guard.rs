//! The quorum guard: the one function that says whether a member may be disturbed.
//!
//! It counts by the committed configuration, never by the spec or by what exists. A member counts
//! as caught up only if everything known of it in this pass says so; no report is no proof of
//! anything, in either direction.

use std::collections::BTreeSet;

use api::{EnsembleConfig, MemberId, ensemble::parse_version};
use jiff::Timestamp;
use wire::control::{MemberStatus, Role};

use crate::Observed;

/// Transactions that a follower may be behind and still count as caught up: it makes them good
/// in well under a second.
pub const MAX_LAG: u64 = 1000;

/// What the guard counts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Voters of the committed configuration.
    pub voters: BTreeSet<MemberId>,
    /// Those of them that are up with the leader.
    pub caught_up: BTreeSet<MemberId>,
    /// A change of the membership is under way.
    pub reconfig_pending: bool,
    /// Votes have weights or groups, so that counting them proves nothing.
    pub weighted: bool,
}

/// The member may be disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// The others go on serving.
    QuorumStays,
    /// It does not serve, so nothing is lost.
    NotServing,
    /// It is the only voter: the service is interrupted, as there is no other way.
    OnlyVoter,
    /// It takes no vote.
    NoVoter,
}

/// The member must be left alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Old and new configuration have different majorities.
    #[error("the membership is being changed")]
    ReconfigPending,
    /// Weights or groups.
    #[error("the ensemble has weights or groups, which this version does not count")]
    Weighted,
    /// Others are down or behind, or are not seen.
    #[error("not caught up: {}", crate::words::members(.0))]
    OthersNotCaughtUp(Vec<MemberId>),
    /// Too few would be left.
    #[error("{left} voters would be left caught up, and {majority} are a majority")]
    NoMajorityLeft {
        /// Caught up without it.
        left: usize,
        /// Needed.
        majority: usize,
    },
}

impl Quorum {
    /// Whether `member` may be disturbed. `proven_not_serving` as in
    /// [`MemberObserved::proven_not_serving`](crate::observed::MemberObserved::proven_not_serving).
    pub fn may_disrupt(
        &self,
        member: MemberId,
        proven_not_serving: bool,
    ) -> Result<Allowed, Refused> {
        if self.reconfig_pending {
            return Err(Refused::ReconfigPending);
        }
        if proven_not_serving {
            return Ok(Allowed::NotServing);
        }
        if self.weighted {
            return Err(Refused::Weighted);
        }
        if !self.voters.contains(&member) {
            return Ok(Allowed::NoVoter);
        }
        if self.voters.len() == 1 {
            return Ok(Allowed::OnlyVoter);
        }
        let behind: Vec<_> = self
            .voters
            .difference(&self.caught_up)
            .copied()
            .filter(|id| *id != member)
            .collect();
        if !behind.is_empty() {
            return Err(Refused::OthersNotCaughtUp(behind));
        }
        let majority = self.voters.len() / 2 + 1;
        let left = self.caught_up.len() - usize::from(self.caught_up.contains(&member));
        if left < majority {
            return Err(Refused::NoMajorityLeft { left, majority });
        }
        Ok(Allowed::QuorumStays)
    }

    /// Counts. Reports from before `since`, the last change that the operator made, say nothing
    /// of what it led to.
    pub fn observe(
        observed: &Observed,
        cluster_id: &str,
        config: &EnsembleConfig,
        since: Option<Timestamp>,
        reconfig_pending: bool,
    ) -> Self {
        let voters: BTreeSet<_> = config.voters().collect();
        let caught_up = leader(observed, cluster_id).map_or_else(BTreeSet::new, |(_, leader)| {
            let up = |id: &MemberId| {
                new_enough(observed, *id, since)
                    && is_caught_up(observed, cluster_id, config, leader, *id)
            };
            voters.iter().copied().filter(up).collect()
        });
        Self {
            voters,
            caught_up,
            reconfig_pending,
            weighted: config.weighted,
        }
    }
}

/// The leader of `cluster_id` and what it says. Of two that say so the one of the later epoch:
/// the other is deposed and has not noticed.
pub fn leader<'a>(
    observed: &'a Observed,
    cluster_id: &str,
) -> Option<(MemberId, &'a MemberStatus)> {
    let leads = |status: &MemberStatus| matches!(status.role, Role::Leader | Role::Standalone);
    observed
        .all_fresh()
        .filter(|(_, report)| report.cluster_id() == Some(cluster_id))
        .filter_map(|(id, _)| Some((id, observed.serving(id)?)))
        .filter(|(_, status)| leads(status))
        .max_by_key(|(_, status)| status.epoch)
}

fn new_enough(observed: &Observed, id: MemberId, since: Option<Timestamp>) -> bool {
    let report = observed.members.get(&id).and_then(|m| m.report.as_ref());
    report.is_some_and(|report| since.is_none_or(|since| report.at > since))
}

fn is_caught_up(
    observed: &Observed,
    cluster_id: &str,
    config: &EnsembleConfig,
    leader: &MemberStatus,
    id: MemberId,
) -> bool {
    let ours = observed
        .fresh(id)
        .is_some_and(|report| report.cluster_id() == Some(cluster_id));
    ours && observed.serving(id).is_some_and(|member| {
        let lag = leader.committed_zxid.saturating_sub(member.last_zxid);
        member.ready
            && member.epoch == leader.epoch
            && parse_version(&member.config_version) == Some(config.version)
            && lag <= MAX_LAG
            && leader.synced.contains(&id.into())
    })
}

#[cfg(test)]
mod tests;
