//! Our own resource, judged by its generated definition.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::super::failure::Failure;
use super::super::store::Key;

/// Judges by schema and rules. Fields that the schema does not know are dropped, as by an API
/// server that only warns of them.
pub(super) fn judge(key: &Key, before: Option<&Value>, object: &mut Value) -> Result<(), Failure> {
    let schema = &definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    for part in ["spec", "status"] {
        if let Some(value) = object.get_mut(part) {
            prune(&schema["properties"][part], value);
        }
    }
    let text = object.to_string();
    let judged = match before {
        None => api::validate_manifest(&text),
        Some(before) => {
            let before = serde_json::from_value(before.clone());
            let before = before.map_err(|error| Failure::internal(&error.to_string()))?;
            api::validate_update(&before, &text)
        }
    };
    let failure = |wrong: Vec<api::Invalid>| {
        let wrong: Vec<_> = wrong
            .into_iter()
            .map(|invalid| (invalid.field, format!("Invalid value: {}", invalid.why)))
            .collect();
        Failure::invalid(key.kind, &key.name, &wrong)
    };
    judged.map(drop).map_err(failure)
}

/// Fields of an object that its definition does not know.
pub(crate) fn unknown_fields(object: &Value) -> Vec<String> {
    match api::validate_manifest(&object.to_string()) {
        Ok(_) => Vec::new(),
        Err(wrong) => {
            let unknown = wrong
                .into_iter()
                .filter(|i| i.why.starts_with("unknown field"));
            unknown.map(|invalid| invalid.field).collect()
        }
    }
}

fn definition() -> &'static Value {
    static DEFINITION: OnceLock<Value> = OnceLock::new();
    DEFINITION.get_or_init(|| {
        serde_json::to_value(api::crd::definition()).expect("a definition is plain data")
    })
}

fn prune(schema: &Value, value: &mut Value) {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    match value {
        Value::Object(map) => {
            if let Some(known) = schema["properties"].as_object() {
                prune_map(known, map);
            } else if schema["additionalProperties"].is_object() {
                for value in map.values_mut() {
                    prune(&schema["additionalProperties"], value);
                }
            }
        }
        Value::Array(list) => {
            for item in list {
                prune(&schema["items"], item);
            }
        }
        _ => {}
    }
}

fn prune_map(known: &Map<String, Value>, map: &mut Map<String, Value>) {
    map.retain(|key, _| known.contains_key(key));
    for (key, value) in map {
        prune(&known[key], value);
    }
}
