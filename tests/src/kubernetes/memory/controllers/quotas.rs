//! What a quota's namespace uses.

use serde_json::json;

use super::super::kinds::{CLAIM, POD, QUOTA};
use super::super::object::Object;
use super::super::store::Store;

pub(super) fn step(store: &mut Store) {
    for key in store.keys_of(&QUOTA, None) {
        let count = |kind| store.all(kind, Some(&key.namespace)).count().to_string();
        let (pods, claims) = (count(&POD), count(&CLAIM));
        store.edit(&key, |quota| {
            let hard = quota
                .pointer("/spec/hard")
                .cloned()
                .unwrap_or_else(|| json!({}));
            let mut used = json!({ "pods": pods, "persistentvolumeclaims": claims });
            if let Some(used) = used.as_object_mut() {
                used.retain(|counted, _| hard.get(counted).is_some());
            }
            quota.set("/status", json!({ "hard": hard, "used": used }));
        });
    }
}
