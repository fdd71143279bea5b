//! A namespace that was deleted takes everything in it along.

use super::super::kinds::{EVENT, NAMESPACE};
use super::super::object::Object;
use super::super::store::{Key, Store};
use super::super::write::{Deletion, delete};

pub(super) fn step(store: &mut Store) {
    for home in store.keys_of(&NAMESPACE, None) {
        if store.get(&home).is_some_and(Object::is_going) {
            empty(store, &home);
        }
    }
}

fn empty(store: &mut Store, home: &Key) {
    let mut left: Vec<_> = store.keys();
    left.retain(|key| key.namespace == home.name);
    for key in &left {
        if store.get(key).is_some_and(|object| !object.is_going()) {
            // Whoever refuses is asked again at the next step.
            let _ = delete(store, key, &Deletion::default());
        }
    }
    left.retain(|key| key.kind != &EVENT && store.get(key).is_some());
    if left.is_empty() {
        store.remove(home);
    }
}
