use super::*;

const CONFIG: &str = "server.1=127.0.0.1:1:2:participant;127.0.0.1:3\n\
                      server.2=127.0.0.1:4:5:participant;127.0.0.1:6\nversion=100000000";

fn id(number: u8) -> MemberId {
    MemberId::new(number).expect("a member id")
}

fn report() -> BootReport {
    BootReport {
        version: "test".into(),
        volume_id: "volume".into(),
        cluster_id: None,
        empty: true,
        accepted_epoch: 0,
        current_epoch: 0,
        last_zxid: 0,
        config: None,
        parked: None,
        running: false,
    }
}

fn used(cluster_id: Option<&str>) -> BootReport {
    BootReport {
        cluster_id: cluster_id.map(Into::into),
        empty: false,
        accepted_epoch: 3,
        current_epoch: 3,
        last_zxid: 0x3_0000_0007,
        config: Some(CONFIG.into()),
        ..report()
    }
}

fn birth(volume_id: &str) -> Intent {
    Intent::Birth {
        cluster_id: "a".into(),
        config: "new".into(),
        volume_id: volume_id.into(),
    }
}

fn join() -> Intent {
    Intent::Join {
        cluster_id: "a".into(),
        config: "new".into(),
    }
}

fn started() -> Intent {
    Intent::Start {
        cluster_id: "a".into(),
        config: "new".into(),
    }
}

fn start(config: &str, birth: bool) -> Decision {
    Decision::Boot(BootPlan::Start {
        cluster_id: "a".into(),
        config: config.into(),
        birth,
    })
}

fn joined() -> Decision {
    Decision::Boot(BootPlan::Join {
        cluster_id: "a".into(),
        config: "new".into(),
    })
}

#[test]
fn an_empty_volume_starts_only_by_grant_or_by_joining() {
    let wait = Decision::Wait(Waiting::Grant);
    assert_eq!(decide(id(1), true, &report(), &Intent::Unsaid), wait);
    assert_eq!(decide(id(1), true, &report(), &started()), wait);
    assert_eq!(
        decide(id(1), true, &report(), &birth("volume")),
        start("new", true)
    );
    assert_eq!(decide(id(1), true, &report(), &join()), joined());
}

#[test]
fn a_grant_does_not_pass_to_the_volume_that_replaces_its_own() {
    let waits = decide(id(1), true, &report(), &birth("the wiped one"));
    assert_eq!(waits, Decision::Wait(Waiting::Grant));
}

#[test]
fn a_member_that_crashed_before_its_first_epoch_goes_on_being_born() {
    let marked = BootReport {
        cluster_id: Some("a".into()),
        ..report()
    };
    assert_eq!(
        decide(id(1), true, &marked, &birth("volume")),
        start("new", true)
    );
    let promised = BootReport {
        cluster_id: Some("a".into()),
        empty: false,
        accepted_epoch: 1,
        ..report()
    };
    assert_eq!(
        decide(id(1), true, &promised, &birth("volume")),
        start("new", true)
    );
}

#[test]
fn a_known_member_starts_without_asking_anybody() {
    for intent in [Intent::Unsaid, birth("volume"), join(), started()] {
        assert_eq!(
            decide(id(2), true, &used(Some("a")), &intent),
            start(CONFIG, false)
        );
    }
}

#[test]
fn a_kept_volume_waits_to_be_adopted_by_a_new_resource() {
    // What the old resource ordered lies on the volume and does not count.
    for intent in [Intent::Unsaid, birth("volume"), join(), started()] {
        let waits = decide(id(1), false, &used(Some("a")), &intent);
        assert_eq!(waits, Decision::Wait(Waiting::Adoption));
    }
}

#[test]
fn a_member_absent_from_its_own_config_joins_when_ordered() {
    let report = used(Some("a"));
    assert_eq!(
        decide(id(3), true, &report, &Intent::Unsaid),
        Decision::Wait(Waiting::Listing)
    );
    assert_eq!(decide(id(3), true, &report, &join()), joined());
}

#[test]
fn a_volume_of_another_ensemble_is_never_started() {
    for intent in [birth("volume"), join(), started()] {
        let waits = decide(id(1), true, &used(Some("b")), &intent);
        assert_eq!(waits, Decision::Wait(Waiting::Foreign));
    }
}

#[test]
fn data_that_bears_no_ensembles_id_is_started_only_on_request() {
    for intent in [Intent::Unsaid, birth("volume"), join()] {
        assert_eq!(
            decide(id(1), true, &used(None), &intent),
            Decision::Wait(Waiting::Claim)
        );
    }
    assert_eq!(
        decide(id(1), true, &used(None), &started()),
        start("new", false)
    );
}

#[test]
fn a_parked_member_stays_parked() {
    let parked = BootReport {
        parked: Some("superseded".into()),
        ..used(Some("a"))
    };
    assert_eq!(
        decide(id(1), true, &parked, &Intent::Unsaid),
        Decision::Wait(Waiting::Unparking)
    );
    let ordered = Intent::Park {
        reason: "retired".into(),
    };
    let park = Decision::Boot(BootPlan::Park {
        reason: "retired".into(),
    });
    assert_eq!(decide(id(1), true, &used(Some("a")), &ordered), park);
}
