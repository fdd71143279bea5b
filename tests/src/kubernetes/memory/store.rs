//! The objects, their versions, and what changed.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::kinds::{EVENT, Kind, NAMESPACE};
use super::object::Object;
use super::owners::Manager;
use super::rules::Rules;

/// Changes that can still be watched. More than any test makes unless it wants them forgotten.
const REMEMBERED: usize = 20_000;

/// Names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Its kind.
    pub(crate) kind: &'static Kind,
    /// Its namespace; empty for a kind without.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
}

impl Key {
    /// Of this kind, namespace and name.
    pub(crate) fn new(kind: &'static Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// One write.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The version that it made.
    pub(crate) version: u64,
    /// What was written.
    pub(crate) key: Key,
    /// What was there before.
    pub(crate) before: Option<Value>,
    /// What is there now; `None` if it is gone.
    pub(crate) after: Option<Value>,
}

/// Everything that is in an etcd.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    objects: BTreeMap<Key, Value>,
    managers: BTreeMap<Key, Vec<Manager>>,
    version: u64,
    changes: VecDeque<Change>,
    /// Changes up to this version are forgotten.
    forgotten: u64,
    made: u64,
    /// How the machines behave.
    pub(crate) rules: Rules,
}

impl Store {
    /// With the namespace `default`.
    pub(crate) fn new() -> Self {
        let mut store = Self::default();
        store.add_namespace("default", json!({}));
        store
    }

    /// Makes a namespace with these labels.
    pub(crate) fn add_namespace(&mut self, name: &str, labels: Value) {
        let uid = self.fresh_uid();
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": name, "uid": uid, "labels": labels, "creationTimestamp": now() },
            "spec": { "finalizers": ["kubernetes"] },
            "status": { "phase": "Active" },
        });
        self.put(&Key::new(&NAMESPACE, "", name), object, Vec::new());
    }

    /// The version of the last write.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// An object.
    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// Who manages which of an object's fields.
    pub(crate) fn managers(&self, key: &Key) -> &[Manager] {
        self.managers.get(key).map_or(&[], Vec::as_slice)
    }

    /// All objects of a kind, of one namespace if one is named, by namespace and name.
    pub(crate) fn all<'a>(
        &'a self,
        kind: &'static Kind,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        self.objects.iter().filter(move |(key, _)| {
            key.kind == kind && namespace.is_none_or(|namespace| namespace == key.namespace)
        })
    }

    /// Every object's key.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.objects.keys().cloned().collect()
    }

    /// The keys of [`Self::all`], for who changes them.
    pub(crate) fn keys_of(&self, kind: &'static Kind, namespace: Option<&str>) -> Vec<Key> {
        let all = self.all(kind, namespace);
        all.map(|(key, _)| key.clone()).collect()
    }

    /// Writes an object under a new version, and answers it as it is now.
    pub(crate) fn put(&mut self, key: &Key, mut object: Value, managers: Vec<Manager>) -> Value {
        self.version += 1;
        object.set("/metadata/resourceVersion", self.version.to_string().into());
        let fields: Vec<_> = managers.iter().map(Manager::entry).collect();
        if fields.is_empty() {
            object.unset("/metadata/managedFields");
        } else {
            object.set("/metadata/managedFields", fields.into());
        }
        let before = self.objects.insert(key.clone(), object.clone());
        self.managers.insert(key.clone(), managers);
        self.note(key, before, Some(object.clone()));
        object
    }

    /// Takes an object away, and answers it as it last was.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Value> {
        let mut before = self.objects.remove(key)?;
        self.managers.remove(key);
        self.version += 1;
        before.set("/metadata/resourceVersion", self.version.to_string().into());
        self.note(key, Some(before.clone()), None);
        Some(before)
    }

    /// Changes an object as a controller does; nothing is written if nothing changed.
    pub(crate) fn edit(&mut self, key: &Key, change: impl FnOnce(&mut Value)) {
        let Some(object) = self.objects.get(key) else {
            return;
        };
        let mut changed = object.clone();
        change(&mut changed);
        if changed != *object {
            let managers = self.managers(key).to_vec();
            self.put(key, changed, managers);
        }
    }

    /// Tells people something about an object.
    pub(crate) fn tell(&mut self, about: &Key, reason: &str, message: &str) {
        let Some(object) = self.get(about) else {
            return;
        };
        let involved = json!({
            "apiVersion": about.kind.api_version(),
            "kind": about.kind.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": object.uid(),
        });
        let same = |event: &Value| {
            event["involvedObject"] == involved
                && event.text("/reason") == reason
                && event.text("/message") == message
        };
        let namespace = &about.namespace;
        if self
            .all(&EVENT, Some(namespace))
            .any(|(_, event)| same(event))
        {
            return;
        }
        let uid = self.fresh_uid();
        let name = format!("{}.{}", about.name, uid.replace('-', ""));
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": name, "namespace": namespace, "uid": uid, "creationTimestamp": now(),
            },
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": "Warning",
            "count": 1,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "source": { "component": "memory" },
        });
        self.put(
            &Key::new(&EVENT, &about.namespace, &name),
            event,
            Vec::new(),
        );
    }

    /// A uid that nothing else has.
    pub(crate) fn fresh_uid(&mut self) -> String {
        self.made += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.made)
    }

    /// A number that nothing else has.
    pub(crate) fn fresh_number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// The changes after a version, or the oldest version that can be asked for.
    pub(crate) fn changes_since(&self, version: u64) -> Result<impl Iterator<Item = &Change>, u64> {
        if version < self.forgotten {
            return Err(self.forgotten);
        }
        Ok(self.changes.iter().filter(move |c| c.version > version))
    }

    /// Forgets all changes up to now, as an etcd does in time.
    pub(crate) fn forget_changes(&mut self) {
        self.changes.clear();
        self.forgotten = self.version;
    }

    fn note(&mut self, key: &Key, before: Option<Value>, after: Option<Value>) {
        let change = Change {
            version: self.version,
            key: key.clone(),
            before,
            after,
        };
        self.changes.push_back(change);
        while self.changes.len() > REMEMBERED {
            if let Some(oldest) = self.changes.pop_front() {
                self.forgotten = oldest.version;
            }
        }
    }
}

/// Now, as Kubernetes writes it: in whole seconds.
pub(crate) fn now() -> Value {
    let seconds = Timestamp::now().as_second();
    let now = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    now.to_string().into()
}
