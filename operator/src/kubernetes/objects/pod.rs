use std::collections::BTreeMap;

use api::cluster::{ContainerResources, IpFamily, LogFormat, LogLevel, PullPolicy};
use api::{Kind, MemberId};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, ExecAction,
    HTTPGetAction, Lifecycle, LifecycleHandler, ObjectFieldSelector, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecretVolumeSource,
    SecurityContext, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Blueprint;
use crate::kubernetes::names::{CLAIM_TEMPLATE, UID_ANNOTATION, role, selector};

/// The container that serves clients.
pub(crate) const SERVER: &str = "server";
/// The native sidecar.
pub(crate) const SIDECAR: &str = "sidecar";

const SERVER_BINARY: &str = "/usr/local/bin/ferrokeeper";
const SIDECAR_BINARY: &str = "/usr/local/bin/ferrokeeper-sidecar";
const VOLUME: &str = "/var/lib/ferrokeeper";
const RUN: &str = "/run/ferrokeeper";
const SOCKET: &str = "/run/ferrokeeper/sidecar.sock";
const ZOO_CFG: &str = "/run/ferrokeeper/zoo.cfg";
const CERTIFICATES: &str = "/etc/ferrokeeper/certificates";

/// Of its grace the server keeps so many seconds for itself: the hook has the rest to drain it.
const OWN_GRACE: i64 = 10;

/// `/live` gives the member's thread five seconds, so a probe has to give more.
const LIVE_WITHIN: i32 = 7;

impl Blueprint<'_> {
    /// What the pods of a kind are made from.
    pub(super) fn pod(&self, kind: Kind) -> PodTemplateSpec {
        let fields = &self.desired.pod;
        let mut labels = fields.labels.clone();
        labels.extend(self.names.labels_of_kind(kind));
        let mut annotations = fields.annotations.clone();
        annotations.insert(UID_ANNOTATION.to_owned(), self.uid.to_owned());
        PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(labels),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            }),
            spec: Some(PodSpec {
                init_containers: Some(vec![self.sidecar(kind)]),
                containers: vec![self.server()],
                volumes: Some(self.volumes()),
                security_context: Some(self.pod_security()),
                termination_grace_period_seconds: Some(self.desired.grace_seconds),
                automount_service_account_token: Some(false),
                enable_service_links: Some(false),
                image_pull_secrets: some(fields.image_pull_secrets.clone()),
                node_selector: (!fields.node_selector.is_empty())
                    .then(|| fields.node_selector.clone()),
                affinity: fields.affinity.clone(),
                tolerations: some(fields.tolerations.clone()),
                topology_spread_constraints: some(self.spread(kind)),
                priority_class_name: fields.priority_class_name.clone(),
                ..PodSpec::default()
            }),
        }
    }

    /// Tells the operator what it sees and does what it is told. It starts before the server and
    /// ends after it.
    fn sidecar(&self, kind: Kind) -> Container {
        let ports = self.desired.ports;
        let args = vec![
            "run".to_owned(),
            "--pod-name=$(POD_NAME)".to_owned(),
            format!("--role={}", role(kind)),
            format!("--ensemble={}", self.uid),
            format!("--volume={VOLUME}"),
            format!("--socket={SOCKET}"),
            format!("--orders=[::]:{}", ports.orders),
            format!("--plain=[::]:{}", ports.sidecar),
            format!("--certificates={CERTIFICATES}"),
        ];
        let pod_name = EnvVar {
            name: "POD_NAME".to_owned(),
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector {
                    api_version: Some("v1".to_owned()),
                    field_path: "metadata.name".to_owned(),
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        };
        Container {
            name: SIDECAR.to_owned(),
            image: Some(self.sidecar_image.to_owned()),
            image_pull_policy: self.pull_policy(),
            restart_policy: Some("Always".to_owned()),
            command: Some(vec![SIDECAR_BINARY.to_owned()]),
            args: Some(args),
            env: Some(
                [pod_name, variable("FERROKEEPER_ZOO_CFG", &self.zoo_cfg())]
                    .into_iter()
                    .chain(self.log())
                    .collect(),
            ),
            ports: Some(vec![
                container_port("orders", ports.orders),
                container_port("sidecar", ports.sidecar),
            ]),
            // Answered once its socket listens: the server is started after that.
            startup_probe: Some(Probe {
                http_get: Some(get("/live", "sidecar")),
                period_seconds: Some(1),
                timeout_seconds: Some(2),
                failure_threshold: Some(60),
                ..Probe::default()
            }),
            volume_mounts: Some(vec![
                mount(CLAIM_TEMPLATE, VOLUME),
                mount("run", RUN),
                VolumeMount {
                    read_only: Some(true),
                    ..mount("certificates", CERTIFICATES)
                },
            ]),
            resources: Some(resources(&self.desired.sidecar_resources)),
            security_context: Some(container_security()),
            ..Container::default()
        }
    }

    /// The member itself. A server that waits to be told how to start is alive and unready for as
    /// long as it takes; neither probe asks anybody but the process.
    fn server(&self) -> Container {
        let ports = self.desired.ports;
        let mut args = vec![
            "serve".to_owned(),
            ZOO_CFG.to_owned(),
            "--sidecar".to_owned(),
            SOCKET.to_owned(),
        ];
        if self.desired.settings.log_format == LogFormat::Json {
            args.push("--log-format=json".to_owned());
        }
        Container {
            name: SERVER.to_owned(),
            image: Some(self.server_image.to_owned()),
            image_pull_policy: self.pull_policy(),
            command: Some(vec![SERVER_BINARY.to_owned()]),
            args: Some(args),
            env: Some(self.log()),
            ports: Some(vec![
                container_port("client", ports.client),
                container_port("quorum", ports.quorum),
                container_port("election", ports.election),
                container_port("admin", ports.admin),
            ]),
            readiness_probe: Some(Probe {
                http_get: Some(get("/ready", "admin")),
                period_seconds: Some(2),
                timeout_seconds: Some(2),
                failure_threshold: Some(2),
                ..Probe::default()
            }),
            liveness_probe: Some(Probe {
                http_get: Some(get("/live", "admin")),
                period_seconds: Some(10),
                timeout_seconds: Some(LIVE_WITHIN),
                failure_threshold: Some(6),
                ..Probe::default()
            }),
            lifecycle: Some(Lifecycle {
                pre_stop: Some(LifecycleHandler {
                    exec: Some(ExecAction {
                        command: Some(self.pre_stop()),
                    }),
                    ..LifecycleHandler::default()
                }),
                ..Lifecycle::default()
            }),
            volume_mounts: Some(vec![mount(CLAIM_TEMPLATE, VOLUME), mount("run", RUN)]),
            resources: Some(resources(&self.desired.server_resources)),
            security_context: Some(container_security()),
            ..Container::default()
        }
    }

    fn pre_stop(&self) -> Vec<String> {
        let seconds = (self.desired.grace_seconds - OWN_GRACE).max(1);
        vec![
            SIDECAR_BINARY.to_owned(),
            "pre-stop".to_owned(),
            format!("--socket={SOCKET}"),
            format!("--seconds={seconds}"),
        ]
    }

    /// The server's static configuration, but for what differs from member to member: the sidecar
    /// adds that. Its list of members is what a server may start with at all; the one on the
    /// volume, and the one that it is told, are newer.
    fn zoo_cfg(&self) -> String {
        let any = self.any_address();
        let settings = self.desired.settings.zoo_cfg();
        let settings = settings
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"));
        let own = [
            format!("admin.serverAddress={any}"),
            format!("admin.serverPort={}", self.desired.ports.admin),
            // A pod's own name may not resolve yet when its server starts.
            "quorumListenOnAllIPs=true".to_owned(),
        ];
        let line = |(id, address): (&MemberId, &api::MemberAddress)| address.line(*id, id.kind());
        let members = self.addresses.iter().map(line);
        let lines = settings.chain(own).chain(members).map(|line| line + "\n");
        // Kubernetes replaces references to other variables in a variable's value.
        lines.collect::<String>().replace("$(", "$$(")
    }

    /// What the server's listeners bind to, to be reached from everywhere.
    fn any_address(&self) -> &'static str {
        match self.desired.service.ip_families.first() {
            Some(IpFamily::IPv6) => "::",
            Some(IpFamily::IPv4) | None => "0.0.0.0",
        }
    }

    /// What both containers log, and how.
    fn log(&self) -> Vec<EnvVar> {
        let level = match self.desired.settings.log_level {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        };
        let mut log = vec![variable("RUST_LOG", level)];
        if self.desired.settings.log_format == LogFormat::Json {
            log.push(variable("FERROKEEPER_LOG_FORMAT", "json"));
        }
        log
    }

    fn pull_policy(&self) -> Option<String> {
        let policy = self.desired.pod.image_pull_policy?;
        Some(
            match policy {
                PullPolicy::Always => "Always",
                PullPolicy::IfNotPresent => "IfNotPresent",
                PullPolicy::Never => "Never",
            }
            .to_owned(),
        )
    }

    fn volumes(&self) -> Vec<Volume> {
        vec![
            Volume {
                name: "run".to_owned(),
                empty_dir: Some(EmptyDirVolumeSource {
                    size_limit: Some(Quantity("16Mi".to_owned())),
                    medium: None,
                }),
                ..Volume::default()
            },
            Volume {
                name: "certificates".to_owned(),
                secret: Some(SecretVolumeSource {
                    secret_name: Some(self.names.certificate()),
                    default_mode: Some(0o440),
                    ..SecretVolumeSource::default()
                }),
                ..Volume::default()
            },
        ]
    }

    fn pod_security(&self) -> PodSecurityContext {
        PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: self.user,
            run_as_group: self.user,
            fs_group: self.user,
            // A volume with a million files is not walked at each start.
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }
    }

    /// Softly over hosts and zones, unless the spec says otherwise.
    fn spread(&self, kind: Kind) -> Vec<TopologySpreadConstraint> {
        if let Some(asked) = &self.desired.pod.topology_spread_constraints {
            return asked.clone();
        }
        let over = |key: &str| TopologySpreadConstraint {
            topology_key: key.to_owned(),
            max_skew: 1,
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(selector(self.names.of_kind(kind))),
            ..TopologySpreadConstraint::default()
        };
        vec![
            over("kubernetes.io/hostname"),
            over("topology.kubernetes.io/zone"),
        ]
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        ..EnvVar::default()
    }
}

fn container_port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: port.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn get(path: &str, port: &str) -> HTTPGetAction {
    HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::String(port.to_owned()),
        ..HTTPGetAction::default()
    }
}

fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    }
}

fn resources(asked: &ContainerResources) -> ResourceRequirements {
    let list = |quantities: &BTreeMap<String, api::cluster::Quantity>| {
        let quantity = |(name, quantity): (&String, &api::cluster::Quantity)| {
            (name.clone(), Quantity(quantity.0.clone()))
        };
        (!quantities.is_empty()).then(|| quantities.iter().map(quantity).collect())
    };
    ResourceRequirements {
        requests: list(&asked.requests),
        limits: list(&asked.limits),
        claims: None,
    }
}

/// As PodSecurity's `restricted` asks, and nothing is written but to volumes.
fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: None,
        }),
        ..SecurityContext::default()
    }
}
