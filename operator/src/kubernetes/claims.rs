//! The members' volume claims: made by name before a pod asks for them, kept or let go with the
//! resource, enlarged, and never deleted here.

use api::MemberId;
use api::status::Images;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use plan::Desired;
use serde_json::{Value, json};
use tracing::info;

use super::observe::{Owner, World};
use super::{FIELD_MANAGER, Kubernetes};
use crate::platform::{PlatformError, Seen};

impl Kubernetes {
    /// A claim for each of the members, and the references that let it go or keep it.
    pub(super) async fn keep_volumes(
        &self,
        seen: &Seen<World>,
        desired: &Desired,
        members: &[MemberId],
    ) -> Result<(), PlatformError> {
        let images = Images::default();
        let blueprint = self.blueprint(seen, desired, &images, "");
        for member in members {
            let wanted = blueprint.claim(*member);
            match seen.world.claims.get(member) {
                None => self.make_claim(&wanted).await?,
                Some(live) => {
                    let going = live.metadata.deletion_timestamp.is_some();
                    if !going && seen.world.owner(&live.metadata) != Owner::Former {
                        self.keep_claim(live, &wanted).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn make_claim(&self, wanted: &PersistentVolumeClaim) -> Result<(), PlatformError> {
        let name = wanted.name_any();
        info!(claim = name, "made");
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let claims = self.api::<PersistentVolumeClaim>();
        let answer = claims.create(&params, wanted).await;
        self.settle(&claim(&name), answer).map(drop)
    }

    /// Labels and owner first, then the size: the rest of a claim is its volume's.
    async fn keep_claim(
        &self,
        live: &PersistentVolumeClaim,
        wanted: &PersistentVolumeClaim,
    ) -> Result<(), PlatformError> {
        let name = live.name_any();
        let labels = live.labels();
        let labelled = wanted
            .labels()
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value));
        let is_owner = |owner: &&OwnerReference| owner.kind == "ZooKeeperCluster";
        let owners = live.owner_references();
        let ours: Vec<_> = owners.iter().filter(is_owner).collect();
        let owned = ours == wanted.owner_references().iter().collect::<Vec<_>>();
        if labelled && owned {
            self.remember(&claim(&name), None);
            return self.grow_claim(live, wanted).await;
        }
        let others = owners.iter().filter(|owner| !is_owner(owner));
        let owners: Vec<_> = others.chain(wanted.owner_references()).collect();
        let patch = json!({
            "metadata": {
                "resourceVersion": live.resource_version(),
                "uid": live.uid(),
                "labels": wanted.labels(),
                "ownerReferences": owners,
            },
        });
        info!(claim = name, owners = owners.len(), "adopted");
        self.patch_claim(&name, &claim(&name), &patch).await
    }

    /// Asks for a larger volume, once there is one: volumes do not shrink.
    async fn grow_claim(
        &self,
        live: &PersistentVolumeClaim,
        wanted: &PersistentVolumeClaim,
    ) -> Result<(), PlatformError> {
        let name = live.name_any();
        let what = format!("size of {}", claim(&name));
        let phase = live.status.as_ref().and_then(|s| s.phase.as_deref());
        let larger = match (size(live), size(wanted)) {
            (Some((_, has)), Some((text, asked))) if asked > has => text,
            _ => {
                self.remember(&what, None);
                return Ok(());
            }
        };
        if phase != Some("Bound") {
            return Ok(());
        }
        info!(claim = name, larger, "grown");
        let patch = json!({
            "metadata": {"resourceVersion": live.resource_version(), "uid": live.uid()},
            "spec": {"resources": {"requests": {"storage": larger}}},
        });
        self.patch_claim(&name, &what, &patch).await
    }

    async fn patch_claim(
        &self,
        name: &str,
        what: &str,
        patch: &Value,
    ) -> Result<(), PlatformError> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let claims = self.api::<PersistentVolumeClaim>();
        let answer = claims.patch(name, &params, &Patch::Merge(patch)).await;
        self.settle(what, answer).map(drop)
    }
}

/// What a refusal to write a claim is remembered by.
pub(super) fn claim(name: &str) -> String {
    format!("PersistentVolumeClaim {name}")
}

/// The size that a claim asks for, as it is written and in bytes.
fn size(claim: &PersistentVolumeClaim) -> Option<(&str, f64)> {
    let resources = claim.spec.as_ref()?.resources.as_ref()?;
    let text = &resources.requests.as_ref()?.get("storage")?.0;
    let bytes = api::cluster::Quantity(text.clone()).value()?;
    Some((text, bytes))
}
