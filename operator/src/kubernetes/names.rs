//! What the objects of an ensemble are called, and what their labels say.

use std::collections::BTreeMap;

use api::cluster::{
    DEFAULT_CLIENT_PORT, DEFAULT_CLUSTER_DOMAIN, DEFAULT_ELECTION_PORT, DEFAULT_QUORUM_PORT,
    IpFamily,
};
use api::{CLUSTER_LABEL, GROUP, Kind, MEMBER_LABEL, MemberAddress, MemberId, ROLE_LABEL};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use super::FIELD_MANAGER;

/// Annotation of a pod: the uid of the resource that it was made for.
pub(crate) const UID_ANNOTATION: &str = "ferrokeeper.io/uid";

/// Prefix of the claims' names, as StatefulSets build them from their claim template's name.
pub(crate) const CLAIM_TEMPLATE: &str = "data";

/// An ensemble's place in the cluster, from which every name follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Names {
    /// The StatefulSet of the members of a kind.
    pub(crate) fn set(&self, kind: Kind) -> String {
        match kind {
            Kind::Voter => self.name.clone(),
            Kind::Observer => format!("{}-observers", self.name),
        }
    }

    /// All StatefulSets of this version.
    pub(crate) fn sets(&self) -> [String; 1] {
        [self.set(Kind::Voter)]
    }

    /// All Services.
    pub(crate) fn services(&self) -> [String; 2] {
        [self.peers(), self.client()]
    }

    pub(crate) fn pod(&self, member: MemberId) -> String {
        format!("{}-{}", self.set(member.kind()), member.ordinal())
    }

    pub(crate) fn claim(&self, member: MemberId) -> String {
        format!("{CLAIM_TEMPLATE}-{}", self.pod(member))
    }

    /// The headless Service that the members' names are below.
    pub(crate) fn peers(&self) -> String {
        format!("{}-peers", self.name)
    }

    /// The clients' Service, and the ConfigMap that says how to connect.
    pub(crate) fn client(&self) -> String {
        format!("{}-client", self.name)
    }

    /// The voters' PodDisruptionBudget.
    pub(crate) fn budget(&self) -> String {
        self.name.clone()
    }

    /// The Secret with the sidecars' certificate.
    pub(crate) fn certificate(&self) -> String {
        format!("{}-order-tls", self.name)
    }

    /// What the names of all members end with.
    pub(crate) fn domain(&self, cluster_domain: &str) -> String {
        let Self { namespace, .. } = self;
        format!("{}.{namespace}.svc.{cluster_domain}", self.peers())
    }

    /// The DNS name of a member.
    pub(crate) fn host(&self, member: MemberId, cluster_domain: &str) -> String {
        format!("{}.{}", self.pod(member), self.domain(cluster_domain))
    }

    /// The member that a pod of this name is.
    pub(crate) fn member(&self, pod: &str) -> Option<MemberId> {
        let of = |kind: Kind, id: fn(u8) -> Option<MemberId>| {
            let ordinal = pod.strip_prefix(&self.set(kind))?.strip_prefix('-')?;
            let member = id(ordinal.parse().ok()?)?;
            // `zk-007` is nobody.
            (self.pod(member) == pod).then_some(member)
        };
        of(Kind::Voter, MemberId::voter).or_else(|| of(Kind::Observer, MemberId::observer))
    }

    /// The member whose volume a claim of this name is.
    pub(crate) fn claimant(&self, claim: &str) -> Option<MemberId> {
        let pod = claim.strip_prefix(CLAIM_TEMPLATE)?.strip_prefix('-')?;
        self.member(pod)
    }

    /// What every object of the ensemble is labelled with, and no selector looks at.
    fn common_labels(&self) -> BTreeMap<String, String> {
        [
            ("app.kubernetes.io/name", "ferrokeeper"),
            ("app.kubernetes.io/instance", self.name.as_str()),
            ("app.kubernetes.io/managed-by", FIELD_MANAGER),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    /// Selects all members. Fixed for ever: selectors cannot change.
    pub(crate) fn all(&self) -> BTreeMap<String, String> {
        [(CLUSTER_LABEL.to_owned(), self.name.clone())].into()
    }

    /// Selects the members of a kind. Fixed for ever.
    pub(crate) fn of_kind(&self, kind: Kind) -> BTreeMap<String, String> {
        let mut labels = self.all();
        labels.insert(ROLE_LABEL.to_owned(), role(kind).to_owned());
        labels
    }

    /// Labels of an object of the ensemble as a whole.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.common_labels();
        labels.extend(self.all());
        labels
    }

    /// Labels of what belongs to the members of a kind.
    pub(crate) fn labels_of_kind(&self, kind: Kind) -> BTreeMap<String, String> {
        let mut labels = self.common_labels();
        let component = ("app.kubernetes.io/component", role(kind));
        labels.insert(component.0.to_owned(), component.1.to_owned());
        labels.extend(self.of_kind(kind));
        labels
    }

    /// Labels of what belongs to one member.
    pub(crate) fn labels_of_member(&self, member: MemberId) -> BTreeMap<String, String> {
        let mut labels = self.labels_of_kind(member.kind());
        labels.insert(MEMBER_LABEL.to_owned(), member.to_string());
        labels
    }

    /// Metadata of an object of the ensemble that the resource with this uid controls.
    pub(crate) fn metadata(
        &self,
        name: String,
        labels: BTreeMap<String, String>,
        uid: &str,
    ) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(vec![self.owner(uid)]),
            ..ObjectMeta::default()
        }
    }

    /// The reference that makes an object go when the resource goes.
    pub(crate) fn owner(&self, uid: &str) -> OwnerReference {
        OwnerReference {
            api_version: format!("{GROUP}/v1alpha1"),
            kind: "ZooKeeperCluster".to_owned(),
            name: self.name.clone(),
            uid: uid.to_owned(),
            controller: Some(true),
            block_owner_deletion: None,
        }
    }

    /// Where a member is reached, for as long as the ensemble lives.
    pub(crate) fn address(
        &self,
        member: MemberId,
        spec: &api::ZooKeeperClusterSpec,
    ) -> MemberAddress {
        let ports = spec.ports.clone().unwrap_or_default();
        let domain = spec.cluster_domain.as_deref();
        let service = spec.service.as_ref();
        let families = service.and_then(|service| service.ip_families.as_ref());
        let six = families.and_then(|families| families.first()) == Some(&IpFamily::IPv6);
        MemberAddress {
            host: self.host(member, domain.unwrap_or(DEFAULT_CLUSTER_DOMAIN)),
            quorum_port: ports.quorum.unwrap_or(DEFAULT_QUORUM_PORT),
            election_port: ports.election.unwrap_or(DEFAULT_ELECTION_PORT),
            client_host: six.then(|| "::".to_owned()),
            client_port: ports.client.unwrap_or(DEFAULT_CLIENT_PORT),
        }
    }
}

/// The value of the label that says what a member is for.
pub(crate) fn role(kind: Kind) -> &'static str {
    match kind {
        Kind::Voter => "voter",
        Kind::Observer => "observer",
    }
}

/// A selector by labels alone.
pub(crate) fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels),
        match_expressions: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            namespace: "data".into(),
            name: "zk".into(),
        }
    }

    #[test]
    fn members_and_their_names_follow_from_each_other() {
        for id in (1..=254).filter_map(MemberId::new) {
            assert_eq!(names().member(&names().pod(id)), Some(id));
            assert_eq!(names().claimant(&names().claim(id)), Some(id));
        }
        let first = MemberId::voter(0).expect("a member");
        assert_eq!(
            names().host(first, "cluster.local"),
            "zk-0.zk-peers.data.svc.cluster.local"
        );
        let observer = MemberId::observer(3).expect("a member");
        assert_eq!(names().claim(observer), "data-zk-observers-3");
    }

    #[test]
    fn other_names_are_nobodys() {
        for pod in [
            "zk",
            "zk-",
            "zk-x",
            "zk-007",
            "zk-100",
            "zk-observers-154",
            "zk2-0",
        ] {
            assert_eq!(names().member(pod), None, "{pod}");
        }
    }
}
