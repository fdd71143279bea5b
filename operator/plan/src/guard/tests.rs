use api::MemberId;
use proptest::prelude::*;

use super::*;
use crate::fixture::{id, serving, three_serving};

fn ids(numbers: &[u8]) -> BTreeSet<MemberId> {
    numbers.iter().copied().map(id).collect()
}

fn quorum(voters: &[u8], caught_up: &[u8]) -> Quorum {
    Quorum {
        voters: ids(voters),
        caught_up: ids(caught_up),
        reconfig_pending: false,
        weighted: false,
    }
}

#[test]
fn the_table() {
    let behind = |numbers: &[u8]| {
        Err(Refused::OthersNotCaughtUp(
            ids(numbers).into_iter().collect(),
        ))
    };
    let rows = [
        // voters, caught up, member, proven, expected
        (
            &[1, 2, 3][..],
            &[1, 2, 3][..],
            1,
            false,
            Ok(Allowed::QuorumStays),
        ),
        (&[1, 2, 3], &[1, 2], 3, false, Ok(Allowed::QuorumStays)),
        (&[1, 2, 3], &[1, 2], 3, true, Ok(Allowed::NotServing)),
        (&[1, 2, 3], &[1, 2], 1, false, behind(&[3])),
        (&[1, 2, 3], &[1], 1, false, behind(&[2, 3])),
        (&[1, 2, 3], &[1], 2, true, Ok(Allowed::NotServing)),
        (&[1, 2, 3], &[], 1, false, behind(&[2, 3])),
        (
            &[1, 2, 3, 4, 5],
            &[1, 2, 3, 4],
            5,
            false,
            Ok(Allowed::QuorumStays),
        ),
        // Five would survive two down, and still only one is taken at a time.
        (&[1, 2, 3, 4, 5], &[1, 2, 3, 4], 4, false, behind(&[5])),
        (&[1], &[1], 1, false, Ok(Allowed::OnlyVoter)),
        (&[1], &[], 1, false, Ok(Allowed::OnlyVoter)),
        (
            &[1, 2],
            &[1, 2],
            2,
            false,
            Err(Refused::NoMajorityLeft {
                left: 1,
                majority: 2,
            }),
        ),
        (&[1, 2, 3], &[1, 2, 3], 101, false, Ok(Allowed::NoVoter)),
    ];
    for (voters, caught_up, member, proven, expected) in rows {
        let found = quorum(voters, caught_up).may_disrupt(id(member), proven);
        assert_eq!(found, expected, "{voters:?} {caught_up:?} {member}");
    }
}

#[test]
fn nobody_is_touched_while_the_membership_changes() {
    let pending = Quorum {
        reconfig_pending: true,
        ..quorum(&[1, 2, 3], &[1, 2, 3])
    };
    for proven in [false, true] {
        assert_eq!(
            pending.may_disrupt(id(1), proven),
            Err(Refused::ReconfigPending)
        );
    }
}

#[test]
fn weights_are_not_guessed() {
    let weighted = Quorum {
        weighted: true,
        ..quorum(&[1, 2, 3], &[1, 2, 3])
    };
    assert_eq!(weighted.may_disrupt(id(1), false), Err(Refused::Weighted));
}

#[test]
fn a_refusal_names_who_is_awaited() {
    let refused = quorum(&[1, 2, 3], &[1]).may_disrupt(id(1), false);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "not caught up: members 2, 3"
    );
}

fn caught_up(observed: &Observed, since: Option<Timestamp>) -> BTreeSet<MemberId> {
    let config = observed.committed_config("ours").unwrap();
    Quorum::observe(observed, "ours", &config, since, false).caught_up
}

/// Changes what member 2 of three serving ones reports, and asks whether it is still caught up.
fn member_2_after(change: impl FnOnce(&mut Observed)) -> bool {
    let mut observed = three_serving();
    assert_eq!(caught_up(&observed, None), ids(&[1, 2, 3]));
    change(&mut observed);
    caught_up(&observed, None).contains(&id(2))
}

fn status_of(observed: &mut Observed, number: u8) -> &mut MemberStatus {
    let member = observed.members.get_mut(&id(number)).unwrap();
    let report = member.report.as_mut().unwrap();
    report.status.status.as_mut().unwrap()
}

#[test]
fn each_sign_against_a_member_counts() {
    let signs: [fn(&mut Observed); 8] = [
        |o| status_of(o, 2).ready = false,
        |o| status_of(o, 2).epoch = 0,
        |o| status_of(o, 2).config_version = "200000000".to_owned(),
        |o| status_of(o, 1).committed_zxid += MAX_LAG + 1,
        |o| status_of(o, 1).synced = vec![1, 3],
        |o| status_of(o, 1).role = Role::Looking,
        |o| o.members.get_mut(&id(2)).unwrap().report = None,
        |o| {
            let member = o.members.get_mut(&id(2)).unwrap();
            let age = crate::observed::FRESH + std::time::Duration::from_secs(1);
            member.report.as_mut().unwrap().at -= age;
        },
    ];
    for (number, sign) in signs.into_iter().enumerate() {
        assert!(!member_2_after(sign), "sign {number}");
    }
    assert!(member_2_after(|o| status_of(o, 1).committed_zxid += MAX_LAG));
}

#[test]
fn a_report_from_before_the_last_change_says_nothing_of_it() {
    let observed = three_serving();
    assert_eq!(caught_up(&observed, Some(observed.now)), ids(&[]));
}

#[test]
fn members_of_another_ensemble_do_not_count() {
    let mut observed = three_serving();
    observed.members.insert(id(2), serving(2, "theirs", 3));
    assert_eq!(caught_up(&observed, None), ids(&[1, 3]));
}

#[test]
fn of_two_leaders_the_later_epoch_counts() {
    let mut observed = three_serving();
    let deposed = status_of(&mut observed, 1);
    deposed.epoch = 0;
    let leader = status_of(&mut observed, 2);
    leader.role = Role::Leader;
    leader.synced = vec![2, 3];
    assert_eq!(caught_up(&observed, None), ids(&[2, 3]));
}

proptest! {
    /// Whatever is up, whoever is asked for: after the disturbance a majority serves, if one did
    /// before, and no second voter is ever taken down by us.
    #[test]
    fn a_disturbance_never_costs_the_quorum(
        count in 1u8..10,
        up in proptest::collection::vec(any::<bool>(), 10),
        asked in 1u8..12,
        proven in any::<bool>(),
    ) {
        let voters: Vec<u8> = (1..=count).collect();
        let caught_up: Vec<u8> = voters.iter().copied().filter(|n| up[usize::from(*n)]).collect();
        let quorum = quorum(&voters, &caught_up);
        // Proven not serving and caught up exclude each other.
        let proven = proven && !caught_up.contains(&asked);
        let Ok(allowed) = quorum.may_disrupt(id(asked), proven) else {
            return Ok(());
        };
        let left: Vec<_> = caught_up.iter().filter(|n| **n != asked).collect();
        let majority = usize::from(count) / 2 + 1;
        match allowed {
            Allowed::NotServing | Allowed::NoVoter => {
                prop_assert_eq!(left.len(), caught_up.len());
            }
            Allowed::OnlyVoter => prop_assert_eq!(count, 1),
            Allowed::QuorumStays => {
                prop_assert!(left.len() >= majority);
                prop_assert!(left.len() + 1 >= voters.len(), "a second voter is down");
            }
        }
    }

    /// Taking members down one after another, as long as the guard allows and none comes back,
    /// never takes a second one.
    #[test]
    fn two_voters_are_never_down(count in 2u8..10, order in Just((1u8..10).collect::<Vec<_>>()).prop_shuffle()) {
        let voters: Vec<u8> = (1..=count).collect();
        let mut up = voters.clone();
        for member in order.into_iter().filter(|member| *member <= count) {
            if quorum(&voters, &up).may_disrupt(id(member), !up.contains(&member)).is_ok() {
                up.retain(|n| *n != member);
            }
        }
        prop_assert!(up.len() + 1 >= voters.len());
        prop_assert!(up.len() > voters.len() / 2);
    }
}
