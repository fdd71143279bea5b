//! An ensemble that lives: at rest nothing is written, and what is taken away comes back.

use api::{ConditionType, Reason};
use kube::api::DeleteParams;
use serde_json::json;
use tests::kubernetes::intercept::Tap;
use tests::kubernetes::memory::Object;
use tests::kubernetes::memory::kinds::{
    BUDGET, CLAIM, CONFIG_MAP, ENSEMBLE, Kind, NAMESPACE as HOME, POD, SECRET, SERVICE,
    STATEFUL_SET,
};

use super::scene::{MADE, NAME, NAMESPACE, Scene};

#[tokio::test]
async fn ten_passes_at_rest_write_nothing() {
    let (scene, mut operator) = Scene::ready().await;
    scene.rounds(&mut operator, 2).await;
    operator.tap.forget_writes();
    let version = scene.memory.version();
    for _ in 0..10 {
        scene.round(&mut operator).await.expect("a pass");
    }
    assert_eq!(operator.tap.writes(), Vec::<String>::new());
    assert_eq!(scene.memory.version(), version);
}

#[tokio::test]
async fn a_new_operator_at_rest_writes_the_certificate_only() {
    let (scene, mut operator) = Scene::ready().await;
    scene.rounds(&mut operator, 2).await;
    let mut next = scene.operator(Tap::default());
    scene.rounds(&mut next, 3).await;
    let secret = format!("PATCH /api/v1/namespaces/{NAMESPACE}/secrets/{NAME}-order-tls");
    assert_eq!(next.tap.writes(), [secret]);
}

#[tokio::test]
async fn what_is_deleted_is_made_again() {
    let (scene, mut operator) = Scene::ready().await;
    let pods = [0, 1, 2].map(|ordinal| scene.uid(&POD, &format!("{NAME}-{ordinal}")));
    let before = scene.portrait();
    let deleted: [(&'static Kind, &str); 5] = [
        (&SERVICE, "demo-peers"),
        (&SERVICE, "demo-client"),
        (&CONFIG_MAP, "demo-client"),
        (&BUDGET, "demo"),
        (&STATEFUL_SET, "demo"),
    ];
    for (kind, name) in deleted {
        let was = scene.uid(kind, name);
        scene.delete(kind, name, DeleteParams::orphan()).await;
        scene
            .until(
                &mut operator,
                &format!("{} {name} is back", kind.kind),
                |scene| {
                    scene.uid(kind, name).is_some_and(|uid| Some(uid) != was) && scene.is_ready()
                },
            )
            .await;
    }
    scene.rounds(&mut operator, 2).await;
    assert_eq!(scene.portrait(), before);
    let left = [0, 1, 2].map(|ordinal| scene.uid(&POD, &format!("{NAME}-{ordinal}")));
    assert_eq!(left, pods);
    scene.assert_born_once(3..=3);
}

#[tokio::test]
async fn what_is_edited_is_put_right() {
    let (scene, mut operator) = Scene::ready().await;
    let before = scene.portrait();
    let edits: [(&'static Kind, &str, serde_json::Value); 4] = [
        (
            &SERVICE,
            "demo-peers",
            json!({ "spec": { "publishNotReadyAddresses": false } }),
        ),
        (
            &CONFIG_MAP,
            "demo-client",
            json!({ "data": { "ZOOKEEPER_CONNECT": "elsewhere:1" } }),
        ),
        (
            &BUDGET,
            "demo",
            json!({ "spec": { "unhealthyPodEvictionPolicy": null } }),
        ),
        (
            &STATEFUL_SET,
            "demo",
            json!({ "spec": { "template": { "spec": { "terminationGracePeriodSeconds": 1 } } } }),
        ),
    ];
    for (kind, name, edit) in edits {
        let edited = scene.desk.merge(kind, name, edit).await;
        edited.expect(name);
    }
    scene.rounds(&mut operator, 3).await;
    assert_eq!(scene.portrait(), before);
}

#[tokio::test]
async fn a_lost_certificate_is_written_by_the_next_operator() {
    let (scene, mut operator) = Scene::ready().await;
    scene
        .delete(&SECRET, "demo-order-tls", DeleteParams::default())
        .await;
    scene.lose(1, false).await;
    scene.rounds(&mut operator, 2).await;
    assert!(!scene.is_ready());
    let mut next = scene.operator(Tap::default());
    scene.until_ready(&mut next).await;
    scene.assert_born_once(3..=3);
}

#[tokio::test]
async fn all_pods_at_once_come_back_by_themselves() {
    let (scene, mut operator) = Scene::ready().await;
    for ordinal in 0..3 {
        scene.lose(ordinal, false).await;
    }
    scene.rest();
    scene.until_ready(&mut operator).await;
    scene.assert_born_once(3..=3);
}

#[tokio::test]
async fn members_come_back_without_any_operator() {
    let (scene, _) = Scene::ready().await;
    for ordinal in 0..3 {
        scene.lose(ordinal, false).await;
    }
    for _ in 0..3 {
        scene.rest();
    }
    assert!(scene.members.leader().is_some());
    assert_eq!(scene.members.histories(), 1);
}

#[tokio::test]
async fn a_member_that_nobody_reaches_is_neither_replaced_nor_forgotten() {
    let (scene, mut operator) = Scene::ready().await;
    let pods = [0, 1, 2].map(|ordinal| scene.uid(&POD, &format!("{NAME}-{ordinal}")));
    scene.members.cut_off("demo-1");
    scene.rounds(&mut operator, 5).await;
    assert!(!scene.is_ready());
    assert!(scene.holds(ConditionType::Degraded));
    let at_risk = scene
        .condition(ConditionType::QuorumAtRisk)
        .map(|c| c.reason);
    assert_eq!(at_risk, Some(Reason::NoSpareMember));
    scene.members.reach_all();
    scene.until_ready(&mut operator).await;
    let left = [0, 1, 2].map(|ordinal| scene.uid(&POD, &format!("{NAME}-{ordinal}")));
    assert_eq!(left, pods);
}

#[tokio::test]
async fn a_resource_applied_again_over_kept_volumes_is_the_same_ensemble() {
    let (scene, mut operator) = Scene::ready().await;
    let cluster_id = scene.status().cluster_id;
    scene
        .delete(&ENSEMBLE, NAME, DeleteParams::background())
        .await;
    scene.rounds(&mut operator, 3).await;
    let left: Vec<_> = MADE
        .iter()
        .flat_map(|kind| scene.memory.list(kind, NAMESPACE))
        .map(|object| format!("{} {}", object.text("/kind"), object.name()))
        .collect();
    let claims = [0, 1, 2].map(|n| format!("PersistentVolumeClaim data-{NAME}-{n}"));
    assert_eq!(left, claims);
    scene.ask_for(json!({})).await;
    let mut next = scene.operator(Tap::default());
    scene.until_ready(&mut next).await;
    assert_eq!(scene.status().cluster_id, cluster_id);
    scene.assert_born_once(3..=3);
}

#[tokio::test]
async fn with_the_policy_delete_nothing_is_left() {
    let scene = Scene::of(json!({ "storage": { "reclaimPolicy": "Delete" } })).await;
    let mut operator = scene.operator(Tap::default());
    scene.until_ready(&mut operator).await;
    scene
        .delete(&ENSEMBLE, NAME, DeleteParams::background())
        .await;
    scene.rounds(&mut operator, 3).await;
    for kind in MADE {
        assert_eq!(
            scene.memory.list(kind, NAMESPACE),
            Vec::<serde_json::Value>::new()
        );
    }
}

#[tokio::test]
async fn the_policy_can_be_changed_while_the_ensemble_lives() {
    let (scene, mut operator) = Scene::ready().await;
    let owners = |scene: &Scene| {
        let claims = scene.memory.list(&CLAIM, NAMESPACE);
        let owners = claims
            .iter()
            .map(|claim| claim.list("/metadata/ownerReferences").len());
        owners.collect::<Vec<_>>()
    };
    assert_eq!(owners(&scene), [0, 0, 0]);
    for (policy, expected) in [("Delete", 1), ("Retain", 0)] {
        let change = json!({ "spec": { "storage": { "reclaimPolicy": policy } } });
        let changed = scene.desk.merge(&ENSEMBLE, NAME, change).await;
        changed.expect("a policy");
        scene.rounds(&mut operator, 2).await;
        assert_eq!(owners(&scene), [expected; 3], "{policy}");
    }
    assert!(scene.is_ready());
}

#[tokio::test]
async fn a_namespace_with_a_live_ensemble_goes() {
    let (scene, mut operator) = Scene::ready().await;
    scene
        .delete(&HOME, NAMESPACE, DeleteParams::default())
        .await;
    scene.rounds(&mut operator, 5).await;
    assert_eq!(scene.memory.get(&HOME, "", NAMESPACE), None);
}
