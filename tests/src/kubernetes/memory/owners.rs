//! Who manages which fields: what server-side apply goes by.
//!
//! A path is a list of steps as `fieldsV1` writes them: `f:name` into a map, `k:{…}` into a list
//! whose items have keys, `v:…` into a set. Only leaves are kept, and the items themselves.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::object::Object;
use super::store::now;

/// A place in an object.
pub(crate) type Path = Vec<String>;

/// Somebody who wrote fields, and in which way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manager {
    /// Its name.
    pub(crate) name: String,
    /// It applies; otherwise it updates.
    pub(crate) applies: bool,
    /// Through this subresource; empty for the object itself.
    pub(crate) part: String,
    /// What it manages.
    pub(crate) fields: BTreeSet<Path>,
    api_version: String,
    time: String,
}

impl Manager {
    /// Somebody who manages nothing yet.
    pub(crate) fn new(name: &str, applies: bool, part: &str, api_version: &str) -> Self {
        Self {
            name: name.to_owned(),
            applies,
            part: part.to_owned(),
            fields: BTreeSet::new(),
            api_version: api_version.to_owned(),
            time: now().as_str().unwrap_or_default().to_owned(),
        }
    }

    /// The same one, managing these fields.
    pub(crate) fn with(&self, fields: BTreeSet<Path>) -> Self {
        Self {
            fields,
            ..self.clone()
        }
    }

    /// The same one, writing in the same way.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (&self.name, self.applies, &self.part) == (&other.name, other.applies, &other.part)
    }

    /// As an entry of `metadata.managedFields`.
    pub(crate) fn entry(&self) -> Value {
        let mut fields = json!({});
        for path in &self.fields {
            let mut at = &mut fields;
            for step in path {
                at = &mut at[step.as_str()];
                if at.is_null() {
                    *at = json!({});
                }
            }
            if path.last().is_some_and(|step| step.starts_with("k:")) {
                at["."] = json!({});
            }
        }
        let mut entry = json!({
            "manager": self.name,
            "operation": if self.applies { "Apply" } else { "Update" },
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        });
        if !self.part.is_empty() {
            entry["subresource"] = self.part.clone().into();
        }
        entry
    }
}

/// How the items of a list are told apart.
pub(crate) enum Items {
    /// By these fields.
    Keyed(&'static [&'static str]),
    /// By themselves.
    Set,
    /// Not at all: the list is one value.
    Whole,
}

/// The schema of the kinds that are applied here, as far as lists go.
pub(crate) fn items(field: &str, list: &[Value]) -> Items {
    let has = |key: &str| list.iter().any(|item| item.get(key).is_some());
    match field {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" if has("name") => {
            Items::Keyed(&["name"])
        }
        "volumeMounts" => Items::Keyed(&["mountPath"]),
        "ports" if has("containerPort") => Items::Keyed(&["containerPort", "protocol"]),
        "ports" if has("port") => Items::Keyed(&["port", "protocol"]),
        "ownerReferences" => Items::Keyed(&["uid"]),
        "conditions" if has("type") => Items::Keyed(&["type"]),
        "topologySpreadConstraints" => Items::Keyed(&["topologyKey", "whenUnsatisfiable"]),
        "finalizers" => Items::Set,
        _ => Items::Whole,
    }
}

/// Maps that are one value.
const WHOLE_MAPS: [&str; 6] = [
    "selector",
    "labelSelector",
    "nodeSelector",
    "fieldRef",
    "resourceFieldRef",
    "secretKeyRef",
];

/// Whether a map of this name is one value.
pub(crate) fn is_whole(field: &str) -> bool {
    WHOLE_MAPS.contains(&field)
}

/// The step to an item of a keyed list; protocols are TCP where they are left out.
pub(crate) fn item_step(keys: &[&str], item: &Value) -> String {
    let key = |key: &&str| {
        let value = item.get(*key).cloned();
        let value = value.unwrap_or_else(|| match *key {
            "protocol" => "TCP".into(),
            _ => Value::Null,
        });
        ((*key).to_owned(), value)
    };
    let keys: BTreeMap<_, _> = keys.iter().map(key).collect();
    format!("k:{}", json!(keys))
}

/// The fields of an object that somebody can manage.
pub(crate) fn fields(object: &Value) -> BTreeMap<Path, Value> {
    let mut found = BTreeMap::new();
    let mut path = Vec::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match key.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                path.push("f:metadata".to_owned());
                for (key, value) in value.as_object().into_iter().flatten() {
                    if ["annotations", "labels", "finalizers", "ownerReferences"]
                        .contains(&key.as_str())
                    {
                        collect(key, value, &mut path, &mut found);
                    }
                }
                path.pop();
            }
            _ => collect(key, value, &mut path, &mut found),
        }
    }
    found
}

fn collect(key: &str, value: &Value, path: &mut Path, found: &mut BTreeMap<Path, Value>) {
    path.push(format!("f:{key}"));
    match value {
        Value::Object(map) if !map.is_empty() && !is_whole(key) => {
            for (key, value) in map {
                collect(key, value, path, found);
            }
        }
        Value::Array(list) => collect_list(key, list, path, found),
        value => {
            found.insert(path.clone(), value.clone());
        }
    }
    path.pop();
}

fn collect_list(key: &str, list: &[Value], path: &mut Path, found: &mut BTreeMap<Path, Value>) {
    match items(key, list) {
        Items::Whole => {
            found.insert(path.clone(), list.into());
        }
        Items::Set => {
            for item in list {
                path.push(format!("v:{item}"));
                found.insert(path.clone(), item.clone());
                path.pop();
            }
        }
        Items::Keyed(keys) => {
            for item in list {
                path.push(item_step(keys, item));
                found.insert(path.clone(), Value::Null);
                for (key, value) in item.as_object().into_iter().flatten() {
                    collect(key, value, path, found);
                }
                path.pop();
            }
        }
    }
}

/// The managers after somebody changed an object from `before` to `after`: whoever changes a
/// field takes it from the others.
pub(crate) fn updated(
    managers: &[Manager],
    by: &Manager,
    before: &Value,
    after: &Value,
) -> Vec<Manager> {
    let (before, after) = (fields(before), fields(after));
    let changed: BTreeSet<_> = after
        .iter()
        .filter(|(path, value)| before.get(*path) != Some(value))
        .map(|(path, _)| path.clone())
        .collect();
    let mut result: Vec<Manager> = managers.to_vec();
    for manager in &mut result {
        let own = manager.is(by);
        manager
            .fields
            .retain(|path| after.contains_key(path) && (own || !changed.contains(path)));
    }
    if !changed.is_empty() {
        if !result.iter().any(|manager| manager.is(by)) {
            result.push(by.clone());
        }
        for manager in result.iter_mut().filter(|manager| manager.is(by)) {
            manager.fields.extend(changed.iter().cloned());
        }
    }
    result.retain(|manager| !manager.fields.is_empty());
    result
}

/// `.spec.template.spec.containers[name="server"].image`, as messages name a path.
pub(crate) fn shown(path: &Path) -> String {
    let step = |step: &String| match step.split_at(2) {
        ("f:", name) => format!(".{name}"),
        ("k:", keys) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let list: Vec<_> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("[{}]", list.join(","))
        }
        (_, value) => format!("[={value}]"),
    };
    path.iter().map(step).collect()
}

/// The fields of `object` that lie under a path, and it itself.
pub(crate) fn is_under(path: &Path, above: &Path) -> bool {
    path.len() >= above.len() && path[..above.len()] == above[..]
}

/// Takes what is at a path out of an object, and maps that become empty by it.
pub(crate) fn take_out(object: &mut Value, path: &[String]) {
    let Some((step, rest)) = path.split_first() else {
        return;
    };
    match step.split_at(2) {
        ("f:", name) => {
            let Some(map) = object.as_object_mut() else {
                return;
            };
            if rest.is_empty() {
                map.remove(name);
            } else if let Some(value) = map.get_mut(name) {
                take_out(value, rest);
                let empty = value.as_object().is_some_and(Map::is_empty)
                    || value.as_array().is_some_and(Vec::is_empty);
                if empty {
                    map.remove(name);
                }
            }
        }
        ("k:", keys) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let is_it = |item: &Value| {
                keys.iter().all(|(key, value)| match item.get(key) {
                    Some(found) => found == value,
                    None => key == "protocol",
                })
            };
            let Some(list) = object.as_array_mut() else {
                return;
            };
            if rest.is_empty() {
                list.retain(|item| !is_it(item));
            } else if let Some(item) = list.iter_mut().find(|item| is_it(item)) {
                take_out(item, rest);
            }
        }
        (_, value) => {
            if let Some(list) = object.as_array_mut() {
                let item: Value = serde_json::from_str(value).unwrap_or_default();
                list.retain(|found| *found != item);
            }
        }
    }
}

/// Whether an object says that its managed fields are to be forgotten.
pub(crate) fn is_reset(object: &Value) -> bool {
    match object.pointer("/metadata/managedFields") {
        Some(Value::Array(list)) => list.is_empty() || *list == [json!({})],
        _ => false,
    }
}

/// Whether an object names its managed fields, which nobody may apply.
pub(crate) fn names_managed_fields(object: &Value) -> bool {
    !object.list("/metadata/managedFields").is_empty()
}
