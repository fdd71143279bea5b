//! Create, update and delete, with what an API server guarantees of each.

use serde_json::{Value, json};

use super::admission;
use super::defaults;
use super::failure::Failure;
use super::kinds::{CLAIM, EVENT, Kind, LEASE, NAMESPACE, POD};
use super::object::Object;
use super::owners::{self, Manager};
use super::store::{Key, Store, now};

/// Fields of the metadata that only the server writes.
const FIXED: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "namespace",
];

/// Makes an object, written or applied by `by`.
pub(crate) fn create(
    store: &mut Store,
    kind: &'static Kind,
    namespace: &str,
    mut object: Value,
    by: &Manager,
) -> Result<Value, Failure> {
    let managed = if by.applies {
        Some(owners::fields(&object))
    } else {
        None
    };
    name(store, kind, &mut object)?;
    let name = object.name().to_owned();
    let key = Key::new(kind, namespace, &name);
    if kind.namespaced {
        living_namespace(store, &key)?;
        let said = object.namespace();
        if !said.is_empty() && said != namespace {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the \
                 request",
            ));
        }
        object.set("/metadata/namespace", namespace.into());
    }
    if store.get(&key).is_some() {
        return Err(Failure::already_exists(kind, &name));
    }
    if !object.text("/metadata/resourceVersion").is_empty() {
        return Err(Failure::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    if kind.status {
        object.unset("/status");
    }
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
    ] {
        object.unset(&format!("/metadata/{field}"));
    }
    let uid = store.fresh_uid();
    object.set("/metadata/uid", uid.into());
    object.set("/metadata/creationTimestamp", now());
    if kind.generation {
        object.set("/metadata/generation", 1.into());
    }
    object.set("/apiVersion", kind.api_version().into());
    object.set("/kind", kind.kind.into());
    born(&key, &mut object);
    defaults::complete(store, kind, &mut object);
    admission::judge(store, &key, None, &mut object)?;
    let managers = match managed {
        Some(fields) => vec![by.with(fields.into_keys().collect())],
        None => owners::updated(&[], by, &Value::Null, &object),
    };
    Ok(store.put(&key, object, managers))
}

fn name(store: &mut Store, kind: &Kind, object: &mut Value) -> Result<(), Failure> {
    if !object.name().is_empty() {
        return Ok(());
    }
    let prefix = object.text("/metadata/generateName").to_owned();
    if prefix.is_empty() {
        let wrong = [(
            "metadata.name".to_owned(),
            "Required value: name or generateName is required".to_owned(),
        )];
        return Err(Failure::invalid(kind, "", &wrong));
    }
    let name = format!("{prefix}{:05x}", store.fresh_number());
    object.set("/metadata/name", name.into());
    Ok(())
}

fn living_namespace(store: &Store, key: &Key) -> Result<(), Failure> {
    let home = Key::new(&NAMESPACE, "", &key.namespace);
    match store.get(&home) {
        None => Err(Failure::not_found(&NAMESPACE, &key.namespace)),
        Some(home) if home.is_going() && key.kind != &EVENT => Err(Failure::forbidden(
            key.kind,
            &key.name,
            &format!(
                "unable to create new content in namespace {} because it is being terminated",
                key.namespace
            ),
        )),
        Some(_) => Ok(()),
    }
}

/// What a new object of some kinds is given.
fn born(key: &Key, object: &mut Value) {
    if key.kind == &CLAIM {
        object.set(
            "/metadata/finalizers",
            json!(["kubernetes.io/pvc-protection"]),
        );
        object.set("/status", json!({ "phase": "Pending" }));
    }
    if key.kind == &POD {
        object.set(
            "/status",
            json!({ "phase": "Pending", "qosClass": "Burstable" }),
        );
    }
    if key.kind == &NAMESPACE {
        object.set("/spec/finalizers", json!(["kubernetes"]));
        object.set("/status", json!({ "phase": "Active" }));
        let name = object.name().to_owned();
        let mut labels = object.texts("/metadata/labels");
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
        object.set("/metadata/labels", json!(labels));
    }
}

/// A change of an object, to be judged and written.
pub(crate) struct Update<'a> {
    /// Of which object.
    pub(crate) key: &'a Key,
    /// The whole object as it is to be.
    pub(crate) object: Value,
    /// `status` for the status alone; empty for all but the status.
    pub(crate) part: &'a str,
    /// The whole object replaces what was there, so it must say what it was made from.
    pub(crate) replaces: bool,
}

/// Changes an object; `managers` makes its managers from what is there before and after.
pub(crate) fn update(
    store: &mut Store,
    update: Update<'_>,
    managers: impl FnOnce(&[Manager], &Value, &Value) -> Vec<Manager>,
) -> Result<Value, Failure> {
    let Update {
        key,
        mut object,
        part,
        replaces,
    } = update;
    let before = store.get(key).cloned();
    let before = before.ok_or_else(|| Failure::not_found(key.kind, &key.name))?;
    preconditions(key, &before, &object, replaces)?;
    let reset = owners::is_reset(&object);
    keep_fixed(&before, &mut object);
    if part == "status" {
        let status = object.get("status").cloned();
        object = before.clone();
        match status {
            Some(status) => object.set("/status", status),
            None => drop(object.unset("/status")),
        }
    } else if key.kind.status {
        match before.get("status") {
            Some(status) => object.set("/status", status.clone()),
            None => drop(object.unset("/status")),
        }
    }
    if before.is_going() && part.is_empty() {
        no_new_finalizers(key, &before, &object)?;
    }
    defaults::complete(store, key.kind, &mut object);
    admission::judge(store, key, Some(&before), &mut object)?;
    let old = store.managers(key).to_vec();
    let new = if reset {
        Vec::new()
    } else {
        managers(&old, &before, &object)
    };
    if same(&before, &object) && old == new {
        return Ok(before);
    }
    if key.kind.generation && spec_of(&before) != spec_of(&object) {
        let generation = before.number("/metadata/generation").unwrap_or(0) + 1;
        object.set("/metadata/generation", generation.into());
    }
    let written = store.put(key, object, new);
    if written.is_going() && written.list("/metadata/finalizers").is_empty() && key.kind != &POD {
        store.remove(key);
    }
    Ok(written)
}

fn preconditions(key: &Key, before: &Value, object: &Value, replaces: bool) -> Result<(), Failure> {
    let said = object.text("/metadata/resourceVersion");
    if replaces && said.is_empty() && (key.kind.is_custom() || key.kind == &LEASE) {
        let wrong = [(
            "metadata.resourceVersion".to_owned(),
            "Invalid value: 0x0: must be specified for an update".to_owned(),
        )];
        return Err(Failure::invalid(key.kind, &key.name, &wrong));
    }
    let uid = object.text("/metadata/uid");
    if !uid.is_empty() && uid != before.uid() {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            before.uid()
        );
        return Err(Failure::conflict(key.kind, &key.name, &why));
    }
    if !said.is_empty() && said != before.text("/metadata/resourceVersion") {
        return Err(Failure::modified(key.kind, &key.name));
    }
    let name = object.name();
    if !name.is_empty() && name != key.name {
        return Err(Failure::bad_request(
            "the name of the object does not match the name on the URL",
        ));
    }
    Ok(())
}

fn keep_fixed(before: &Value, object: &mut Value) {
    for field in FIXED {
        let pointer = format!("/metadata/{field}");
        match before.pointer(&pointer) {
            Some(value) => object.set(&pointer, value.clone()),
            None => drop(object.unset(&pointer)),
        }
    }
    for pointer in [
        "/metadata/name",
        "/metadata/resourceVersion",
        "/apiVersion",
        "/kind",
    ] {
        object.set(
            pointer,
            before.pointer(pointer).cloned().unwrap_or_default(),
        );
    }
    object.unset("/metadata/managedFields");
    for pointer in [
        "/metadata/labels",
        "/metadata/annotations",
        "/metadata/finalizers",
    ] {
        let empty = object
            .pointer(pointer)
            .is_some_and(|value| value.is_null() || *value == json!({}) || *value == json!([]));
        if empty {
            object.unset(pointer);
        }
    }
}

fn no_new_finalizers(key: &Key, before: &Value, object: &Value) -> Result<(), Failure> {
    let known = before.list("/metadata/finalizers");
    let mut asked = object.list("/metadata/finalizers").iter();
    match asked.find(|finalizer| !known.contains(finalizer)) {
        None => Ok(()),
        Some(new) => {
            let wrong = [(
                "metadata.finalizers".to_owned(),
                format!(
                    "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers {new}"
                ),
            )];
            Err(Failure::invalid(key.kind, &key.name, &wrong))
        }
    }
}

/// Equal in what a client wrote.
fn same(before: &Value, after: &Value) -> bool {
    let bare = |object: &Value| {
        let mut bare = object.clone();
        for field in ["resourceVersion", "generation", "managedFields"] {
            bare.unset(&format!("/metadata/{field}"));
        }
        bare
    };
    bare(before) == bare(after)
}

fn spec_of(object: &Value) -> Value {
    let mut spec = object.clone();
    spec.unset("/metadata");
    spec.unset("/status");
    spec
}

/// How an object is to be deleted: a `DeleteOptions`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deletion {
    /// Only if its uid is this.
    pub(crate) uid: Option<String>,
    /// Only if its resourceVersion is this.
    pub(crate) version: Option<String>,
    /// Seconds that a pod has to end.
    pub(crate) grace: Option<i64>,
    /// `Background`, `Foreground` or `Orphan`.
    pub(crate) propagation: Option<String>,
}

impl Deletion {
    /// From a body and a query.
    pub(crate) fn read(body: &Value, query: impl Fn(&str) -> Option<String>) -> Self {
        let text = |pointer: &str| {
            let found = body.pointer(pointer).and_then(Value::as_str);
            found.map(str::to_owned)
        };
        Self {
            uid: text("/preconditions/uid"),
            version: text("/preconditions/resourceVersion"),
            grace: body
                .number("/gracePeriodSeconds")
                .or_else(|| query("gracePeriodSeconds")?.parse().ok()),
            propagation: text("/propagationPolicy").or_else(|| query("propagationPolicy")),
        }
    }
}

/// Deletes an object, or begins to; answers it as it is then.
pub(crate) fn delete(store: &mut Store, key: &Key, how: &Deletion) -> Result<Value, Failure> {
    let object = store.get(key).cloned();
    let mut object = object.ok_or_else(|| Failure::not_found(key.kind, &key.name))?;
    let failed = |what: &str, said: &str, is: &str| {
        let why = format!(
            "the {what} in the precondition ({said}) does not match the {what} in record ({is}). \
             The object might have been deleted and then recreated"
        );
        Failure::conflict(key.kind, &key.name, &why)
    };
    if let Some(uid) = how.uid.as_deref().filter(|uid| *uid != object.uid()) {
        return Err(failed("UID", uid, object.uid()));
    }
    let version = object.text("/metadata/resourceVersion");
    if let Some(said) = how.version.as_deref().filter(|said| *said != version) {
        return Err(failed("ResourceVersion", said, version));
    }
    let finalizer = match how.propagation.as_deref() {
        Some("Orphan") => Some("orphan"),
        Some("Foreground") => Some("foregroundDeletion"),
        _ => None,
    };
    let mut finalizers = object.list("/metadata/finalizers").to_vec();
    if let Some(finalizer) = finalizer.filter(|new| !finalizers.contains(&(*new).into())) {
        finalizers.push(finalizer.into());
        object.set("/metadata/finalizers", finalizers.clone().into());
    }
    let grace = grace(key, &object, how);
    if key.kind == &NAMESPACE {
        object.set("/status/phase", "Terminating".into());
    } else if finalizers.is_empty() && grace == 0 {
        return store
            .remove(key)
            .ok_or_else(|| Failure::not_found(key.kind, &key.name));
    }
    let shorter = object
        .number("/metadata/deletionGracePeriodSeconds")
        .is_some_and(|left| grace < left);
    if !object.is_going() || shorter {
        object.set_default("/metadata/deletionTimestamp", now());
        object.set("/metadata/deletionGracePeriodSeconds", grace.into());
    }
    if store.get(key) == Some(&object) {
        return Ok(object);
    }
    let managers = store.managers(key).to_vec();
    Ok(store.put(key, object, managers))
}

/// Only a pod that a kubelet runs is given time.
fn grace(key: &Key, object: &Value, how: &Deletion) -> i64 {
    let over = ["Succeeded", "Failed"].contains(&object.text("/status/phase"));
    if key.kind != &POD || object.text("/spec/nodeName").is_empty() || over {
        return 0;
    }
    how.grace
        .or_else(|| object.number("/spec/terminationGracePeriodSeconds"))
        .unwrap_or(30)
}
