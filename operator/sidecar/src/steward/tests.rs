use tempfile::TempDir;
use wire::control::Role;

use super::*;

const CONFIG: &str = "server.1=127.0.0.1:1:2:participant;127.0.0.1:3";
const COMMITTED: &str = "server.1=127.0.0.1:1:2:participant;127.0.0.1:3\nversion=100000000";

fn open(volume: &TempDir, ensemble: &str) -> Arc<Steward> {
    let seat = Seat {
        member: MemberId::new(1).expect("a member id"),
        ensemble: ensemble.into(),
        volume: volume.path().to_owned(),
    };
    Arc::new(Steward::open(seat).expect("opened"))
}

fn volume() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn blank() -> BootReport {
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

fn used(cluster_id: &str) -> BootReport {
    BootReport {
        cluster_id: Some(cluster_id.into()),
        empty: false,
        accepted_epoch: 1,
        current_epoch: 1,
        config: Some(COMMITTED.into()),
        ..blank()
    }
}

fn serving() -> MemberStatus {
    MemberStatus {
        role: Role::Leader,
        ready: true,
        draining: false,
        epoch: 1,
        last_zxid: 1 << 32,
        committed_zxid: 1 << 32,
        leader: Some(1),
        synced: vec![1],
        config_version: "100000000".into(),
        config: COMMITTED.into(),
        sessions: 0,
        connections: 0,
    }
}

fn request(term: u64, operation: &str, order: Order) -> OrderRequest {
    OrderRequest {
        term: Term(term),
        operation_id: operation.into(),
        order,
    }
}

fn grant(volume_id: &str) -> Order {
    Order::Grant {
        cluster_id: "a".into(),
        volume_id: volume_id.into(),
        config: CONFIG.into(),
    }
}

fn told() -> OrderResponse {
    OrderResponse::Done {
        text: "told the server".into(),
    }
}

fn connect(steward: &Steward, report: BootReport) -> (u64, mpsc::Receiver<ToServer>) {
    let (lines, received) = mpsc::channel(8);
    (steward.connected(report, None, lines), received)
}

fn start(config: &str, birth: bool) -> ToServer {
    ToServer::Boot(BootPlan::Start {
        cluster_id: "a".into(),
        config: config.into(),
        birth,
    })
}

#[tokio::test]
async fn a_grant_is_told_once_however_often_it_is_given() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let (_, mut lines) = connect(&steward, blank());
    assert!(lines.try_recv().is_err(), "an empty volume waits");
    for _ in 0..3 {
        assert_eq!(
            steward.order(request(1, "birth", grant("volume"))).await,
            told()
        );
    }
    assert_eq!(lines.try_recv(), Ok(start(CONFIG, true)));
    assert!(lines.try_recv().is_err());
    assert_eq!(steward.status().granted.as_deref(), Some("a"));
}

#[tokio::test]
async fn a_grant_survives_the_sidecar_and_holds_for_its_volume_only() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let (_, _lines) = connect(&steward, blank());
    steward.order(request(1, "birth", grant("volume"))).await;
    drop(steward);

    let steward = open(&volume, "uid");
    let (_, mut lines) = connect(&steward, blank());
    assert_eq!(lines.try_recv(), Ok(start(CONFIG, true)));
    let wiped = BootReport {
        volume_id: "another".into(),
        ..blank()
    };
    let (_, mut lines) = connect(&steward, wiped);
    assert!(lines.try_recv().is_err());
    let refused = steward.order(request(1, "again", grant("volume"))).await;
    let why = "the volume here is another, not volume".into();
    assert_eq!(refused, OrderResponse::Refused { why });
}

#[tokio::test]
async fn a_lower_term_is_refused_even_after_a_restart() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let (_, _lines) = connect(&steward, blank());
    assert_eq!(
        steward.order(request(5, "birth", grant("volume"))).await,
        told()
    );
    drop(steward);
    let steward = open(&volume, "uid");
    let (_, _lines) = connect(&steward, blank());
    let refused = steward.order(request(4, "other", grant("volume"))).await;
    assert_eq!(refused, OrderResponse::RefusedTerm { seen: Term(5) });
    assert_eq!(steward.status().term, Term(5));
}

#[tokio::test]
async fn a_term_counts_though_its_order_is_refused() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let why = "no server has reported".into();
    let refused = steward.order(request(7, "birth", grant("volume"))).await;
    assert_eq!(refused, OrderResponse::Refused { why });
    assert_eq!(open(&volume, "uid").status().term, Term(7));
}

#[tokio::test]
async fn a_volume_of_another_ensemble_is_left_untouched() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let (_, mut lines) = connect(&steward, used("b"));
    for order in [
        grant("volume"),
        Order::Start {
            cluster_id: "a".into(),
            volume_id: "volume".into(),
            config: CONFIG.into(),
        },
        Order::Join {
            cluster_id: "a".into(),
            volume_id: "volume".into(),
            config: CONFIG.into(),
        },
    ] {
        let refused = steward.order(request(1, "start", order)).await;
        let why = "the volume belongs to ensemble b, not a; it is left untouched".into();
        assert_eq!(refused, OrderResponse::Refused { why });
    }
    assert!(lines.try_recv().is_err());
    assert_eq!(steward.status().server, ServerState::WaitingForPlan);
}

#[tokio::test]
async fn a_known_member_restarts_without_an_order_and_a_moved_volume_does_not() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let (_, mut lines) = connect(&steward, blank());
    steward.order(request(1, "birth", grant("volume"))).await;
    assert_eq!(lines.try_recv(), Ok(start(CONFIG, true)));
    let (_, mut lines) = connect(&steward, used("a"));
    assert_eq!(lines.try_recv(), Ok(start(COMMITTED, false)));
    drop(steward);

    let steward = open(&volume, "another uid");
    let (_, mut lines) = connect(&steward, used("a"));
    assert!(lines.try_recv().is_err());
    let adopt = Order::Start {
        cluster_id: "a".into(),
        volume_id: "volume".into(),
        config: CONFIG.into(),
    };
    assert_eq!(steward.order(request(2, "adopt", adopt)).await, told());
    assert_eq!(lines.try_recv(), Ok(start(COMMITTED, false)));
}

#[tokio::test]
async fn a_server_that_serves_already_gets_no_plan() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let running = BootReport {
        running: true,
        ..used("a")
    };
    let (_, mut lines) = connect(&steward, running);
    assert!(lines.try_recv().is_err());
    assert_eq!(steward.status().server, ServerState::Running);
    let why = "the server is already running".into();
    let refused = steward.order(request(1, "birth", grant("volume"))).await;
    assert_eq!(refused, OrderResponse::Refused { why });
}

#[tokio::test]
async fn an_order_is_forwarded_once_and_its_answer_kept() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let running = BootReport {
        running: true,
        ..used("a")
    };
    let (connection, mut lines) = connect(&steward, running);
    let server = Arc::clone(&steward);
    tokio::spawn(async move {
        while let Some(ToServer::Order { id, .. }) = lines.recv().await {
            let outcome = Outcome::Done(format!("number {id}"));
            server.heard(connection, FromServer::Done { id, outcome });
        }
    });
    let first = steward.order(request(1, "snap", Order::Snapshot)).await;
    assert!(matches!(first, OrderResponse::Done { .. }), "{first:?}");
    assert_eq!(
        steward.order(request(1, "snap", Order::Snapshot)).await,
        first
    );
    let other = steward.order(request(1, "snap", Order::Undrain)).await;
    let why = "operation snap was another order".into();
    assert_eq!(other, OrderResponse::Refused { why });
    let last = steward.status().last_order.expect("an order");
    assert_eq!((last.operation_id.as_str(), last.response), ("snap", first));
}

#[tokio::test(start_paused = true)]
async fn a_slow_order_is_accepted_and_answered_later() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let running = BootReport {
        running: true,
        ..used("a")
    };
    let (connection, mut lines) = connect(&steward, running);
    let slow = || request(1, "snap", Order::Snapshot);
    assert_eq!(steward.order(slow()).await, OrderResponse::Accepted);
    assert_eq!(steward.order(slow()).await, OrderResponse::Accepted);
    let Ok(ToServer::Order { id, .. }) = lines.try_recv() else {
        panic!("not forwarded")
    };
    assert!(lines.try_recv().is_err(), "forwarded twice");
    let outcome = Outcome::Done("written".into());
    steward.heard(connection, FromServer::Done { id, outcome });
    while steward.order(slow()).await == OrderResponse::Accepted {
        tokio::task::yield_now().await;
    }
    let text = "written".into();
    assert_eq!(steward.order(slow()).await, OrderResponse::Done { text });
}

#[tokio::test]
async fn a_broken_connection_proves_nothing_by_itself() {
    let volume = volume();
    let steward = open(&volume, "uid");
    assert_eq!(steward.status().server, ServerState::NotSeen);
    let (connection, _lines) = connect(&steward, blank());
    steward.disconnected(connection);
    let state = steward.status().server;
    assert!(matches!(state, ServerState::Lost { .. }), "{state:?}");

    let mut process = std::process::Command::new("true").spawn().expect("started");
    let known = Process::of(i32::try_from(process.id()).ok());
    let (lines, _received) = mpsc::channel(8);
    let connection = steward.connected(blank(), known, lines);
    process.wait().expect("ended");
    steward.disconnected(connection);
    let state = steward.status().server;
    assert!(matches!(state, ServerState::Down { .. }), "{state:?}");
}

#[tokio::test]
async fn what_an_older_connection_says_is_not_heard() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let (old, _lines) = connect(&steward, blank());
    let (_new, _lines) = connect(&steward, blank());
    steward.heard(old, FromServer::Status(serving()));
    steward.disconnected(old);
    let status = steward.status();
    assert_eq!(
        (status.server, status.status),
        (ServerState::WaitingForPlan, None)
    );
}

#[tokio::test]
async fn a_served_volume_bears_the_id_that_it_was_given() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let (connection, _lines) = connect(&steward, blank());
    steward.order(request(1, "birth", grant("volume"))).await;
    let on_volume = || steward.status().volume.and_then(|volume| volume.cluster_id);
    assert_eq!(on_volume(), None);
    assert_eq!(steward.status().cluster_id(), Some("a"), "by its grant");
    steward.heard(connection, FromServer::Status(serving()));
    assert_eq!(on_volume().as_deref(), Some("a"));
}

#[tokio::test]
async fn a_volume_that_followed_a_leader_is_not_blank_any_more() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let (connection, _lines) = connect(&steward, blank());
    steward.order(request(1, "birth", grant("volume"))).await;
    steward.heard(connection, FromServer::Status(serving()));
    let between_two_leaders = MemberStatus {
        epoch: 0,
        ..serving()
    };
    steward.heard(connection, FromServer::Status(between_two_leaders));
    let found = steward.status().volume.expect("reported");
    let epochs = (found.accepted_epoch, found.current_epoch, found.empty);
    assert_eq!(epochs, (1, 1, false));
}

#[tokio::test]
async fn a_grant_ends_with_the_first_promise_even_if_the_data_goes_and_the_journal_stays() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let (connection, _lines) = connect(&steward, blank());
    let granted = steward.order(request(1, "birth", grant("volume"))).await;
    assert_eq!(granted, told());
    steward.heard(connection, FromServer::Status(serving()));
    steward.disconnected(connection);

    let emptied = BootReport {
        cluster_id: Some("a".into()),
        ..blank()
    };
    let (_, mut lines) = connect(&steward, emptied);
    assert!(lines.try_recv().is_err(), "it waits to be told to join");
    assert_eq!(steward.waiting(), Some(Waiting::Grant));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_not_reported_as_serving() {
    let volume = volume();
    let steward = open(&volume, "uid");
    let running = BootReport {
        running: true,
        ..used("a")
    };
    let (connection, _lines) = connect(&steward, running);
    steward.heard(connection, FromServer::Status(serving()));
    assert_eq!(steward.status().status, Some(serving()));
    tokio::time::advance(SPOKE_WITHIN + Duration::from_millis(1)).await;
    let status = steward.status();
    assert_eq!((status.server, status.status), (ServerState::Running, None));
    steward.heard(connection, FromServer::Status(serving()));
    assert_eq!(steward.status().status, Some(serving()));
}
