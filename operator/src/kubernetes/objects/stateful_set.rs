use api::Kind;
use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};

use super::Blueprint;
use crate::kubernetes::names::selector;

impl Blueprint<'_> {
    /// Keeps a pod for each member of a kind. It starts all at once and replaces none by itself:
    /// who is restarted when is the operator's to decide. It never touches a claim.
    ///
    /// How many members there are is not said here, nor what claims are made from.
    pub(crate) fn stateful_set(&self, kind: Kind) -> StatefulSet {
        let retain = || Some("Retain".to_owned());
        let labels = self.names.labels_of_kind(kind);
        StatefulSet {
            metadata: self.names.metadata(self.names.set(kind), labels, self.uid),
            spec: Some(StatefulSetSpec {
                service_name: Some(self.names.peers()),
                pod_management_policy: Some("Parallel".to_owned()),
                update_strategy: Some(StatefulSetUpdateStrategy {
                    type_: Some("OnDelete".to_owned()),
                    rolling_update: None,
                }),
                persistent_volume_claim_retention_policy: Some(
                    StatefulSetPersistentVolumeClaimRetentionPolicy {
                        when_deleted: retain(),
                        when_scaled: retain(),
                    },
                ),
                selector: selector(self.names.of_kind(kind)),
                template: self.pod(kind),
                ..StatefulSetSpec::default()
            }),
            status: None,
        }
    }
}
