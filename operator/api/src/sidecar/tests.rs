use serde_json::{Value, json};
use wire::control::Role;

use super::*;

fn id(number: u8) -> MemberId {
    MemberId::new(number).unwrap()
}

fn volume() -> BootReport {
    BootReport {
        version: "0.1.0".to_owned(),
        volume_id: "v".to_owned(),
        cluster_id: Some("c".to_owned()),
        empty: false,
        accepted_epoch: 1,
        current_epoch: 1,
        last_zxid: 7,
        config: Some("server.1=a:1:2:participant;3\nversion=100000000".to_owned()),
        parked: None,
        running: false,
    }
}

fn running() -> MemberStatus {
    MemberStatus {
        role: Role::Leader,
        ready: true,
        draining: false,
        epoch: 1,
        last_zxid: 7,
        committed_zxid: 7,
        leader: Some(1),
        synced: vec![1],
        config_version: "200000000".to_owned(),
        config: "server.1=a:1:2:participant;3\nversion=200000000".to_owned(),
        sessions: 0,
        connections: 0,
    }
}

fn report(server: ServerState, volume: Option<BootReport>) -> SidecarStatus {
    SidecarStatus {
        api_version: API_VERSION,
        version: "0.1.0".to_owned(),
        member: id(1),
        term: Term(4),
        server,
        volume,
        status: None,
        granted: None,
        last_order: None,
    }
}

/// What is sent must be read by the previous and the next version: fields are added, none is
/// renamed.
#[test]
fn orders_keep_their_form() {
    let form = |order: Order| {
        let request = OrderRequest {
            term: Term(4),
            operation_id: "op".to_owned(),
            order,
        };
        let mut value = serde_json::to_value(&request).unwrap();
        assert_eq!(
            serde_json::from_value::<OrderRequest>(value.clone()).unwrap(),
            request
        );
        assert_eq!(value["term"], 4);
        assert_eq!(value["operationId"], "op");
        value["order"].take()
    };
    let (cluster_id, volume_id) = ("c".to_owned(), "v".to_owned());
    let config = "server.1=a:1:2".to_owned();
    let common = |kind: &str| json!({ "kind": kind, "clusterId": "c", "volumeId": "v", "config": "server.1=a:1:2" });
    assert_eq!(
        form(Order::Grant {
            cluster_id: cluster_id.clone(),
            volume_id: volume_id.clone(),
            config: config.clone(),
        }),
        common("grant")
    );
    assert_eq!(
        form(Order::Start {
            cluster_id: cluster_id.clone(),
            volume_id: volume_id.clone(),
            config: config.clone(),
        }),
        common("start")
    );
    assert_eq!(
        form(Order::Join {
            cluster_id,
            volume_id: volume_id.clone(),
            config,
        }),
        common("join")
    );
    let rest: [(Order, Value); 7] = [
        (
            Order::Park {
                volume_id,
                reason: "r".to_owned(),
            },
            json!({ "kind": "park", "volumeId": "v", "reason": "r" }),
        ),
        (Order::Stop, json!({ "kind": "stop" })),
        (
            Order::Drain { within_ms: 5 },
            json!({ "kind": "drain", "withinMs": 5 }),
        ),
        (Order::Undrain, json!({ "kind": "undrain" })),
        (
            Order::Yield { to: Some(id(2)) },
            json!({ "kind": "yield", "to": 2 }),
        ),
        (
            Order::Reconfig {
                expected_version: "100000000".to_owned(),
                joining: vec!["server.4=a:1:2".to_owned()],
                leaving: vec![id(3)],
            },
            json!({
                "kind": "reconfig",
                "expectedVersion": "100000000",
                "joining": ["server.4=a:1:2"],
                "leaving": [3],
            }),
        ),
        (Order::Snapshot, json!({ "kind": "snapshot" })),
    ];
    for (order, expected) in rest {
        assert_eq!(form(order), expected);
    }
}

#[test]
fn what_a_newer_sidecar_adds_is_read_over() {
    let status = report(ServerState::WaitingForPlan, Some(volume()));
    let mut value = serde_json::to_value(&status).unwrap();
    assert_eq!(value["server"], json!({ "kind": "waitingForPlan" }));
    assert_eq!(value["volume"]["volumeId"], "v");
    value["somethingNew"] = json!(1);
    assert_eq!(
        serde_json::from_value::<SidecarStatus>(value).unwrap(),
        status
    );
}

#[test]
fn a_running_server_knows_the_configuration_better_than_its_disk_did() {
    let mut status = report(ServerState::Running, Some(volume()));
    let version = |status: &SidecarStatus| status.committed_config().map(|c| c.version);
    assert_eq!(version(&status), Some(0x1_0000_0000));
    status.status = Some(running());
    assert_eq!(version(&status), Some(0x2_0000_0000));
}

#[test]
fn the_list_that_an_ensemble_is_born_with_is_not_committed() {
    let born = BootReport {
        config: Some("server.1=a:1:2".to_owned()),
        ..volume()
    };
    let status = report(ServerState::WaitingForPlan, Some(born));
    assert_eq!(status.committed_config(), None);
}

#[test]
fn a_volume_is_spoken_for_by_a_server_that_waits_or_runs() {
    let now = Timestamp::UNIX_EPOCH;
    let ended = ServerState::Down {
        since: now,
        exit: None,
    };
    let current = |server, volume| report(server, volume).volume_is_current();
    assert!(current(ServerState::WaitingForPlan, Some(volume())));
    assert!(!current(ServerState::WaitingForPlan, None));
    assert!(!current(ServerState::Running, Some(volume())));
    assert!(!current(ended, Some(volume())));
    assert!(!current(ServerState::Lost { since: now }, Some(volume())));
    assert!(!current(ServerState::NotSeen, Some(volume())));
    let mut serving = report(ServerState::Running, Some(volume()));
    serving.status = Some(running());
    assert!(serving.volume_is_current());
}

#[test]
fn only_a_listed_member_with_data_starts_alone() {
    let start = |volume: &BootReport| start_alone(id(1), volume).is_some();
    assert!(start(&volume()));
    assert!(start_alone(id(2), &volume()).is_none());
    let refused = [
        BootReport {
            cluster_id: None,
            ..volume()
        },
        BootReport {
            empty: true,
            ..volume()
        },
        BootReport {
            config: None,
            ..volume()
        },
        BootReport {
            config: Some("nonsense".to_owned()),
            ..volume()
        },
        BootReport {
            parked: Some("retired".to_owned()),
            ..volume()
        },
    ];
    for volume in refused {
        assert!(!start(&volume), "{volume:?}");
    }
}
