//! What tests observe.

use std::collections::BTreeMap;

use api::{
    MemberAddress, MemberId, Term, ZooKeeperCluster, ZooKeeperClusterSpec,
    sidecar::{API_VERSION, ServerState, SidecarStatus},
};
use jiff::Timestamp;
use wire::control::{BootReport, MemberStatus, Role};

use crate::{
    Desired, Observed,
    observed::{
        Capabilities, MemberObserved, ProcessObserved, ProcessState, Report, VolumeObserved,
    },
    validate,
};

pub(crate) fn id(number: u8) -> MemberId {
    MemberId::new(number).unwrap()
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(crate) fn desired(replicas: i32) -> Desired {
    let spec = ZooKeeperClusterSpec {
        replicas,
        ..Default::default()
    };
    validate(&ZooKeeperCluster::new("zk", spec)).unwrap()
}

pub(crate) fn address(number: u8) -> MemberAddress {
    MemberAddress {
        host: format!("zk-{number}"),
        quorum_port: 2888,
        election_port: 3888,
        client_host: None,
        client_port: 2181,
    }
}

/// The configuration of voters 1 to `voters`, committed as `version`.
pub(crate) fn config(voters: u8, version: u64) -> String {
    let addresses: Vec<_> = (1..=voters).map(|n| (id(n), address(n))).collect();
    let mut config = api::EnsembleConfig::first(addresses.iter().map(|(id, a)| (*id, a)));
    config.version = version;
    config.text()
}

pub(crate) fn blank_volume(number: u8) -> BootReport {
    BootReport {
        version: "0.1.0".to_owned(),
        volume_id: format!("v{number}"),
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

/// A volume with data of `cluster`, whose configuration has voters 1 to `voters`.
pub(crate) fn data_volume(number: u8, cluster: &str, voters: u8) -> BootReport {
    BootReport {
        cluster_id: Some(cluster.to_owned()),
        empty: false,
        accepted_epoch: 1,
        current_epoch: 1,
        last_zxid: 0x1_0000_0005,
        config: Some(config(voters, 0x1_0000_0000)),
        ..blank_volume(number)
    }
}

pub(crate) fn waiting(number: u8, volume: BootReport) -> MemberObserved {
    MemberObserved {
        volume: Some(VolumeObserved {
            uid: format!("volume-uid-{number}"),
            terminating: false,
        }),
        process: Some(ProcessObserved {
            uid: format!("process-uid-{number}"),
            state: ProcessState::Running,
            outdated: false,
        }),
        report: Some(Report {
            at: now(),
            status: SidecarStatus {
                api_version: API_VERSION,
                version: "0.1.0".to_owned(),
                member: id(number),
                term: Term::default(),
                server: ServerState::WaitingForPlan,
                volume: Some(volume),
                status: None,
                granted: None,
                last_order: None,
            },
        }),
        trouble: None,
    }
}

/// Member `number` serves in an ensemble of `voters` that member 1 leads.
pub(crate) fn serving(number: u8, cluster: &str, voters: u8) -> MemberObserved {
    let mut member = waiting(number, data_volume(number, cluster, voters));
    let report = &mut member.report.as_mut().unwrap().status;
    let leads = number == 1;
    report.server = ServerState::Running;
    report.status = Some(MemberStatus {
        role: if leads { Role::Leader } else { Role::Follower },
        ready: true,
        draining: false,
        epoch: 1,
        last_zxid: 0x1_0000_0005,
        committed_zxid: 0x1_0000_0005,
        leader: Some(1),
        synced: if leads {
            (1..=voters).map(i64::from).collect()
        } else {
            Vec::new()
        },
        config_version: "100000000".to_owned(),
        config: config(voters, 0x1_0000_0000),
        sessions: 0,
        connections: 0,
    });
    member
}

pub(crate) fn observed(members: impl IntoIterator<Item = (u8, MemberObserved)>) -> Observed {
    Observed {
        now: now(),
        generation: Some(1),
        capabilities: Capabilities::default(),
        members: members.into_iter().map(|(n, m)| (id(n), m)).collect(),
        addresses: (1..=9)
            .map(|n| (id(n), address(n)))
            .collect::<BTreeMap<_, _>>(),
        conflicts: Vec::new(),
        refusals: Vec::new(),
        default_images: Default::default(),
        fresh_id: "fresh".to_owned(),
    }
}

pub(crate) fn three_blank() -> Observed {
    observed((1..=3).map(|n| (n, waiting(n, blank_volume(n)))))
}

pub(crate) fn three_serving() -> Observed {
    observed((1..=3).map(|n| (n, serving(n, "ours", 3))))
}
