//! The subresource `scale`.

use http::Method;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::kinds::{ENSEMBLE, STATEFUL_SET};
use super::super::object::Object;
use super::super::owners;
use super::super::store::Store;
use super::super::write::{self, Update};
use super::{Asked, get};

pub(super) fn act(store: &mut Store, asked: &Asked) -> Result<Value, Failure> {
    let key = asked.key();
    if key.kind != &STATEFUL_SET && key.kind != &ENSEMBLE {
        return Err(Failure::no_such_path());
    }
    let object = get(store, &key)?;
    let mut wanted = scale_of(&object);
    match asked.method {
        Method::GET => return Ok(wanted),
        Method::PUT => wanted = asked.body.clone(),
        Method::PATCH => json_patch::merge(&mut wanted, &asked.body),
        _ => return Err(Failure::method_not_allowed()),
    }
    let said = wanted.text("/metadata/resourceVersion");
    if !said.is_empty() && said != object.text("/metadata/resourceVersion") {
        return Err(Failure::modified(key.kind, &key.name));
    }
    let mut changed = object;
    changed.set("/spec/replicas", wanted["spec"]["replicas"].clone());
    let by = asked.author(false);
    let update = Update {
        key: &key,
        object: changed,
        part: "",
        replaces: false,
    };
    let written = write::update(store, update, |managers, before, after| {
        owners::updated(managers, &by, before, after)
    })?;
    Ok(scale_of(&written))
}

fn scale_of(object: &Value) -> Value {
    json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {
            "name": object.name(),
            "namespace": object.namespace(),
            "uid": object.uid(),
            "resourceVersion": object.text("/metadata/resourceVersion"),
            "creationTimestamp": object.text("/metadata/creationTimestamp"),
        },
        "spec": { "replicas": object.number("/spec/replicas") },
        "status": { "replicas": object.number("/status/replicas").unwrap_or(0) },
    })
}
