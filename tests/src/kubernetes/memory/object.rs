//! Reading and writing JSON objects by path.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Reading, where what is absent is as good as empty.
pub trait Object {
    /// The text at a JSON pointer.
    fn text(&self, pointer: &str) -> &str;
    /// The number at a JSON pointer.
    fn number(&self, pointer: &str) -> Option<i64>;
    /// The list at a JSON pointer.
    fn list(&self, pointer: &str) -> &[Value];
    /// The map of texts at a JSON pointer.
    fn texts(&self, pointer: &str) -> BTreeMap<String, String>;
    /// Writes at a JSON pointer, and makes the maps above it.
    fn set(&mut self, pointer: &str, value: Value);
    /// Writes at a JSON pointer if nothing is there.
    fn set_default(&mut self, pointer: &str, value: Value);
    /// Takes away what is at a JSON pointer.
    fn unset(&mut self, pointer: &str) -> Option<Value>;

    /// `metadata.name`.
    fn name(&self) -> &str {
        self.text("/metadata/name")
    }
    /// `metadata.namespace`.
    fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }
    /// `metadata.uid`.
    fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }
    /// It was deleted and is not gone.
    fn is_going(&self) -> bool {
        !self.text("/metadata/deletionTimestamp").is_empty()
    }
    /// The owner that controls it.
    fn controller(&self) -> Option<&Value> {
        let mut owners = self.list("/metadata/ownerReferences").iter();
        owners.find(|owner| owner["controller"] == true)
    }
    /// The status of a condition.
    fn condition(&self, type_: &str) -> &str {
        let mut conditions = self.list("/status/conditions").iter();
        let found = conditions.find(|condition| condition["type"] == type_);
        found.map_or("", |condition| condition.text("/status"))
    }
}

impl Object for Value {
    fn text(&self, pointer: &str) -> &str {
        self.pointer(pointer)
            .and_then(Self::as_str)
            .unwrap_or_default()
    }

    fn number(&self, pointer: &str) -> Option<i64> {
        self.pointer(pointer).and_then(Self::as_i64)
    }

    fn list(&self, pointer: &str) -> &[Value] {
        self.pointer(pointer)
            .and_then(Self::as_array)
            .map_or(&[], Vec::as_slice)
    }

    fn texts(&self, pointer: &str) -> BTreeMap<String, String> {
        let Some(map) = self.pointer(pointer).and_then(Self::as_object) else {
            return BTreeMap::new();
        };
        let entry = |(key, value): (&String, &Self)| Some((key.clone(), value.as_str()?.into()));
        map.iter().filter_map(entry).collect()
    }

    fn set(&mut self, pointer: &str, value: Value) {
        let mut at = self;
        for step in pointer.split('/').skip(1) {
            if !at.is_object() {
                *at = json!({});
            }
            at = &mut at[step.replace("~1", "/").as_str()];
        }
        *at = value;
    }

    fn set_default(&mut self, pointer: &str, value: Value) {
        if self.pointer(pointer).is_none_or(Self::is_null) {
            self.set(pointer, value);
        }
    }

    fn unset(&mut self, pointer: &str) -> Option<Value> {
        let (above, last) = pointer.rsplit_once('/')?;
        let map: &mut Map<String, Self> = self.pointer_mut(above)?.as_object_mut()?;
        map.remove(last)
    }
}
