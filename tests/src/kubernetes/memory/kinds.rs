//! The kinds that this Kubernetes knows.

/// A kind of object, and what an API server does for it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// API group; empty for the core.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// As in `kind:`.
    pub kind: &'static str,
    /// As in paths.
    pub plural: &'static str,
    /// Its objects live in namespaces.
    pub namespaced: bool,
    /// It has a status that only the subresource writes.
    pub status: bool,
    /// Its objects count the changes of their spec.
    pub generation: bool,
}

impl Kind {
    /// `statefulsets.apps`, as error messages name it.
    pub fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// As in `apiVersion:`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// It is defined by a CustomResourceDefinition.
    pub fn is_custom(&self) -> bool {
        self.group == api::GROUP
    }
}

const fn namespaced(group: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind {
        group,
        version: "v1",
        kind,
        plural,
        namespaced: true,
        status: false,
        generation: false,
    }
}

const fn with_status(kind: Kind) -> Kind {
    Kind {
        status: true,
        ..kind
    }
}

const fn counted(kind: Kind) -> Kind {
    Kind {
        generation: true,
        ..kind
    }
}

/// Namespaces.
pub static NAMESPACE: Kind = Kind {
    namespaced: false,
    ..with_status(namespaced("", "Namespace", "namespaces"))
};
/// Pods.
pub static POD: Kind = with_status(namespaced("", "Pod", "pods"));
/// Services.
pub static SERVICE: Kind = with_status(namespaced("", "Service", "services"));
/// ConfigMaps.
pub static CONFIG_MAP: Kind = namespaced("", "ConfigMap", "configmaps");
/// Secrets.
pub static SECRET: Kind = namespaced("", "Secret", "secrets");
/// Volume claims.
pub static CLAIM: Kind = with_status(namespaced(
    "",
    "PersistentVolumeClaim",
    "persistentvolumeclaims",
));
/// Quotas; they count pods and claims.
pub static QUOTA: Kind = with_status(namespaced("", "ResourceQuota", "resourcequotas"));
/// Events, of the core and of `events.k8s.io` alike.
pub static EVENT: Kind = namespaced("", "Event", "events");
/// The same events, as the newer group shows them.
pub static NEW_EVENT: Kind = namespaced("events.k8s.io", "Event", "events");
/// StatefulSets.
pub static STATEFUL_SET: Kind = counted(with_status(namespaced(
    "apps",
    "StatefulSet",
    "statefulsets",
)));
/// Disruption budgets.
pub static BUDGET: Kind = counted(with_status(namespaced(
    "policy",
    "PodDisruptionBudget",
    "poddisruptionbudgets",
)));
/// Leases.
pub static LEASE: Kind = namespaced("coordination.k8s.io", "Lease", "leases");
/// Ours.
pub static ENSEMBLE: Kind = Kind {
    version: "v1alpha1",
    ..counted(with_status(namespaced(
        api::GROUP,
        "ZooKeeperCluster",
        "zookeeperclusters",
    )))
};

/// All of them.
pub static KINDS: [&Kind; 13] = [
    &NAMESPACE,
    &POD,
    &SERVICE,
    &CONFIG_MAP,
    &SECRET,
    &CLAIM,
    &QUOTA,
    &EVENT,
    &NEW_EVENT,
    &STATEFUL_SET,
    &BUDGET,
    &LEASE,
    &ENSEMBLE,
];

/// The kind of this name, in whatever group.
pub fn named(kind: &str) -> Option<&'static Kind> {
    KINDS.into_iter().find(|known| known.kind == kind)
}
