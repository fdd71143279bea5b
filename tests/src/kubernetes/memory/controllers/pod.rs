//! Words about pods that several controllers need.

use serde_json::{Value, json};

use super::super::object::Object;
use super::super::store::now;

/// The claims that a pod mounts.
pub(super) fn claims(pod: &Value) -> Vec<String> {
    let volumes = pod.list("/spec/volumes").iter();
    volumes
        .map(|volume| volume.text("/persistentVolumeClaim/claimName").to_owned())
        .filter(|claim| !claim.is_empty())
        .collect()
}

/// It will never run again.
pub(super) fn is_over(pod: &Value) -> bool {
    ["Succeeded", "Failed"].contains(&pod.text("/status/phase"))
}

/// It runs, and says that it can be used.
pub(super) fn is_ready(pod: &Value) -> bool {
    pod.condition("Ready") == "True"
}

/// Writes a condition; the time of its last change stays if nothing changed.
pub(super) fn set_condition(pod: &mut Value, type_: &str, status: &str, why: Option<(&str, &str)>) {
    let mut conditions = pod.list("/status/conditions").to_vec();
    let before = conditions.iter().position(|c| c.text("/type") == type_);
    let mut condition = json!({ "type": type_, "status": status, "lastTransitionTime": now() });
    if let Some((reason, message)) = why {
        condition["reason"] = reason.into();
        condition["message"] = message.into();
    }
    match before {
        Some(at) => {
            if conditions[at].text("/status") == status {
                condition["lastTransitionTime"] = conditions[at]["lastTransitionTime"].clone();
            }
            conditions[at] = condition;
        }
        None => conditions.push(condition),
    }
    pod.set("/status/conditions", conditions.into());
}
