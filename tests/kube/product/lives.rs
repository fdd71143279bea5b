//! Resources are deleted.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use serde_json::json;

use super::client::Load;
use super::ensemble::{Ensemble, SETTLED};
use crate::stage::Stage;

/// What a namespace with a live ensemble may take to go.
const NAMESPACE_GONE: Duration = Duration::from_secs(60);

/// Deleted and applied again: the volumes were kept, and the ensemble is the one that it was.
pub(crate) async fn applied_again(stage: &Stage<'_>) -> anyhow::Result<()> {
    let ensemble = Ensemble::example(stage).await?;
    let before = ensemble.until_ready().await?;
    let claims = ensemble.claim_uids().await.context("claims")?;
    let load = Load::start(&ensemble, "client").await?;
    ensemble.delete().await?;
    let kept = ensemble.claim_uids().await.context("claims")?;
    ensure!(kept == claims, "claims before {claims:?}, kept {kept:?}");
    let again = Ensemble::example(stage).await?;
    let after = again.until_ready().await?;
    ensure!(
        before.cluster_id.is_some() && before.cluster_id == after.cluster_id,
        "the cluster id was {:?} and is {:?}",
        before.cluster_id,
        after.cluster_id
    );
    let report = load.stop().await?;
    ensure!(
        report.lost.is_empty(),
        "acknowledged writes are lost: {report:?}"
    );
    Ok(())
}

/// With policy Delete nothing is left.
pub(crate) async fn policy_delete(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.operator().await?;
    let spec = json!({ "replicas": 1, "storage": { "size": "1Gi", "reclaimPolicy": "Delete" } });
    let ensemble = Ensemble::apply(stage, "gone", spec)
        .await
        .context("apply")?;
    ensemble.until_ready().await?;
    let claims = ensemble.claim_uids().await.context("claims")?;
    ensure!(claims.len() == 1, "claims: {claims:?}");
    ensemble.delete().await?;
    let volumes: Api<PersistentVolume> = Api::all(stage.client());
    stage
        .until("claims and volumes are gone", SETTLED, async || {
            let left = ensemble.claim_uids().await?;
            let listed = volumes.list(&ListParams::default()).await?;
            let of_ours = |volume: &PersistentVolume| {
                claims
                    .iter()
                    .any(|claim| volume.name_any() == format!("pvc-{claim}"))
            };
            let volumes = listed.items.into_iter().filter(of_ours).count();
            Ok(if left.is_empty() && volumes == 0 {
                Ok(())
            } else {
                Err((left, volumes))
            })
        })
        .await
}

/// A namespace with a live ensemble goes within a minute.
pub(crate) async fn namespace(stage: &Stage<'_>) -> anyhow::Result<()> {
    Ensemble::example(stage).await?;
    stage.strike().await?;
    let namespaces: Api<Namespace> = Api::all(stage.client());
    stage
        .until("the namespace is gone", NAMESPACE_GONE, async || {
            let left = namespaces.get_opt(&stage.namespace).await?;
            Ok(match left {
                None => Ok(()),
                Some(namespace) => Err(namespace.status),
            })
        })
        .await
}
