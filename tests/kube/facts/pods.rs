//! How pods stop, and how they are asked to.

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{Eviction, PodDisruptionBudget};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use super::{SOON, apply, set, until_ready};
use crate::programs::output;
use crate::stage::Stage;

/// preStop, then the main container, then the sidecar, which is there until the end.
pub(crate) async fn stop_order(stage: &Stage<'_>) -> anyhow::Result<()> {
    apply(stage, &set(stage, "stops", Some(1)))
        .await
        .context("apply a set")?;
    until_ready(stage, "stops", 1).await?;
    let uid = stage
        .api::<Pod>()
        .get("stops-0")
        .await
        .context("the pod")?
        .uid();
    stage
        .api::<Pod>()
        .delete("stops-0", &DeleteParams::default())
        .await
        .context("delete the pod")?;
    stage
        .until("another pod of that name", SOON, async || {
            let pod = stage.api::<Pod>().get_opt("stops-0").await?;
            let other = pod.as_ref().is_some_and(|pod| pod.uid() != uid);
            Ok(if other {
                Ok(())
            } else {
                Err(pod.and_then(|pod| pod.status))
            })
        })
        .await?;
    until_ready(stage, "stops", 1).await?;
    let log =
        output(
            stage
                .kubectl()
                .args(["exec", "stops-0", "-c", "main", "--", "cat", "/data/log"]),
        )
        .await?;
    let seen: Vec<&str> = log.lines().collect();
    let expected = [
        "sidecar starts",
        "main starts",
        "preStop starts",
        "preStop ends",
        "main is told to stop",
        "sidecar is told to stop",
        "sidecar starts",
        "main starts",
    ];
    ensure!(seen == expected, "expected {expected:#?}, seen {seen:#?}");
    Ok(())
}

/// An eviction with a wrong uid or resourceVersion is a conflict and changes nothing; a budget
/// that forbids is asked before the preconditions are; two budgets are an error.
pub(crate) async fn eviction(stage: &Stage<'_>) -> anyhow::Result<()> {
    apply(stage, &set(stage, "evicted", Some(1)))
        .await
        .context("apply a set")?;
    until_ready(stage, "evicted", 1).await?;
    let pod = stage
        .api::<Pod>()
        .get("evicted-0")
        .await
        .context("the pod")?;
    let (uid, version) = (pod.uid(), pod.resource_version());
    let wrong_uid = json!({ "uid": "00000000-0000-0000-0000-000000000000" });
    let right = json!({ "uid": uid, "resourceVersion": version });
    let mut seen = vec![
        evict(stage, &wrong_uid).await?,
        evict(stage, &json!({ "uid": uid, "resourceVersion": "1" })).await?,
    ];
    budget(stage, "none").await?;
    seen.push(evict(stage, &right).await?);
    seen.push(evict(stage, &wrong_uid).await?);
    budget(stage, "none-either").await?;
    seen.push(evict(stage, &right).await?);
    let now = stage
        .api::<Pod>()
        .get("evicted-0")
        .await
        .context("the pod")?;
    ensure!(
        now.uid() == uid && now.metadata.deletion_timestamp.is_none(),
        "a refused eviction did something: {now:#?}"
    );
    for name in ["none", "none-either"] {
        stage
            .api::<PodDisruptionBudget>()
            .delete(name, &DeleteParams::default())
            .await
            .context("delete a budget")?;
    }
    // The budgets' controller writes nothing into the pod, the kubelet may.
    let version = now.resource_version();
    seen.push(evict(stage, &json!({ "uid": uid, "resourceVersion": version })).await?);
    seen.push(evict(stage, &json!({ "uid": uid })).await?);
    ensure!(
        seen == [409, 409, 429, 429, 500, 201, 201],
        "answers: {seen:?}"
    );
    Ok(())
}

/// The status of the answer.
async fn evict(stage: &Stage<'_>, preconditions: &Value) -> anyhow::Result<u16> {
    let eviction: Eviction = serde_json::from_value(json!({
        "metadata": { "name": "evicted-0", "namespace": stage.namespace },
        "deleteOptions": { "preconditions": preconditions },
    }))
    .context("an eviction's form")?;
    let answer = stage
        .api::<Pod>()
        .create_subresource::<_, Value>("eviction", "evicted-0", &PostParams::default(), &eviction)
        .await;
    match answer {
        Ok(_) => Ok(201),
        Err(kube::Error::Api(status)) => Ok(status.code),
        Err(error) => Err(error).context("evict"),
    }
}

async fn budget(stage: &Stage<'_>, name: &str) -> anyhow::Result<()> {
    stage
        .create::<PodDisruptionBudget>(json!({
            "metadata": { "name": name },
            "spec": { "maxUnavailable": 0, "selector": { "matchLabels": { "app": "evicted" } } },
        }))
        .await?;
    stage
        .until("the budget's status", SOON, async || {
            let status = stage.api::<PodDisruptionBudget>().get(name).await?.status;
            let is_known = status
                .as_ref()
                .is_some_and(|status| status.current_healthy == 1);
            Ok(if is_known { Ok(()) } else { Err(status) })
        })
        .await
}
