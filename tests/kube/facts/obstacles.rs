//! Where Kubernetes says what keeps a pod from running.

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::api::{Api, DeleteParams};
use serde_json::json;

use super::{SOON, apply, set, uids, until_ready};
use crate::stage::Stage;

/// An image that does not exist: the sidecar's status as an init container says so. The pods that
/// run are left alone; one that waits is not replaced when the template is right again.
pub(crate) async fn image(stage: &Stage<'_>) -> anyhow::Result<()> {
    let good = set(stage, "pulls", Some(2));
    apply(stage, &good).await.context("apply a set")?;
    until_ready(stage, "pulls", 2).await?;
    let before = uids(stage, "pulls").await?;
    let mut bad = good.clone();
    let missing = json!("e2e.ferrokeeper.local/missing:1");
    bad["spec"]["template"]["spec"]["initContainers"][0]["image"] = missing;
    apply(stage, &bad).await.context("apply a bad image")?;
    let pods: Api<Pod> = stage.api();
    pods.delete("pulls-1", &DeleteParams::default())
        .await
        .context("delete a pod")?;
    stage
        .until(
            "a reason in the init container's status",
            SOON,
            async || {
                let status = pods.get_opt("pulls-1").await?.and_then(|pod| pod.status);
                let first = status
                    .as_ref()
                    .and_then(|status| status.init_container_statuses.as_ref());
                let reason = first
                    .and_then(|all| {
                        all.first()?
                            .state
                            .as_ref()?
                            .waiting
                            .as_ref()?
                            .reason
                            .clone()
                    })
                    .unwrap_or_default();
                let is_told = ["ErrImagePull", "ImagePullBackOff"].contains(&reason.as_str());
                Ok(if is_told { Ok(()) } else { Err(status) })
            },
        )
        .await?;
    let stuck = uids(stage, "pulls").await?;
    ensure!(stuck[0] == before[0], "the other pod is another");
    apply(stage, &good).await.context("apply the good image")?;
    let still = uids(stage, "pulls").await?;
    ensure!(still == stuck, "pods {stuck:?} became {still:?}");
    pods.delete("pulls-1", &DeleteParams::default())
        .await
        .context("delete the stuck pod")?;
    until_ready(stage, "pulls", 2).await
}

/// A quota: an event of the set says so, nothing else does.
pub(crate) async fn quota(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage
        .create::<ResourceQuota>(json!({
            "metadata": { "name": "few" },
            "spec": { "hard": { "pods": "1" } },
        }))
        .await?;
    apply(stage, &set(stage, "counts", Some(2)))
        .await
        .context("apply a set")?;
    until_event(
        stage,
        "counts",
        "exceeded quota: few, requested: pods=1, used: pods=1",
    )
    .await?;
    stage
        .api::<ResourceQuota>()
        .delete("few", &DeleteParams::default())
        .await
        .context("delete the quota")?;
    until_ready(stage, "counts", 2).await
}

/// PodSecurity: the set is taken, its pods are not; an event of the set says so.
pub(crate) async fn pod_security(stage: &Stage<'_>) -> anyhow::Result<()> {
    let mut root = set(stage, "rules", Some(1));
    root["spec"]["template"]["spec"]["securityContext"] = json!({});
    apply(stage, &root).await.context("apply a set")?;
    until_event(stage, "rules", "violates PodSecurity \"restricted:latest\"").await
}

/// A pod that no node takes says so in its conditions.
pub(crate) async fn scheduling(stage: &Stage<'_>) -> anyhow::Result<()> {
    let mut far = set(stage, "far", Some(1));
    far["spec"]["template"]["spec"]["nodeSelector"] = json!({ "where": "nowhere" });
    apply(stage, &far).await.context("apply a set")?;
    let pods: Api<Pod> = stage.api();
    stage
        .until("a reason in the pod's conditions", SOON, async || {
            let status = pods.get_opt("far-0").await?.and_then(|pod| pod.status);
            let conditions = status
                .as_ref()
                .and_then(|status| status.conditions.as_ref());
            let is_told = conditions.is_some_and(|all| {
                all.iter().any(|one| {
                    let message = one.message.as_deref().unwrap_or_default();
                    one.type_ == "PodScheduled"
                        && one.reason.as_deref() == Some("Unschedulable")
                        && message.contains("nodes are available")
                })
            });
            Ok(if is_told { Ok(()) } else { Err(status) })
        })
        .await
}

async fn until_event(stage: &Stage<'_>, set: &str, part: &str) -> anyhow::Result<()> {
    stage
        .until("an event of the set", SOON, async || {
            let events = stage.events("StatefulSet", set).await?;
            let told = events
                .iter()
                .any(|event| event.starts_with("FailedCreate: ") && event.contains(part));
            Ok(if told { Ok(()) } else { Err(events) })
        })
        .await
}
