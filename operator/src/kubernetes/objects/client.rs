use api::Kind;
use api::cluster::{IpFamily, ServiceType};
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServicePort, ServiceSpec};

use super::Blueprint;

impl Blueprint<'_> {
    /// Where clients connect: to any member that is ready.
    pub(crate) fn client(&self) -> Service {
        let wanted = &self.desired.service;
        let mut metadata = self
            .names
            .metadata(self.names.client(), self.names.labels(), self.uid);
        metadata.annotations = Some(wanted.annotations.clone());
        let type_ = match wanted.type_ {
            ServiceType::ClusterIP => "ClusterIP",
            ServiceType::NodePort => "NodePort",
            ServiceType::LoadBalancer => "LoadBalancer",
        };
        let members = if wanted.include_observers {
            self.names.all()
        } else {
            self.names.of_kind(Kind::Voter)
        };
        let port = self.desired.ports.client;
        Service {
            metadata,
            spec: Some(ServiceSpec {
                type_: Some(type_.to_owned()),
                selector: Some(members),
                ip_families: self.ip_families(),
                ip_family_policy: self.ip_family_policy(),
                ports: Some(vec![service_port("client", port)]),
                ..ServiceSpec::default()
            }),
            status: None,
        }
    }

    /// How to connect, as environment variables for `envFrom`.
    pub(crate) fn connection(&self) -> ConfigMap {
        let service = format!(
            "{}.{}.svc.{}:{}",
            self.names.client(),
            self.names.namespace,
            self.desired.cluster_domain,
            self.desired.ports.client
        );
        let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        ConfigMap {
            metadata: self
                .names
                .metadata(self.names.client(), self.names.labels(), self.uid),
            data: Some(
                [
                    entry("ZOOKEEPER_CONNECT", self.connection_string),
                    entry("ZOOKEEPER_SERVICE", &service),
                ]
                .into(),
            ),
            ..ConfigMap::default()
        }
    }

    pub(super) fn ip_families(&self) -> Option<Vec<String>> {
        let families = &self.desired.service.ip_families;
        let named = families.iter().map(|family| match family {
            IpFamily::IPv4 => "IPv4".to_owned(),
            IpFamily::IPv6 => "IPv6".to_owned(),
        });
        (!families.is_empty()).then(|| named.collect())
    }

    pub(super) fn ip_family_policy(&self) -> Option<String> {
        match self.desired.service.ip_families.len() {
            0 => None,
            1 => Some("SingleStack".to_owned()),
            _ => Some("RequireDualStack".to_owned()),
        }
    }
}

/// A port that has the same number in the pod.
pub(super) fn service_port(name: &str, port: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: port.into(),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
