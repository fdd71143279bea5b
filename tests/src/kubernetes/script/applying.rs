//! Server-side apply.

use anyhow::ensure;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::desk::{Desk, refused};
use crate::kubernetes::memory::Object;
use crate::kubernetes::memory::kinds::{CONFIG_MAP, STATEFUL_SET};

fn map(data: Value) -> Value {
    json!({ "metadata": { "name": "one" }, "data": data })
}

pub(super) async fn a_field_of_another_manager_conflicts_unless_forced(
    desk: &Desk,
) -> anyhow::Result<()> {
    desk.apply(&CONFIG_MAP, "first", map(json!({ "a": "1", "b": "1" })))
        .await?;
    let same = desk.apply(&CONFIG_MAP, "second", map(json!({ "a": "1" })));
    same.await?;
    let other = desk.apply(&CONFIG_MAP, "third", map(json!({ "a": "2" })));
    refused(other.await, 409, "Conflict", "conflicts")?;
    let forced = desk.force(&CONFIG_MAP, "third", map(json!({ "a": "2" })));
    ensure!(forced.await?["data"] == json!({ "a": "2", "b": "1" }));
    // The field is the third's now.
    let back = desk.apply(&CONFIG_MAP, "first", map(json!({ "a": "1", "b": "1" })));
    refused(back.await, 409, "Conflict", "conflict with \"third\"")
}

pub(super) async fn what_is_no_longer_applied_goes_unless_others_manage_it(
    desk: &Desk,
) -> anyhow::Result<()> {
    desk.apply(
        &CONFIG_MAP,
        "first",
        map(json!({ "a": "1", "b": "1", "c": "1" })),
    )
    .await?;
    desk.apply(&CONFIG_MAP, "second", map(json!({ "b": "1" })))
        .await?;
    let left = desk
        .apply(&CONFIG_MAP, "first", map(json!({ "c": "1" })))
        .await?;
    ensure!(left["data"] == json!({ "b": "1", "c": "1" }), "{left}");
    Ok(())
}

pub(super) async fn applying_the_same_raises_no_version(desk: &Desk) -> anyhow::Result<()> {
    let set = desk.set("web", Some(0));
    desk.apply(&STATEFUL_SET, "first", set.clone()).await?;
    let before = desk
        .until_object(&STATEFUL_SET, "web", "its controller has seen it", |set| {
            set.number("/status/observedGeneration") == Some(1)
        })
        .await?;
    let again = desk.apply(&STATEFUL_SET, "first", set).await?;
    let version = "/metadata/resourceVersion";
    ensure!(
        before.text(version) == again.text(version),
        "{before} {again}"
    );
    Ok(())
}

pub(super) async fn applying_on_an_old_version_conflicts(desk: &Desk) -> anyhow::Result<()> {
    let mut old = map(json!({ "a": "1" }));
    let made = desk.apply(&CONFIG_MAP, "first", old.clone()).await?;
    desk.apply(&CONFIG_MAP, "second", map(json!({ "b": "1" })))
        .await?;
    old["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    old["data"]["a"] = "2".into();
    let applied = desk.force(&CONFIG_MAP, "first", old).await;
    refused(applied, 409, "Conflict", "the object has been modified")
}

pub(super) async fn applying_what_is_gone_makes_it_anew_unless_its_uid_is_named(
    desk: &Desk,
) -> anyhow::Result<()> {
    let mut gone = map(json!({ "a": "1" }));
    let made = desk.apply(&CONFIG_MAP, "first", gone.clone()).await?;
    desk.delete(&CONFIG_MAP, "one", &DeleteParams::default())
        .await?;
    gone["metadata"]["uid"] = made.uid().into();
    let applied = desk.apply(&CONFIG_MAP, "first", gone.clone()).await;
    refused(applied, 409, "Conflict", "uid mismatch")?;
    gone["metadata"]["uid"] = Value::Null;
    gone["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    let again = desk.apply(&CONFIG_MAP, "first", gone).await?;
    ensure!(again.uid() != made.uid());
    Ok(())
}

pub(super) async fn what_a_person_edits_is_taken_back_by_force(desk: &Desk) -> anyhow::Result<()> {
    let ours = map(json!({ "a": "1" }));
    desk.apply(&CONFIG_MAP, "first", ours.clone()).await?;
    desk.merge(
        &CONFIG_MAP,
        "one",
        json!({ "data": { "a": "2", "b": "2" } }),
    )
    .await?;
    let applied = desk.apply(&CONFIG_MAP, "first", ours.clone()).await;
    refused(applied, 409, "Conflict", "conflict with \"script\"")?;
    let forced = desk.force(&CONFIG_MAP, "first", ours).await?;
    ensure!(forced["data"] == json!({ "a": "1", "b": "2" }), "{forced}");
    Ok(())
}

pub(super) async fn a_set_applied_without_replicas_has_one_and_then_keeps_what_it_has(
    desk: &Desk,
) -> anyhow::Result<()> {
    let without = desk.set("web", None);
    let made = desk.apply(&STATEFUL_SET, "first", without.clone()).await?;
    ensure!(made["spec"]["replicas"] == 1);
    desk.merge(&STATEFUL_SET, "web", json!({ "spec": { "replicas": 2 } }))
        .await?;
    let mut changed = without;
    changed["spec"]["template"]["metadata"]["annotations"] = json!({ "a": "1" });
    let applied = desk.apply(&STATEFUL_SET, "first", changed).await?;
    ensure!(applied["spec"]["replicas"] == 2, "{applied}");
    Ok(())
}
