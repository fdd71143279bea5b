//! Lists and watches.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures::StreamExt;
use kube::api::{DeleteParams, DynamicObject, ListParams, WatchEvent, WatchParams};
use serde_json::json;

use super::desk::Desk;
use crate::kubernetes::memory::Object;
use crate::kubernetes::memory::kinds::CONFIG_MAP;

/// Longest wait for what must come without a controller's help.
const SOON: Duration = Duration::from_secs(10);

/// The first `count` events from a version on, as `KIND name`.
async fn told(
    desk: &Desk,
    params: &WatchParams,
    from: &str,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    let stream = desk.api(&CONFIG_MAP).watch(params, from).await?;
    let mut stream = std::pin::pin!(stream);
    let mut told = Vec::new();
    while told.len() < count {
        let next = tokio::time::timeout(SOON, stream.next());
        let event = next.await.context("no more events")?.context("the end")??;
        let name = |o: &DynamicObject| o.metadata.name.clone().unwrap_or_default();
        match event {
            WatchEvent::Added(object) => told.push(format!("added {}", name(&object))),
            WatchEvent::Modified(object) => told.push(format!("modified {}", name(&object))),
            WatchEvent::Deleted(object) => told.push(format!("deleted {}", name(&object))),
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => told.push(format!("error {}", status.code)),
        }
    }
    Ok(told)
}

async fn version(desk: &Desk) -> anyhow::Result<String> {
    let selected = ListParams::default();
    let list = desk.api(&CONFIG_MAP).list(&selected).await?;
    list.metadata
        .resource_version
        .context("a list has a version")
}

pub(super) async fn a_watch_tells_changes_in_their_order(desk: &Desk) -> anyhow::Result<()> {
    let from = version(desk).await?;
    for name in ["b", "a"] {
        desk.create(&CONFIG_MAP, json!({ "metadata": { "name": name } }))
            .await?;
    }
    desk.merge(&CONFIG_MAP, "b", json!({ "data": { "x": "1" } }))
        .await?;
    desk.delete(&CONFIG_MAP, "a", &DeleteParams::default())
        .await?;
    let selected = WatchParams::default()
        .labels("!elsewhere")
        .fields("metadata.name!=kube-root-ca.crt");
    let told = told(desk, &selected, &from, 4).await?;
    ensure!(
        told == ["added b", "added a", "modified b", "deleted a"],
        "{told:?}"
    );
    Ok(())
}

pub(super) async fn what_leaves_a_selection_is_gone_for_its_watch(
    desk: &Desk,
) -> anyhow::Result<()> {
    let from = version(desk).await?;
    let labelled = json!({ "metadata": { "name": "one", "labels": { "a": "1" } } });
    desk.create(&CONFIG_MAP, labelled).await?;
    let label = |value: &str| json!({ "metadata": { "labels": { "a": value } } });
    desk.merge(&CONFIG_MAP, "one", label("2")).await?;
    desk.merge(&CONFIG_MAP, "one", label("1")).await?;
    let selected = WatchParams::default().labels("a=1");
    let told = told(desk, &selected, &from, 3).await?;
    ensure!(
        told == ["added one", "deleted one", "added one"],
        "{told:?}"
    );
    Ok(())
}

pub(super) async fn a_list_is_selected_by_labels_and_fields(desk: &Desk) -> anyhow::Result<()> {
    for (name, value) in [("one", "1"), ("two", "2"), ("three", "3")] {
        let object = json!({ "metadata": { "name": name, "labels": { "n": value } } });
        desk.create(&CONFIG_MAP, object).await?;
    }
    let names = async |labels: &str, fields: &str| -> anyhow::Result<Vec<String>> {
        let found = desk.list(&CONFIG_MAP, labels, fields).await?;
        Ok(found
            .iter()
            .map(|object| object.name().to_owned())
            .collect())
    };
    ensure!(names("n=2", "").await? == ["two"]);
    ensure!(names("n", "").await? == ["one", "three", "two"]);
    ensure!(names("n in (1, 3)", "").await? == ["one", "three"]);
    ensure!(names("n,n notin (1,3)", "").await? == ["two"]);
    ensure!(names("n", "metadata.name=three").await? == ["three"]);
    Ok(())
}
