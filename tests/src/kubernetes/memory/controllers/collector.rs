//! The garbage collector: what has no owner left goes, and owners wait for it if they are told to.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::kinds::{Kind, named};
use super::super::object::Object;
use super::super::store::{Key, Store};
use super::super::write::{Deletion, delete};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

pub(super) fn step(store: &mut Store) {
    for key in store.keys() {
        if store
            .get(&key)
            .is_some_and(|object| waits_for(object, ORPHAN))
        {
            orphan(store, &key);
        }
    }
    for key in store.keys() {
        collect(store, &key);
    }
    for key in store.keys() {
        if store
            .get(&key)
            .is_some_and(|object| waits_for(object, FOREGROUND))
        {
            foreground(store, &key);
        }
    }
}

fn waits_for(object: &Value, finalizer: &str) -> bool {
    object.is_going()
        && object
            .list("/metadata/finalizers")
            .contains(&finalizer.into())
}

fn owned_by(store: &Store, owner: &Key) -> Vec<Key> {
    let uid = store.get(owner).map_or("", Object::uid).to_owned();
    let mut keys = store.keys();
    keys.retain(|key| {
        let owners = store
            .get(key)
            .map_or(&[][..], |o| o.list("/metadata/ownerReferences"));
        owners.iter().any(|owner| owner.text("/uid") == uid)
    });
    keys
}

fn orphan(store: &mut Store, owner: &Key) {
    let uid = store.get(owner).map_or("", Object::uid).to_owned();
    for key in owned_by(store, owner) {
        store.edit(&key, |object| {
            let mut owners = object.list("/metadata/ownerReferences").to_vec();
            owners.retain(|owner| owner.text("/uid") != uid);
            if owners.is_empty() {
                object.unset("/metadata/ownerReferences");
            } else {
                object.set("/metadata/ownerReferences", owners.into());
            }
        });
    }
    let_go(store, owner, ORPHAN);
}

/// An object goes when none of its owners is there any more.
fn collect(store: &mut Store, key: &Key) {
    let Some(object) = store.get(key) else {
        return;
    };
    let owners = object.list("/metadata/ownerReferences");
    if owners.is_empty() {
        return;
    }
    let found: Vec<_> = owners
        .iter()
        .filter_map(|owner| Some((owner, living(store, key, owner)?)))
        .collect();
    let waited_for = found.iter().any(|(reference, owner)| {
        reference["blockOwnerDeletion"] == true && waits_for(owner, FOREGROUND)
    });
    let solid = found.iter().any(|(_, owner)| !waits_for(owner, FOREGROUND));
    if (found.is_empty() || (waited_for && !solid)) && !object.is_going() {
        let how = Deletion {
            propagation: waited_for.then(|| "Foreground".to_owned()),
            ..Deletion::default()
        };
        let _ = delete(store, key, &how);
    }
}

/// The owner that a reference names, by kind, name and uid.
fn living<'a>(store: &'a Store, of: &Key, reference: &Value) -> Option<&'a Value> {
    let kind: &'static Kind = named(reference.text("/kind"))?;
    let namespace = if kind.namespaced { &of.namespace } else { "" };
    let owner = store.get(&Key::new(kind, namespace, reference.text("/name")))?;
    (owner.uid() == reference.text("/uid")).then_some(owner)
}

fn foreground(store: &mut Store, owner: &Key) {
    let uid = store.get(owner).map_or("", Object::uid).to_owned();
    let blocked: BTreeSet<_> = owned_by(store, owner)
        .into_iter()
        .filter(|key| {
            let owners = store
                .get(key)
                .map_or(&[][..], |o| o.list("/metadata/ownerReferences"));
            let blocks = |o: &Value| o.text("/uid") == uid && o["blockOwnerDeletion"] == true;
            owners.iter().any(blocks)
        })
        .collect();
    if blocked.is_empty() {
        let_go(store, owner, FOREGROUND);
    }
}

/// Takes a finalizer off, and with the last one the object away.
pub(super) fn let_go(store: &mut Store, key: &Key, finalizer: &str) {
    store.edit(key, |object| {
        let mut left = object.list("/metadata/finalizers").to_vec();
        left.retain(|found| found != finalizer);
        if left.is_empty() {
            object.unset("/metadata/finalizers");
        } else {
            object.set("/metadata/finalizers", left.into());
        }
    });
    let object = store.get(key);
    if object.is_some_and(|o| o.is_going() && o.list("/metadata/finalizers").is_empty()) {
        store.remove(key);
    }
}
