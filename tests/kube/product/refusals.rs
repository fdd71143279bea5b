//! What is refused, and what waits.

use anyhow::{Context as _, ensure};
use api::ConditionType;
use k8s_openapi::api::core::v1::{Node, ResourceQuota};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::ensemble::{Ensemble, message};
use crate::programs::output;
use crate::stage::Stage;

/// Each with a message that says why.
pub(crate) async fn refused(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.operator().await?;
    let good = json!({ "replicas": 1, "storage": { "size": "2Gi" } });
    Ensemble::apply(stage, "good", good.clone())
        .await
        .context("apply a good one")?;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut spec = good.clone();
        change(&mut spec);
        spec
    };
    let long = "a".repeat(41);
    let cases = [
        (
            "bad",
            with(&|spec| spec["replicas"] = json!(2)),
            "replicas must be odd",
        ),
        (
            "good",
            with(&|spec| spec["storage"]["size"] = json!("1Gi")),
            "must not become smaller",
        ),
        (
            "good",
            with(&|spec| spec["clusterDomain"] = json!("other.local")),
            "clusterDomain is fixed at birth",
        ),
        (
            long.as_str(),
            good.clone(),
            "must not be longer than 40 characters",
        ),
    ];
    for (name, spec, why) in cases {
        let told = match Ensemble::apply(stage, name, spec.clone()).await {
            Ok(_) => anyhow::bail!("{name} was taken: {spec}"),
            Err(kube::Error::Api(status)) => status.message,
            Err(error) => return Err(error).context("apply"),
        };
        ensure!(told.contains(why), "expected {why:?}, told {told:?}");
    }
    let empty_dir = with(&|spec| spec["storage"]["emptyDir"] = json!({}));
    for (spec, why) in [
        (
            with(&|spec| spec["replica"] = json!(3)),
            "unknown field \"spec.replica\"",
        ),
        (empty_dir, "unknown field \"spec.storage.emptyDir\""),
    ] {
        let manifest = json!({
            "apiVersion": "ferrokeeper.io/v1alpha1",
            "kind": "ZooKeeperCluster",
            "metadata": { "name": "typo" },
            "spec": spec,
        });
        let file = stage.cluster.scratch("typo.json");
        std::fs::write(&file, manifest.to_string()).context("a manifest")?;
        let told = output(
            stage
                .kubectl()
                .args(["create", "--validate=strict", "-f"])
                .arg(&file),
        )
        .await;
        let told = told
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default();
        ensure!(told.contains(why), "expected {why:?}, told {told:?}");
    }
    Ok(())
}

/// A quota, an image that does not exist, a node that is not there: Ready's message says so, the
/// birth waits, and goes on when it can.
pub(crate) async fn birth_waits(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.operator().await?;
    stage
        .create::<ResourceQuota>(json!({
            "metadata": { "name": "few" },
            "spec": { "hard": { "pods": "2" } },
        }))
        .await?;
    let spec = |change: Value| {
        let mut spec = json!({ "replicas": 3, "storage": { "size": "1Gi" } });
        if let (Value::Object(spec), Value::Object(change)) = (&mut spec, change) {
            spec.extend(change);
        }
        spec
    };
    let counted = Ensemble::apply(stage, "counted", spec(json!({})))
        .await
        .context("apply")?;
    waits_for(&counted, "exceeded quota: few").await?;
    stage
        .api::<ResourceQuota>()
        .delete("few", &DeleteParams::default())
        .await
        .context("delete the quota")?;
    counted.until_ready().await?;
    counted.delete().await?;

    let missing = "e2e.ferrokeeper.local/missing:1";
    let pulled = Ensemble::apply(stage, "pulled", spec(json!({ "image": missing }))).await;
    let pulled = pulled.context("apply")?;
    waits_for(&pulled, missing).await?;
    Ensemble::apply(stage, "pulled", spec(json!({})))
        .await
        .context("apply")?;
    pulled.until_ready().await?;
    pulled.delete().await?;

    let far = json!({ "replicas": 1, "pod": { "nodeSelector": { "e2e": "there" } } });
    let far = Ensemble::apply(stage, "far", spec(far))
        .await
        .context("apply")?;
    waits_for(&far, "nodes are available").await?;
    let nodes: Api<Node> = Api::all(stage.client());
    let label = Patch::Merge(json!({ "metadata": { "labels": { "e2e": "there" } } }));
    nodes
        .patch("node-1", &PatchParams::default(), &label)
        .await
        .context("label a node")?;
    far.until_ready().await?;
    Ok(())
}

/// Waits until Ready's message holds `why`; nobody is born meanwhile.
async fn waits_for(ensemble: &Ensemble<'_>, why: &str) -> anyhow::Result<()> {
    let status = ensemble
        .until(&format!("Ready's message says {why:?}"), |status| {
            message(status, ConditionType::Ready).contains(why)
        })
        .await?;
    ensure!(
        status.bootstrap.is_none(),
        "born although {why}: {status:#?}"
    );
    Ok(())
}
