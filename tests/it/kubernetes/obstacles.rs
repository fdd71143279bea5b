//! What keeps pods from running is named in what `Ready` says, and gone, the ensemble goes on.

use kube::api::DeleteParams;
use serde_json::json;
use tests::kubernetes::intercept::Tap;
use tests::kubernetes::memory::kinds::{ENSEMBLE, QUOTA};

use super::scene::{NAME, Operator, Scene};

async fn stopped(scene: &Scene, operator: &mut Operator, words: &[&str]) {
    let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
    let what = format!("Ready says {words:?}");
    let says = |scene: &Scene| words.iter().all(|word| scene.says().contains(word));
    scene.until(operator, &what, says).await;
    assert!(!scene.is_ready());
    assert_eq!(scene.members.births(), []);
    assert_eq!(scene.status().cluster_id, None, "the birth waits");
}

#[tokio::test]
async fn a_quota() {
    let scene = Scene::empty();
    let quota = json!({ "metadata": { "name": "few" }, "spec": { "hard": { "pods": "2" } } });
    scene.desk.create(&QUOTA, quota).await.expect("a quota");
    scene.ask_for(json!({})).await;
    let mut operator = scene.operator(Tap::default());
    stopped(&scene, &mut operator, &["member 3", "exceeded quota: few"]).await;
    scene.delete(&QUOTA, "few", DeleteParams::default()).await;
    scene.until_ready(&mut operator).await;
    scene.assert_born_once(3..=3);
}

#[tokio::test]
async fn a_quota_of_claims() {
    let scene = Scene::empty();
    let hard = json!({ "persistentvolumeclaims": "1" });
    let quota = json!({ "metadata": { "name": "few" }, "spec": { "hard": hard } });
    scene.desk.create(&QUOTA, quota).await.expect("a quota");
    scene.ask_for(json!({})).await;
    let mut operator = scene.operator(Tap::default());
    stopped(&scene, &mut operator, &["exceeded quota: few"]).await;
    scene.delete(&QUOTA, "few", DeleteParams::default()).await;
    scene.until_ready(&mut operator).await;
    scene.assert_born_once(3..=3);
}

#[tokio::test]
async fn a_pod_that_fits_nowhere() {
    let scene = Scene::of(json!({})).await;
    scene.memory.rule(|rules| {
        let why = "3 Insufficient memory.".to_owned();
        rules.unschedulable.insert("demo-2".to_owned(), why);
    });
    let mut operator = scene.operator(Tap::default());
    stopped(&scene, &mut operator, &["member 3", "Insufficient memory"]).await;
    scene.memory.rule(|rules| rules.unschedulable.clear());
    scene.until_ready(&mut operator).await;
    scene.assert_born_once(3..=3);
}

#[tokio::test]
async fn volumes_that_are_not_bound() {
    let scene = Scene::of(json!({})).await;
    scene.memory.rule(|rules| rules.volumes_held = true);
    let mut operator = scene.operator(Tap::default());
    stopped(
        &scene,
        &mut operator,
        &["unbound immediate PersistentVolumeClaims"],
    )
    .await;
    scene.memory.rule(|rules| rules.volumes_held = false);
    scene.until_ready(&mut operator).await;
    scene.assert_born_once(3..=3);
}

#[tokio::test]
async fn an_image_that_is_not_there_yet() {
    let scene = Scene::of(json!({ "image": "server:2" })).await;
    scene.memory.rule(|rules| {
        rules.missing_images.insert("server:2".to_owned());
    });
    let mut operator = scene.operator(Tap::default());
    stopped(&scene, &mut operator, &["member 1", "server:2"]).await;
    scene.memory.rule(|rules| rules.missing_images.clear());
    scene.until_ready(&mut operator).await;
    scene.assert_born_once(3..=3);
}

#[tokio::test]
async fn an_image_that_does_not_exist_and_is_corrected() {
    let scene = Scene::of(json!({ "image": "server:none" })).await;
    scene.memory.rule(|rules| {
        rules.missing_images.insert("server:none".to_owned());
    });
    let mut operator = scene.operator(Tap::default());
    stopped(&scene, &mut operator, &["member 1", "server:none"]).await;
    let corrected = json!({ "spec": { "image": "server:2" } });
    let corrected = scene.desk.merge(&ENSEMBLE, NAME, corrected).await;
    corrected.expect("another image");
    scene.until_ready(&mut operator).await;
    scene.assert_born_once(3..=3);
}

#[tokio::test]
async fn a_server_that_crashes() {
    let scene = Scene::of(json!({})).await;
    scene.memory.rule(|rules| {
        rules
            .crashing
            .insert(("demo-0".to_owned(), "server".to_owned()));
    });
    let mut operator = scene.operator(Tap::default());
    stopped(
        &scene,
        &mut operator,
        &["member 1", "server", "again and again"],
    )
    .await;
    scene.memory.rule(|rules| rules.crashing.clear());
    scene.until_ready(&mut operator).await;
    scene.assert_born_once(3..=3);
}
