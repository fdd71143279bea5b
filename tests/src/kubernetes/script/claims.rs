//! Volume claims.

use anyhow::ensure;
use kube::api::DeleteParams;
use serde_json::json;

use super::desk::{Desk, if_uid, refused};
use crate::kubernetes::memory::Object;
use crate::kubernetes::memory::kinds::{CLAIM, CONFIG_MAP, POD};

pub(super) async fn a_claim_in_use_goes_with_its_pod_and_its_set_makes_both_again(
    desk: &Desk,
) -> anyhow::Result<()> {
    let pods = desk.running_set("web", 1).await?;
    let claim = desk.get(&CLAIM, "data-web-0").await?;
    desk.delete(&CLAIM, "data-web-0", &if_uid(claim.uid()))
        .await?;
    let going = desk.get(&CLAIM, "data-web-0").await?;
    ensure!(
        going.is_going() && going.text("/status/phase") == "Bound",
        "{going}"
    );
    ensure!(!desk.get(&POD, "web-0").await?.is_going());
    desk.delete(&POD, "web-0", &if_uid(pods[0].uid())).await?;
    let made = desk
        .until_object(&POD, "web-0", "it is made anew and runs", |pod| {
            pod.uid() != pods[0].uid() && pod.condition("Ready") == "True"
        })
        .await?;
    let new = desk.get(&CLAIM, "data-web-0").await?;
    ensure!(new.uid() != claim.uid() && !new.is_going() && !made.is_going());
    Ok(())
}

pub(super) async fn a_claim_never_shrinks(desk: &Desk) -> anyhow::Result<()> {
    desk.running_set("web", 1).await?;
    let smaller = json!({ "spec": { "resources": { "requests": { "storage": "1Ki" } } } });
    let shrunk = desk.merge(&CLAIM, "data-web-0", smaller).await;
    refused(shrunk, 422, "Invalid", "field can not be less than")
}

pub(super) async fn the_owner_of_a_claim_can_be_changed(desk: &Desk) -> anyhow::Result<()> {
    let owner = json!({ "metadata": { "name": "owner" } });
    let owner = desk.create(&CONFIG_MAP, owner).await?;
    let reference = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid(),
    });
    let claim = |name: &str| {
        json!({
            "metadata": { "name": name, "ownerReferences": [reference] },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "1Mi" } },
            },
        })
    };
    for name in ["kept", "lost"] {
        desk.create(&CLAIM, claim(name)).await?;
    }
    let freed = json!({ "metadata": { "ownerReferences": null } });
    desk.merge(&CLAIM, "kept", freed).await?;
    desk.delete(&CONFIG_MAP, "owner", &DeleteParams::background())
        .await?;
    desk.until_gone(&CLAIM, "lost").await?;
    ensure!(!desk.get(&CLAIM, "kept").await?.is_going());
    Ok(())
}
