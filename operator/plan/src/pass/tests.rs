use api::{
    ConditionStatus, ConditionType, Reason,
    sidecar::ServerState,
    status::{BootstrapStatus, MemberState},
};

use wire::control::{BootReport, Role};

use super::*;
use crate::fixture::{
    address, blank_volume, config, data_volume, desired, id, observed, serving, three_blank,
    three_serving, waiting,
};
use crate::observed::MemberObserved;

fn ids(numbers: &[u8]) -> Vec<MemberId> {
    numbers.iter().copied().map(id).collect()
}

fn first_pass(observed: &Observed) -> Plan {
    plan(
        Ok(&desired(3)),
        observed,
        &ZooKeeperClusterStatus::default(),
        None,
    )
}

/// A status of an ensemble that is born, under term 7.
fn born() -> ZooKeeperClusterStatus {
    ZooKeeperClusterStatus {
        cluster_id: Some("ours".to_owned()),
        term: Term(7),
        bootstrap: Some(BootstrapStatus {
            cluster_id: "ours".to_owned(),
            phase: BootstrapPhase::Initialised,
            members: Vec::new(),
            predecessors: Vec::new(),
        }),
        ..Default::default()
    }
}

fn pass(observed: &Observed) -> Plan {
    plan(Ok(&desired(3)), observed, &born(), Some(Term(7)))
}

#[track_caller]
fn assert_condition(
    plan: &Plan,
    type_: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: &str,
) {
    let found = plan.status.conditions.iter().find(|c| c.type_ == type_);
    let found = found.map(|c| (c.status, c.reason, c.message.as_str()));
    assert_eq!(found, Some((status, reason, message)));
}

fn orders(plan: &Plan) -> Vec<(u8, &Order)> {
    let booted = plan.converge.iter().filter_map(|action| match action {
        Converge::Boot(order) => Some((order.member.get(), &order.request.order)),
        _ => None,
    });
    booted.collect()
}

#[test]
fn from_nothing_it_makes_volumes_and_processes_and_says_whom_it_awaits() {
    let plan = first_pass(&observed([]));
    assert_eq!(
        plan.converge,
        [
            Converge::Shared,
            Converge::Volumes(ids(&[1, 2, 3])),
            Converge::Processes(ids(&[1, 2, 3])),
        ]
    );
    assert_eq!(plan.step, None);
    assert_eq!(plan.requeue_after, SOON);
    assert_eq!(plan.status.bootstrap, None);
    assert_condition(
        &plan,
        ConditionType::Ready,
        ConditionStatus::False,
        Reason::AwaitingReports,
        "waiting for member 1: it is being made, and for 2 more",
    );
}

#[test]
fn a_birth_is_written_and_granted_to_all_at_once() {
    let observed = three_blank();
    let plan = first_pass(&observed);
    let birth = plan.status.bootstrap.as_ref().unwrap();
    assert_eq!(birth.phase, BootstrapPhase::Granted);
    assert_eq!(birth.cluster_id, "fresh");
    assert_eq!(plan.status.cluster_id.as_deref(), Some("fresh"));
    assert_eq!(plan.status.term, Term(1));
    let operation = plan.status.operation.as_ref().unwrap();
    assert_eq!(operation.kind, OperationKind::Birth);
    let grant = |n: u8| MemberOrder {
        member: id(n),
        request: OrderRequest {
            term: Term(1),
            operation_id: format!("grant-{n}-1800000000000"),
            order: Order::Grant {
                cluster_id: "fresh".to_owned(),
                volume_id: format!("v{n}"),
                config: config(3, 0),
            },
        },
    };
    assert_eq!(
        plan.step,
        Some(Step::Birth(vec![grant(1), grant(2), grant(3)]))
    );
}

#[test]
fn a_member_that_is_not_heard_keeps_the_ensemble_unborn() {
    let mut observed = three_blank();
    observed.members.get_mut(&id(2)).unwrap().report = None;
    let plan = first_pass(&observed);
    assert_eq!(
        (plan.step.clone(), plan.status.bootstrap.clone()),
        (None, None)
    );
    assert_condition(
        &plan,
        ConditionType::Progressing,
        ConditionStatus::True,
        Reason::AwaitingReports,
        "waiting for member 2: its sidecar has not reported",
    );
}

#[test]
fn what_the_platform_says_of_a_member_is_passed_on() {
    let mut observed = three_blank();
    let member = observed.members.get_mut(&id(3)).unwrap();
    member.report = None;
    member.trouble = Some("no disk is left on this machine".to_owned());
    let plan = first_pass(&observed);
    assert_condition(
        &plan,
        ConditionType::Ready,
        ConditionStatus::False,
        Reason::AwaitingReports,
        "waiting for member 3: no disk is left on this machine",
    );
}

#[test]
fn an_ensemble_that_serves_is_left_alone_and_costs_no_write() {
    let first = pass(&three_serving());
    assert_eq!(first.step, None);
    assert_eq!(orders(&first), []);
    assert_eq!(first.requeue_after, AT_REST);
    assert_condition(
        &first,
        ConditionType::Ready,
        ConditionStatus::True,
        Reason::AsDesired,
        "all 3 members serve",
    );
    assert_condition(
        &first,
        ConditionType::QuorumAtRisk,
        ConditionStatus::False,
        Reason::SpareMembers,
        "3 of 3 voters serve",
    );
    assert_eq!(first.status.leader, Some(id(1)));
    assert_eq!(first.status.ready_replicas, 3);
    assert_eq!(
        first.status.connection_string.as_deref(),
        Some("zk-1:2181,zk-2:2181,zk-3:2181")
    );

    let mut later = three_serving();
    later.now += Duration::from_secs(3);
    let second = plan(Ok(&desired(3)), &later, &first.status, Some(Term(7)));
    assert_eq!(second.status, first.status);
}

#[test]
fn a_member_that_comes_back_is_told_to_start_at_once() {
    let mut observed = three_serving();
    let back = waiting(3, data_volume(3, "ours", 3));
    observed.members.insert(id(3), back);
    let plan = pass(&observed);
    let start = Order::Start {
        cluster_id: "ours".to_owned(),
        volume_id: "v3".to_owned(),
        config: config(3, 0x1_0000_0000),
    };
    assert_eq!(orders(&plan), [(3, &start)]);
    assert_eq!(plan.status.term, Term(7));
    assert_eq!(plan.status.members[2].state, MemberState::WaitingForPlan);
    assert_condition(
        &plan,
        ConditionType::Degraded,
        ConditionStatus::True,
        Reason::MemberStarting,
        "member 3: it is told to start",
    );
}

#[test]
fn a_whole_ensemble_restarts_from_its_disks() {
    let members = (1..=3).map(|n| (n, waiting(n, data_volume(n, "ours", 3))));
    let plan = pass(&observed(members));
    let told: Vec<_> = orders(&plan).into_iter().map(|(n, _)| n).collect();
    assert_eq!(told, [1, 2, 3]);
    assert_eq!(plan.status.step.as_deref(), Some("Start"));
    assert_eq!(plan.step, None);
}

#[test]
fn the_first_committed_configuration_ends_the_birth() {
    let granted = first_pass(&three_blank()).status;
    let members = (1..=3).map(|n| (n, serving(n, "fresh", 3)));
    let plan = plan(Ok(&desired(3)), &observed(members), &granted, Some(Term(1)));
    assert_eq!(plan.status.phase(), BootstrapPhase::Initialised);
    assert_eq!(plan.status.operation, None);
    assert_eq!(plan.step, None);
}

#[test]
fn a_lost_majority_names_each_member_and_its_reason() {
    let mut observed = three_serving();
    for (n, exit) in [(1, "killed by signal 9"), (3, "exit status 1")] {
        let member = observed.members.get_mut(&id(n)).unwrap();
        let report = &mut member.report.as_mut().unwrap().status;
        report.status = None;
        report.server = ServerState::Down {
            since: observed.now,
            exit: Some(exit.to_owned()),
        };
    }
    let plan = pass(&observed);
    assert_condition(
        &plan,
        ConditionType::Ready,
        ConditionStatus::False,
        Reason::QuorumLost,
        "no quorum of the committed configuration serves: member 1: its server ended (killed by \
         signal 9); member 3: its server ended (exit status 1)",
    );
}

#[test]
fn silence_is_not_taken_for_a_lost_quorum() {
    let mut observed = three_serving();
    for n in [1, 3] {
        observed.members.get_mut(&id(n)).unwrap().report = None;
    }
    let plan = pass(&observed);
    assert_condition(
        &plan,
        ConditionType::Ready,
        ConditionStatus::False,
        Reason::ObservationLost,
        "too few members report to tell whether a quorum serves: member 1: its sidecar has not \
         reported; member 3: its sidecar has not reported",
    );
}

#[test]
fn an_invalid_spec_is_listed_and_members_are_still_told_to_start() {
    let mut observed = three_serving();
    observed
        .members
        .insert(id(3), waiting(3, data_volume(3, "ours", 3)));
    let wrong = [Invalid::new("spec.replicas", "is 2, and must be odd")];
    let plan = plan(Err(&wrong), &observed, &born(), Some(Term(7)));
    assert_eq!(plan.converge.len(), 1);
    assert_eq!(orders(&plan).len(), 1);
    assert_condition(
        &plan,
        ConditionType::Stalled,
        ConditionStatus::True,
        Reason::InvalidSpec,
        "spec.replicas: is 2, and must be odd",
    );
}

#[test]
fn an_invalid_spec_is_never_born() {
    let wrong = [Invalid::new("spec.replicas", "is 2, and must be odd")];
    let status = ZooKeeperClusterStatus::default();
    let plan = plan(Err(&wrong), &three_blank(), &status, None);
    assert_eq!((plan.step, plan.status.bootstrap), (None, None));
    assert_eq!(plan.converge, []);
}

#[test]
fn a_paused_resource_is_only_reported() {
    let paused = Desired {
        paused: true,
        ..desired(3)
    };
    let status = ZooKeeperClusterStatus::default();
    let unborn = plan(Ok(&paused), &three_blank(), &status, None);
    assert_eq!((unborn.converge, unborn.step), (vec![], None));
    assert_eq!(unborn.status.bootstrap, None);
    assert_eq!(unborn.status.step.as_deref(), Some("Paused"));
}

#[test]
fn a_name_that_is_taken_stops_everything_but_starts() {
    let mut observed = three_blank();
    observed.conflicts = vec!["Service zk-peers".to_owned()];
    let plan = first_pass(&observed);
    assert_eq!((plan.converge.clone(), plan.step.clone()), (vec![], None));
    assert_condition(
        &plan,
        ConditionType::NameConflict,
        ConditionStatus::True,
        Reason::NotControlled,
        "Service zk-peers belongs to somebody else",
    );
}

#[test]
fn another_number_of_voters_is_said_to_be_out_of_reach() {
    let plan = plan(Ok(&desired(5)), &three_serving(), &born(), Some(Term(7)));
    assert_condition(
        &plan,
        ConditionType::Stalled,
        ConditionStatus::True,
        Reason::NotSupported,
        "the ensemble has members 1, 2, 3 as voters, and spec.replicas asks for 5; this version \
         cannot change that",
    );
    assert!(
        plan.converge
            .contains(&Converge::Processes(ids(&[1, 2, 3])))
    );
}

#[test]
fn foreign_data_is_shown_before_members_that_only_start() {
    let mut observed = three_serving();
    observed
        .members
        .insert(id(3), waiting(3, data_volume(3, "theirs", 3)));
    let plan = pass(&observed);
    assert_eq!(orders(&plan), []);
    assert_condition(
        &plan,
        ConditionType::Stalled,
        ConditionStatus::True,
        Reason::ForeignData,
        "waiting for member 3: its volume holds data of another ensemble, theirs; it is never \
         started or deleted: move it away, or delete the volume",
    );
}

#[test]
fn a_wiped_member_joins_and_its_ensemble_is_at_risk() {
    let mut observed = three_serving();
    observed.members.insert(id(3), waiting(3, blank_volume(3)));
    let plan = pass(&observed);
    assert!(matches!(orders(&plan)[..], [(3, Order::Join { .. })]));
    assert_condition(
        &plan,
        ConditionType::QuorumAtRisk,
        ConditionStatus::True,
        Reason::NoSpareMember,
        "2 of 3 voters serve",
    );
}

#[test]
fn a_term_is_taken_only_with_the_first_order() {
    let quiet = plan(Ok(&desired(3)), &three_serving(), &born(), None);
    assert_eq!(quiet.status.term, Term(7));
    let mut observed = three_serving();
    observed
        .members
        .insert(id(3), waiting(3, data_volume(3, "ours", 3)));
    let plan = plan(Ok(&desired(3)), &observed, &born(), None);
    assert_eq!(plan.status.term, Term(8));
    let terms = plan.converge.iter().filter_map(|action| match action {
        Converge::Boot(order) => Some(order.request.term),
        _ => None,
    });
    assert_eq!(terms.collect::<Vec<_>>(), [Term(8)]);
}

#[test]
fn an_operator_that_was_superseded_does_and_writes_nothing() {
    let plan = plan(Ok(&desired(3)), &three_blank(), &born(), Some(Term(6)));
    assert_eq!((plan.converge, plan.step), (vec![], None));
    assert_eq!(plan.status, born());
    assert_eq!(plan.superseded, Some(Term(7)));
}

#[test]
fn images_are_pinned_by_the_first_pass() {
    let mut observed = three_blank();
    observed.default_images.server = Some("ferrokeeper:1".to_owned());
    let first = first_pass(&observed);
    observed.default_images.server = Some("ferrokeeper:2".to_owned());
    let second = plan(Ok(&desired(3)), &observed, &first.status, Some(Term(1)));
    let images = second.status.images.unwrap();
    assert_eq!(images.server.as_deref(), Some("ferrokeeper:1"));
}

#[test]
fn a_single_member_is_born_alone() {
    let alone = observed([(1, waiting(1, blank_volume(1)))]);
    let status = ZooKeeperClusterStatus::default();
    let plan = plan(Ok(&desired(1)), &alone, &status, None);
    let Some(Step::Birth(grants)) = plan.step else {
        panic!("no birth: {:?}", plan.status.conditions);
    };
    assert_eq!(grants.len(), 1);
    assert_eq!(plan.status.connection_string, Some(address(1).client()));
}

#[test]
fn members_of_an_earlier_template_are_named_and_left_alone() {
    let mut observed = three_serving();
    for n in [1, 3] {
        let member = observed.members.get_mut(&id(n)).unwrap();
        member.process.as_mut().unwrap().outdated = true;
    }
    let plan = pass(&observed);
    assert_eq!(plan.step, None);
    assert_condition(
        &plan,
        ConditionType::Progressing,
        ConditionStatus::False,
        Reason::Idle,
        "made from an earlier template: members 1, 3; this version restarts none for that, each \
         takes the newest when its process is made anew",
    );
}

#[test]
fn the_volume_of_a_member_that_is_not_wanted_any_more_is_looked_at_before_a_birth() {
    let mut surplus = waiting(4, blank_volume(4));
    (surplus.process, surplus.report) = (None, None);
    surplus.trouble = Some("its pod is refused: exceeded quota".to_owned());
    let mut observed = three_blank();
    observed.members.insert(id(4), surplus);
    let plan = first_pass(&observed);
    assert_eq!(plan.step, None);
    assert_condition(
        &plan,
        ConditionType::Ready,
        ConditionStatus::False,
        Reason::AwaitingReports,
        "waiting for member 4: its pod is refused: exceeded quota (it is no longer asked for, but \
         what is on its volume must be known before the birth; delete the volume if that is \
         worthless)",
    );
}

/// A member that started from an empty volume without a grant, and looks for a leader.
fn wiped(number: u8) -> MemberObserved {
    let mut member = serving(number, "ours", 3);
    let report = &mut member.report.as_mut().unwrap().status;
    let found = report.volume.as_mut().unwrap();
    *found = BootReport {
        cluster_id: found.cluster_id.clone(),
        ..blank_volume(number)
    };
    let status = report.status.as_mut().unwrap();
    (status.role, status.epoch, status.ready) = (Role::Looking, 0, false);
    status.last_zxid = 0;
    member
}

#[test]
fn a_majority_without_its_volumes_is_lost_and_nothing_is_born_over_it() {
    let mut survivor = serving(1, "ours", 3);
    let status = &mut survivor.report.as_mut().unwrap().status.status;
    let status = status.as_mut().unwrap();
    (status.role, status.ready, status.synced) = (Role::Looking, false, Vec::new());
    let blank = waiting(2, blank_volume(2));
    let plan = pass(&observed([(1, survivor), (2, blank), (3, wiped(3))]));
    assert!(matches!(orders(&plan)[..], [(2, Order::Join { .. })]));
    assert_eq!(plan.step, None);
    assert_condition(
        &plan,
        ConditionType::Ready,
        ConditionStatus::False,
        Reason::QuorumLost,
        "the volumes of a majority are lost, and with them what they had promised; nothing is born \
         over what is left: member 1: it is looking for a leader; member 2: its volume is empty, \
         and it is told to synchronise before it votes again; member 3: its volume came empty: it \
         has no vote before it has synchronised with a leader",
    );
}

#[test]
fn what_the_platform_refuses_is_why_a_member_is_missing() {
    let mut observed = three_blank();
    observed.members.remove(&id(3));
    observed.refusals = vec!["PersistentVolumeClaim data-zk-2: exceeded quota".to_owned()];
    assert_condition(
        &first_pass(&observed),
        ConditionType::Ready,
        ConditionStatus::False,
        Reason::AwaitingReports,
        "waiting for member 3: PersistentVolumeClaim data-zk-2: exceeded quota",
    );
}

#[test]
fn what_the_platform_refuses_waits_for_a_person_while_the_ensemble_serves() {
    let mut observed = three_serving();
    observed.refusals = vec!["StatefulSet zk: spec.template is invalid".to_owned()];
    let plan = pass(&observed);
    let refused = (
        ConditionStatus::True,
        Reason::PlatformRefuses,
        "StatefulSet zk: spec.template is invalid",
    );
    for type_ in [ConditionType::Stalled, ConditionType::Degraded] {
        assert_condition(&plan, type_, refused.0, refused.1, refused.2);
    }
    let all = "all 3 members serve";
    let (holds, reason) = (ConditionStatus::True, Reason::AsDesired);
    assert_condition(&plan, ConditionType::Ready, holds, reason, all);
}

#[test]
fn a_process_that_is_stuck_in_an_older_template_is_made_anew() {
    let stuck = |outdated: bool| {
        let mut observed = three_blank();
        let member = observed.members.get_mut(&id(2)).unwrap();
        member.report = None;
        let process = member.process.as_mut().unwrap();
        process.outdated = outdated;
        process.state = ProcessState::NotServing {
            why: "no such image".to_owned(),
        };
        observed
    };
    let renewal = Step::Renew {
        member: id(2),
        process: "process-uid-2".to_owned(),
    };
    assert_eq!(first_pass(&stuck(true)).step, Some(renewal));
    assert_eq!(first_pass(&stuck(false)).step, None);

    // A process that its sidecar sees running is not stuck, whatever the platform says.
    let mut observed = stuck(true);
    let serves = serving(2, "ours", 3).report;
    observed.members.get_mut(&id(2)).unwrap().report = serves;
    assert_eq!(first_pass(&observed).step, None);
}
