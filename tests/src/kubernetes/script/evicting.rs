//! Evictions.

use anyhow::ensure;
use serde_json::{Value, json};

use super::desk::{Desk, refused};
use crate::kubernetes::memory::Object;
use crate::kubernetes::memory::kinds::{BUDGET, POD};

const NOBODY: &str = "00000000-dead-4000-8000-000000000000";

/// A budget over the set `web`, counted.
async fn budget(desk: &Desk, name: &str, available: u8, healthy: i64) -> anyhow::Result<Value> {
    let budget = json!({
        "metadata": { "name": name },
        "spec": {
            "minAvailable": available,
            "selector": { "matchLabels": { "set": "web" } },
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    });
    desk.create(&BUDGET, budget).await?;
    desk.until_object(&BUDGET, name, "its pods are counted", |budget| {
        budget.number("/status/observedGeneration") == Some(1)
            && budget.number("/status/currentHealthy") == Some(healthy)
    })
    .await
}

pub(super) async fn a_budget_forbids_an_eviction(desk: &Desk) -> anyhow::Result<()> {
    let pods = desk.running_set("web", 2).await?;
    let counted = budget(desk, "web", 2, 2).await?;
    ensure!(counted["status"]["disruptionsAllowed"] == 0);
    let words = "would violate the pod's disruption budget";
    let evicted = desk.evict("web-0", pods[0].uid()).await;
    refused(evicted, 429, "TooManyRequests", words)?;
    // The budget is looked at first.
    refused(
        desk.evict("web-0", NOBODY).await,
        429,
        "TooManyRequests",
        words,
    )?;
    desk.merge(&BUDGET, "web", json!({ "spec": { "minAvailable": 1 } }))
        .await?;
    desk.until_object(&BUDGET, "web", "it allows one", |budget| {
        budget["status"]["disruptionsAllowed"] == 1
    })
    .await?;
    desk.evict("web-0", pods[0].uid()).await?;
    desk.until_object(&POD, "web-0", "it is made anew", |pod| {
        pod.uid() != pods[0].uid()
    })
    .await?;
    Ok(())
}

pub(super) async fn an_eviction_for_another_uid_conflicts(desk: &Desk) -> anyhow::Result<()> {
    let pods = desk.running_set("web", 1).await?;
    refused(
        desk.evict("web-0", NOBODY).await,
        409,
        "Conflict",
        "precondition",
    )?;
    ensure!(!desk.get(&POD, "web-0").await?.is_going());
    desk.evict("web-0", pods[0].uid()).await?;
    desk.until_object(&POD, "web-0", "it is made anew", |pod| {
        pod.uid() != pods[0].uid()
    })
    .await?;
    Ok(())
}

pub(super) async fn two_budgets_over_one_pod_are_an_error(desk: &Desk) -> anyhow::Result<()> {
    let pods = desk.running_set("web", 1).await?;
    budget(desk, "one", 0, 1).await?;
    budget(desk, "two", 0, 1).await?;
    let evicted = desk.evict("web-0", pods[0].uid()).await;
    refused(evicted, 500, "", "more than one PodDisruptionBudget")
}
