//! StatefulSets as the operator makes them.

use anyhow::ensure;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::desk::{Desk, refused};
use crate::kubernetes::memory::Object;
use crate::kubernetes::memory::kinds::{CLAIM, EVENT, NAMESPACE, POD, QUOTA, STATEFUL_SET};

fn uids(pods: &[Value]) -> Vec<String> {
    pods.iter().map(|pod| pod.uid().to_owned()).collect()
}

pub(super) async fn a_parallel_set_makes_all_pods_at_once_with_claims_that_nobody_owns(
    desk: &Desk,
) -> anyhow::Result<()> {
    let mut set = desk.set("web", Some(2));
    // Were it one after the other, the second would never come.
    set["spec"]["template"]["spec"]["containers"][0]["image"] = desk.world().missing_image().into();
    let set = desk.create(&STATEFUL_SET, set).await?;
    for ordinal in 0..2 {
        let pod = format!("web-{ordinal}");
        let found = desk
            .until_object(&POD, &pod, "it is made", |_| true)
            .await?;
        let labels = found.texts("/metadata/labels");
        ensure!(labels.get("statefulset.kubernetes.io/pod-name") == Some(&pod));
        ensure!(labels.get("apps.kubernetes.io/pod-index") == Some(&ordinal.to_string()));
        ensure!(found.text("/spec/hostname") == pod && found.text("/spec/subdomain") == "web");
        let owner = found.controller().map(|owner| owner.text("/uid"));
        ensure!(owner == Some(set.uid()));
        let claim = desk.get(&CLAIM, &format!("data-{pod}")).await?;
        ensure!(
            claim.list("/metadata/ownerReferences").is_empty(),
            "{claim}"
        );
        ensure!(
            claim
                .texts("/metadata/labels")
                .get("set")
                .is_some_and(|set| set == "web")
        );
    }
    Ok(())
}

pub(super) async fn an_on_delete_set_replaces_nothing_and_makes_new_pods_of_the_new_template(
    desk: &Desk,
) -> anyhow::Result<()> {
    let before = desk.running_set("web", 2).await?;
    let annotated = json!({
        "spec": { "template": { "metadata": { "annotations": { "round": "2" } } } },
    });
    desk.merge(&STATEFUL_SET, "web", annotated).await?;
    desk.until_object(&STATEFUL_SET, "web", "the new template is seen", |set| {
        set.number("/status/observedGeneration") == Some(2)
            && set.text("/status/updateRevision") != set.text("/status/currentRevision")
    })
    .await?;
    for pod in &before {
        ensure!(desk.get(&POD, pod.name()).await?.uid() == pod.uid());
    }
    desk.delete(&POD, "web-1", &DeleteParams::default()).await?;
    let made = desk
        .until_object(&POD, "web-1", "it is made anew", |pod| {
            pod.uid() != before[1].uid() && !pod.is_going()
        })
        .await?;
    ensure!(made.text("/metadata/annotations/round") == "2", "{made}");
    ensure!(desk.get(&POD, "web-0").await?.uid() == before[0].uid());
    Ok(())
}

pub(super) async fn pods_of_an_orphaned_set_are_adopted_as_they_are(
    desk: &Desk,
) -> anyhow::Result<()> {
    let before = desk.running_set("web", 2).await?;
    desk.delete(&STATEFUL_SET, "web", &DeleteParams::orphan())
        .await?;
    desk.until_gone(&STATEFUL_SET, "web").await?;
    let orphan = desk.get(&POD, "web-1").await?;
    ensure!(orphan.uid() == before[1].uid() && orphan.controller().is_none());
    let after = desk.running_set("web", 2).await?;
    ensure!(uids(&before) == uids(&after));
    let set = desk.get(&STATEFUL_SET, "web").await?;
    for pod in &after {
        ensure!(
            pod.controller()
                .is_some_and(|owner| owner.text("/uid") == set.uid())
        );
    }
    Ok(())
}

pub(super) async fn a_set_that_comes_back_with_fewer_replicas_ends_pods(
    desk: &Desk,
) -> anyhow::Result<()> {
    let before = desk.running_set("web", 2).await?;
    desk.delete(&STATEFUL_SET, "web", &DeleteParams::orphan())
        .await?;
    desk.until_gone(&STATEFUL_SET, "web").await?;
    desk.create(&STATEFUL_SET, desk.set("web", None)).await?;
    desk.until_gone(&POD, "web-1").await?;
    ensure!(desk.get(&POD, "web-0").await?.uid() == before[0].uid());
    Ok(())
}

pub(super) async fn claim_templates_and_selectors_are_fixed(desk: &Desk) -> anyhow::Result<()> {
    let set = desk.set("web", Some(0));
    desk.apply(&STATEFUL_SET, "first", set.clone()).await?;
    let mut bigger = set.clone();
    bigger["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] =
        "2Mi".into();
    let words = "updates to statefulset spec for fields other than 'replicas'";
    let applied = desk.force(&STATEFUL_SET, "first", bigger).await;
    refused(applied, 422, "Invalid", words)?;
    let mut other = set;
    other["spec"]["selector"]["matchLabels"]["more"] = "1".into();
    other["spec"]["template"]["metadata"]["labels"]["more"] = "1".into();
    let applied = desk.force(&STATEFUL_SET, "first", other).await;
    refused(applied, 422, "Invalid", words)
}

pub(super) async fn a_smaller_set_keeps_its_claims(desk: &Desk) -> anyhow::Result<()> {
    desk.running_set("web", 2).await?;
    let claim = desk.get(&CLAIM, "data-web-1").await?;
    desk.merge(&STATEFUL_SET, "web", json!({ "spec": { "replicas": 1 } }))
        .await?;
    desk.until_gone(&POD, "web-1").await?;
    let left = desk.get(&CLAIM, "data-web-1").await?;
    ensure!(left.uid() == claim.uid() && !left.is_going());
    Ok(())
}

pub(super) async fn a_deleted_set_ends_its_pods_and_keeps_its_claims(
    desk: &Desk,
) -> anyhow::Result<()> {
    desk.running_set("web", 2).await?;
    let claim = desk.get(&CLAIM, "data-web-1").await?;
    desk.delete(&STATEFUL_SET, "web", &DeleteParams::background())
        .await?;
    desk.until_gone(&POD, "web-0").await?;
    desk.until_gone(&POD, "web-1").await?;
    ensure!(desk.get(&CLAIM, "data-web-1").await?.uid() == claim.uid());
    Ok(())
}

/// The event that says why a set does not make a pod.
async fn failed_create(desk: &Desk, set: &Value, words: &str) -> anyhow::Result<()> {
    let selected = format!("involvedObject.uid={},reason=FailedCreate", set.uid());
    desk.until(&format!("an event says {words}"), async || {
        let events = desk.list(&EVENT, "", &selected).await?;
        let said = events
            .iter()
            .any(|event| event.text("/message").contains(words));
        Ok(said.then_some(()))
    })
    .await
}

pub(super) async fn a_pod_refused_by_a_quota_is_an_event_of_its_set_and_is_made_later(
    desk: &Desk,
) -> anyhow::Result<()> {
    let quota = json!({ "metadata": { "name": "few" }, "spec": { "hard": { "pods": "1" } } });
    desk.create(&QUOTA, quota).await?;
    desk.until_object(&QUOTA, "few", "it counts", |quota| {
        quota.pointer("/status/used/pods").is_some()
    })
    .await?;
    let set = desk.create(&STATEFUL_SET, desk.set("web", Some(2))).await?;
    failed_create(desk, &set, "is forbidden: exceeded quota: few").await?;
    // Its claim is there all the same.
    for claim in ["data-web-0", "data-web-1"] {
        desk.get(&CLAIM, claim).await?;
    }
    desk.delete(&QUOTA, "few", &DeleteParams::default()).await?;
    desk.until_object(&STATEFUL_SET, "web", "both pods are ready", |set| {
        set.number("/status/readyReplicas") == Some(2)
    })
    .await?;
    Ok(())
}

pub(super) async fn a_pod_refused_by_pod_security_is_an_event_of_its_set(
    desk: &Desk,
) -> anyhow::Result<()> {
    let strict = json!({
        "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } },
    });
    desk.merge(&NAMESPACE, desk.namespace(), strict).await?;
    desk.running_set("good", 1).await?;
    let mut bad = desk.set("bad", Some(1));
    bad["spec"]["template"]["spec"].unset("/securityContext");
    let bad = desk.create(&STATEFUL_SET, bad).await?;
    let words = "violates PodSecurity \"restricted:latest\": runAsNonRoot != true";
    failed_create(desk, &bad, words).await
}
