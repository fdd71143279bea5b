//! Whether an object is as it was applied, and what to apply it with.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Annotation with a digest of everything that was applied: it changes with what is left out, too.
pub(crate) const APPLIED_ANNOTATION: &str = "ferrokeeper.io/applied";

/// An object as it is to be applied: nothing that is not set, and the digest of the rest.
pub(crate) fn applicable(object: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(object).expect("an object is plain data");
    prune(&mut value);
    // serde_json's maps are sorted, so equal objects have equal texts.
    let digest = Sha256::digest(value.to_string());
    let digest: String = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
    let annotations = object_in(object_in(&mut value, "metadata"), "annotations");
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(APPLIED_ANNOTATION.to_owned(), digest.into());
    }
    value
}

/// The object in `parent` under this key, made if it is not there.
pub(crate) fn object_in<'a>(parent: &'a mut Value, key: &str) -> &'a mut Value {
    let empty = || Value::Object(Map::new());
    if !parent.is_object() {
        *parent = empty();
    }
    let fields = parent.as_object_mut().expect("made an object above");
    fields.entry(key).or_insert_with(empty)
}

/// Nulls say nothing, and an API server keeps none.
fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(prune);
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

/// `live` holds everything that `wanted` says. What others added is theirs.
///
/// An API server leaves out what is empty and writes quantities in its own way; neither is a
/// difference. Lists of objects are compared as sets: each wanted item has to be in some live one.
pub(crate) fn holds(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| field_holds(live.get(key), key, wanted)),
        (Value::Array(live), Value::Array(wanted)) if wanted.iter().any(Value::is_object) => wanted
            .iter()
            .all(|wanted| live.iter().any(|live| holds(live, wanted))),
        _ => live == wanted,
    }
}

fn field_holds(live: Option<&Value>, key: &str, wanted: &Value) -> bool {
    match live {
        None => says_nothing(wanted),
        Some(live) if QUANTITIES.contains(&key) => quantities_hold(live, wanted),
        Some(live) => holds(live, wanted),
    }
}

/// Fields whose values are maps of quantities, or a quantity.
const QUANTITIES: [&str; 3] = ["requests", "limits", "sizeLimit"];

fn quantities_hold(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            let live = live.get(key);
            live.is_some_and(|live| quantities_hold(live, wanted))
        }),
        (Value::String(live), Value::String(wanted)) => {
            let value = |text: &String| api::cluster::Quantity(text.clone()).value();
            live == wanted || (value(live).is_some() && value(live) == value(wanted))
        }
        _ => live == wanted,
    }
}

/// What an API server leaves out when it writes an object.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_added_is_no_difference() {
        let wanted = json!({"spec": {"ports": [{"port": 1}], "type": "ClusterIP"}});
        let live = json!({
            "spec": {
                "ports": [{"port": 9}, {"port": 1, "targetPort": 1}],
                "type": "ClusterIP",
                "clusterIP": "10.0.0.1",
            },
            "status": {},
        });
        assert!(holds(&live, &wanted));
        assert!(!holds(&wanted, &live));
    }

    #[test]
    fn a_change_and_a_loss_are_differences() {
        let wanted = json!({"data": {"a": "1", "b": "2"}, "args": ["x", "y"]});
        for live in [
            json!({"data": {"a": "1", "b": "3"}, "args": ["x", "y"]}),
            json!({"data": {"a": "1"}, "args": ["x", "y"]}),
            json!({"data": {"a": "1", "b": "2"}, "args": ["y", "x"]}),
            json!({"args": ["x", "y"]}),
        ] {
            assert!(!holds(&live, &wanted), "{live}");
        }
    }

    #[test]
    fn quantities_are_compared_by_value_and_empty_fields_may_be_absent() {
        let wanted = json!({
            "resources": {"limits": {"memory": "1024Mi", "cpu": "0.5"}},
            "emptyDir": {},
            "hostNetwork": false,
            "tolerations": [],
        });
        let live = json!({"resources": {"limits": {"memory": "1Gi", "cpu": "500m"}}});
        assert!(holds(&live, &wanted));
        let other = json!({"resources": {"limits": {"memory": "2Gi", "cpu": "500m"}}});
        assert!(!holds(&other, &wanted));
    }

    #[test]
    fn the_digest_changes_with_what_is_left_out() {
        let digest = |value: Value| {
            applicable(&value)["metadata"]["annotations"][APPLIED_ANNOTATION].to_string()
        };
        let full = digest(json!({"spec": {"a": 1, "b": 2}}));
        assert_eq!(full, digest(json!({"spec": {"b": 2, "a": 1, "c": null}})));
        assert_ne!(full, digest(json!({"spec": {"a": 1}})));
    }
}
