//! Which objects are let in.

mod ensemble;
mod restricted;

use serde_json::{Value, json};

use super::failure::Failure;
use super::kinds::{BUDGET, CLAIM, CONFIG_MAP, ENSEMBLE, Kind, POD, QUOTA, SECRET, SERVICE};
use super::kinds::{NAMESPACE, STATEFUL_SET};
use super::object::Object;
use super::quantity;
use super::selector;
use super::store::{Key, Store};

pub(super) use ensemble::unknown_fields;

type Wrong = Vec<(String, String)>;

/// Judges an object that is new, or that changes from `before`.
pub(crate) fn judge(
    store: &Store,
    key: &Key,
    before: Option<&Value>,
    object: &mut Value,
) -> Result<(), Failure> {
    let kind = key.kind;
    if kind == &ENSEMBLE {
        ensemble::judge(key, before, object)?;
    }
    let wrong = match before {
        None => invalid(kind, object),
        Some(before) => {
            let mut wrong = invalid(kind, object);
            wrong.extend(invalid_change(kind, before, object));
            wrong
        }
    };
    if !wrong.is_empty() {
        return Err(Failure::invalid(kind, &key.name, &wrong));
    }
    if before.is_none() {
        within_quota(store, key)?;
        if kind == &POD {
            let home = store.get(&Key::new(&NAMESPACE, "", &key.namespace));
            restricted::judge(home, key, object)?;
        }
    }
    Ok(())
}

fn invalid(kind: &Kind, object: &Value) -> Wrong {
    let mut wrong = Wrong::new();
    if kind == &STATEFUL_SET {
        let labels = object.texts("/spec/template/metadata/labels");
        let chooses = object.pointer("/spec/selector").unwrap_or(&Value::Null);
        if !selector::matches(chooses, &labels) || chooses.is_null() {
            wrong.push((
                "spec.template.metadata.labels".to_owned(),
                format!(
                    "Invalid value: {}: `selector` does not match template `labels`",
                    json!(labels)
                ),
            ));
        }
    }
    if kind == &BUDGET {
        let has = |field: &str| object.pointer(&format!("/spec/{field}")).is_some();
        if has("minAvailable") && has("maxUnavailable") {
            wrong.push((
                "spec".to_owned(),
                "Invalid value: minAvailable and maxUnavailable cannot be both set".to_owned(),
            ));
        }
    }
    wrong
}

/// Fields of a StatefulSet's spec that can change.
const CHANGEABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

fn invalid_change(kind: &Kind, before: &Value, object: &Value) -> Wrong {
    let fixed = |field: &str| {
        let pointer = format!("/{}", field.replace('.', "/"));
        let same = before.pointer(&pointer) == object.pointer(&pointer);
        (!same).then(|| {
            (
                field.to_owned(),
                "Invalid value: field is immutable".to_owned(),
            )
        })
    };
    if kind == &STATEFUL_SET {
        stateful_set_change(before, object)
    } else if kind == &CLAIM {
        claim_change(before, object)
    } else if kind == &SECRET {
        let frozen = (before["immutable"] == true)
            .then(|| fixed("data"))
            .flatten();
        fixed("type").into_iter().chain(frozen).collect()
    } else if kind == &CONFIG_MAP {
        let frozen = (before["immutable"] == true)
            .then(|| fixed("data"))
            .flatten();
        frozen.into_iter().collect()
    } else if kind == &SERVICE {
        fixed("spec.clusterIP").into_iter().collect()
    } else if kind == &POD {
        pod_change(before, object)
    } else {
        Wrong::new()
    }
}

fn stateful_set_change(before: &Value, object: &Value) -> Wrong {
    let rest = |object: &Value| {
        let mut spec = object["spec"].clone();
        for field in CHANGEABLE {
            spec.unset(&format!("/{field}"));
        }
        // The status of a claim template says nothing.
        for template in spec["volumeClaimTemplates"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            template.unset("/status");
        }
        spec
    };
    if rest(before) == rest(object) {
        return Wrong::new();
    }
    let list: Vec<_> = CHANGEABLE
        .iter()
        .map(|field| format!("'{field}'"))
        .collect();
    vec![(
        "spec".to_owned(),
        format!(
            "Forbidden: updates to statefulset spec for fields other than {} and {} are forbidden",
            list[..6].join(", "),
            list[6]
        ),
    )]
}

fn claim_change(before: &Value, object: &Value) -> Wrong {
    let rest = |object: &Value| {
        let mut spec = object["spec"].clone();
        spec.unset("/resources/requests/storage");
        spec.unset("/volumeName");
        spec
    };
    if rest(before) != rest(object) {
        return vec![(
            "spec".to_owned(),
            "Forbidden: spec is immutable after creation except resources.requests and \
             volumeAttributesClassName for bound claims"
                .to_owned(),
        )];
    }
    let size = |object: &Value| {
        quantity::thousandths(object.text("/spec/resources/requests/storage")).unwrap_or(0)
    };
    if size(object) < size(before) {
        return vec![(
            "spec.resources.requests.storage".to_owned(),
            "Forbidden: field can not be less than status.capacity".to_owned(),
        )];
    }
    Wrong::new()
}

fn pod_change(before: &Value, object: &Value) -> Wrong {
    let rest = |object: &Value| {
        let mut spec = object["spec"].clone();
        for field in ["/nodeName", "/tolerations", "/activeDeadlineSeconds"] {
            spec.unset(field);
        }
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                container.unset("/image");
            }
        }
        spec
    };
    if rest(before) == rest(object) {
        return Wrong::new();
    }
    vec![(
        "spec".to_owned(),
        "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
         `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
         additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be \
         set to 1 if it was previously negative)"
            .to_owned(),
    )]
}

/// Counts pods and claims; anything else is not limited here.
fn within_quota(store: &Store, key: &Key) -> Result<(), Failure> {
    let counted = if key.kind == &POD {
        "pods"
    } else if key.kind == &CLAIM {
        "persistentvolumeclaims"
    } else {
        return Ok(());
    };
    for (_, quota) in store.all(&QUOTA, Some(&key.namespace)) {
        let limit = quota
            .pointer("/spec/hard")
            .and_then(|hard| hard.get(counted));
        let limit = limit.map(|limit| {
            limit
                .as_str()
                .map_or_else(|| limit.to_string(), str::to_owned)
        });
        let Some(limit) = limit.and_then(|limit| limit.parse::<usize>().ok()) else {
            continue;
        };
        let used = store.all(key.kind, Some(&key.namespace)).count();
        if used >= limit {
            let why = format!(
                "exceeded quota: {}, requested: {counted}=1, used: {counted}={used}, limited: \
                 {counted}={limit}",
                quota.name()
            );
            return Err(Failure::forbidden(key.kind, &key.name, &why));
        }
    }
    Ok(())
}
