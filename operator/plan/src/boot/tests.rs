//! A test for each row of the table.

use api::status::{BootstrapPhase, BornMember};

use super::*;
use crate::fixture::{address, blank_volume, config, data_volume, id};

fn birth() -> BootstrapStatus {
    let born = |n: u8| BornMember {
        id: id(n),
        volume_id: format!("v{n}"),
        server: address(n).line(id(n), api::Kind::Voter),
    };
    BootstrapStatus {
        cluster_id: "ours".to_owned(),
        phase: BootstrapPhase::Granted,
        members: (1..=3).map(born).collect(),
        predecessors: vec!["before".to_owned()],
    }
}

fn candidate(number: u8, volume: &BootReport) -> Candidate<'_> {
    Candidate {
        id: id(number),
        wanted: true,
        volume,
    }
}

fn unborn(volume: &BootReport) -> Boot {
    boot(candidate(1, volume), Ensemble::Unborn)
}

fn granted(volume: &BootReport, untouched: bool) -> Boot {
    let birth = birth();
    boot(
        candidate(1, volume),
        Ensemble::Granted {
            birth: &birth,
            untouched,
        },
    )
}

fn initialised(candidate: Candidate<'_>, newest: Option<&str>) -> Boot {
    let newest = newest.map(|text| EnsembleConfig::parse(text).unwrap());
    let birth = birth();
    boot(
        candidate,
        Ensemble::Initialised {
            birth: &birth,
            newest: newest.as_ref(),
        },
    )
}

/// The committed configuration of voters 1 to 3.
fn of_three() -> String {
    config(3, 0x1_0000_0000)
}

/// A newer one, without member 3.
fn without_three() -> String {
    config(2, 0x1_0000_0009)
}

#[test]
fn nothing_starts_before_a_birth_is_decided() {
    for volume in [blank_volume(1), data_volume(1, "ours", 3)] {
        assert_eq!(unborn(&volume), Boot::Wait(Wait::Unborn));
    }
}

#[test]
fn a_blank_granted_volume_starts_if_all_partners_are_untouched() {
    assert_eq!(granted(&blank_volume(1), true), Boot::Grant);
    assert_eq!(granted(&blank_volume(1), false), Boot::Wait(Wait::Partners));
}

#[test]
fn granted_and_crashed_before_its_first_data_it_goes_on_whatever_the_partners_do() {
    let volume = BootReport {
        cluster_id: Some("ours".to_owned()),
        ..blank_volume(1)
    };
    assert_eq!(granted(&volume, false), Boot::Grant);
}

#[test]
fn granted_and_with_data_it_is_a_known_member() {
    let volume = BootReport {
        cluster_id: Some("ours".to_owned()),
        empty: false,
        accepted_epoch: 1,
        ..blank_volume(1)
    };
    let start = Boot::Start {
        config: first_config(&birth()),
    };
    assert_eq!(granted(&volume, false), start);
}

#[test]
fn an_epoch_alone_is_data() {
    let volume = BootReport {
        cluster_id: Some("ours".to_owned()),
        accepted_epoch: 1,
        ..blank_volume(1)
    };
    assert!(matches!(granted(&volume, true), Boot::Start { .. }));
}

#[test]
fn a_grant_goes_to_no_other_volume() {
    let other = BootReport {
        volume_id: "another".to_owned(),
        ..blank_volume(1)
    };
    let lost = Wait::GrantedVolumeLost {
        granted: "v1".to_owned(),
    };
    assert_eq!(granted(&other, true), Boot::Wait(lost));
}

#[test]
fn a_member_outside_the_birth_waits_for_its_end() {
    let (volume, birth) = (blank_volume(4), birth());
    let ensemble = Ensemble::Granted {
        birth: &birth,
        untouched: true,
    };
    let waits = boot(candidate(4, &volume), ensemble);
    assert_eq!(waits, Boot::Wait(Wait::NotInBirth));
}

#[test]
fn a_known_member_starts_if_the_ensemble_lists_it() {
    let volume = data_volume(1, "ours", 3);
    let start = Boot::Start { config: of_three() };
    assert_eq!(initialised(candidate(1, &volume), Some(&of_three())), start);
}

#[test]
fn a_known_member_starts_if_nobody_can_be_asked() {
    let volume = data_volume(1, "ours", 3);
    let start = Boot::Start { config: of_three() };
    assert_eq!(initialised(candidate(1, &volume), None), start);
}

#[test]
fn a_known_member_without_any_configuration_starts_with_the_first() {
    let volume = BootReport {
        config: None,
        ..data_volume(1, "ours", 3)
    };
    let start = Boot::Start {
        config: first_config(&birth()),
    };
    assert_eq!(initialised(candidate(1, &volume), None), start);
}

#[test]
fn a_known_member_gets_the_newest_configuration() {
    let volume = data_volume(1, "ours", 3);
    let newest = without_three();
    let start = Boot::Start {
        config: newest.clone(),
    };
    assert_eq!(initialised(candidate(1, &volume), Some(&newest)), start);
}

#[test]
fn a_removed_member_that_is_wanted_joins() {
    let volume = data_volume(3, "ours", 3);
    let newest = without_three();
    let join = Boot::Join {
        config: newest.clone(),
        wiped: false,
    };
    assert_eq!(initialised(candidate(3, &volume), Some(&newest)), join);
}

#[test]
fn a_removed_member_that_is_not_wanted_is_parked() {
    let volume = data_volume(3, "ours", 3);
    let unwanted = Candidate {
        wanted: false,
        ..candidate(3, &volume)
    };
    assert_eq!(
        initialised(unwanted, Some(&without_three())),
        Boot::Park {
            why: "retired: the ensemble no longer has this member".to_owned()
        }
    );
}

#[test]
fn an_empty_volume_of_a_member_joins_without_a_vote() {
    // Even the volume that was granted: what it promised since may be lost.
    let granted_once = BootReport {
        cluster_id: Some("ours".to_owned()),
        ..blank_volume(1)
    };
    for volume in [blank_volume(1), granted_once] {
        let join = Boot::Join {
            config: of_three(),
            wiped: true,
        };
        assert_eq!(initialised(candidate(1, &volume), Some(&of_three())), join);
    }
}

#[test]
fn an_empty_volume_of_a_new_member_joins() {
    let volume = blank_volume(3);
    let newest = without_three();
    let join = Boot::Join {
        config: newest.clone(),
        wiped: false,
    };
    assert_eq!(initialised(candidate(3, &volume), Some(&newest)), join);
}

#[test]
fn an_empty_volume_waits_if_nobody_can_be_asked() {
    let volume = blank_volume(1);
    let waits = Boot::Wait(Wait::NobodyReachable);
    assert_eq!(initialised(candidate(1, &volume), None), waits);
}

#[test]
fn an_empty_volume_that_nobody_wants_waits() {
    let volume = blank_volume(3);
    let unwanted = Candidate {
        wanted: false,
        ..candidate(3, &volume)
    };
    let waits = Boot::Wait(Wait::NotWanted);
    assert_eq!(initialised(unwanted, Some(&without_three())), waits);
}

#[test]
fn foreign_data_is_never_started() {
    let empty_but_named = BootReport {
        cluster_id: Some("theirs".to_owned()),
        ..blank_volume(1)
    };
    for volume in [data_volume(1, "theirs", 3), empty_but_named] {
        let foreign = Boot::Wait(Wait::Foreign {
            cluster_id: "theirs".to_owned(),
        });
        assert_eq!(granted(&volume, true), foreign);
        assert_eq!(
            initialised(candidate(1, &volume), Some(&of_three())),
            foreign
        );
    }
}

#[test]
fn data_that_names_no_ensemble_is_never_started() {
    let volume = BootReport {
        cluster_id: None,
        ..data_volume(1, "ours", 3)
    };
    let unclaimed = Boot::Wait(Wait::Unclaimed);
    assert_eq!(granted(&volume, true), unclaimed);
    assert_eq!(
        initialised(candidate(1, &volume), Some(&of_three())),
        unclaimed
    );
}

#[test]
fn a_predecessors_volume_is_parked_as_superseded() {
    let volume = data_volume(1, "before", 3);
    assert_eq!(
        initialised(candidate(1, &volume), Some(&of_three())),
        Boot::Park {
            why: "superseded: this ensemble went on as ours".to_owned()
        }
    );
}

#[test]
fn a_park_mark_outlasts_everything() {
    let volume = BootReport {
        parked: Some("retired".to_owned()),
        ..data_volume(1, "ours", 3)
    };
    let parked = Boot::Wait(Wait::Parked {
        why: "retired".to_owned(),
    });
    assert_eq!(unborn(&volume), parked);
    assert_eq!(granted(&volume, true), parked);
    assert_eq!(
        initialised(candidate(1, &volume), Some(&of_three())),
        parked
    );
}
