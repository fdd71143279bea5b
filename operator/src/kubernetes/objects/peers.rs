use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::Blueprint;
use super::client::service_port;

impl Blueprint<'_> {
    /// Gives each member its name. Members find each other before any of them is ready, so names
    /// of unready ones are published, too.
    pub(crate) fn peers(&self) -> Service {
        let ports = self.desired.ports;
        Service {
            metadata: self
                .names
                .metadata(self.names.peers(), self.names.labels(), self.uid),
            spec: Some(ServiceSpec {
                cluster_ip: Some("None".to_owned()),
                publish_not_ready_addresses: Some(true),
                selector: Some(self.names.all()),
                ip_families: self.ip_families(),
                ip_family_policy: self.ip_family_policy(),
                ports: Some(vec![
                    service_port("client", ports.client),
                    service_port("quorum", ports.quorum),
                    service_port("election", ports.election),
                    service_port("admin", ports.admin),
                    service_port("sidecar", ports.sidecar),
                    service_port("orders", ports.orders),
                ]),
                ..ServiceSpec::default()
            }),
            status: None,
        }
    }
}
