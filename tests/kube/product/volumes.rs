//! Volumes go.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::ConditionType;

use super::client::Load;
use super::ensemble::{Ensemble, is};
use crate::programs::output;
use crate::stage::Stage;

/// How long nothing must happen, where nothing may.
const NOTHING_FOR: Duration = Duration::from_secs(15);

/// One voter's volume and pod: the member returns on a new volume, without a vote until the others
/// have synchronised it, and the ensemble is the same.
pub(crate) async fn one(stage: &Stage<'_>) -> anyhow::Result<()> {
    let ensemble = Ensemble::example(stage).await?;
    let before = ensemble.until_ready().await?;
    let leader = before.leader.context("no leader in the status")?;
    let victim = (0..3)
        .find(|ordinal| *ordinal != leader.ordinal())
        .context("a follower")?;
    let volume = volume_id(&before, victim);
    let load = Load::start(&ensemble, "client").await?;
    ensemble.delete_claim(victim).await?;
    ensemble.delete_pod(victim).await?;
    let after = ensemble
        .until("the member is back on another volume", |status| {
            let now = volume_id(status, victim);
            now.is_some() && now != volume && is(status, ConditionType::Ready)
        })
        .await?;
    load.stop().await?.ensure_unharmed()?;
    ensure!(
        before.cluster_id == after.cluster_id,
        "the cluster id changed"
    );
    let pod = ensemble.pod(victim);
    let mut logs = stage.kubectl();
    let log = output(logs.args(["logs", &pod, "--container=server"])).await?;
    let parts = parts(&log);
    ensure!(
        parts.first() == Some(&"Observing") && parts.last() == Some(&"Following"),
        "its parts were {parts:?}: it was to have no vote before it was synchronised"
    );
    Ok(())
}

/// The parts that a server took one after another, as its log names them.
fn parts(log: &str) -> Vec<&str> {
    log.lines()
        .filter_map(|line| line.split_once("part changed")?.1.split_once("role="))
        .map(|(_, role)| role.split([' ', '{']).next().unwrap_or_default())
        .collect()
}

/// Two voters' volumes and pods: no quorum is left and none is made up. A condition says so.
pub(crate) async fn two(stage: &Stage<'_>) -> anyhow::Result<()> {
    let ensemble = Ensemble::example(stage).await?;
    let before = ensemble.until_ready().await?;
    for ordinal in [0, 1] {
        ensemble.delete_claim(ordinal).await?;
    }
    for ordinal in [0, 1] {
        ensemble.delete_pod(ordinal).await?;
    }
    ensemble
        .until("the loss is told", |status| {
            !is(status, ConditionType::Ready)
                && status
                    .conditions
                    .iter()
                    .any(|one| one.reason == api::Reason::QuorumLost)
                && [0, 1]
                    .iter()
                    .all(|ordinal| volume_id(status, *ordinal) != volume_id(&before, *ordinal))
        })
        .await?;
    tokio::time::sleep(NOTHING_FOR).await;
    let after = ensemble.status().await.context("the status")?;
    ensure!(
        after.cluster_id == before.cluster_id
            && after.bootstrap == before.bootstrap
            && after.leader.is_none()
            && after.ready_replicas == 0
            && after
                .conditions
                .iter()
                .any(|one| one.reason == api::Reason::QuorumLost),
        "{after:#?}"
    );
    Ok(())
}

fn volume_id(status: &api::ZooKeeperClusterStatus, ordinal: u8) -> Option<String> {
    let id = api::MemberId::voter(ordinal)?;
    let member = status.members.iter().find(|member| member.id == id)?;
    member.volume_id.clone()
}
