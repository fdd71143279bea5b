//! Volumes that are lost: nobody votes from nothing, and nobody is born twice.

use api::{ConditionType, Reason};
use serde_json::json;
use tests::kubernetes::intercept::Tap;
use tests::kubernetes::memory::Object;
use tests::kubernetes::memory::kinds::{CLAIM, POD};

use super::scene::Scene;

#[tokio::test]
async fn a_voter_that_lost_its_volume_comes_back_and_does_not_vote_before_it_is_synced() {
    let (scene, mut operator) = Scene::ready().await;
    let claim = scene.uid(&CLAIM, "data-demo-1");
    scene.lose(1, true).await;
    scene.rest();
    // A leader is there, and the operator has not said anything yet.
    let waits = scene.members.status("demo-1").map(|status| status.server);
    assert_eq!(waits, Some(api::sidecar::ServerState::WaitingForPlan));
    operator.tap.forget_writes();
    scene.until_ready(&mut operator).await;
    assert_ne!(scene.uid(&CLAIM, "data-demo-1"), claim);
    let orders: Vec<_> = operator
        .tap
        .writes()
        .into_iter()
        .filter(|write| write.starts_with("ORDER"))
        .collect();
    assert_eq!(
        orders,
        ["ORDER join demo-1.demo-peers.data.svc.cluster.local"]
    );
    scene.assert_born_once(3..=3);
    let labels = scene
        .get(&CLAIM, "data-demo-1")
        .map(|c| c.texts("/metadata/labels"));
    let member = labels.and_then(|labels| labels.get(api::MEMBER_LABEL).cloned());
    assert_eq!(
        member.as_deref(),
        Some("2"),
        "a claim that its set made is labelled as ours"
    );
}

#[tokio::test]
async fn of_two_lost_volumes_no_second_ensemble_is_born() {
    let (scene, mut operator) = Scene::ready().await;
    scene.lose(1, true).await;
    scene.lose(2, true).await;
    scene.rest();
    scene.rounds(&mut operator, 20).await;
    assert!(!scene.is_ready());
    let at_risk = scene
        .condition(ConditionType::QuorumAtRisk)
        .map(|c| c.reason);
    assert_eq!(at_risk, Some(Reason::QuorumLost));
    let says = scene.says();
    assert!(
        says.starts_with("the volumes of a majority are lost"),
        "{says}"
    );
    assert!(
        says.contains("member 1: it is looking for a leader"),
        "{says}"
    );
    assert_eq!(scene.members.leader(), None);
    scene.assert_born_once(3..=3);
}

#[tokio::test]
async fn of_all_volumes_lost_no_second_ensemble_is_born() {
    let (scene, mut operator) = Scene::ready().await;
    for ordinal in 0..3 {
        scene.lose(ordinal, true).await;
    }
    scene.rest();
    scene.rounds(&mut operator, 20).await;
    assert!(!scene.is_ready());
    assert_eq!(scene.members.leader(), None);
    scene.assert_born_once(3..=3);
}

#[tokio::test]
async fn a_granted_volume_lost_before_the_first_quorum_is_said_and_not_granted_again() {
    let scene = Scene::of(json!({})).await;
    let mut operator = scene.operator(Tap::default());
    // Two of three never hear of their grant.
    for pod in ["demo-1", "demo-2"] {
        scene.members.cut_off(pod);
    }
    scene.rounds(&mut operator, 6).await;
    scene.members.reach_all();
    let granted = |scene: &Scene| scene.status().phase() == api::status::BootstrapPhase::Granted;
    scene
        .until(&mut operator, "the birth is granted", granted)
        .await;
    scene.lose(0, true).await;
    scene.lose(1, true).await;
    scene.rest();
    scene.rounds(&mut operator, 10).await;
    assert!(scene.members.histories() <= 1);
    let mut volumes: Vec<_> = scene.members.births();
    volumes.sort();
    volumes.dedup();
    assert_eq!(volumes.len(), scene.members.births().len());
}

#[tokio::test]
async fn a_pod_on_a_dead_node_is_waited_for_and_named() {
    let (scene, mut operator) = Scene::ready().await;
    scene.memory.rule(|rules| {
        rules.dead_nodes.insert("node-1".to_owned());
    });
    scene.members.cut_off("demo-1");
    scene.lose(1, false).await;
    scene.rest();
    scene.rounds(&mut operator, 5).await;
    let pod = scene.get(&POD, "demo-1");
    assert!(
        pod.is_some_and(|pod| pod.is_going()),
        "nobody ends it by force"
    );
    assert!(scene.holds(ConditionType::Degraded));
    assert!(scene.says().contains("member 2"), "{}", scene.says());
    scene.memory.rule(|rules| rules.dead_nodes.clear());
    scene.members.reach_all();
    scene.until_ready(&mut operator).await;
}
