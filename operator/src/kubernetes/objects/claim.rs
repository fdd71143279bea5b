use api::cluster::ReclaimPolicy;
use api::{Kind, MemberId};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Blueprint;
use crate::kubernetes::names::CLAIM_TEMPLATE;

impl Blueprint<'_> {
    /// A member's claim. It belongs to nobody and is kept, unless it is to go with the resource.
    pub(crate) fn claim(&self, member: MemberId) -> PersistentVolumeClaim {
        let labels = self.names.labels_of_member(member);
        let name = self.names.claim(member);
        let mut metadata = self.names.metadata(name, labels, self.uid);
        if self.desired.storage.reclaim_policy == ReclaimPolicy::Retain {
            metadata.owner_references = None;
        }
        PersistentVolumeClaim {
            metadata,
            spec: Some(self.claim_spec()),
            status: None,
        }
    }

    /// What a StatefulSet makes claims from, should it ever come before the operator. Fixed when
    /// the set is made.
    pub(crate) fn claim_templates(&self, kind: Kind) -> [PersistentVolumeClaim; 1] {
        [PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(CLAIM_TEMPLATE.to_owned()),
                labels: Some(self.names.labels_of_kind(kind)),
                ..ObjectMeta::default()
            },
            spec: Some(self.claim_spec()),
            status: None,
        }]
    }

    fn claim_spec(&self) -> PersistentVolumeClaimSpec {
        let storage = &self.desired.storage;
        let size = ("storage".to_owned(), Quantity(storage.size.0.clone()));
        PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: storage.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([size].into()),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }
    }
}
