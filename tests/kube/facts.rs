//! What Kubernetes does where the operator relies on it. Each was reasoned once and is tried here.

pub(crate) mod claims;
pub(crate) mod obstacles;
pub(crate) mod pods;
pub(crate) mod sets;

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::stage::Stage;

/// What one condition may take. Seconds on an idle machine.
const SOON: Duration = Duration::from_secs(90);

/// A set as the operator makes it: parallel, OnDelete, a native sidecar, a claim. Its processes
/// note in `/data/log` what happens to them.
fn set(stage: &Stage<'_>, name: &str, replicas: Option<i32>) -> Value {
    let labels = json!({ "app": name });
    let mut set = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": name },
        "spec": {
            "podManagementPolicy": "Parallel",
            "updateStrategy": { "type": "OnDelete" },
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Retain", "whenScaled": "Retain",
            },
            "serviceName": name,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": pod(&stage.images.busybox.reference),
            },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": { "requests": { "storage": "1Gi" } },
                },
            }],
        },
    });
    if let Some(replicas) = replicas {
        set["spec"]["replicas"] = json!(replicas);
    }
    set
}

fn pod(image: &str) -> Value {
    let security = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
    });
    let log = |word: &str| format!("echo {word} >>/data/log");
    let runs = |name: &str| {
        let stop = log(&format!("{name} is told to stop"));
        let start = log(&format!("{name} starts"));
        json!([
            "sh",
            "-c",
            format!("trap '{stop}; exit 0' TERM; {start}; while :; do sleep 0.1; done")
        ])
    };
    let mounts = json!([{ "name": "data", "mountPath": "/data" }]);
    let before = format!(
        "{}; sleep 1; {}",
        log("preStop starts"),
        log("preStop ends")
    );
    json!({
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "fsGroup": 65532,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "initContainers": [{
            "name": "sidecar",
            "image": image,
            "restartPolicy": "Always",
            "command": runs("sidecar"),
            "startupProbe": { "exec": { "command": ["true"] }, "periodSeconds": 1 },
            "securityContext": security,
            "volumeMounts": mounts,
        }],
        "containers": [{
            "name": "main",
            "image": image,
            "command": runs("main"),
            "lifecycle": { "preStop": { "exec": { "command": ["sh", "-c", before] } } },
            "securityContext": security,
            "volumeMounts": mounts,
        }],
    })
}

/// Applies a set as the operator does.
async fn apply(stage: &Stage<'_>, set: &Value) -> Result<StatefulSet, kube::Error> {
    let name = set["metadata"]["name"].as_str().unwrap_or_default();
    let sets: Api<StatefulSet> = stage.api();
    sets.patch(name, &PatchParams::apply("operator"), &Patch::Apply(set))
        .await
}

/// Waits until `count` pods of a set are ready.
async fn until_ready(stage: &Stage<'_>, name: &str, count: i32) -> anyhow::Result<()> {
    let sets: Api<StatefulSet> = stage.api();
    stage
        .until(&format!("{count} ready pods of {name}"), SOON, async || {
            let status = sets.get(name).await?.status.unwrap_or_default();
            let is_ready = status.ready_replicas.unwrap_or(0) == count && status.replicas == count;
            Ok(if is_ready { Ok(()) } else { Err(status) })
        })
        .await
}

/// Uids of a set's pods, in the order of their names.
async fn uids(stage: &Stage<'_>, name: &str) -> anyhow::Result<Vec<String>> {
    let of_set = ListParams::default().labels(&format!("app={name}"));
    let listed = stage.api::<Pod>().list(&of_set).await;
    let mut pods = listed.context("list pods")?.items;
    pods.sort_by_key(kube::ResourceExt::name_any);
    Ok(pods
        .iter()
        .map(|pod| pod.uid().unwrap_or_default())
        .collect())
}
