//! Pods that run, and pods that do not.

use anyhow::ensure;
use serde_json::{Value, json};

use super::desk::Desk;
use crate::kubernetes::memory::Object;
use crate::kubernetes::memory::kinds::{POD, SECRET};

fn named(name: &str, spec: Value) -> Value {
    json!({ "metadata": { "name": name }, "spec": spec })
}

pub(super) async fn a_pod_that_fits_nowhere_says_so(desk: &Desk) -> anyhow::Result<()> {
    let mut spec = desk.pod_spec();
    spec["containers"][0]["resources"] = json!({ "requests": { "cpu": "1000" } });
    desk.create(&POD, named("big", spec)).await?;
    let pod = desk
        .until_object(&POD, "big", "the scheduler has looked at it", |pod| {
            pod.condition("PodScheduled") == "False"
        })
        .await?;
    let scheduled = &pod["status"]["conditions"][0];
    ensure!(scheduled.text("/reason") == "Unschedulable", "{pod}");
    ensure!(
        scheduled.text("/message").contains("nodes are available: "),
        "{pod}"
    );
    ensure!(
        scheduled.text("/message").contains("Insufficient cpu"),
        "{pod}"
    );
    ensure!(pod.text("/status/phase") == "Pending" && pod.text("/spec/nodeName").is_empty());
    Ok(())
}

pub(super) async fn an_image_that_nobody_has_is_named(desk: &Desk) -> anyhow::Result<()> {
    let mut spec = desk.pod_spec();
    let image = desk.world().missing_image();
    spec["containers"][0]["image"] = image.clone().into();
    desk.create(&POD, named("lost", spec)).await?;
    let waiting = "/status/containerStatuses/0/state/waiting";
    let pod = desk
        .until_object(&POD, "lost", "its image was looked for", |pod| {
            let reason = pod.text(&format!("{waiting}/reason"));
            ["ErrImagePull", "ImagePullBackOff"].contains(&reason)
        })
        .await?;
    ensure!(
        pod.text(&format!("{waiting}/message")).contains(&image),
        "{pod}"
    );
    ensure!(pod.text("/status/phase") == "Pending");
    Ok(())
}

pub(super) async fn a_pod_waits_for_its_secret(desk: &Desk) -> anyhow::Result<()> {
    let mut spec = desk.pod_spec();
    spec["volumes"] = json!([{ "name": "secret", "secret": { "secretName": "late" } }]);
    spec["containers"][0]["volumeMounts"] =
        json!([{ "name": "secret", "mountPath": "/secret", "readOnly": true }]);
    desk.create(&POD, named("waiting", spec)).await?;
    desk.until_object(&POD, "waiting", "it is placed", |pod| {
        !pod.text("/spec/nodeName").is_empty()
    })
    .await?;
    desk.create(&SECRET, json!({ "metadata": { "name": "late" } }))
        .await?;
    desk.until_object(&POD, "waiting", "it runs", |pod| {
        pod.condition("Ready") == "True"
    })
    .await?;
    Ok(())
}

pub(super) async fn a_sidecar_is_up_before_the_container_beside_it(
    desk: &Desk,
) -> anyhow::Result<()> {
    let mut spec = desk.pod_spec();
    let mut sidecar = spec["containers"][0].clone();
    sidecar["name"] = "sidecar".into();
    sidecar["restartPolicy"] = "Always".into();
    sidecar["image"] = desk.world().missing_image().into();
    spec["initContainers"] = json!([sidecar]);
    desk.create(&POD, named("held", spec.clone())).await?;
    let pod = desk
        .until_object(&POD, "held", "the sidecar's image was looked for", |pod| {
            let waiting = pod.text("/status/initContainerStatuses/0/state/waiting/reason");
            ["ErrImagePull", "ImagePullBackOff"].contains(&waiting)
        })
        .await?;
    let beside = pod.text("/status/containerStatuses/0/state/waiting/reason");
    ensure!(beside == "PodInitializing", "{pod}");
    spec["initContainers"][0]["image"] = desk.world().image().into();
    desk.create(&POD, named("free", spec)).await?;
    let pod = desk
        .until_object(&POD, "free", "both run", |pod| {
            pod.condition("Ready") == "True"
        })
        .await?;
    ensure!(
        pod["status"]["initContainerStatuses"][0]["started"] == true,
        "{pod}"
    );
    Ok(())
}
