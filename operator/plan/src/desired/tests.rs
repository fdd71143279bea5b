use api::{
    ZooKeeperClusterSpec,
    cluster::{ClientTls, Ports, Resources, Storage},
};

use super::*;

fn resource(spec: ZooKeeperClusterSpec) -> ZooKeeperCluster {
    ZooKeeperCluster::new("zk", spec)
}

fn three() -> ZooKeeperClusterSpec {
    ZooKeeperClusterSpec {
        replicas: 3,
        ..Default::default()
    }
}

fn refusals(spec: ZooKeeperClusterSpec) -> Vec<String> {
    let wrong = validate(&resource(spec)).unwrap_err();
    wrong.iter().map(ToString::to_string).collect()
}

#[test]
fn an_almost_empty_spec_has_every_default() {
    let desired = validate(&resource(three())).unwrap();
    let ids: Vec<_> = desired.voters.iter().map(|id| id.get()).collect();
    assert_eq!(ids, [1, 2, 3]);
    assert_eq!(desired.ports.client, 2181);
    assert_eq!(desired.storage.size.0, "10Gi");
    assert_eq!(desired.settings.max_session_timeout, 40_000);
    assert_eq!(desired.grace_seconds, 60);
    assert_eq!(desired.bootstrap.mode, BootstrapMode::New);
    assert!(!desired.paused);
}

#[test]
fn voters_are_odd_and_not_none() {
    for (replicas, why) in [
        (0, "is 0, and must be between 1 and 99"),
        (-3, "is -3, and must be between 1 and 99"),
        (101, "is 101, and must be between 1 and 99"),
        (
            4,
            "is 4, and must be odd: 4 voters survive no more losses than 3",
        ),
    ] {
        let spec = ZooKeeperClusterSpec {
            replicas,
            ..Default::default()
        };
        assert_eq!(refusals(spec), [format!("spec.replicas: {why}")]);
    }
}

#[test]
fn every_fault_is_listed_at_once() {
    let spec = ZooKeeperClusterSpec {
        replicas: 2,
        storage: Some(Storage {
            size: Some("much".into()),
            ..Default::default()
        }),
        ports: Some(Ports {
            client: Some(2888),
            ..Default::default()
        }),
        config: Some(MemberConfig {
            tick_time: Some(1),
            min_session_timeout: Some(100),
            max_session_timeout: Some(50),
            ..Default::default()
        }),
        resources: Some(Resources {
            server: Some(ContainerResources {
                requests: [("cpu".to_owned(), Quantity("many".to_owned()))].into(),
                ..Default::default()
            }),
            sidecar: None,
        }),
        pod: Some(PodFields {
            labels: [("ferrokeeper.io/cluster".to_owned(), "x".to_owned())].into(),
            ..Default::default()
        }),
        tls: Some(Tls {
            client: Some(ClientTls {
                mode: Some(TlsMode::Required),
                require_certificate: None,
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(
        refusals(spec),
        [
            "spec.replicas: is 2, and must be odd: 2 voters survive no more losses than 1",
            "spec.ports.quorum: is 2888, which is client's; each port needs its own number",
            "spec.config.tickTime: is 1, and must be 50 or more",
            "spec.config.minSessionTimeout: is 100, and must not be above maxSessionTimeout, \
             which is 50",
            "spec.storage.size: is \"much\", and must be a quantity above zero, such as 10Gi",
            "spec.resources.server.requests.cpu: is \"many\", and must be a quantity such as \
             500m or 1Gi",
            "spec.pod.labels.ferrokeeper.io/cluster: keys that begin with ferrokeeper.io/ are \
             the operator's",
            "spec.tls.client.mode: is not supported by this version yet",
        ]
    );
}

#[test]
fn volumes_given_up_are_read_from_the_annotation() {
    let mut resource = resource(three());
    resource.metadata.annotations = Some([(RESET_BIRTH.to_owned(), "abc, def".to_owned())].into());
    let desired = validate(&resource).unwrap();
    assert_eq!(
        desired.given_up,
        ["abc".to_owned(), "def".to_owned()].into()
    );
}

#[test]
fn zoo_cfg_never_leaves_out_what_the_version_of_the_config_depends_on() {
    let desired = validate(&resource(three())).unwrap();
    let lines = desired.settings.zoo_cfg();
    assert!(lines.contains(&("reconfigEnabled", "true".to_owned())));
    assert!(lines.contains(&("standaloneEnabled", "false".to_owned())));
}

#[test]
fn a_name_is_one_that_services_can_have() {
    for name in ["", "A", "a.b", "1a", "a-", &"a".repeat(41)] {
        let mut resource = resource(three());
        resource.metadata.name = Some(name.to_owned());
        let wrong = validate(&resource).unwrap_err();
        let fields: Vec<_> = wrong.iter().map(|invalid| invalid.field.as_str()).collect();
        assert_eq!(fields, ["metadata.name"], "{name}");
    }
}
