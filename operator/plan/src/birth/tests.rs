use api::{
    cluster::{Adopt, Bootstrap},
    sidecar::ServerState,
};
use wire::control::BootReport;

use super::*;
use crate::{
    Converge, Plan, Step,
    fixture::{
        blank_volume, data_volume, desired, id, observed, serving, three_blank, three_serving,
        waiting,
    },
    observed::MemberObserved,
    plan,
};

fn begin(desired: &Desired, observed: &Observed) -> (ZooKeeperClusterStatus, Option<Obstacle>) {
    let mut status = ZooKeeperClusterStatus::default();
    let result = advance(Some(desired), observed, &mut status);
    (status, result.err())
}

fn of_volumes(volumes: impl IntoIterator<Item = (u8, BootReport)>) -> Observed {
    observed(volumes.into_iter().map(|(n, v)| (n, waiting(n, v))))
}

#[track_caller]
fn assert_not_born(observed: &Observed, reason: Reason, stalled: bool) {
    let (status, obstacle) = begin(&desired(3), observed);
    let obstacle = obstacle.unwrap();
    assert_eq!((obstacle.reason, obstacle.stalled), (reason, stalled));
    assert_eq!(status, ZooKeeperClusterStatus::default());
}

fn granted() -> ZooKeeperClusterStatus {
    begin(&desired(3), &three_blank()).0
}

fn with_cluster(cluster: &str, volume: BootReport) -> BootReport {
    BootReport {
        cluster_id: Some(cluster.to_owned()),
        ..volume
    }
}

#[test]
fn three_blank_volumes_are_granted_with_their_ids_and_lines() {
    let birth = granted().bootstrap.unwrap();
    assert_eq!(birth.phase, BootstrapPhase::Granted);
    let members: Vec<_> = birth
        .members
        .iter()
        .map(|born| (born.id.get(), born.volume_id.as_str(), born.server.as_str()))
        .collect();
    assert_eq!(
        members,
        [
            (1, "v1", "server.1=zk-1:2888:3888:participant;0.0.0.0:2181"),
            (2, "v2", "server.2=zk-2:2888:3888:participant;0.0.0.0:2181"),
            (3, "v3", "server.3=zk-3:2888:3888:participant;0.0.0.0:2181"),
        ]
    );
}

#[test]
fn a_volume_that_is_not_blank_keeps_the_rest_from_birth() {
    let unclaimed = BootReport {
        cluster_id: None,
        ..data_volume(2, "ours", 3)
    };
    let volumes = [(1, blank_volume(1)), (2, unclaimed), (3, blank_volume(3))];
    assert_not_born(&of_volumes(volumes), Reason::UnclaimedData, true);
}

#[test]
fn data_of_two_ensembles_is_left_to_a_person() {
    let volumes = [
        (1, data_volume(1, "one", 3)),
        (2, data_volume(2, "two", 3)),
        (3, blank_volume(3)),
    ];
    assert_not_born(&of_volumes(volumes), Reason::ConflictingData, true);
}

#[test]
fn a_copied_volume_is_not_taken_for_two() {
    let copy = BootReport {
        volume_id: "v1".to_owned(),
        ..blank_volume(2)
    };
    let volumes = [(1, blank_volume(1)), (2, copy), (3, blank_volume(3))];
    assert_not_born(&of_volumes(volumes), Reason::ConflictingData, true);
}

#[test]
fn an_old_report_is_no_report() {
    let mut observed = three_blank();
    let member = observed.members.get_mut(&id(1)).unwrap();
    member.report.as_mut().unwrap().at -= std::time::Duration::from_secs(6);
    assert_not_born(&observed, Reason::AwaitingReports, false);
}

#[test]
fn what_a_server_reported_before_it_ended_is_no_proof_of_a_blank_volume() {
    let mut observed = three_blank();
    let member = observed.members.get_mut(&id(2)).unwrap();
    member.report.as_mut().unwrap().status.server = ServerState::Down {
        since: observed.now,
        exit: Some("killed by signal 9".to_owned()),
    };
    assert_not_born(&observed, Reason::AwaitingReports, false);
    let obstacle = begin(&desired(3), &observed).1.unwrap();
    assert_eq!(
        obstacle.message,
        "waiting for member 2: its server ended (killed by signal 9)"
    );
}

#[test]
fn a_grant_that_only_the_sidecar_remembers_counts() {
    let mut observed = three_blank();
    let member = observed.members.get_mut(&id(2)).unwrap();
    member.report.as_mut().unwrap().status.granted = Some("first".to_owned());
    let (status, obstacle) = begin(&desired(3), &observed);
    assert_eq!(obstacle, None);
    assert_eq!(status.cluster_id.as_deref(), Some("first"));
}

#[test]
fn a_missing_address_is_waited_for() {
    let mut observed = three_blank();
    observed.addresses.remove(&id(2));
    assert_not_born(&observed, Reason::CreatingMembers, false);
}

#[test]
fn kept_volumes_that_agree_are_adopted_and_an_empty_one_joins() {
    let volumes = [
        (1, data_volume(1, "kept", 3)),
        (2, data_volume(2, "kept", 3)),
        (3, blank_volume(3)),
    ];
    let (status, obstacle) = begin(&desired(3), &of_volumes(volumes));
    assert_eq!(obstacle, None);
    assert_eq!(status.cluster_id.as_deref(), Some("kept"));
    assert_eq!(status.phase(), BootstrapPhase::Initialised);
}

#[test]
fn a_majority_of_kept_volumes_does_not_wait_for_the_rest() {
    let volumes = [
        (1, data_volume(1, "kept", 3)),
        (2, data_volume(2, "kept", 3)),
    ];
    let (status, obstacle) = begin(&desired(3), &of_volumes(volumes));
    assert_eq!(
        (status.phase(), obstacle),
        (BootstrapPhase::Initialised, None)
    );
}

#[test]
fn a_minority_of_kept_volumes_waits_for_the_rest() {
    let volumes = [(1, data_volume(1, "kept", 3))];
    assert_not_born(&of_volumes(volumes), Reason::AwaitingReports, false);
}

#[test]
fn volumes_of_an_ensemble_that_lives_elsewhere_are_not_adopted() {
    let mut moved = data_volume(1, "kept", 1);
    moved.config = moved.config.map(|config| config.replace("zk-1", "other-1"));
    let volumes = [(1, moved), (2, blank_volume(2)), (3, blank_volume(3))];
    assert_not_born(&of_volumes(volumes), Reason::ForeignData, true);
}

#[test]
fn an_ensemble_that_runs_and_whose_status_was_lost_is_adopted() {
    let (status, obstacle) = begin(&desired(3), &three_serving());
    assert_eq!(
        (status.phase(), obstacle),
        (BootstrapPhase::Initialised, None)
    );
    assert_eq!(status.cluster_id.as_deref(), Some("ours"));
}

#[test]
fn adoption_may_name_its_ensemble() {
    let adopting = |cluster: Option<&str>| Desired {
        bootstrap: Bootstrap {
            mode: BootstrapMode::Adopt,
            adopt: Some(Adopt {
                cluster_id: cluster.map(str::to_owned),
            }),
            join: None,
        },
        ..desired(3)
    };
    let kept = of_volumes((1..=3).map(|n| (n, data_volume(n, "kept", 3))));
    assert_eq!(begin(&adopting(Some("kept")), &kept).1, None);
    let other = begin(&adopting(Some("other")), &kept).1.unwrap();
    assert_eq!((other.reason, other.stalled), (Reason::ForeignData, true));
    let nothing = begin(&adopting(None), &three_blank()).1.unwrap();
    assert_eq!(nothing.reason, Reason::NothingToAdopt);
}

#[test]
fn a_birth_whose_status_was_lost_goes_on_under_its_id() {
    let volumes = [
        (1, with_cluster("first", blank_volume(1))),
        (2, blank_volume(2)),
        (3, blank_volume(3)),
    ];
    let (status, obstacle) = begin(&desired(3), &of_volumes(volumes));
    assert_eq!(obstacle, None);
    assert_eq!(status.phase(), BootstrapPhase::Granted);
    assert_eq!(status.cluster_id.as_deref(), Some("first"));
}

fn pass(replicas: i32, observed: &Observed, status: &ZooKeeperClusterStatus) -> Plan {
    plan(Ok(&desired(replicas)), observed, status, None)
}

#[test]
fn fewer_replicas_before_the_grant_dismiss_the_surplus_first() {
    let five = of_volumes((1..=5).map(|n| (n, blank_volume(n))));
    let plan = pass(3, &five, &ZooKeeperClusterStatus::default());
    assert_eq!(plan.status.bootstrap, None);
    let dismiss = Step::Dismiss {
        member: id(5),
        process: "process-uid-5".to_owned(),
        volume: "volume-uid-5".to_owned(),
    };
    assert_eq!(plan.step, Some(dismiss));
}

#[test]
fn a_member_that_is_being_dismissed_is_waited_for_and_not_made_anew() {
    let mut five = of_volumes((1..=5).map(|n| (n, blank_volume(n))));
    let last = five.members.get_mut(&id(5)).unwrap();
    last.volume.as_mut().unwrap().terminating = true;
    last.process.as_mut().unwrap().state = ProcessState::Terminating;
    last.report = None;
    let first_four: Vec<_> = (1..=4).map(id).collect();
    let going = pass(3, &five, &ZooKeeperClusterStatus::default());
    assert_eq!(going.step, None);
    assert!(
        going
            .converge
            .contains(&Converge::Processes(first_four.clone()))
    );
    assert!(going.converge.contains(&Converge::Volumes(first_four)));

    five.members.remove(&id(5));
    let gone = pass(3, &five, &ZooKeeperClusterStatus::default());
    let dismissed = match gone.step {
        Some(Step::Dismiss { member, .. }) => Some(member),
        _ => None,
    };
    assert_eq!(dismissed, Some(id(4)));
}

#[test]
fn a_member_without_a_volume_that_nobody_wants_holds_nobody_up() {
    let mut four = of_volumes((1..=4).map(|n| (n, blank_volume(n))));
    let surplus = four.members.get_mut(&id(4)).unwrap();
    (surplus.volume, surplus.report) = (None, None);
    surplus.process.as_mut().unwrap().state = ProcessState::NotServing {
        why: "never scheduled".to_owned(),
    };
    let plan = pass(3, &four, &ZooKeeperClusterStatus::default());
    assert!(matches!(plan.step, Some(Step::Birth(_))));
}

#[test]
fn more_replicas_before_the_grant_are_waited_for() {
    let (_, obstacle) = begin(&desired(5), &three_blank());
    assert_eq!(
        obstacle.unwrap().message,
        "waiting for member 4: it is being made, and for 1 more"
    );
}

#[test]
fn another_number_after_the_grant_waits_for_the_birth() {
    let plan = pass(5, &three_blank(), &granted());
    let birth = plan.status.bootstrap.unwrap();
    assert_eq!(birth.members.len(), 3);
    let Some(Step::Birth(grants)) = plan.step else {
        panic!("the grant is not repeated");
    };
    assert_eq!(grants.len(), 3);
}

#[test]
fn a_grant_is_repeated_to_the_same_volumes_only_while_none_has_followed() {
    let status = granted();
    let told = |observed: &Observed| match pass(3, observed, &status).step {
        Some(Step::Birth(grants)) => grants.iter().map(|g| g.member.get()).collect(),
        _ => Vec::new(),
    };
    assert_eq!(told(&three_blank()), [1, 2, 3]);

    let mut one_silent = three_blank();
    one_silent.members.get_mut(&id(3)).unwrap().report = None;
    assert_eq!(told(&one_silent), [0u8; 0]);

    let mut one_followed = three_blank();
    let followed = BootReport {
        empty: false,
        accepted_epoch: 1,
        ..with_cluster("fresh", blank_volume(3))
    };
    one_followed.members.insert(id(3), waiting(3, followed));
    assert_eq!(told(&one_followed), [0u8; 0]);

    // The others were killed before their grant; the third has written its first snapshot.
    let mut one_begun = three_blank();
    let begun = BootReport {
        empty: false,
        ..with_cluster("fresh", blank_volume(3))
    };
    one_begun.members.insert(id(3), waiting(3, begun));
    assert_eq!(told(&one_begun), [1, 2]);

    let mut one_replaced = three_blank();
    let replaced = BootReport {
        volume_id: "v9".to_owned(),
        ..blank_volume(3)
    };
    one_replaced.members.insert(id(3), waiting(3, replaced));
    assert_eq!(told(&one_replaced), [0u8; 0]);
}

/// Member 3 has a new volume; members 1 and 2 are as given.
fn third_volume_lost(first: MemberObserved, second: MemberObserved) -> Observed {
    let replaced = BootReport {
        volume_id: "v9".to_owned(),
        ..blank_volume(3)
    };
    observed([(1, first), (2, second), (3, waiting(3, replaced))])
}

#[test]
fn a_granted_volume_that_is_lost_needs_a_persons_word() {
    let lost = third_volume_lost(waiting(1, blank_volume(1)), waiting(2, blank_volume(2)));
    let mut status = granted();
    let before = status.bootstrap.clone();
    let obstacle = advance(Some(&desired(3)), &lost, &mut status).unwrap_err();
    assert_eq!(status.bootstrap, before);
    assert!(obstacle.stalled);
    assert_eq!(obstacle.reason, Reason::GrantedVolumeLost);
    assert!(
        obstacle.message.ends_with("ferrokeeper.io/reset-birth=v3"),
        "{}",
        obstacle.message
    );

    let confirmed = Desired {
        given_up: ["v3".to_owned()].into(),
        ..desired(3)
    };
    let obstacle = advance(Some(&confirmed), &lost, &mut status).unwrap_err();
    assert!(!obstacle.stalled);
    let birth = status.bootstrap.unwrap();
    assert_eq!(birth.cluster_id, "fresh");
    assert_eq!(birth.members[2].volume_id, "v9");
}

#[test]
fn a_persons_word_does_not_renew_a_birth_in_which_one_has_followed() {
    let followed = BootReport {
        empty: false,
        accepted_epoch: 1,
        ..with_cluster("fresh", blank_volume(1))
    };
    let lost = third_volume_lost(waiting(1, followed), waiting(2, blank_volume(2)));
    let confirmed = Desired {
        given_up: ["v3".to_owned()].into(),
        ..desired(3)
    };
    let mut status = granted();
    let before = status.bootstrap.clone();
    let obstacle = advance(Some(&confirmed), &lost, &mut status).unwrap_err();
    assert_eq!(obstacle.reason, Reason::GrantedVolumeLost);
    assert_eq!(status.bootstrap, before);
}

#[test]
fn a_quorum_of_the_others_heals_a_lost_volume() {
    let lost = third_volume_lost(serving(1, "fresh", 3), serving(2, "fresh", 3));
    let plan = pass(3, &lost, &granted());
    assert_eq!(plan.status.phase(), BootstrapPhase::Initialised);
    let joins = plan.converge.iter().any(|action| {
        matches!(action, Converge::Boot(order)
            if order.member == id(3) && matches!(order.request.order, api::sidecar::Order::Join { .. }))
    });
    assert!(joins);
}
