//! Deletions, and what goes along.

use anyhow::ensure;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::desk::{Desk, if_uid, if_version, refused};
use crate::kubernetes::memory::Object;
use crate::kubernetes::memory::kinds::{CONFIG_MAP, NAMESPACE};

const NOBODY: &str = "00000000-dead-4000-8000-000000000000";

fn owned_by(owner: &Value, name: &str) -> Value {
    let reference = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": owner.name(),
        "uid": owner.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    });
    json!({ "metadata": { "name": name, "ownerReferences": [reference] } })
}

async fn owner(desk: &Desk) -> anyhow::Result<Value> {
    let owner = json!({ "metadata": { "name": "owner" } });
    Ok(desk.create(&CONFIG_MAP, owner).await?)
}

pub(super) async fn a_deletion_for_another_uid_or_version_conflicts(
    desk: &Desk,
) -> anyhow::Result<()> {
    let one = owner(desk).await?;
    let deleted = desk.delete(&CONFIG_MAP, "owner", &if_uid(NOBODY)).await;
    refused(deleted, 409, "Conflict", "UID")?;
    let new = desk
        .merge(&CONFIG_MAP, "owner", json!({ "data": { "a": "1" } }))
        .await?;
    let old = if_version(one.text("/metadata/resourceVersion"));
    let deleted = desk.delete(&CONFIG_MAP, "owner", &old).await;
    refused(deleted, 409, "Conflict", "ResourceVersion")?;
    desk.delete(&CONFIG_MAP, "owner", &if_uid(new.uid()))
        .await?;
    desk.until_gone(&CONFIG_MAP, "owner").await
}

pub(super) async fn a_finalizer_holds_an_object(desk: &Desk) -> anyhow::Result<()> {
    let held = json!({ "metadata": { "name": "one", "finalizers": ["example.com/hold"] } });
    desk.create(&CONFIG_MAP, held).await?;
    desk.delete(&CONFIG_MAP, "one", &DeleteParams::default())
        .await?;
    let found = desk.get(&CONFIG_MAP, "one").await?;
    ensure!(found.is_going());
    let more = json!({
        "metadata": { "finalizers": ["example.com/hold", "example.com/more"] },
    });
    let more = desk.merge(&CONFIG_MAP, "one", more).await;
    refused(more, 422, "Invalid", "no new finalizers can be added")?;
    let none = json!({ "metadata": { "finalizers": [] } });
    desk.merge(&CONFIG_MAP, "one", none).await?;
    desk.until_gone(&CONFIG_MAP, "one").await
}

pub(super) async fn what_has_no_owner_left_goes(desk: &Desk) -> anyhow::Result<()> {
    let owner = owner(desk).await?;
    desk.create(&CONFIG_MAP, owned_by(&owner, "owned")).await?;
    desk.delete(&CONFIG_MAP, "owner", &DeleteParams::background())
        .await?;
    desk.until_gone(&CONFIG_MAP, "owned").await
}

pub(super) async fn an_owner_of_another_uid_is_none(desk: &Desk) -> anyhow::Result<()> {
    let mut owner = owner(desk).await?;
    owner["metadata"]["uid"] = NOBODY.into();
    desk.create(&CONFIG_MAP, owned_by(&owner, "owned")).await?;
    desk.until_gone(&CONFIG_MAP, "owned").await?;
    desk.get(&CONFIG_MAP, "owner").await?;
    Ok(())
}

pub(super) async fn what_never_had_an_owner_stays(desk: &Desk) -> anyhow::Result<()> {
    let owner = owner(desk).await?;
    desk.create(&CONFIG_MAP, owned_by(&owner, "owned")).await?;
    let free = json!({ "metadata": { "name": "free" } });
    desk.create(&CONFIG_MAP, free).await?;
    desk.delete(&CONFIG_MAP, "owner", &DeleteParams::background())
        .await?;
    desk.until_gone(&CONFIG_MAP, "owned").await?;
    desk.get(&CONFIG_MAP, "free").await?;
    Ok(())
}

pub(super) async fn a_foreground_deletion_waits_for_what_blocks_it(
    desk: &Desk,
) -> anyhow::Result<()> {
    let owner = owner(desk).await?;
    let mut held = owned_by(&owner, "owned");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    desk.create(&CONFIG_MAP, held).await?;
    desk.delete(&CONFIG_MAP, "owner", &DeleteParams::foreground())
        .await?;
    desk.until_object(
        &CONFIG_MAP,
        "owned",
        "it is being deleted",
        Object::is_going,
    )
    .await?;
    ensure!(desk.get(&CONFIG_MAP, "owner").await?.is_going());
    let none = json!({ "metadata": { "finalizers": [] } });
    desk.merge(&CONFIG_MAP, "owned", none).await?;
    desk.until_gone(&CONFIG_MAP, "owner").await
}

pub(super) async fn an_orphaning_deletion_leaves_everything_without_owner(
    desk: &Desk,
) -> anyhow::Result<()> {
    let owner = owner(desk).await?;
    desk.create(&CONFIG_MAP, owned_by(&owner, "owned")).await?;
    desk.delete(&CONFIG_MAP, "owner", &DeleteParams::orphan())
        .await?;
    desk.until_gone(&CONFIG_MAP, "owner").await?;
    let left = desk.get(&CONFIG_MAP, "owned").await?;
    ensure!(left.list("/metadata/ownerReferences").is_empty(), "{left}");
    Ok(())
}

pub(super) async fn a_namespace_takes_everything_along_and_lets_nothing_in(
    desk: &Desk,
) -> anyhow::Result<()> {
    let held = json!({ "metadata": { "name": "held", "finalizers": ["example.com/hold"] } });
    desk.create(&CONFIG_MAP, held).await?;
    desk.delete(&NAMESPACE, desk.namespace(), &DeleteParams::default())
        .await?;
    desk.until_object(&CONFIG_MAP, "held", "it is being deleted", Object::is_going)
        .await?;
    let late = desk.create(&CONFIG_MAP, json!({ "metadata": { "name": "late" } }));
    refused(
        late.await,
        403,
        "Forbidden",
        "because it is being terminated",
    )?;
    let none = json!({ "metadata": { "finalizers": [] } });
    desk.merge(&CONFIG_MAP, "held", none).await?;
    desk.until_gone(&NAMESPACE, desk.namespace()).await?;
    // Whoever plays this deletes the namespace afterwards.
    let again = json!({ "metadata": { "name": desk.namespace() } });
    desk.create(&NAMESPACE, again).await?;
    Ok(())
}
