//! The part of OpenAPI that Kubernetes' structural schemas use, without the CEL rules.

use regex::Regex;
use serde_json::{Map, Value};

use super::Invalid;

/// Adds to `wrong` all that `schema` says against `value`.
pub(super) fn check(schema: &Value, value: &Value, path: &str, wrong: &mut Vec<Invalid>) {
    if let Some(why) = wrong_type(schema, value) {
        wrong.push(Invalid::new(path, why));
        return;
    }
    let why = match value {
        Value::String(text) => wrong_text(schema, text),
        Value::Number(number) => wrong_number(schema, number.as_f64().unwrap_or(f64::NAN)),
        _ => None,
    };
    wrong.extend(why.map(|why| Invalid::new(path, why)));
    match value {
        Value::Object(map) => check_object(schema, value, map, path, wrong),
        Value::Array(list) => check_list(schema, list, path, wrong),
        _ => {}
    }
}

fn check_object(
    schema: &Value,
    value: &Value,
    map: &Map<String, Value>,
    path: &str,
    wrong: &mut Vec<Invalid>,
) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties");
    for (key, value) in map {
        let known = properties.and_then(|known| known.get(key));
        if let Some(schema) = known.or(others) {
            check(schema, value, &format!("{path}.{key}"), wrong);
        }
    }
    let open = others.is_some() || schema["x-kubernetes-preserve-unknown-fields"] == true;
    if let Some(known) = properties.filter(|_| !open) {
        only_known(value, known.keys().map(String::as_str), path, wrong);
    }
    let required = schema["required"].as_array().into_iter().flatten();
    for key in required.filter_map(Value::as_str) {
        if !map.contains_key(key) {
            wrong.push(Invalid::new(format!("{path}.{key}"), "is missing"));
        }
    }
}

fn check_list(schema: &Value, list: &[Value], path: &str, wrong: &mut Vec<Invalid>) {
    let length = list.len() as u64;
    if let Some(min) = schema["minItems"].as_u64().filter(|min| length < *min) {
        let why = format!("has {length} entries, and must have {min} or more");
        wrong.push(Invalid::new(path, why));
    }
    if let Some(max) = schema["maxItems"].as_u64().filter(|max| length > *max) {
        let why = format!("has {length} entries, and must have {max} or fewer");
        wrong.push(Invalid::new(path, why));
    }
    for (index, value) in list.iter().enumerate() {
        check(&schema["items"], value, &format!("{path}[{index}]"), wrong);
    }
}

/// Adds each key of `value` that is not in `known`.
pub(super) fn only_known<'a>(
    value: &Value,
    known: impl IntoIterator<Item = &'a str>,
    path: &str,
    wrong: &mut Vec<Invalid>,
) {
    let known: Vec<&str> = known.into_iter().collect();
    let keys = value.as_object().into_iter().flat_map(Map::keys);
    for key in keys.filter(|key| !known.contains(&key.as_str())) {
        let field = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let why = format!("unknown field; allowed here: {}", known.join(", "));
        wrong.push(Invalid::new(field, why));
    }
}

fn wrong_type(schema: &Value, value: &Value) -> Option<String> {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    let whole = || value.is_i64() || value.is_u64();
    let (fits, wanted) = if schema["x-kubernetes-int-or-string"] == true {
        (whole() || value.is_string(), "a whole number or a string")
    } else {
        match schema["type"].as_str() {
            Some("object") => (value.is_object(), "an object"),
            Some("array") => (value.is_array(), "a list"),
            Some("string") => (value.is_string(), "a string"),
            Some("boolean") => (value.is_boolean(), "true or false"),
            Some("integer") => (whole(), "a whole number"),
            Some("number") => (value.is_number(), "a number"),
            _ => (true, ""),
        }
    };
    (!fits).then(|| match value {
        Value::Bool(_) | Value::Number(_) => format!("must be {wanted}, and is {value}"),
        Value::String(text) => format!("must be {wanted}, and is the string {text:?}"),
        _ => format!("must be {wanted}, and is {found}"),
    })
}

fn wrong_text(schema: &Value, text: &str) -> Option<String> {
    let length = text.chars().count() as u64;
    if let Some(allowed) = schema["enum"].as_array() {
        let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        if !allowed.contains(&text) {
            return Some(format!(
                "is {text:?}, and must be one of {}",
                allowed.join(", ")
            ));
        }
    }
    if schema["minLength"].as_u64().is_some_and(|min| length < min) {
        return Some("must not be empty".to_owned());
    }
    if let Some(max) = schema["maxLength"].as_u64().filter(|max| length > *max) {
        return Some(format!(
            "has {length} characters, and must have {max} or fewer"
        ));
    }
    let pattern = schema["pattern"].as_str()?;
    let fits = Regex::new(pattern).is_ok_and(|regex| regex.is_match(text));
    (!fits).then(|| format!("is {text:?}, and must match {pattern}"))
}

fn wrong_number(schema: &Value, number: f64) -> Option<String> {
    let (min, max) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    let fits = min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max);
    (!fits).then(|| match (min, max) {
        (Some(min), Some(max)) => format!("is {number}, and must be between {min} and {max}"),
        (Some(min), None) => format!("is {number}, and must be {min} or more"),
        (_, max) => format!(
            "is {number}, and must be {} or less",
            max.unwrap_or_default()
        ),
    })
}
