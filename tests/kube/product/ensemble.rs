//! One ensemble of a scenario.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use api::{ConditionStatus, ConditionType, ZooKeeperCluster, ZooKeeperClusterStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::programs::output;
use crate::stage::Stage;

/// What an ensemble's birth or return may take. Some ten seconds on an idle machine.
pub(crate) const SETTLED: Duration = Duration::from_secs(180);

/// An ensemble by its name.
pub(crate) struct Ensemble<'a> {
    pub(crate) stage: &'a Stage<'a>,
    pub(crate) name: String,
}

impl<'a> Ensemble<'a> {
    /// Applies the example of README, and waits until it is ready.
    pub(crate) async fn example(stage: &'a Stage<'a>) -> anyhow::Result<Self> {
        stage.operator().await?;
        let file = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = file.join("../operator/local/examples/three.yaml");
        output(stage.kubectl().args(["apply", "-f"]).arg(file)).await?;
        let ensemble = Self::named(stage, "demo");
        ensemble.until_ready().await?;
        Ok(ensemble)
    }

    /// An ensemble that may not be there.
    pub(crate) fn named(stage: &'a Stage<'a>, name: &str) -> Self {
        Self {
            stage,
            name: name.to_owned(),
        }
    }

    /// Applies a resource with this spec.
    pub(crate) async fn apply(
        stage: &'a Stage<'a>,
        name: &str,
        spec: Value,
    ) -> Result<Self, kube::Error> {
        let object = json!({
            "apiVersion": "ferrokeeper.io/v1alpha1",
            "kind": "ZooKeeperCluster",
            "metadata": { "name": name },
            "spec": spec,
        });
        stage
            .api::<ZooKeeperCluster>()
            .patch(
                name,
                &PatchParams::apply("user").force(),
                &Patch::Apply(object),
            )
            .await?;
        Ok(Self::named(stage, name))
    }

    /// What the operator says of it.
    pub(crate) async fn status(&self) -> Result<ZooKeeperClusterStatus, kube::Error> {
        let resource = self.stage.api::<ZooKeeperCluster>().get(&self.name).await?;
        Ok(resource.status.unwrap_or_default())
    }

    /// Waits until a status is as it should be, and returns it.
    pub(crate) async fn until(
        &self,
        what: &str,
        holds: impl Fn(&ZooKeeperClusterStatus) -> bool,
    ) -> anyhow::Result<ZooKeeperClusterStatus> {
        self.stage
            .until(what, SETTLED, async || {
                let status = self.status().await?;
                Ok(if holds(&status) {
                    Ok(status)
                } else {
                    Err(Box::new(status))
                })
            })
            .await
    }

    /// Waits for `Ready=True`.
    pub(crate) async fn until_ready(&self) -> anyhow::Result<ZooKeeperClusterStatus> {
        self.until("the ensemble is ready", |status| {
            is(status, ConditionType::Ready)
        })
        .await
    }

    /// The pods of its members, by their names.
    pub(crate) async fn pods(&self) -> Result<Vec<Pod>, kube::Error> {
        let label = format!("{}={}", api::CLUSTER_LABEL, self.name);
        let of_ensemble = ListParams::default().labels(&label);
        let mut pods = self.stage.api::<Pod>().list(&of_ensemble).await?.items;
        pods.sort_by_key(kube::ResourceExt::name_any);
        Ok(pods)
    }

    /// Uids of its pods, in the order of their names.
    pub(crate) async fn pod_uids(&self) -> anyhow::Result<Vec<String>> {
        let pods = self.pods().await.context("list the members' pods")?;
        Ok(pods.iter().filter_map(kube::ResourceExt::uid).collect())
    }

    /// The pod of a member.
    pub(crate) fn pod(&self, ordinal: u8) -> String {
        format!("{}-{ordinal}", self.name)
    }

    /// Deletes a member's pod, as `kubectl delete` does, and does not wait.
    pub(crate) async fn delete_pod(&self, ordinal: u8) -> anyhow::Result<()> {
        let pods: Api<Pod> = self.stage.api();
        pods.delete(&self.pod(ordinal), &DeleteParams::default())
            .await
            .context("delete a member's pod")?;
        Ok(())
    }

    /// Deletes a member's claim and does not wait; it goes when its pod does.
    pub(crate) async fn delete_claim(&self, ordinal: u8) -> anyhow::Result<()> {
        let claims: Api<PersistentVolumeClaim> = self.stage.api();
        claims
            .delete(&self.claim(ordinal), &DeleteParams::default())
            .await
            .context("delete a member's claim")?;
        Ok(())
    }

    /// The claim of a member.
    pub(crate) fn claim(&self, ordinal: u8) -> String {
        format!("data-{}", self.pod(ordinal))
    }

    /// Uids of the claims of its members, in the order of their names.
    pub(crate) async fn claim_uids(&self) -> Result<Vec<String>, kube::Error> {
        let claims: Api<PersistentVolumeClaim> = self.stage.api();
        let mut claims = claims.list(&ListParams::default()).await?.items;
        let prefix = format!("data-{}-", self.name);
        claims.retain(|claim| claim.name_any().starts_with(&prefix));
        claims.sort_by_key(kube::ResourceExt::name_any);
        Ok(claims.iter().filter_map(kube::ResourceExt::uid).collect())
    }

    /// Deletes the resource and waits until it and its pods are gone.
    pub(crate) async fn delete(&self) -> anyhow::Result<()> {
        let resources: Api<ZooKeeperCluster> = self.stage.api();
        resources
            .delete(&self.name, &DeleteParams::default())
            .await
            .context("delete the resource")?;
        self.stage
            .until("resource and pods are gone", SETTLED, async || {
                let resource = resources.get_opt(&self.name).await?;
                let pods = self.pods().await?.len();
                let is_gone = resource.is_none() && pods == 0;
                Ok(if is_gone {
                    Ok(())
                } else {
                    Err((resource.is_some(), pods))
                })
            })
            .await
    }
}

/// Whether a condition is true.
pub(crate) fn is(status: &ZooKeeperClusterStatus, what: ConditionType) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|one| one.type_ == what && one.status == ConditionStatus::True)
}

/// What a condition tells people.
pub(crate) fn message(status: &ZooKeeperClusterStatus, what: ConditionType) -> &str {
    let mut conditions = status.conditions.iter();
    conditions
        .find(|one| one.type_ == what)
        .map_or("", |one| one.message.as_str())
}
