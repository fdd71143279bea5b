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
    Ok(())
}

/// A field that nobody knows, such as an emptyDir for data that must outlive its pod.
pub(crate) async fn unknown_fields(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.operator().await?;
    for (spec, field) in [
        (json!({ "replica": 3 }), "spec.replica"),
        (
            json!({ "storage": { "emptyDir": {} } }),
            "spec.storage.emptyDir",
        ),
    ] {
        let manifest = json!({
            "apiVersion": "ferrokeeper.io/v1alpha1",
            "kind": "ZooKeeperCluster",
            "metadata": { "name": "typo" },
            "spec": spec,
        });
        let file = stage.cluster.scratch("typo.json");
        std::fs::write(&file, manifest.to_string()).context("a manifest")?;
        let mut create = stage.kubectl();
        create
            .args(["create", "--validate=strict", "-f"])
            .arg(&file);
        let told = output(&mut create).await.err();
        let told = told.map(|error| format!("{error:#}")).unwrap_or_default();
        let why = format!("unknown field \"{field}\"");
        ensure!(told.contains(&why), "expected {why:?}, told {told:?}");
    }
    Ok(())
}

/// A quota that allows too few pods: nobody is born before it allows all.
pub(crate) async fn quota(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.operator().await?;
    stage
        .create::<ResourceQuota>(json!({
            "metadata": { "name": "few" },
            "spec": { "hard": { "pods": "2" } },
        }))
        .await?;
    let counted = Ensemble::apply(stage, "counted", three()).await;
    let counted = counted.context("apply")?;
    waits_for(&counted, "exceeded quota: few").await?;
    stage
        .api::<ResourceQuota>()
        .delete("few", &DeleteParams::default())
        .await
        .context("delete the quota")?;
    counted.until_ready().await?;
    Ok(())
}

/// An image that nobody has, then one that is there.
pub(crate) async fn image(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.operator().await?;
    let missing = "e2e.ferrokeeper.local/missing:1";
    let mut spec = three();
    spec["image"] = json!(missing);
    let pulled = Ensemble::apply(stage, "pulled", spec)
        .await
        .context("apply")?;
    waits_for(&pulled, missing).await?;
    Ensemble::apply(stage, "pulled", three())
        .await
        .context("apply")?;
    pulled.until_ready().await?;
    Ok(())
}

/// A node that nobody is, until one is labelled so.
pub(crate) async fn node(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.operator().await?;
    let mut spec = three();
    spec["pod"] = json!({ "nodeSelector": { "e2e": "there" } });
    let far = Ensemble::apply(stage, "far", spec).await.context("apply")?;
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

fn three() -> Value {
    json!({ "replicas": 3, "storage": { "size": "1Gi" } })
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
