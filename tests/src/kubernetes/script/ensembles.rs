//! Our own resource, by its definition.

use anyhow::ensure;
use serde_json::{Value, json};

use super::desk::{Desk, refused};
use crate::kubernetes::memory::Object;
use crate::kubernetes::memory::kinds::ENSEMBLE;

fn ensemble(name: &str, spec: Value) -> Value {
    json!({ "metadata": { "name": name }, "spec": spec })
}

pub(super) async fn a_broken_rule_is_named(desk: &Desk) -> anyhow::Result<()> {
    let even = desk.create(&ENSEMBLE, ensemble("demo", json!({ "replicas": 2 })));
    refused(even.await, 422, "Invalid", "replicas must be odd")?;
    let name = "n".repeat(41);
    let long = desk.create(&ENSEMBLE, ensemble(&name, json!({})));
    refused(long.await, 422, "Invalid", "40")?;
    let made = desk.create(&ENSEMBLE, ensemble("demo", json!({}))).await?;
    ensure!(made["spec"] == json!({ "replicas": 3 }), "{made}");
    Ok(())
}

pub(super) async fn what_is_fixed_at_birth_stays(desk: &Desk) -> anyhow::Result<()> {
    let spec = json!({ "storage": { "size": "2Gi" } });
    desk.create(&ENSEMBLE, ensemble("demo", spec)).await?;
    let smaller = json!({ "spec": { "storage": { "size": "1Gi" } } });
    let smaller = desk.merge(&ENSEMBLE, "demo", smaller).await;
    refused(
        smaller,
        422,
        "Invalid",
        "storage.size must not become smaller",
    )?;
    let domain = json!({ "spec": { "clusterDomain": "example.com" } });
    let domain = desk.merge(&ENSEMBLE, "demo", domain).await;
    refused(domain, 422, "Invalid", "clusterDomain is fixed at birth")?;
    let bigger = json!({ "spec": { "storage": { "size": "3Gi" } } });
    desk.merge(&ENSEMBLE, "demo", bigger).await?;
    Ok(())
}

pub(super) async fn an_unknown_field_is_dropped_or_refused(desk: &Desk) -> anyhow::Result<()> {
    let unknown = json!({ "replicas": 1, "color": "red" });
    let made = desk
        .create(&ENSEMBLE, ensemble("demo", unknown.clone()))
        .await?;
    ensure!(made["spec"] == json!({ "replicas": 1 }), "{made}");
    let path = format!(
        "/apis/{}/{}/namespaces/{}/{}?fieldValidation=Strict",
        ENSEMBLE.group,
        ENSEMBLE.version,
        desk.namespace(),
        ENSEMBLE.plural
    );
    let mut strict = ensemble("strict", unknown);
    strict.set("/apiVersion", ENSEMBLE.api_version().into());
    strict.set("/kind", ENSEMBLE.kind.into());
    let request = http::Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(strict.to_string().into_bytes())?;
    let strict = desk.world().client().request::<Value>(request).await;
    refused(strict, 400, "BadRequest", "unknown field \"spec.color\"")
}

pub(super) async fn spec_and_status_are_written_apart(desk: &Desk) -> anyhow::Result<()> {
    let made = desk.create(&ENSEMBLE, ensemble("demo", json!({}))).await?;
    let mut both = made.clone();
    both["spec"]["replicas"] = 5.into();
    both["status"] = json!({ "step": "Birth" });
    let status = desk.replace_status(&ENSEMBLE, both.clone()).await?;
    ensure!(
        status["spec"]["replicas"] == 3 && status["status"]["step"] == "Birth",
        "{status}"
    );
    ensure!(status["metadata"]["generation"] == 1);
    let late = desk.replace_status(&ENSEMBLE, both.clone()).await;
    refused(late, 409, "Conflict", "the object has been modified")?;
    both["metadata"] = status["metadata"].clone();
    both["status"]["step"] = "Idle".into();
    let spec = desk.replace(&ENSEMBLE, both).await?;
    ensure!(
        spec["spec"]["replicas"] == 5 && spec["status"]["step"] == "Birth",
        "{spec}"
    );
    ensure!(spec["metadata"]["generation"] == 2);
    Ok(())
}

pub(super) async fn the_scale_of_an_ensemble_is_its_voters(desk: &Desk) -> anyhow::Result<()> {
    desk.create(&ENSEMBLE, ensemble("demo", json!({}))).await?;
    let api = desk.api(&ENSEMBLE);
    ensure!(
        api.get_scale("demo")
            .await?
            .spec
            .and_then(|spec| spec.replicas)
            == Some(3)
    );
    let five = kube::api::Patch::Merge(json!({ "spec": { "replicas": 5 } }));
    api.patch_scale("demo", &kube::api::PatchParams::default(), &five)
        .await?;
    ensure!(desk.get(&ENSEMBLE, "demo").await?["spec"]["replicas"] == 5);
    let four = kube::api::Patch::Merge(json!({ "spec": { "replicas": 4 } }));
    let four = api
        .patch_scale("demo", &kube::api::PatchParams::default(), &four)
        .await;
    refused(four, 422, "Invalid", "replicas must be odd")
}

pub(super) async fn a_replacement_must_say_what_it_replaces(desk: &Desk) -> anyhow::Result<()> {
    let mut made = desk.create(&ENSEMBLE, ensemble("demo", json!({}))).await?;
    made.unset("/metadata/resourceVersion");
    let replaced = desk.replace(&ENSEMBLE, made).await;
    refused(replaced, 422, "Invalid", "must be specified for an update")
}
