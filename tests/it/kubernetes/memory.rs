//! What only a Kubernetes in memory can be made to do.

use futures::StreamExt;
use kube::api::{WatchEvent, WatchParams};
use serde_json::json;
use tests::kubernetes::memory::kinds::{CONFIG_MAP, POD};

use super::scene::Scene;

#[tokio::test]
async fn a_watch_from_a_forgotten_version_is_told_to_list_again() {
    let scene = Scene::empty();
    let from = scene.memory.version().to_string();
    let object = json!({ "metadata": { "name": "one" } });
    scene.desk.create(&CONFIG_MAP, object).await.expect("one");
    scene.memory.forget_changes();
    let api = scene.desk.api(&CONFIG_MAP);
    let stream = api.watch(&WatchParams::default(), &from).await;
    let told: Vec<_> = stream.expect("a stream").collect().await;
    let [Ok(WatchEvent::Error(status))] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
}

#[tokio::test]
async fn on_a_dead_node_a_pod_never_ends() {
    let (scene, _) = Scene::ready().await;
    scene.memory.rule(|rules| {
        rules.dead_nodes.insert("node-2".to_owned());
    });
    for ordinal in 0..3 {
        scene.lose(ordinal, false).await;
    }
    scene.memory.settle();
    let going: Vec<_> = ["demo-0", "demo-1", "demo-2"]
        .iter()
        .filter_map(|pod| scene.get(&POD, pod))
        .map(|pod| tests::kubernetes::memory::Object::is_going(&pod))
        .collect();
    assert_eq!(going, [false, false, true]);
}
