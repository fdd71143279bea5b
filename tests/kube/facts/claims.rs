//! What becomes of a claim that is deleted under its pod.

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams};

use super::{SOON, apply, set, until_ready};
use crate::stage::Stage;

/// The claim stays while its pod does, still bound; then the set makes both anew.
pub(crate) async fn deleted_before_its_pod(stage: &Stage<'_>) -> anyhow::Result<()> {
    apply(stage, &set(stage, "loses", Some(1)))
        .await
        .context("apply a set")?;
    until_ready(stage, "loses", 1).await?;
    let claims: Api<PersistentVolumeClaim> = stage.api();
    let pods: Api<Pod> = stage.api();
    let lost = claims.get("data-loses-0").await.context("the claim")?.uid();
    let pod = pods.get("loses-0").await.context("the pod")?.uid();
    claims
        .delete("data-loses-0", &DeleteParams::default())
        .await
        .context("delete the claim")?;
    let held = claims.get("data-loses-0").await.context("the claim")?;
    let phase = held
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    ensure!(
        held.uid() == lost
            && held.metadata.deletion_timestamp.is_some()
            && held.finalizers() == ["kubernetes.io/pvc-protection"]
            && phase == Some("Bound"),
        "{held:#?}"
    );
    ensure!(
        pods.get("loses-0").await.context("the pod")?.uid() == pod,
        "the pod is another"
    );

    pods.delete("loses-0", &DeleteParams::default())
        .await
        .context("delete the pod")?;
    stage
        .until("another claim, bound", SOON, async || {
            let claim = claims.get_opt("data-loses-0").await?;
            let is_new = claim.as_ref().is_some_and(|claim| {
                let phase = claim
                    .status
                    .as_ref()
                    .and_then(|status| status.phase.as_deref());
                claim.uid() != lost && phase == Some("Bound")
            });
            Ok(if is_new { Ok(()) } else { Err(claim) })
        })
        .await?;
    until_ready(stage, "loses", 1).await?;
    ensure!(
        pods.get("loses-0").await.context("the pod")?.uid() != pod,
        "the pod is the same"
    );
    Ok(())
}
