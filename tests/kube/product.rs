//! The product, as a user meets it: installed with helm, told what to do with manifests.

pub(crate) mod first;
pub(crate) mod lives;
pub(crate) mod losses;
pub(crate) mod operators;
pub(crate) mod refusals;
pub(crate) mod rest;
pub(crate) mod volumes;

mod client;
mod ensemble;

use std::path::Path;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PostParams};
use serde_json::json;

use crate::cluster::Cluster;
use crate::images::Images;
use crate::images::archive::REGISTRY;
use crate::programs::output;

/// Where the operator is.
pub(crate) const NAMESPACE: &str = "ferrokeeper";

/// Selects the operator's pods.
pub(crate) const LABEL: &str = "app.kubernetes.io/name=ferrokeeper-operator";

/// The release's Deployment and Lease.
const OPERATOR: &str = "ferrokeeper-operator";

/// Installs the chart with nothing set but where the images are.
pub(crate) async fn install(cluster: &Cluster, images: &Images) -> anyhow::Result<()> {
    let namespace = json!({
        "metadata": {
            "name": NAMESPACE,
            "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
        },
    });
    let namespace = serde_json::from_value(namespace).context("a namespace")?;
    Api::<Namespace>::all(cluster.client())
        .create(&PostParams::default(), &namespace)
        .await
        .context("create the operator's namespace")?;
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/ferrokeeper-operator");
    let mut helm = cluster.tool("helm");
    helm.args(["install", "ferrokeeper"]).arg(chart);
    helm.args(["--namespace", NAMESPACE, "--wait", "--timeout", "120s"]);
    for (name, value) in [
        ("imageRegistry", REGISTRY),
        ("image.tag", &images.operator.tag),
        ("serverImage.tag", &images.server.tag),
        ("sidecarImage.tag", &images.sidecar.tag),
    ] {
        helm.arg("--set-string").arg(format!("{name}={value}"));
    }
    if let Err(error) = output(&mut helm).await {
        let mut kubectl = cluster.kubectl();
        let pods = output(kubectl.args(["-n", NAMESPACE, "describe", "pods"])).await;
        let mut kubectl = cluster.kubectl();
        let logs = output(kubectl.args(["-n", NAMESPACE, "logs", "-l", LABEL, "--tail=40"])).await;
        println!("{}\n{}", pods.unwrap_or_default(), logs.unwrap_or_default());
        return Err(error.context("helm install"));
    }
    Ok(())
}
