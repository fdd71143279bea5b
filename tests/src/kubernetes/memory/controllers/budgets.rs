//! How many pods may be disrupted.

use serde_json::Value;

use super::super::kinds::{BUDGET, POD, STATEFUL_SET};
use super::super::object::Object;
use super::super::selector;
use super::super::store::{Key, Store};
use super::pod::is_ready;

pub(super) fn step(store: &mut Store) {
    for key in store.keys_of(&BUDGET, None) {
        count(store, &key);
    }
}

fn count(store: &mut Store, key: &Key) {
    let Some(budget) = store.get(key) else {
        return;
    };
    let null = Value::Null;
    let chooses = budget.pointer("/spec/selector").unwrap_or(&null);
    let covered: Vec<_> = store
        .all(&POD, Some(&key.namespace))
        .map(|(_, pod)| pod)
        .filter(|pod| selector::matches(chooses, &pod.texts("/metadata/labels")))
        .collect();
    let healthy = covered
        .iter()
        .filter(|pod| is_ready(pod) && !pod.is_going());
    let healthy = i64::try_from(healthy.count()).unwrap_or(i64::MAX);
    // Percentages and the like count by what the pods' controllers want.
    let expected = match budget.pointer("/spec/maxUnavailable") {
        Some(_) => expected(store, key, &covered),
        None => i64::try_from(covered.len()).unwrap_or(i64::MAX),
    };
    let needed = match budget.number("/spec/maxUnavailable") {
        Some(most) => (expected - most).max(0),
        None => budget.number("/spec/minAvailable").unwrap_or(1),
    };
    let generation = budget.number("/metadata/generation").unwrap_or(0);
    store.edit(key, |budget| {
        for (field, value) in [
            ("observedGeneration", generation),
            ("expectedPods", expected),
            ("desiredHealthy", needed),
            ("currentHealthy", healthy),
            ("disruptionsAllowed", (healthy - needed).max(0)),
        ] {
            budget.set(&format!("/status/{field}"), value.into());
        }
    });
}

/// The replicas of all sets that control these pods.
fn expected(store: &Store, key: &Key, covered: &[&Value]) -> i64 {
    let mut sets: Vec<_> = covered
        .iter()
        .filter_map(|pod| pod.controller())
        .map(|owner| owner.text("/name").to_owned())
        .collect();
    sets.sort();
    sets.dedup();
    let replicas = |set: &String| {
        let set = store.get(&Key::new(&STATEFUL_SET, &key.namespace, set))?;
        set.number("/spec/replicas")
    };
    sets.iter().filter_map(replicas).sum()
}
