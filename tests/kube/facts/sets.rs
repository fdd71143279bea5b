//! What a StatefulSet takes over, keeps and refuses.

use anyhow::{Context, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PropagationPolicy};
use serde_json::json;

use super::{SOON, apply, set, uids, until_ready};
use crate::stage::Stage;

/// Deleted with orphans and made again with its replicas, a set adopts the same pods; made again
/// without them it has one, and deletes the others.
pub(crate) async fn adoption(stage: &Stage<'_>) -> anyhow::Result<()> {
    apply(stage, &set(stage, "adopts", Some(3)))
        .await
        .context("apply a set")?;
    until_ready(stage, "adopts", 3).await?;
    let before = uids(stage, "adopts").await?;
    orphan(stage).await?;
    let made = apply(stage, &set(stage, "adopts", Some(3)))
        .await
        .context("apply it again")?;
    let sets: Api<StatefulSet> = stage.api();
    until_ready(stage, "adopts", 3).await?;
    let after = uids(stage, "adopts").await?;
    ensure!(before == after, "pods before {before:?}, after {after:?}");
    let now = sets.get("adopts").await.context("the set")?;
    ensure!(now.uid() == made.uid(), "the set was made twice");

    orphan(stage).await?;
    apply(stage, &set(stage, "adopts", None))
        .await
        .context("apply it without replicas")?;
    until_ready(stage, "adopts", 1).await?;
    let left = uids(stage, "adopts").await?;
    ensure!(left == before[..1], "pods before {before:?}, left {left:?}");
    Ok(())
}

async fn orphan(stage: &Stage<'_>) -> anyhow::Result<()> {
    let sets: Api<StatefulSet> = stage.api();
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    sets.delete("adopts", &orphan)
        .await
        .context("delete the set")?;
    stage
        .until("the set's end", SOON, async || {
            let set = sets.get_opt("adopts").await?;
            Ok(match set {
                None => Ok(()),
                Some(set) => Err(set.metadata.finalizers),
            })
        })
        .await
}

/// A changed claim template is refused as invalid, whoever sends it.
pub(crate) async fn claim_template(stage: &Stage<'_>) -> anyhow::Result<()> {
    let mut changed = set(stage, "fixed", Some(0));
    apply(stage, &changed).await.context("apply a set")?;
    changed["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] =
        json!("2Gi");
    let Err(kube::Error::Api(refused)) = apply(stage, &changed).await else {
        anyhow::bail!("a changed claim template was taken");
    };
    ensure!(
        refused.code == 422
            && refused
                .message
                .contains("updates to statefulset spec for fields other than"),
        "{refused:#?}"
    );
    Ok(())
}

/// Applied without replicas a new set has one; a later number of somebody else stays.
pub(crate) async fn replicas_left_out(stage: &Stage<'_>) -> anyhow::Result<()> {
    let replicas = |set: StatefulSet| set.spec.and_then(|spec| spec.replicas);
    let born = apply(stage, &set(stage, "scaled", None))
        .await
        .context("apply a set")?;
    let sets: Api<StatefulSet> = stage.api();
    let three = Patch::Merge(json!({ "spec": { "replicas": 3 } }));
    sets.patch("scaled", &PatchParams::default(), &three)
        .await
        .context("scale it")?;
    let again = apply(stage, &set(stage, "scaled", None))
        .await
        .context("apply it again")?;
    let seen = [replicas(born), replicas(again)];
    ensure!(seen == [Some(1), Some(3)], "replicas: {seen:?}");
    Ok(())
}
