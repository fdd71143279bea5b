//! However a birth is disturbed, it ends in the same ensemble, and there is one birth.

use std::collections::BTreeMap;

use ferrokeeper_operator::reconcile::PassError;
use serde_json::{Value, json};
use tests::kubernetes::intercept::{Fault, Tap};

use super::scene::{Operator, Scene};

/// What an undisturbed birth of three results in, and what it takes.
struct Undisturbed {
    portrait: BTreeMap<String, Value>,
    writes: Vec<String>,
    lists: usize,
}

async fn undisturbed() -> Undisturbed {
    let (scene, operator) = Scene::ready().await;
    scene.assert_born_once(3..=3);
    Undisturbed {
        portrait: scene.portrait(),
        writes: operator.tap.writes(),
        lists: operator.tap.lists(),
    }
}

/// A birth with one thing that goes wrong: whatever it is, it ends as the undisturbed one.
async fn disturbed(by: Fault, expected: &Undisturbed) {
    let scene = Scene::of(json!({})).await;
    let mut operator = scene.operator(Tap::with(by));
    let is_over = |scene: &Scene| scene.is_ready() && scene.status().operation.is_none();
    scene
        .until(&mut operator, &format!("it is ready after {by:?}"), is_over)
        .await;
    // What was lost with an operator's memory may take a pass more to be put right.
    scene.rounds(&mut operator, 2).await;
    // A grant that is lost makes a member join those that had theirs.
    scene.assert_born_once(2..=3);
    assert!(operator.tap.is_spent(), "{by:?} never came");
    similar(&scene.portrait(), &expected.portrait, by);
}

fn similar(found: &BTreeMap<String, Value>, expected: &BTreeMap<String, Value>, by: Fault) {
    let keys: Vec<_> = found.keys().chain(expected.keys()).collect();
    for key in keys {
        assert_eq!(found.get(key), expected.get(key), "{key} after {by:?}");
    }
}

async fn at_each_write(fault: impl Fn(usize) -> Fault) {
    let expected = undisturbed().await;
    for at in 1..=expected.writes.len() {
        disturbed(fault(at), &expected).await;
    }
}

#[tokio::test]
async fn a_birth_takes_few_writes_and_the_grant_goes_to_all_at_once() {
    let undisturbed = undisturbed().await;
    let orders: Vec<_> = undisturbed
        .writes
        .iter()
        .enumerate()
        .filter(|(_, write)| write.starts_with("ORDER grant"))
        .map(|(at, _)| at)
        .collect();
    let first = orders.first().copied().unwrap_or_default();
    assert_eq!(
        orders,
        [first, first + 1, first + 2],
        "{:#?}",
        undisturbed.writes
    );
    let grant = &undisturbed.writes[..first];
    let written = grant.iter().rposition(|write| write.ends_with("/status"));
    assert!(written.is_some(), "{:#?}", undisturbed.writes);
    assert!(undisturbed.writes.len() < 40, "{:#?}", undisturbed.writes);
}

#[tokio::test]
async fn the_operator_may_end_before_any_write() {
    at_each_write(Fault::CrashBefore).await;
}

#[tokio::test]
async fn the_operator_may_end_after_any_write() {
    at_each_write(Fault::CrashAfter).await;
}

#[tokio::test]
async fn any_answer_may_be_lost() {
    at_each_write(Fault::LoseAnswer).await;
}

#[tokio::test]
async fn any_write_may_conflict() {
    at_each_write(|at| Fault::Refuse(at, 409)).await;
}

#[tokio::test]
async fn any_write_may_fail() {
    at_each_write(|at| Fault::Refuse(at, 500)).await;
}

#[tokio::test]
async fn any_list_may_be_stale() {
    let expected = undisturbed().await;
    for at in 1..=expected.lists {
        disturbed(Fault::StaleList(at), &expected).await;
    }
}

/// One that stood still before any of its writes, while another did all there was to do, goes on
/// as if it still led.
#[tokio::test]
async fn the_operator_may_sleep_before_any_write_while_another_leads() {
    let expected = undisturbed().await;
    for at in 1..=expected.writes.len() {
        slept(at, &expected).await;
    }
}

async fn slept(at: usize, expected: &Undisturbed) {
    let scene = Scene::of(json!({})).await;
    let tap = Tap::with(Fault::Freeze(at));
    let mut sleeper = scene.operator(tap.clone());
    let mut other = scene.operator(Tap::default());
    for _ in 0..20 {
        let pass = sleeper.pass();
        let mut pass = std::pin::pin!(pass);
        let slept = tokio::select! {
            _ = &mut pass => false,
            () = tap.stands_still() => true,
        };
        if slept {
            scene.rounds(&mut other, 8).await;
            tap.go_on();
            // Refused, or harmless.
            let _ = pass.await;
            break;
        }
        scene.rest();
    }
    assert!(tap.is_spent(), "it never came to write {at}");
    scene.until_ready(&mut other).await;
    scene.rounds(&mut other, 2).await;
    scene.assert_born_once(2..=3);
    similar(&scene.portrait(), &expected.portrait, Fault::Freeze(at));
}

/// Two that both believe to lead: each pass of one may come between any two of the other.
#[tokio::test]
async fn two_operators_at_once_bring_about_one_birth() {
    let scene = Scene::of(json!({})).await;
    let mut pair = [
        scene.operator(Tap::default()),
        scene.operator(Tap::default()),
    ];
    for round in 0..60 {
        if scene.is_ready() {
            break;
        }
        let operator: &mut Operator = &mut pair[usize::from(round % 3 == 0)];
        if scene
            .round(operator)
            .await
            .is_err_and(|error| is_superseded(&error))
        {
            // Its process ends; the next one stands by and tries again.
            *operator = scene.operator(Tap::default());
        }
    }
    assert!(scene.is_ready(), "{:#?}", scene.status());
    scene.assert_born_once(2..=3);
}

fn is_superseded(error: &PassError) -> bool {
    matches!(error, PassError::Superseded { .. })
}
