//! Server-side apply.

use std::collections::BTreeSet;

use serde_json::Value;

use super::failure::Failure;
use super::owners::{self, Items, Manager, Path, fields, is_under, item_step, items, shown};

/// What an apply makes of an object.
pub(crate) struct Applied {
    /// The object.
    pub(crate) object: Value,
    /// Who manages it then.
    pub(crate) managers: Vec<Manager>,
}

/// Applies `intent` for `by` on a live object. Fields that `by` applied before and does not name
/// any more go, unless others manage them. Fields of others with another value are a conflict,
/// unless forced.
pub(crate) fn apply(
    live: &Value,
    managers: &[Manager],
    intent: &Value,
    by: &Manager,
    force: bool,
) -> Result<Applied, Failure> {
    if owners::names_managed_fields(intent) {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let wanted = fields(intent);
    let found = fields(live);
    let differs = |path: &Path| {
        wanted
            .get(path)
            .is_some_and(|value| found.get(path).is_some_and(|live| live != value))
    };
    let mut others: Vec<_> = managers.iter().filter(|m| !m.is(by)).cloned().collect();
    let conflicts: Vec<_> = others
        .iter()
        .flat_map(|other| other.fields.iter().map(move |path| (other, path)))
        .filter(|(_, path)| differs(path))
        .map(|(other, path)| (other.name.clone(), shown(path)))
        .collect();
    if !conflicts.is_empty() && !force {
        return Err(Failure::owned_by_others(&conflicts));
    }
    for other in &mut others {
        other.fields.retain(|path| !differs(path));
    }
    let mut object = live.clone();
    merge("", &mut object, intent);
    let before = managers.iter().find(|manager| manager.is(by));
    let given_up = before.into_iter().flat_map(|manager| &manager.fields);
    let given_up: Vec<_> = given_up.filter(|p| !wanted.contains_key(*p)).collect();
    // Leaves before the items that they are in.
    for path in given_up.iter().rev() {
        let kept = others
            .iter()
            .flat_map(|other| &other.fields)
            .any(|other| is_under(other, path));
        if !kept {
            owners::take_out(&mut object, path);
        }
    }
    let own: BTreeSet<_> = wanted.into_keys().collect();
    others.retain(|manager| !manager.fields.is_empty());
    others.push(before.unwrap_or(by).with(own));
    Ok(Applied {
        object,
        managers: others,
    })
}

/// Lays `intent` over `live`: maps and keyed lists item by item, all else as a whole.
fn merge(field: &str, live: &mut Value, intent: &Value) {
    match (live, intent) {
        (Value::Object(live), Value::Object(intent)) if !owners::is_whole(field) => {
            for (key, value) in intent {
                if value.is_null() {
                    live.remove(key);
                } else if let Some(at) = live.get_mut(key) {
                    merge(key, at, value);
                } else {
                    live.insert(key.clone(), value.clone());
                }
            }
        }
        (Value::Array(live), Value::Array(intent)) => merge_list(field, live, intent),
        (live, intent) => *live = intent.clone(),
    }
}

fn merge_list(field: &str, live: &mut Vec<Value>, intent: &[Value]) {
    match items(field, intent) {
        Items::Keyed(keys) => {
            for item in intent {
                let step = item_step(keys, item);
                match live.iter_mut().find(|found| item_step(keys, found) == step) {
                    Some(found) => merge(field, found, item),
                    None => live.push(item.clone()),
                }
            }
        }
        Items::Set => {
            for item in intent {
                if !live.contains(item) {
                    live.push(item.clone());
                }
            }
        }
        Items::Whole => *live = intent.to_vec(),
    }
}
