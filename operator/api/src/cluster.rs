//! The resource that a person writes.

mod bootstrap;
mod config;
mod network;
mod pod;
mod security;
mod storage;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use bootstrap::{Adopt, Bootstrap, BootstrapMode, Join};
pub use config::{Autopurge, LogFormat, LogLevel, MemberConfig};
pub use network::{ClientService, IpFamily, Ports, ServiceType};
pub use pod::{ContainerResources, PodFields, PullPolicy, Quantity, Resources};
pub use security::{Auth, AuthScheme, CertificateIssuer, ClientTls, SecretName, Tls, TlsMode};
pub use storage::{ReclaimPolicy, Storage};

use crate::status::ZooKeeperClusterStatus;

/// Claims are made with this size where the spec names none.
pub const DEFAULT_STORAGE_SIZE: &str = "10Gi";
/// Clients' port where the spec names none.
pub const DEFAULT_CLIENT_PORT: u16 = 2181;
/// Followers' port where the spec names none.
pub const DEFAULT_QUORUM_PORT: u16 = 2888;
/// Votes' port where the spec names none.
pub const DEFAULT_ELECTION_PORT: u16 = 3888;
/// Cluster domain where the spec names none.
pub const DEFAULT_CLUSTER_DOMAIN: &str = "cluster.local";

/// An ensemble of ferrokeeper members.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "ferrokeeper.io",
    version = "v1alpha1",
    kind = "ZooKeeperCluster",
    namespaced,
    status = "ZooKeeperClusterStatus",
    derive = "PartialEq",
    shortname = "zk",
    shortname = "fzk",
    category = "all",
    doc = "An ensemble of ferrokeeper members, compatible with Apache ZooKeeper.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "Observers", type_ = "integer", json_path = ".status.observers"),
    printcolumn(name = "Leader", type_ = "integer", json_path = ".status.leader"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Cluster-ID",
        type_ = "string",
        json_path = ".status.clusterId",
        priority = 1
    ),
    printcolumn(
        name = "Config-Version",
        type_ = "string",
        json_path = ".status.configVersion",
        priority = 1
    ),
    validation = Rule::new("self.metadata.name.size() <= 40").message(
        "a ZooKeeperCluster's name must not be longer than 40 characters: pods, services and claims \
         are named after it"
    ),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message(
        "a ZooKeeperCluster's name must be lower-case letters, digits and dashes, begin with a \
         letter and end with a letter or digit: services are named after it"
    )
)]
#[x_kube(
    validation = fixed_port("client", DEFAULT_CLIENT_PORT),
    validation = fixed_port("quorum", DEFAULT_QUORUM_PORT),
    validation = fixed_port("election", DEFAULT_ELECTION_PORT),
    validation = fixed_domain(),
    validation = storage_only_grows(),
    validation = fixed_storage_class()
)]
#[serde(rename_all = "camelCase")]
pub struct ZooKeeperClusterSpec {
    /// How many voters the ensemble has. Odd: an even number survives no more losses than the
    /// odd one below it.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 99))]
    #[x_kube(validation = Rule::new("self % 2 == 1").message(
        "replicas must be odd: an even number of voters survives no more losses than one voter less"
    ))]
    pub replicas: i32,
    /// The server's image. Kept as it was at birth if absent, so that upgrading the operator
    /// restarts nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// The sidecar's image. Kept as it was at birth if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub sidecar_image: Option<String>,
    /// The members' volumes. Always volume claims: a member that loses its disk with its pod
    /// would break what it promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// What the containers may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// How the members' pods are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodFields>,
    /// Settings of the members, by their names in zoo.cfg where they have one there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<MemberConfig>,
    /// Ports. Fixed at birth: they stand in the committed configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Ports>,
    /// The Kubernetes cluster's DNS domain, `cluster.local` if absent. Fixed at birth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub cluster_domain: Option<String>,
    /// The Service for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ClientService>,
    /// Encryption, for clients and between members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Who may connect, and as whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// How the ensemble begins. A new one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,
    /// Only the status is kept up to date; nothing is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

fn three() -> i32 {
    3
}

/// `path` of `object`, or `default` where the spec leaves it out, in CEL.
fn or_default(object: &str, parent: &str, field: &str, default: &str) -> String {
    format!(
        "(has({object}.{parent}) && has({object}.{parent}.{field}) ? \
         {object}.{parent}.{field} : {default})"
    )
}

fn fixed_port(port: &str, default: u16) -> kube::core::Rule {
    let default = default.to_string();
    let new = or_default("self", "ports", port, &default);
    let old = or_default("oldSelf", "ports", port, &default);
    kube::core::Rule::new(format!("{new} == {old}")).message(
        format!(
            "ports.{port} is fixed at birth: it stands in the ensemble's committed configuration"
        )
        .as_str(),
    )
}

fn fixed_domain() -> kube::core::Rule {
    let of = |object: &str| {
        format!(
            "(has({object}.clusterDomain) ? {object}.clusterDomain : '{DEFAULT_CLUSTER_DOMAIN}')"
        )
    };
    kube::core::Rule::new(format!("{} == {}", of("self"), of("oldSelf"))).message(
        "clusterDomain is fixed at birth: it stands in the ensemble's committed configuration",
    )
}

fn storage_only_grows() -> kube::core::Rule {
    let default = format!("'{DEFAULT_STORAGE_SIZE}'");
    let new = or_default("self", "storage", "size", &default);
    let old = or_default("oldSelf", "storage", "size", &default);
    kube::core::Rule::new(format!("quantity({new}).compareTo(quantity({old})) >= 0")).message(
        "storage.size must not become smaller (it is 10Gi where it is left out): volumes cannot \
         shrink",
    )
}

fn fixed_storage_class() -> kube::core::Rule {
    let new = or_default("self", "storage", "storageClassName", "''");
    let old = or_default("oldSelf", "storage", "storageClassName", "''");
    kube::core::Rule::new(format!("{new} == {old}")).message(
        "storage.storageClassName cannot change: a volume stays in the class that it was made in",
    )
}
