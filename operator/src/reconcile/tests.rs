use std::collections::BTreeMap;
use std::sync::Mutex;

use api::{MemberAddress, MemberId, ZooKeeperCluster, ZooKeeperClusterSpec};
use jiff::Timestamp;
use plan::Observed;
use plan::observed::Capabilities;

use super::*;
use crate::metrics::Metrics;
use crate::platform::Endpoint;

/// A platform with one empty ensemble that notes what is asked of it.
struct Noting {
    status: Option<ZooKeeperClusterStatus>,
    replicas: i32,
    conflict: bool,
    notes: Mutex<Vec<String>>,
}

impl Noting {
    fn new() -> Self {
        Self {
            status: None,
            replicas: 1,
            conflict: false,
            notes: Mutex::new(Vec::new()),
        }
    }

    fn note(&self, what: impl Into<String>) {
        self.notes.lock().expect("not poisoned").push(what.into());
    }

    fn notes(self) -> Vec<String> {
        self.notes.into_inner().expect("not poisoned")
    }
}

impl Platform for Noting {
    type World = ();

    async fn observe(&self) -> Result<Seen<()>, PlatformError> {
        self.note("observe");
        let spec = ZooKeeperClusterSpec {
            replicas: self.replicas,
            ..ZooKeeperClusterSpec::default()
        };
        let mut resource = ZooKeeperCluster::new("demo", spec);
        resource.status.clone_from(&self.status);
        let address = MemberAddress {
            host: "127.0.0.1".into(),
            quorum_port: 1,
            election_port: 2,
            client_host: None,
            client_port: 3,
        };
        let member = MemberId::voter(0).expect("a voter");
        Ok(Seen {
            resource,
            sidecars: BTreeMap::new(),
            observed: Observed {
                now: Timestamp::UNIX_EPOCH,
                generation: Some(1),
                capabilities: Capabilities::default(),
                members: BTreeMap::new(),
                addresses: [(member, address)].into(),
                conflicts: Vec::new(),
                refusals: Vec::new(),
                default_images: api::status::Images::default(),
                fresh_id: "fresh".into(),
            },
            world: (),
        })
    }

    async fn write_status(
        &self,
        _: &mut Seen<()>,
        _: ZooKeeperClusterStatus,
    ) -> Result<(), PlatformError> {
        self.note("write status");
        if self.conflict {
            return Err(PlatformError::Conflict("demo".into()));
        }
        Ok(())
    }

    async fn converge(
        &self,
        _: &Seen<()>,
        _: &Desired,
        what: &Converge,
    ) -> Result<(), PlatformError> {
        self.note(format!("{what:?}"));
        Ok(())
    }

    async fn step(&self, _: &Seen<()>, step: &Step) -> Result<(), PlatformError> {
        self.note(format!("{step:?}"));
        Ok(())
    }
}

/// No sidecar is there.
struct Nobody;

impl Orders for Nobody {
    async fn ask_all(
        &self,
        _: &BTreeMap<MemberId, Endpoint>,
    ) -> BTreeMap<MemberId, plan::observed::Report> {
        BTreeMap::new()
    }

    async fn order(
        &self,
        endpoint: &Endpoint,
        _: &api::sidecar::OrderRequest,
    ) -> Result<OrderResponse, SidecarError> {
        Err(SidecarError::Nobody(endpoint.name.clone()))
    }
}

async fn pass(platform: &Noting, lead: &mut Leadership) -> Result<Duration, PassError> {
    let metrics = Metrics::new().expect("metrics").ensemble("ns", "demo");
    reconcile(platform, &Nobody, lead, &metrics).await
}

#[tokio::test]
async fn the_status_is_written_before_anything_is_done() {
    let platform = Noting::new();
    pass(&platform, &mut Leadership::default())
        .await
        .expect("a pass");
    let expected = [
        "observe",
        "write status",
        "Shared",
        "Volumes([1])",
        "Processes([1])",
    ];
    assert_eq!(platform.notes(), expected);
}

#[tokio::test]
async fn a_conflict_ends_the_pass() {
    let platform = Noting {
        conflict: true,
        ..Noting::new()
    };
    let ended = pass(&platform, &mut Leadership::default()).await;
    assert!(
        matches!(ended, Err(PassError::Platform(PlatformError::Conflict(_)))),
        "{ended:?}"
    );
    assert_eq!(platform.notes(), ["observe", "write status"]);
}

#[tokio::test]
async fn an_invalid_spec_is_reported_and_shapes_nothing() {
    let platform = Noting {
        replicas: 2,
        ..Noting::new()
    };
    pass(&platform, &mut Leadership::default())
        .await
        .expect("a pass");
    assert_eq!(platform.notes(), ["observe", "write status"]);
}

#[tokio::test]
async fn whoever_is_superseded_writes_nothing() {
    let platform = Noting {
        status: Some(ZooKeeperClusterStatus {
            term: Term(6),
            ..ZooKeeperClusterStatus::default()
        }),
        ..Noting::new()
    };
    let mut lead = Leadership {
        term: Some(Term(5)),
    };
    let ended = pass(&platform, &mut lead).await;
    assert!(
        matches!(ended, Err(PassError::Superseded { seen: Term(6) })),
        "{ended:?}"
    );
    assert_eq!(platform.notes(), ["observe"]);
}

#[tokio::test]
async fn nothing_is_ordered_so_no_term_is_taken() {
    let platform = Noting::new();
    let mut lead = Leadership::default();
    pass(&platform, &mut lead).await.expect("a pass");
    assert_eq!(lead, Leadership::default());
}
