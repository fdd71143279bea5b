//! Judges a manifest as an API server with strict validation would, for platforms that have
//! none: unknown fields, types, ranges, patterns, defaults and the CEL rules of the generated
//! definition, transition rules included.

mod schema;

use std::fmt;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::{GROUP, ZooKeeperCluster, crd};

const KIND: &str = "ZooKeeperCluster";
const VERSION: &str = "v1alpha1";

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Invalid {
    /// Its path, such as `spec.storage.size`; empty for the text as a whole.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub why: String,
}

impl Invalid {
    /// `why` is a phrase that can follow the field's name and a colon.
    pub fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            why: why.into(),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.why)
        } else {
            write!(f, "{}: {}", self.field, self.why)
        }
    }
}

/// The one `ZooKeeperCluster` in a YAML text of one or more documents, its defaults applied.
/// Documents of other kinds are not looked at.
pub fn validate_manifest(yaml: &str) -> Result<ZooKeeperCluster, Vec<Invalid>> {
    let object = the_one(yaml)?;
    judge(object, None)
}

/// As [`validate_manifest`], as a change of `old`: what is fixed at birth must be as it was.
pub fn validate_update(
    old: &ZooKeeperCluster,
    yaml: &str,
) -> Result<ZooKeeperCluster, Vec<Invalid>> {
    let object = the_one(yaml)?;
    let old = serde_json::to_value(old).expect("a resource is plain data");
    judge(object, Some(without_nulls(old)))
}

fn the_one(yaml: &str) -> Result<Value, Vec<Invalid>> {
    let wrong = |why: String| vec![Invalid::new("", why)];
    let mut found = None;
    for document in serde_yaml::Deserializer::from_str(yaml) {
        let value = Value::deserialize(document)
            .map_err(|error| wrong(format!("this is not YAML: {error}")))?;
        if value.get("kind").and_then(Value::as_str) == Some(KIND) && found.replace(value).is_some()
        {
            return Err(wrong(format!(
                "there is more than one {KIND}; exactly one is wanted"
            )));
        }
    }
    found.ok_or_else(|| {
        wrong(format!(
            "there is no document with `kind: {KIND}`; it is to begin with `apiVersion: \
             {GROUP}/{VERSION}`"
        ))
    })
}

fn judge(object: Value, old: Option<Value>) -> Result<ZooKeeperCluster, Vec<Invalid>> {
    let definition = serde_json::to_value(crd::definition()).expect("a definition is plain data");
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let object = kube_cel::apply_defaults(schema, &without_nulls(object));

    let mut wrong = Vec::new();
    judge_head(&object, &mut wrong);
    for part in ["spec", "status"] {
        if let Some(value) = object.get(part) {
            schema::check(&schema["properties"][part], value, part, &mut wrong);
        }
    }
    if object.get("spec").is_none() {
        wrong.push(Invalid::new(
            "spec",
            "is missing; `spec: {}` takes every default",
        ));
    }
    // The rules may rely on the types, as in an API server.
    if wrong.is_empty()
        && let Err(errors) = kube_cel::validate(schema, &object, old.as_ref())
    {
        let broken =
            |e: &kube_cel::ValidationError| Invalid::new(e.field_path.clone(), e.message.clone());
        wrong.extend(errors.iter().map(broken));
    }
    if !wrong.is_empty() {
        wrong.sort();
        return Err(wrong);
    }
    serde_json::from_value(object).map_err(|error| vec![Invalid::new("", error.to_string())])
}

fn judge_head(object: &Value, wrong: &mut Vec<Invalid>) {
    let expected = format!("{GROUP}/{VERSION}");
    match object.get("apiVersion").and_then(Value::as_str) {
        Some(found) if found == expected => {}
        Some(found) => wrong.push(Invalid::new(
            "apiVersion",
            format!("is {found}, and this version knows {expected} only"),
        )),
        None => wrong.push(Invalid::new(
            "apiVersion",
            format!("is missing; it must be {expected}"),
        )),
    }
    let top = ["apiVersion", "kind", "metadata", "spec", "status"];
    schema::only_known(object, top, "", wrong);

    let null = Value::Null;
    let metadata = object.get("metadata").unwrap_or(&null);
    schema::only_known(metadata, METADATA, "metadata", wrong);
    judge_name("name", metadata.get("name"), true, wrong);
    judge_name("namespace", metadata.get("namespace"), false, wrong);
    for map in ["labels", "annotations"] {
        let strings = serde_json::json!({
            "type": "object",
            "additionalProperties": { "type": "string" },
        });
        if let Some(value) = metadata.get(map) {
            schema::check(&strings, value, &format!("metadata.{map}"), wrong);
        }
    }
}

/// The fields of Kubernetes' `ObjectMeta`.
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

fn judge_name(field: &str, value: Option<&Value>, wanted: bool, wrong: &mut Vec<Invalid>) {
    let path = format!("metadata.{field}");
    match value.map(|name| name.as_str()) {
        None if wanted => wrong.push(Invalid::new(path, "is missing")),
        None => {}
        Some(None) => wrong.push(Invalid::new(path, "must be a string")),
        Some(Some(name)) => {
            // Services are named after it, so it is a label and not a subdomain.
            let label = Regex::new("^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$").expect("a fixed pattern");
            if !label.is_match(name) {
                wrong.push(Invalid::new(
                    path,
                    format!(
                        "is {name:?}, and must be lower-case letters, digits and dashes, begin \
                         with a letter and end with a letter or digit"
                    ),
                ));
            }
        }
    }
}

/// A null is as good as nothing in every field that there is.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests;
