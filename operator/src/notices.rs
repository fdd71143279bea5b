//! What changed between two statuses, as news for people.

use std::collections::BTreeSet;

use api::status::{Operation, OperationKind};
use api::{Condition, ConditionStatus, ConditionType, ZooKeeperClusterStatus};
use plan::Plan;

use crate::platform::Notice;

/// The news of a pass. What a status said before is no news, so an undisturbed ensemble has none.
#[must_use]
pub fn notices(before: &ZooKeeperClusterStatus, planned: &Plan) -> Vec<Notice> {
    let after = &planned.status;
    let mut news: Vec<_> = operations(before, after).collect();
    let changed = after.conditions.iter().filter_map(|condition| {
        let was = before
            .conditions
            .iter()
            .find(|c| c.type_ == condition.type_);
        is_news(was, condition).then(|| told(condition))
    });
    news.extend(changed);
    if let (true, Some(leader)) = (before.leader != after.leader, after.leader) {
        news.push(Notice {
            warning: false,
            reason: "LeaderElected".to_owned(),
            message: format!("member {leader} leads"),
        });
    }
    // Several conditions give the same reason for the same thing; a warning says most.
    news.sort_by_key(|notice| !notice.warning);
    let mut reasons = BTreeSet::new();
    news.retain(|notice| reasons.insert(notice.reason.clone()));
    news
}

/// What was begun, and what is over.
fn operations(
    before: &ZooKeeperClusterStatus,
    after: &ZooKeeperClusterStatus,
) -> impl Iterator<Item = Notice> {
    let id = |operation: &Operation| operation.id.clone();
    let changed = before.operation.as_ref().map(id) != after.operation.as_ref().map(id);
    let notice = |operation: &Operation, word: &str, verb: &str| Notice {
        warning: false,
        reason: format!("{:?}{word}", operation.kind),
        message: match (operation.kind, operation.member) {
            (OperationKind::Birth, _) => {
                let ensemble = after.cluster_id.as_deref().unwrap_or_default();
                format!("the first start of ensemble {ensemble} {verb}")
            }
            (kind, Some(member)) => format!("{kind:?} of member {member} {verb}"),
            (kind, None) => format!("{kind:?} {verb}"),
        },
    };
    let over = before.operation.as_ref().filter(|_| changed);
    let begun = after.operation.as_ref().filter(|_| changed);
    over.map(|operation| notice(operation, "Ended", "is over"))
        .into_iter()
        .chain(begun.map(|operation| notice(operation, "Started", "began")))
}

/// Of a trouble its beginning, each new reason, and, where nothing else says so, its end; of
/// progress its stages; that everything is as desired, and that it is not any more.
fn is_news(was: Option<&Condition>, now: &Condition) -> bool {
    let held = was.is_some_and(|was| was.status == ConditionStatus::True);
    let holds = now.status == ConditionStatus::True;
    let other_reason = was.is_none_or(|was| was.reason != now.reason);
    match now.type_ {
        ConditionType::Ready => holds != held,
        ConditionType::Progressing
        | ConditionType::Degraded
        | ConditionType::Stalled
        | ConditionType::NameConflict => holds && (!held || other_reason),
        ConditionType::QuorumAtRisk => holds != held || (holds && other_reason),
        ConditionType::Unknown => false,
    }
}

fn told(condition: &Condition) -> Notice {
    let holds = condition.status == ConditionStatus::True;
    let warning = match condition.type_ {
        ConditionType::Ready | ConditionType::Progressing | ConditionType::Unknown => false,
        ConditionType::Degraded
        | ConditionType::QuorumAtRisk
        | ConditionType::Stalled
        | ConditionType::NameConflict => holds,
    };
    Notice {
        warning,
        reason: format!("{:?}", condition.reason),
        message: condition.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::Reason;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn status(conditions: &[(ConditionType, bool, Reason)]) -> ZooKeeperClusterStatus {
        let condition = |(type_, holds, reason): &(ConditionType, bool, Reason)| {
            let message = format!("{type_:?} {holds}");
            let now = Timestamp::UNIX_EPOCH;
            Condition::new(now, *type_, (*holds).into(), *reason, message)
        };
        ZooKeeperClusterStatus {
            conditions: conditions.iter().map(condition).collect(),
            ..ZooKeeperClusterStatus::default()
        }
    }

    fn news(before: &ZooKeeperClusterStatus, after: &ZooKeeperClusterStatus) -> Vec<String> {
        let planned = Plan {
            converge: Vec::new(),
            step: None,
            status: after.clone(),
            requeue_after: Duration::ZERO,
            superseded: None,
        };
        let mark = |notice: Notice| {
            let mark = if notice.warning { "!" } else { "" };
            format!("{mark}{}: {}", notice.reason, notice.message)
        };
        notices(before, &planned).into_iter().map(mark).collect()
    }

    const BORN: [(ConditionType, bool, Reason); 4] = [
        (ConditionType::Ready, true, Reason::AsDesired),
        (ConditionType::Progressing, false, Reason::Idle),
        (ConditionType::Degraded, false, Reason::Healthy),
        (ConditionType::QuorumAtRisk, false, Reason::SpareMembers),
    ];

    #[test]
    fn what_was_said_before_is_no_news() {
        let born = status(&BORN);
        assert_eq!(news(&born, &born), Vec::<String>::new());
    }

    #[test]
    fn one_trouble_is_told_once_and_its_end_as_well() {
        let born = status(&BORN);
        let down = status(&[
            (ConditionType::Ready, false, Reason::MemberDown),
            (ConditionType::Progressing, true, Reason::MemberDown),
            (ConditionType::Degraded, true, Reason::MemberDown),
            (ConditionType::QuorumAtRisk, true, Reason::NoSpareMember),
        ]);
        assert_eq!(
            news(&born, &down),
            [
                "!MemberDown: Degraded true",
                "!NoSpareMember: QuorumAtRisk true"
            ]
        );
        assert_eq!(
            news(&down, &born),
            ["AsDesired: Ready true", "SpareMembers: QuorumAtRisk false"]
        );
    }

    #[test]
    fn a_birth_is_told_from_its_first_stage_to_its_leader() {
        let fresh = ZooKeeperClusterStatus::default();
        let creating = status(&[
            (ConditionType::Ready, false, Reason::CreatingMembers),
            (ConditionType::Progressing, true, Reason::CreatingMembers),
        ]);
        assert_eq!(
            news(&fresh, &creating),
            ["CreatingMembers: Progressing true"]
        );
        let mut granted = status(&[
            (ConditionType::Ready, false, Reason::BirthGranted),
            (ConditionType::Progressing, true, Reason::BirthGranted),
        ]);
        granted.cluster_id = Some("c".into());
        granted.operation = Some(Operation {
            id: "birth-c".into(),
            kind: OperationKind::Birth,
            member: None,
            volume_id: None,
            uid: None,
            expected_version: None,
            started_at: Time(Timestamp::UNIX_EPOCH),
        });
        assert_eq!(
            news(&creating, &granted),
            [
                "BirthStarted: the first start of ensemble c began",
                "BirthGranted: Progressing true"
            ]
        );
        let mut born = status(&BORN);
        born.cluster_id = Some("c".into());
        born.leader = api::MemberId::new(3);
        assert_eq!(
            news(&granted, &born),
            [
                "BirthEnded: the first start of ensemble c is over",
                "AsDesired: Ready true",
                "LeaderElected: member 3 leads"
            ]
        );
    }
}
