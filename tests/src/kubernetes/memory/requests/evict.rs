//! The subresource `eviction`: a deletion that a disruption budget has to allow.

use http::Method;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::kinds::{BUDGET, POD};
use super::super::object::Object;
use super::super::selector;
use super::super::store::{Key, Store};
use super::super::write::{self, Deletion};
use super::{Asked, get};

pub(super) fn act(store: &mut Store, asked: &Asked) -> Result<Value, Failure> {
    let key = asked.key();
    if key.kind != &POD {
        return Err(Failure::no_such_path());
    }
    if asked.method != Method::POST {
        return Err(Failure::method_not_allowed());
    }
    let pod = get(store, &key)?;
    let null = Value::Null;
    let options = asked.body.get("deleteOptions").unwrap_or(&null);
    let how = Deletion::read(options, |_| None);
    let over = ["Succeeded", "Failed", "Pending"].contains(&pod.text("/status/phase"));
    if !over && !pod.is_going() {
        permitted(store, &pod)?;
    }
    write::delete(store, &key, &how)?;
    Ok(json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "code": 201,
    }))
}

/// Takes one disruption out of the budget that covers a pod.
fn permitted(store: &mut Store, pod: &Value) -> Result<(), Failure> {
    let labels = pod.texts("/metadata/labels");
    let budgets = store.all(&BUDGET, Some(pod.namespace()));
    let covering = budgets.filter(|(_, budget)| {
        let chooses = budget.pointer("/spec/selector").unwrap_or(&Value::Null);
        selector::matches(chooses, &labels)
    });
    let covering: Vec<(Key, Value)> = covering.map(|(k, b)| (k.clone(), b.clone())).collect();
    let (key, budget) = match covering.as_slice() {
        [] => return Ok(()),
        [one] => one,
        _ => return Err(Failure::several_budgets()),
    };
    let number = |pointer: &str| u64::try_from(budget.number(pointer).unwrap_or(0)).unwrap_or(0);
    let (needs, healthy) = (
        number("/status/desiredHealthy"),
        number("/status/currentHealthy"),
    );
    let always = budget.text("/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow";
    let ready = pod.condition("Ready") == "True";
    if !ready && (always || (healthy >= needs && needs > 0)) {
        return Ok(());
    }
    let unseen =
        budget.number("/status/observedGeneration") < budget.number("/metadata/generation");
    let allowed = number("/status/disruptionsAllowed");
    if unseen || allowed == 0 {
        return Err(Failure::over_budget(needs, healthy, &key.name));
    }
    store.edit(key, |budget| {
        budget.set("/status/disruptionsAllowed", (allowed - 1).into());
    });
    Ok(())
}
