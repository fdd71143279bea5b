//! Pods go; their volumes stay.

use anyhow::{Context as _, ensure};

use super::client::Load;
use super::ensemble::Ensemble;
use crate::stage::Stage;

/// The leader's pod deleted: the client notices a short interruption and nothing else; the pod
/// comes back on its volume, and somebody else leads.
pub(crate) async fn leader_under_load(stage: &Stage<'_>) -> anyhow::Result<()> {
    let ensemble = Ensemble::example(stage).await?;
    let before = ensemble.until_ready().await?;
    let leader = before.leader.context("no leader in the status")?;
    let pods = ensemble.pod_uids().await?;
    let claims = ensemble.claim_uids().await.context("claims")?;
    // Attached to the leader first, so that it loses its connection, too.
    let pod = ensemble.pod(leader.ordinal());
    let servers = format!("{pod}.demo-peers:2181,demo-client:2181");
    let load = Load::start_at(&ensemble, "client", &servers).await?;
    ensemble.delete_pod(leader.ordinal()).await?;
    let after = ensemble
        .until("another leader", |status| {
            status.leader.is_some_and(|other| other != leader)
        })
        .await?;
    ensemble
        .until("three ready members again", |status| {
            status.ready_replicas == 3
        })
        .await?;
    let load = load.stop().await?;
    ensemble.until_ready().await?;
    load.ensure_unharmed()?;
    let pods_after = ensemble.pod_uids().await?;
    let differ = pods
        .iter()
        .zip(&pods_after)
        .filter(|(one, other)| one != other);
    ensure!(
        pods_after.len() == 3 && differ.count() == 1,
        "pods before {pods:?}, after {pods_after:?}"
    );
    let claims_after = ensemble.claim_uids().await.context("claims")?;
    ensure!(
        claims == claims_after,
        "claims before {claims:?}, after {claims_after:?}"
    );
    ensure!(
        before.cluster_id == after.cluster_id,
        "the cluster id changed"
    );
    ensure!(
        before.config_version == after.config_version,
        "the committed configuration changed"
    );
    Ok(())
}

/// All pods deleted at once: the ensemble comes back without anybody's help.
pub(crate) async fn all_pods(stage: &Stage<'_>) -> anyhow::Result<()> {
    let ensemble = Ensemble::example(stage).await?;
    let before = ensemble.until_ready().await?;
    let pods = ensemble.pod_uids().await?;
    let load = Load::start(&ensemble, "client").await?;
    for ordinal in 0..3 {
        ensemble.delete_pod(ordinal).await?;
    }
    stage
        .until("three other pods", super::ensemble::SETTLED, async || {
            let uids: Vec<_> = ensemble.pods().await?;
            let uids: Vec<_> = uids.iter().filter_map(kube::ResourceExt::uid).collect();
            let others = uids.iter().filter(|uid| !pods.contains(uid)).count();
            Ok(if others == 3 { Ok(()) } else { Err(uids) })
        })
        .await?;
    let after = ensemble.until_ready().await?;
    let report = load.stop().await?;
    ensure!(
        report.lost.is_empty(),
        "acknowledged writes are lost: {report:?}"
    );
    ensure!(
        before.cluster_id == after.cluster_id,
        "the cluster id changed"
    );
    ensure!(
        before.config_version == after.config_version,
        "the committed configuration changed"
    );
    Ok(())
}
