//! The operator goes, at the worst moments.

use anyhow::{Context as _, ensure};
use api::status::BootstrapPhase;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::json;

use super::ensemble::{Ensemble, SETTLED};
use super::{LABEL, NAMESPACE, OPERATOR};
use crate::stage::Stage;

/// All operators killed at several points of a birth: there is one birth.
pub(crate) async fn killed_in_birth(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.operator().await?;
    let spec = json!({ "replicas": 3, "storage": { "size": "1Gi" } });
    let ensemble = Ensemble::apply(stage, "born", spec)
        .await
        .context("apply")?;
    until(stage, "a Service", async || {
        Ok(stage
            .api::<Service>()
            .get_opt("born-peers")
            .await?
            .is_some())
    })
    .await?;
    kill_all(stage).await?;
    until(stage, "a claim", async || {
        Ok(stage
            .api::<PersistentVolumeClaim>()
            .get_opt("data-born-0")
            .await?
            .is_some())
    })
    .await?;
    kill_all(stage).await?;
    until(stage, "the StatefulSet", async || {
        Ok(stage.api::<StatefulSet>().get_opt("born").await?.is_some())
    })
    .await?;
    kill_all(stage).await?;
    let granted = ensemble
        .until("the grant", |status| {
            status
                .bootstrap
                .as_ref()
                .is_some_and(|birth| birth.phase >= BootstrapPhase::Granted)
        })
        .await?;
    kill_all(stage).await?;
    let born = ensemble.until_ready().await?;
    let members = |status: &api::ZooKeeperClusterStatus| {
        status
            .bootstrap
            .as_ref()
            .map(|birth| (birth.cluster_id.clone(), birth.members.clone()))
    };
    ensure!(
        members(&granted) == members(&born),
        "granted {granted:#?}, born {born:#?}"
    );
    Ok(())
}

/// The leading operator killed while a Service is deleted: the other one takes the Lease and makes
/// the Service again.
pub(crate) async fn stands_in(stage: &Stage<'_>) -> anyhow::Result<()> {
    let ensemble = Ensemble::example(stage).await?;
    let leases: Api<Lease> = Api::namespaced(stage.client(), NAMESPACE);
    let holder = async || {
        let lease = leases.get_opt(OPERATOR).await?;
        let holder = lease
            .and_then(|lease| lease.spec?.holder_identity)
            .unwrap_or_default();
        Ok::<_, kube::Error>(holder)
    };
    let services: Api<Service> = stage.api();
    let first = holder().await.context("the Lease")?;
    let old = services
        .get("demo-client")
        .await
        .context("the Service")?
        .uid();
    let operators: Api<Pod> = Api::namespaced(stage.client(), NAMESPACE);
    operators
        .delete(&first, &DeleteParams::default().grace_period(0))
        .await
        .context("kill the leading operator")?;
    services
        .delete("demo-client", &DeleteParams::default())
        .await
        .context("delete the Service")?;
    stage
        .until("the Service is there again", SETTLED, async || {
            let service = services.get_opt("demo-client").await?;
            let is_new = service.as_ref().is_some_and(|service| service.uid() != old);
            Ok(if is_new { Ok(()) } else { Err(holder().await?) })
        })
        .await?;
    // Between the two nobody holds it, if the first one had the time to give it back.
    stage
        .until("another operator holds the Lease", SETTLED, async || {
            let now = holder().await?;
            let is_other = now != first && !now.is_empty();
            Ok(if is_other { Ok(()) } else { Err(now) })
        })
        .await?;
    ensemble.until_ready().await?;
    Ok(())
}

async fn kill_all(stage: &Stage<'_>) -> anyhow::Result<()> {
    let operators: Api<Pod> = Api::namespaced(stage.client(), NAMESPACE);
    let of_operator = ListParams::default().labels(LABEL);
    for pod in operators
        .list(&of_operator)
        .await
        .context("list operators")?
    {
        let at_once = DeleteParams::default().grace_period(0);
        operators
            .delete(&pod.name_any(), &at_once)
            .await
            .context("kill an operator")?;
    }
    Ok(())
}

async fn until(
    stage: &Stage<'_>,
    what: &str,
    holds: impl AsyncFn() -> Result<bool, kube::Error>,
) -> anyhow::Result<()> {
    let look = async || {
        Ok(if holds().await? {
            Ok(())
        } else {
            Err("not yet")
        })
    };
    stage.until(what, SETTLED, look).await
}
