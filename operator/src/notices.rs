//! What changed between two statuses, as news for people.

use api::{Condition, ConditionStatus, ConditionType, ZooKeeperClusterStatus};
use plan::Plan;

use crate::platform::Notice;

/// The news of a pass: each condition that says something else than before, and a new leader.
#[must_use]
pub fn notices(before: &ZooKeeperClusterStatus, planned: &Plan) -> Vec<Notice> {
    let after = &planned.status;
    let mut news: Vec<_> = after
        .conditions
        .iter()
        .filter(|condition| is_news(before, condition))
        .map(|condition| Notice {
            warning: is_bad(condition),
            reason: format!("{:?}", condition.reason),
            message: condition.message.clone(),
        })
        .collect();
    if let (true, Some(leader)) = (before.leader != after.leader, after.leader) {
        news.push(Notice {
            warning: false,
            reason: "LeaderElected".to_owned(),
            message: format!("member {leader} leads"),
        });
    }
    // Several conditions give the same reason for the same thing.
    news.dedup_by(|a, b| a.reason == b.reason);
    news
}

fn is_news(before: &ZooKeeperClusterStatus, after: &Condition) -> bool {
    let was = before.conditions.iter().find(|c| c.type_ == after.type_);
    match was {
        Some(was) => was.status != after.status || was.reason != after.reason,
        None => after.type_ == ConditionType::Ready,
    }
}

fn is_bad(condition: &Condition) -> bool {
    let holds = condition.status == ConditionStatus::True;
    match condition.type_ {
        ConditionType::Ready | ConditionType::Progressing | ConditionType::Unknown => false,
        ConditionType::Degraded
        | ConditionType::QuorumAtRisk
        | ConditionType::Stalled
        | ConditionType::NameConflict => holds,
    }
}
