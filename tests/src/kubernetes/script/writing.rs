//! Creating and replacing.

use anyhow::ensure;
use serde_json::json;

use super::desk::{Desk, refused};
use crate::kubernetes::memory::Object;
use crate::kubernetes::memory::kinds::{CONFIG_MAP, SECRET, STATEFUL_SET};

pub(super) async fn a_name_is_taken_once(desk: &Desk) -> anyhow::Result<()> {
    let object = json!({ "metadata": { "name": "one" } });
    desk.create(&CONFIG_MAP, object.clone()).await?;
    let again = desk.create(&CONFIG_MAP, object).await;
    refused(again, 409, "AlreadyExists", "already exists")
}

pub(super) async fn a_name_can_be_made_up(desk: &Desk) -> anyhow::Result<()> {
    let object = json!({ "metadata": { "generateName": "some-" } });
    let one = desk.create(&CONFIG_MAP, object.clone()).await?;
    let other = desk.create(&CONFIG_MAP, object).await?;
    ensure!(one.name().starts_with("some-") && one.name() != other.name());
    ensure!(one.uid() != other.uid());
    Ok(())
}

pub(super) async fn a_write_on_an_old_version_conflicts(desk: &Desk) -> anyhow::Result<()> {
    let old = desk
        .create(&CONFIG_MAP, json!({ "metadata": { "name": "one" } }))
        .await?;
    let version = old.text("/metadata/resourceVersion");
    let new = desk
        .merge(&CONFIG_MAP, "one", json!({ "data": { "a": "1" } }))
        .await?;
    ensure!(new.text("/metadata/resourceVersion") != version);
    let replaced = desk.replace(&CONFIG_MAP, old.clone()).await;
    refused(replaced, 409, "Conflict", "the object has been modified")?;
    let patch = json!({ "metadata": { "resourceVersion": version }, "data": { "a": "2" } });
    let merged = desk.merge(&CONFIG_MAP, "one", patch).await;
    refused(merged, 409, "Conflict", "the object has been modified")?;
    let patch = json!({
        "metadata": { "resourceVersion": new.text("/metadata/resourceVersion") },
        "data": { "a": "2" },
    });
    desk.merge(&CONFIG_MAP, "one", patch).await?;
    Ok(())
}

pub(super) async fn a_write_for_another_uid_conflicts(desk: &Desk) -> anyhow::Result<()> {
    let mut object = desk
        .create(&CONFIG_MAP, json!({ "metadata": { "name": "one" } }))
        .await?;
    object.unset("/metadata/resourceVersion");
    object.set(
        "/metadata/uid",
        "00000000-dead-4000-8000-000000000000".into(),
    );
    let replaced = desk.replace(&CONFIG_MAP, object).await;
    refused(replaced, 409, "Conflict", "UID")
}

pub(super) async fn writing_the_same_raises_no_version(desk: &Desk) -> anyhow::Result<()> {
    let object = json!({ "metadata": { "name": "one" }, "data": { "a": "1" } });
    let made = desk.create(&CONFIG_MAP, object).await?;
    let replaced = desk.replace(&CONFIG_MAP, made.clone()).await?;
    let merged = desk
        .merge(&CONFIG_MAP, "one", json!({ "data": { "a": "1" } }))
        .await?;
    let versions = [&made, &replaced, &merged].map(|o| o.text("/metadata/resourceVersion"));
    ensure!(
        versions[0] == versions[1] && versions[1] == versions[2],
        "{versions:?}"
    );
    Ok(())
}

pub(super) async fn the_generation_counts_changes_of_the_spec_only(
    desk: &Desk,
) -> anyhow::Result<()> {
    let generation = "/metadata/generation";
    let set = desk.create(&STATEFUL_SET, desk.set("web", Some(0))).await?;
    ensure!(set.number(generation) == Some(1));
    let label = json!({ "metadata": { "labels": { "a": "1" } } });
    let labelled = desk.merge(&STATEFUL_SET, "web", label).await?;
    ensure!(labelled.number(generation) == Some(1));
    let seen = desk
        .until_object(&STATEFUL_SET, "web", "its controller has seen it", |set| {
            set.number("/status/observedGeneration") == Some(1)
        })
        .await?;
    ensure!(seen.number(generation) == Some(1));
    let scaled = json!({ "spec": { "revisionHistoryLimit": 3 } });
    let scaled = desk.merge(&STATEFUL_SET, "web", scaled).await?;
    ensure!(scaled.number(generation) == Some(2));
    Ok(())
}

pub(super) async fn the_type_of_a_secret_is_fixed(desk: &Desk) -> anyhow::Result<()> {
    let secret = |type_: &str| json!({ "metadata": { "name": "one" }, "type": type_ });
    desk.create(&SECRET, secret("example.com/one")).await?;
    let applied = desk
        .force(&SECRET, "other", secret("example.com/two"))
        .await;
    refused(applied, 422, "Invalid", "field is immutable")
}
