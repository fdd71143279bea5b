//! The spec with every default resolved and every rule checked.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    Invalid, Kind, MemberId, RESET_BIRTH, ZooKeeperCluster, ZooKeeperClusterSpec,
    cluster::{
        Auth, Autopurge, Bootstrap, BootstrapMode, ContainerResources, DEFAULT_CLIENT_PORT,
        DEFAULT_CLUSTER_DOMAIN, DEFAULT_ELECTION_PORT, DEFAULT_QUORUM_PORT, DEFAULT_STORAGE_SIZE,
        LogFormat, LogLevel, MemberConfig, PodFields, Quantity, ReclaimPolicy, ServiceType, Tls,
        TlsMode,
    },
};

/// What the user wants. Made by [`validate`] only, so whoever holds one need not check again.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// The resource's name.
    pub name: String,
    /// The resource's namespace; empty where the platform has none.
    pub namespace: String,
    /// The voters.
    pub voters: BTreeSet<MemberId>,
    /// The server's image, if the spec names one.
    pub image: Option<String>,
    /// The sidecar's image, if the spec names one.
    pub sidecar_image: Option<String>,
    /// The members' volumes.
    pub storage: DesiredStorage,
    /// What the server may use.
    pub server_resources: ContainerResources,
    /// What the sidecar may use.
    pub sidecar_resources: ContainerResources,
    /// How pods are made.
    pub pod: PodFields,
    /// Seconds a member has to drain and stop.
    pub grace_seconds: i64,
    /// Settings of the members.
    pub settings: Settings,
    /// Ports of each member, where the platform does not choose them.
    pub ports: DesiredPorts,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// The clients' Service.
    pub service: DesiredService,
    /// Encryption.
    pub tls: Tls,
    /// Who may connect.
    pub auth: Auth,
    /// How the ensemble begins.
    pub bootstrap: Bootstrap,
    /// Only the status is kept up to date.
    pub paused: bool,
    /// Granted volumes that a person confirmed to be lost before anything was written.
    pub given_up: BTreeSet<String>,
}

/// The members' volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredStorage {
    /// Size of each.
    pub size: Quantity,
    /// Their class; the cluster's default if absent.
    pub storage_class_name: Option<String>,
    /// What becomes of them.
    pub reclaim_policy: ReclaimPolicy,
}

/// Ports of each member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DesiredPorts {
    /// For clients.
    pub client: u16,
    /// For clients with TLS.
    pub secure_client: u16,
    /// For followers.
    pub quorum: u16,
    /// For votes.
    pub election: u16,
    /// The server's `/live`, `/ready` and `/metrics`.
    pub admin: u16,
    /// The sidecar's.
    pub sidecar: u16,
    /// The sidecar's orders.
    pub orders: u16,
}

/// The clients' Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredService {
    /// How it is reached.
    pub type_: ServiceType,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its IP families; the cluster's if empty.
    pub ip_families: Vec<api::cluster::IpFamily>,
    /// Observers answer behind it too.
    pub include_observers: bool,
}

/// Settings of the members, all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Milliseconds of a tick.
    pub tick_time: i32,
    /// Ticks to connect and synchronise.
    pub init_limit: i32,
    /// Ticks of silence.
    pub sync_limit: i32,
    /// Connections from one address to one member; 0 for no limit.
    pub max_client_cnxns: i32,
    /// Milliseconds.
    pub min_session_timeout: i32,
    /// Milliseconds.
    pub max_session_timeout: i32,
    /// Snapshots kept.
    pub snap_retain_count: i32,
    /// Hours between two removals; 0 for never.
    pub purge_interval: i32,
    /// Transactions between two snapshots.
    pub snap_count: i32,
    /// Requests that may wait in a member.
    pub global_outstanding_limit: i32,
    /// Bytes of the largest request.
    pub jute_max_buffer: i32,
    /// Words that are answered.
    pub four_letter_words: Vec<String>,
    /// What is logged.
    pub log_level: LogLevel,
    /// How it is logged.
    pub log_format: LogFormat,
}

impl Settings {
    /// The lines of zoo.cfg that do not depend on where a member is. The platform adds folders,
    /// ports and the dynamic configuration file.
    pub fn zoo_cfg(&self) -> Vec<(&'static str, String)> {
        vec![
            ("tickTime", self.tick_time.to_string()),
            ("initLimit", self.init_limit.to_string()),
            ("syncLimit", self.sync_limit.to_string()),
            ("maxClientCnxns", self.max_client_cnxns.to_string()),
            ("minSessionTimeout", self.min_session_timeout.to_string()),
            ("maxSessionTimeout", self.max_session_timeout.to_string()),
            (
                "autopurge.snapRetainCount",
                self.snap_retain_count.to_string(),
            ),
            ("autopurge.purgeInterval", self.purge_interval.to_string()),
            ("snapCount", self.snap_count.to_string()),
            (
                "globalOutstandingLimit",
                self.global_outstanding_limit.to_string(),
            ),
            ("jute.maxbuffer", self.jute_max_buffer.to_string()),
            ("4lw.commands.whitelist", self.four_letter_words.join(",")),
            ("reconfigEnabled", "true".to_owned()),
            ("standaloneEnabled", "false".to_owned()),
        ]
    }
}

impl Desired {
    /// A member that the spec asks for.
    pub fn wants(&self, id: MemberId) -> bool {
        match id.kind() {
            Kind::Voter => self.voters.contains(&id),
            // Asked for by resources of their own, which this version does not have.
            Kind::Observer => false,
        }
    }
}

/// Resolves every default and checks every rule, those included that an API server has checked:
/// an old definition in the cluster must not let through what cannot be carried out.
pub fn validate(resource: &ZooKeeperCluster) -> Result<Desired, Vec<Invalid>> {
    let spec = &resource.spec;
    let mut wrong = Vec::new();
    check_name(resource, &mut wrong);
    let voters = voters(spec.replicas, &mut wrong);
    let ports = ports(spec, &mut wrong);
    let settings = settings(spec.config.clone().unwrap_or_default(), &mut wrong);
    let storage = storage(spec, &mut wrong);
    let (server_resources, sidecar_resources) = resources(spec, &mut wrong);
    let pod = spec.pod.clone().unwrap_or_default();
    check_pod(&pod, &mut wrong);
    check_not_built(spec, &mut wrong);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let service = spec.service.clone().unwrap_or_default();
    let annotations = resource.metadata.annotations.as_ref();
    Ok(Desired {
        name: resource.metadata.name.clone().unwrap_or_default(),
        namespace: resource.metadata.namespace.clone().unwrap_or_default(),
        voters,
        image: spec.image.clone(),
        sidecar_image: spec.sidecar_image.clone(),
        storage,
        server_resources,
        sidecar_resources,
        grace_seconds: pod.termination_grace_period_seconds.unwrap_or(60),
        pod,
        settings,
        ports,
        cluster_domain: spec
            .cluster_domain
            .clone()
            .unwrap_or_else(|| DEFAULT_CLUSTER_DOMAIN.to_owned()),
        service: DesiredService {
            type_: service.type_.unwrap_or_default(),
            annotations: service.annotations,
            ip_families: service.ip_families.unwrap_or_default(),
            include_observers: service.include_observers.unwrap_or(true),
        },
        tls: spec.tls.clone().unwrap_or_default(),
        auth: spec.auth.clone().unwrap_or_default(),
        bootstrap: spec.bootstrap.clone().unwrap_or_default(),
        paused: spec.paused.unwrap_or(false),
        given_up: annotations
            .and_then(|annotations| annotations.get(RESET_BIRTH))
            .map(|list| list.split(',').map(|v| v.trim().to_owned()).collect())
            .unwrap_or_default(),
    })
}

fn check_name(resource: &ZooKeeperCluster, wrong: &mut Vec<Invalid>) {
    let name = resource.metadata.name.as_deref().unwrap_or_default();
    if name.is_empty() || name.len() > 40 {
        let why = format!("has {} characters, and must have 1 to 40", name.len());
        wrong.push(Invalid::new("metadata.name", why));
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !name.is_empty() && (!name.chars().all(allowed) || !begins || name.ends_with('-')) {
        let why = format!(
            "is {name:?}, and must be lower-case letters, digits and dashes, begin with a letter \
             and end with a letter or digit"
        );
        wrong.push(Invalid::new("metadata.name", why));
    }
}

fn voters(replicas: i32, wrong: &mut Vec<Invalid>) -> BTreeSet<MemberId> {
    let allowed = 1..=MemberId::MAX_VOTERS;
    if !allowed.contains(&replicas) {
        let why = format!(
            "is {replicas}, and must be between 1 and {}",
            MemberId::MAX_VOTERS
        );
        wrong.push(Invalid::new("spec.replicas", why));
    } else if replicas % 2 == 0 {
        let why = format!(
            "is {replicas}, and must be odd: {replicas} voters survive no more losses than {}",
            replicas - 1
        );
        wrong.push(Invalid::new("spec.replicas", why));
    }
    let count = u8::try_from(replicas).unwrap_or_default();
    (0..count).filter_map(MemberId::voter).collect()
}

fn ports(spec: &ZooKeeperClusterSpec, wrong: &mut Vec<Invalid>) -> DesiredPorts {
    let ports = spec.ports.clone().unwrap_or_default();
    let resolved = DesiredPorts {
        client: ports.client.unwrap_or(DEFAULT_CLIENT_PORT),
        secure_client: ports.secure_client.unwrap_or(2281),
        quorum: ports.quorum.unwrap_or(DEFAULT_QUORUM_PORT),
        election: ports.election.unwrap_or(DEFAULT_ELECTION_PORT),
        admin: ports.admin.unwrap_or(8080),
        sidecar: ports.sidecar.unwrap_or(8081),
        orders: ports.orders.unwrap_or(8443),
    };
    let named = [
        ("client", resolved.client),
        ("secureClient", resolved.secure_client),
        ("quorum", resolved.quorum),
        ("election", resolved.election),
        ("admin", resolved.admin),
        ("sidecar", resolved.sidecar),
        ("orders", resolved.orders),
    ];
    for (index, (name, port)) in named.iter().enumerate() {
        let field = format!("spec.ports.{name}");
        if *port == 0 {
            wrong.push(Invalid::new(field, "is 0, and must be between 1 and 65535"));
        } else if let Some((other, _)) = named[..index].iter().find(|(_, p)| p == port) {
            let why = format!("is {port}, which is {other}'s; each port needs its own number");
            wrong.push(Invalid::new(field, why));
        }
    }
    resolved
}

fn settings(config: MemberConfig, wrong: &mut Vec<Invalid>) -> Settings {
    let Autopurge {
        snap_retain_count,
        purge_interval,
    } = config.autopurge.unwrap_or_default();
    let tick_time = config.tick_time.unwrap_or(2000);
    let settings = Settings {
        tick_time,
        init_limit: config.init_limit.unwrap_or(10),
        sync_limit: config.sync_limit.unwrap_or(5),
        max_client_cnxns: config.max_client_cnxns.unwrap_or(60),
        min_session_timeout: config
            .min_session_timeout
            .unwrap_or_else(|| tick_time.saturating_mul(2)),
        max_session_timeout: config
            .max_session_timeout
            .unwrap_or_else(|| tick_time.saturating_mul(20)),
        snap_retain_count: snap_retain_count.unwrap_or(3),
        purge_interval: purge_interval.unwrap_or(1),
        snap_count: config.snap_count.unwrap_or(100_000),
        global_outstanding_limit: config.global_outstanding_limit.unwrap_or(1000),
        jute_max_buffer: config.jute_max_buffer.unwrap_or(0xf_ffff),
        four_letter_words: config
            .four_letter_words
            .unwrap_or_else(|| vec!["srvr".to_owned()]),
        log_level: config.log_level.unwrap_or_default(),
        log_format: config.log_format.unwrap_or_default(),
    };
    let at_least = [
        ("tickTime", settings.tick_time, 50),
        ("initLimit", settings.init_limit, 1),
        ("syncLimit", settings.sync_limit, 1),
        ("maxClientCnxns", settings.max_client_cnxns, 0),
        ("minSessionTimeout", settings.min_session_timeout, 1),
        ("autopurge.snapRetainCount", settings.snap_retain_count, 3),
        ("autopurge.purgeInterval", settings.purge_interval, 0),
        ("snapCount", settings.snap_count, 2),
        (
            "globalOutstandingLimit",
            settings.global_outstanding_limit,
            1,
        ),
        ("juteMaxBuffer", settings.jute_max_buffer, 1024),
    ];
    for (name, value, min) in at_least {
        if value < min {
            let why = format!("is {value}, and must be {min} or more");
            wrong.push(Invalid::new(format!("spec.config.{name}"), why));
        }
    }
    if settings.min_session_timeout > settings.max_session_timeout {
        let why = format!(
            "is {}, and must not be above maxSessionTimeout, which is {}",
            settings.min_session_timeout, settings.max_session_timeout
        );
        wrong.push(Invalid::new("spec.config.minSessionTimeout", why));
    }
    settings
}

fn storage(spec: &ZooKeeperClusterSpec, wrong: &mut Vec<Invalid>) -> DesiredStorage {
    let storage = spec.storage.clone().unwrap_or_default();
    let size = storage
        .size
        .unwrap_or_else(|| DEFAULT_STORAGE_SIZE.to_owned());
    let size = Quantity(size);
    if size.value().is_none_or(|bytes| bytes <= 0.0) {
        let why = format!(
            "is {:?}, and must be a quantity above zero, such as 10Gi",
            size.0
        );
        wrong.push(Invalid::new("spec.storage.size", why));
    }
    DesiredStorage {
        size,
        storage_class_name: storage.storage_class_name,
        reclaim_policy: storage.reclaim_policy.unwrap_or_default(),
    }
}

fn resources(
    spec: &ZooKeeperClusterSpec,
    wrong: &mut Vec<Invalid>,
) -> (ContainerResources, ContainerResources) {
    let resources = spec.resources.clone().unwrap_or_default();
    let containers = [
        (
            "server",
            resources
                .server
                .unwrap_or_else(|| container("100m", "128Mi", "1Gi")),
        ),
        (
            "sidecar",
            resources
                .sidecar
                .unwrap_or_else(|| container("10m", "16Mi", "64Mi")),
        ),
    ];
    for (container, resources) in &containers {
        for (list, quantities) in [
            ("requests", &resources.requests),
            ("limits", &resources.limits),
        ] {
            for (name, quantity) in quantities {
                if quantity.value().is_none_or(|value| value < 0.0) {
                    let field = format!("spec.resources.{container}.{list}.{name}");
                    let why = format!(
                        "is {:?}, and must be a quantity such as 500m or 1Gi",
                        quantity.0
                    );
                    wrong.push(Invalid::new(field, why));
                }
            }
        }
    }
    let [(_, server), (_, sidecar)] = containers;
    (server, sidecar)
}

/// Memory is limited, so that one member's cannot become its node's trouble; processor time is not.
fn container(cpu: &str, memory: &str, memory_limit: &str) -> ContainerResources {
    let entry = |name: &str, quantity: &str| (name.to_owned(), Quantity(quantity.to_owned()));
    ContainerResources {
        requests: [entry("cpu", cpu), entry("memory", memory)].into(),
        limits: [entry("memory", memory_limit)].into(),
    }
}

fn check_pod(pod: &PodFields, wrong: &mut Vec<Invalid>) {
    for (list, map) in [("labels", &pod.labels), ("annotations", &pod.annotations)] {
        for key in map.keys().filter(|key| key.starts_with("ferrokeeper.io/")) {
            wrong.push(Invalid::new(
                format!("spec.pod.{list}.{key}"),
                "keys that begin with ferrokeeper.io/ are the operator's",
            ));
        }
    }
    if let Some(seconds) = pod.termination_grace_period_seconds.filter(|s| *s < 10) {
        let why = format!("is {seconds}, and must be 10 or more");
        wrong.push(Invalid::new("spec.pod.terminationGracePeriodSeconds", why));
    }
}

/// What has its shape and not yet its function must not be taken for done.
fn check_not_built(spec: &ZooKeeperClusterSpec, wrong: &mut Vec<Invalid>) {
    let mut not_built = |field: &str, asked: bool| {
        if asked {
            wrong.push(Invalid::new(field, "is not supported by this version yet"));
        }
    };
    let encrypts = |mode: Option<TlsMode>| mode.is_some_and(|mode| mode != TlsMode::Disabled);
    if let Some(tls) = &spec.tls {
        let client = tls.client.clone().unwrap_or_default();
        not_built("spec.tls.client.mode", encrypts(client.mode));
        not_built(
            "spec.tls.client.requireCertificate",
            client.require_certificate == Some(true),
        );
        not_built("spec.tls.peers", encrypts(tls.peers));
        not_built("spec.tls.issuer", tls.issuer.is_some());
    }
    if let Some(auth) = &spec.auth {
        not_built("spec.auth.superuser", auth.superuser.is_some());
        not_built("spec.auth.required", auth.required == Some(true));
    }
    if let Some(bootstrap) = &spec.bootstrap {
        not_built("spec.bootstrap.mode", bootstrap.mode == BootstrapMode::Join);
    }
}

#[cfg(test)]
mod tests;
