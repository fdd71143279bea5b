//! A spec that changes: before the birth, while the ensemble serves, and into what is not taken.

use api::{ConditionType, Reason};
use serde_json::{Value, json};
use tests::kubernetes::intercept::Tap;
use tests::kubernetes::memory::kinds::{CLAIM, ENSEMBLE, Kind, POD, STATEFUL_SET};

use super::scene::{NAME, NAMESPACE, Scene};

impl Scene {
    async fn change(&self, spec: Value) {
        let changed = json!({ "spec": spec });
        let changed = self.desk.merge(&ENSEMBLE, NAME, changed).await;
        changed.expect("a spec that is taken");
    }

    fn names(&self, kind: &'static Kind) -> Vec<String> {
        let objects = self.memory.list(kind, NAMESPACE);
        let name = |object: &Value| object["metadata"]["name"].as_str().map(str::to_owned);
        objects.iter().filter_map(name).collect()
    }
}

#[tokio::test]
async fn fewer_members_before_the_birth_are_dismissed_with_their_volumes() {
    let scene = Scene::of(json!({})).await;
    scene.memory.rule(|rules| {
        let why = "3 Insufficient memory.".to_owned();
        rules.unschedulable.insert("demo-2".to_owned(), why);
    });
    let mut operator = scene.operator(Tap::default());
    scene.rounds(&mut operator, 5).await;
    scene.change(json!({ "replicas": 1 })).await;
    scene.memory.rule(|rules| rules.unschedulable.clear());
    scene.until_ready(&mut operator).await;
    scene.rounds(&mut operator, 3).await;
    scene.assert_born_once(1..=1);
    assert_eq!(scene.names(&POD), ["demo-0"]);
    assert_eq!(scene.names(&CLAIM), ["data-demo-0"]);
    let set = scene.get(&STATEFUL_SET, NAME).expect("the set");
    assert_eq!(set["spec"]["replicas"], 1);
}

#[tokio::test]
async fn claims_grow_and_pods_stay() {
    let (scene, mut operator) = Scene::ready().await;
    let pod = scene.uid(&POD, "demo-0");
    scene.change(json!({ "storage": { "size": "20Gi" } })).await;
    scene.rounds(&mut operator, 3).await;
    for claim in scene.memory.list(&CLAIM, NAMESPACE) {
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "20Gi");
    }
    assert!(scene.is_ready());
    assert_eq!(scene.uid(&POD, "demo-0"), pod);
}

#[tokio::test]
async fn a_template_that_changes_disturbs_nobody_and_is_said() {
    let (scene, mut operator) = Scene::ready().await;
    let pod = scene.uid(&POD, "demo-0");
    scene.change(json!({ "image": "server:2" })).await;
    scene.rounds(&mut operator, 4).await;
    assert!(scene.is_ready());
    assert_eq!(scene.uid(&POD, "demo-0"), pod);
    let progressing = scene.condition(ConditionType::Progressing);
    let said = progressing.map(|condition| (condition.reason, condition.message));
    let message = "made from an earlier template: members 1, 2, 3; this version restarts none for \
                   that, each takes the newest when its process is made anew";
    assert_eq!(said, Some((Reason::Idle, message.to_owned())));
}
