//! Names that somebody else has: nothing of theirs is touched, and it is said whose it is.

use api::ConditionType;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tests::kubernetes::intercept::Tap;
use tests::kubernetes::memory::kinds::{
    BUDGET, CLAIM, CONFIG_MAP, Kind, POD, SECRET, SERVICE, STATEFUL_SET,
};

use super::scene::{NAMESPACE, Scene};

/// Somebody's object of a name that the ensemble needs.
async fn in_the_way(kind: &'static Kind, name: &str, mut object: Value) {
    let scene = Scene::empty();
    object["metadata"] = json!({ "name": name });
    scene.desk.create(kind, object).await.expect(name);
    scene.memory.settle();
    let theirs = scene.memory.get(kind, NAMESPACE, name);
    scene.ask_for(json!({})).await;
    let mut operator = scene.operator(Tap::default());
    let named = |scene: &Scene| {
        let conflict = scene.condition(ConditionType::NameConflict);
        let what = format!("{} {name}", kind.kind);
        scene.holds(ConditionType::NameConflict)
            && conflict.is_some_and(|conflict| conflict.message.contains(&what))
    };
    scene
        .until(&mut operator, "the conflict is named", named)
        .await;
    scene.rounds(&mut operator, 2).await;
    assert!(named(&scene), "{:#?}", scene.status());
    assert_eq!(scene.memory.get(kind, NAMESPACE, name), theirs);
    assert_eq!(scene.members.births(), []);
    let how = DeleteParams::background();
    scene.delete(kind, name, how).await;
    scene.rest();
    scene.until_ready(&mut operator).await;
    assert!(!scene.holds(ConditionType::NameConflict));
    scene.assert_born_once(3..=3);
}

#[tokio::test]
async fn a_service() {
    let spec = json!({ "selector": { "app": "theirs" }, "ports": [{ "port": 80 }] });
    in_the_way(&SERVICE, "demo-peers", json!({ "spec": spec })).await;
    in_the_way(&SERVICE, "demo-client", json!({ "spec": spec })).await;
}

#[tokio::test]
async fn a_config_map() {
    in_the_way(&CONFIG_MAP, "demo-client", json!({ "data": { "a": "1" } })).await;
}

#[tokio::test]
async fn a_budget() {
    let spec = json!({ "minAvailable": 1, "selector": { "matchLabels": { "app": "theirs" } } });
    in_the_way(&BUDGET, "demo", json!({ "spec": spec })).await;
}

#[tokio::test]
async fn a_secret() {
    in_the_way(&SECRET, "demo-order-tls", json!({ "type": "Opaque" })).await;
}

#[tokio::test]
async fn a_stateful_set() {
    let spec = json!({
        "replicas": 0,
        "serviceName": "theirs",
        "selector": { "matchLabels": { "app": "theirs" } },
        "template": {
            "metadata": { "labels": { "app": "theirs" } },
            "spec": { "containers": [{ "name": "one", "image": "theirs:1" }] },
        },
    });
    in_the_way(&STATEFUL_SET, "demo", json!({ "spec": spec })).await;
}

#[tokio::test]
async fn a_claim() {
    let spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": "1Gi" } },
    });
    in_the_way(&CLAIM, "data-demo-1", json!({ "spec": spec })).await;
}

#[tokio::test]
async fn a_pod() {
    let container = json!({
        "name": "one",
        "image": "theirs:1",
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "runAsNonRoot": true,
            "capabilities": { "drop": ["ALL"] },
            "seccompProfile": { "type": "RuntimeDefault" },
        },
    });
    in_the_way(
        &POD,
        "demo-1",
        json!({ "spec": { "containers": [container] } }),
    )
    .await;
}
