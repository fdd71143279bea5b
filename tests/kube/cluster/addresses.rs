//! What a cluster's number makes of names and addresses.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// How many clusters fit beside one another: pod ranges are 10.100 to 10.149, service ranges
/// 10.200 to 10.249.
pub(crate) const CLUSTERS: u8 = 50;

/// Where the clusters of this machine keep what they need. Short, since socket paths below it may
/// have 108 bytes.
const ROOT: &str = "/var/tmp/ferrokeeper-kube";

/// The folder of all clusters.
pub(crate) fn root() -> &'static Path {
    Path::new(ROOT)
}

/// One cluster's names and addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// Which cluster of this machine it is.
    pub(crate) cluster: u8,
}

impl Addresses {
    /// All that it writes.
    pub(crate) fn folder(self) -> PathBuf {
        root().join(self.cluster.to_string())
    }

    /// Held by the process that runs the cluster.
    pub(crate) fn lock(self) -> PathBuf {
        root().join(format!("{}.lock", self.cluster))
    }

    /// What the nodes are attached to.
    pub(crate) fn bridge(self) -> String {
        format!("fkkube{}", self.cluster)
    }

    /// This machine on that bridge: where the control plane listens.
    pub(crate) fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(172, 30, self.cluster, 1)
    }

    /// A node's address; the first node is number 1.
    pub(crate) fn node(self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(172, 30, self.cluster, 10 + number)
    }

    /// The host's end of a node's cable.
    pub(crate) fn cable(self, number: u8) -> String {
        format!("fkkube{}n{number}", self.cluster)
    }

    /// Addresses of the pods of one node.
    pub(crate) fn pods(self, number: u8) -> String {
        format!("10.{}.{number}.0/24", 100 + self.cluster)
    }

    /// Addresses of all pods.
    pub(crate) fn all_pods(self) -> String {
        format!("10.{}.0.0/16", 100 + self.cluster)
    }

    /// Addresses of Services.
    pub(crate) fn services(self) -> String {
        format!("10.{}.0.0/24", 200 + self.cluster)
    }

    /// The Service `kubernetes`.
    pub(crate) fn first_service(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 200 + self.cluster, 0, 1)
    }

    /// The cluster's DNS.
    pub(crate) fn dns(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 200 + self.cluster, 0, 10)
    }
}
