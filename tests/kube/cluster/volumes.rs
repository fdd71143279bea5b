//! The provisioner of the cluster's default StorageClass: volumes of type `local`, each a folder on
//! the node that the scheduler chose.
//!
//! It runs as a process of its own, so that it goes on in a cluster that is kept.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

/// The provisioner's name in the StorageClass.
pub(crate) const PROVISIONER: &str = "e2e.ferrokeeper.io/local";

/// How often it looks. Clusters of tests are small.
const EVERY: Duration = Duration::from_millis(200);

/// Serves claims until it is killed.
pub(crate) async fn provision(kubeconfig: &Path, folder: &Path) -> anyhow::Result<()> {
    let client = super::client(kubeconfig).await?;
    loop {
        if let Err(error) = pass(&client, folder).await {
            eprintln!("volumes: {error:#}");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn pass(client: &Client, folder: &Path) -> anyhow::Result<()> {
    let all = ListParams::default();
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let known = volumes.list(&all).await.context("list volumes")?.items;
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    for claim in claims.list(&all).await.context("list claims")?.items {
        let name = format!("pvc-{}", claim.uid().unwrap_or_default());
        match known.iter().find(|volume| volume.name_any() == name) {
            None => create(client, folder, &claim, &name).await?,
            Some(volume) => grow(client, volume, &claim).await?,
        }
    }
    for volume in &known {
        remove(&volumes, folder, volume).await?;
    }
    Ok(())
}

async fn create(
    client: &Client,
    folder: &Path,
    claim: &PersistentVolumeClaim,
    name: &str,
) -> anyhow::Result<()> {
    let annotation = |key: &str| claim.annotations().get(key).map(String::as_str);
    let is_ours = annotation("volume.kubernetes.io/storage-provisioner") == Some(PROVISIONER);
    let node = annotation("volume.kubernetes.io/selected-node");
    let (true, Some(node), Some(spec)) = (is_ours, node, &claim.spec) else {
        return Ok(());
    };
    let is_bound = spec
        .volume_name
        .as_ref()
        .is_some_and(|name| !name.is_empty());
    if is_bound || claim.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let path = folder.join(name);
    std::fs::create_dir_all(&path).context("a volume's folder")?;
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(&path, open).context("a volume's folder")?;
    let volume = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "annotations": { "pv.kubernetes.io/provisioned-by": PROVISIONER },
        },
        "spec": {
            "capacity": spec.resources.as_ref().and_then(|resources| resources.requests.clone()),
            "accessModes": spec.access_modes,
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": spec.storage_class_name,
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace(),
                "name": claim.name_any(),
                "uid": claim.uid(),
            },
            "local": { "path": path },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [{
                "key": "kubernetes.io/hostname", "operator": "In", "values": [node],
            }] }] } },
        },
    });
    let volume = serde_json::from_value(volume).context("a volume's form")?;
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    volumes
        .create(&PostParams::default(), &volume)
        .await
        .with_context(|| format!("create volume {name}"))?;
    Ok(())
}

/// Grants a larger claim; the kubelet does the rest.
async fn grow(
    client: &Client,
    volume: &PersistentVolume,
    claim: &PersistentVolumeClaim,
) -> anyhow::Result<()> {
    let wanted = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
    let given = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.capacity.as_ref()?.get("storage"));
    // A claim may ask for less than its volume has only before it is bound: they differ by growth.
    if wanted.is_none() || wanted == given {
        return Ok(());
    }
    let patch = json!({ "spec": { "capacity": { "storage": wanted } } });
    Api::<PersistentVolume>::all(client.clone())
        .patch(
            &volume.name_any(),
            &PatchParams::default(),
            &Patch::Merge(patch),
        )
        .await
        .context("grow a volume")?;
    let pending = json!({ "status": { "conditions": [{
        "type": "FileSystemResizePending", "status": "True",
    }] } });
    let namespace = claim.namespace().unwrap_or_default();
    Api::<PersistentVolumeClaim>::namespaced(client.clone(), &namespace)
        .patch_status(
            &claim.name_any(),
            &PatchParams::default(),
            &Patch::Merge(pending),
        )
        .await
        .context("tell of a volume's growth")?;
    Ok(())
}

async fn remove(
    volumes: &Api<PersistentVolume>,
    folder: &Path,
    volume: &PersistentVolume,
) -> anyhow::Result<()> {
    let phase = volume
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    if phase != Some("Released") || volume.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let path = folder.join(volume.name_any());
    match std::fs::remove_dir_all(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).context("remove a volume's folder"),
    }
    volumes
        .delete(&volume.name_any(), &DeleteParams::default())
        .await
        .context("delete a volume")?;
    Ok(())
}
