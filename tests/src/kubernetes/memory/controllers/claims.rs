//! Binds claims, and keeps those that are in use from going.

use serde_json::json;

use super::super::kinds::{CLAIM, POD};
use super::super::object::Object;
use super::super::store::{Key, Store};
use super::collector::let_go;
use super::pod;

const IN_USE: &str = "kubernetes.io/pvc-protection";

pub(super) fn step(store: &mut Store) {
    for key in store.keys_of(&CLAIM, None) {
        let Some(claim) = store.get(&key) else {
            continue;
        };
        if claim.is_going() {
            if !is_used(store, &key) {
                let_go(store, &key, IN_USE);
            }
        } else if !store.rules.volumes_held {
            bind(store, &key);
        }
    }
}

/// A pod that was placed on a node and is not over holds its claims.
fn is_used(store: &Store, claim: &Key) -> bool {
    store.all(&POD, Some(&claim.namespace)).any(|(_, found)| {
        let placed = !found.text("/spec/nodeName").is_empty();
        placed && !pod::is_over(found) && pod::claims(found).contains(&claim.name)
    })
}

fn bind(store: &mut Store, key: &Key) {
    store.edit(key, |claim| {
        let volume = format!("pvc-{}", claim.uid());
        let size = claim.text("/spec/resources/requests/storage").to_owned();
        claim.set_default("/spec/volumeName", volume.into());
        claim.set("/status/phase", "Bound".into());
        claim.set_default("/status/accessModes", json!(["ReadWriteOnce"]));
        claim.set("/status/capacity/storage", size.into());
    });
}
