//! Events of `events.k8s.io`: kept in the words of the core, where everybody reads them.

use serde_json::Value;

use super::super::object::Object;

/// The new group's words for the old one's.
const WORDS: [(&str, &str); 3] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
];

/// An event of the new group in the words of the core.
pub(super) fn from_new(mut event: Value) -> Value {
    for (new, old) in WORDS {
        if let Some(value) = event.unset(&format!("/{new}")) {
            event.set(&format!("/{old}"), value);
        }
    }
    event
}
