//! StatefulSets: pods with numbers, each with claims of its own.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::kinds::{CLAIM, POD, STATEFUL_SET};
use super::super::object::Object;
use super::super::owners::Manager;
use super::super::selector;
use super::super::store::{Key, Store};
use super::super::write::{Deletion, create, delete};
use super::pod::{is_over, is_ready};

const REVISION: &str = "/metadata/labels/controller-revision-hash";

pub(super) fn step(store: &mut Store) {
    for key in store.keys_of(&STATEFUL_SET, None) {
        let Some(set) = store.get(&key).cloned() else {
            continue;
        };
        if set.is_going() {
            continue;
        }
        let set = Set::read(&key, &set);
        set.adopt(store);
        set.fill(store);
        set.shrink(store);
        set.roll(store);
        set.report(store);
    }
}

/// A StatefulSet as its controller reads it.
struct Set<'a> {
    key: &'a Key,
    object: &'a Value,
    replicas: i64,
    revision: String,
    parallel: bool,
}

impl<'a> Set<'a> {
    fn read(key: &'a Key, object: &'a Value) -> Self {
        let mut hasher = DefaultHasher::new();
        object["spec"]["template"].to_string().hash(&mut hasher);
        Self {
            key,
            object,
            replicas: object.number("/spec/replicas").unwrap_or(1),
            revision: format!("{}-{:010x}", key.name, hasher.finish() >> 24),
            parallel: object.text("/spec/podManagementPolicy") == "Parallel",
        }
    }

    fn pod_key(&self, ordinal: i64) -> Key {
        let name = format!("{}-{ordinal}", self.key.name);
        Key::new(&POD, &self.key.namespace, &name)
    }

    /// The number of a pod of this set's name.
    fn ordinal(&self, pod: &Value) -> Option<i64> {
        let number = pod.name().strip_prefix(&self.key.name)?.strip_prefix('-')?;
        number.parse().ok()
    }

    fn controls(&self, object: &Value) -> bool {
        let controller = object.controller();
        controller.is_some_and(|owner| owner.text("/uid") == self.object.uid())
    }

    /// This set's pods, by number.
    fn pods(&self, store: &Store) -> BTreeMap<i64, Value> {
        store
            .all(&POD, Some(&self.key.namespace))
            .filter(|(_, pod)| self.controls(pod))
            .filter_map(|(_, pod)| Some((self.ordinal(pod)?, pod.clone())))
            .collect()
    }

    fn reference(&self) -> Value {
        json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "name": self.key.name,
            "uid": self.object.uid(),
            "controller": true,
            "blockOwnerDeletion": true,
        })
    }

    /// Pods of its labels and name that nobody controls become its own.
    fn adopt(&self, store: &mut Store) {
        let chooses = &self.object["spec"]["selector"];
        for key in store.keys_of(&POD, Some(&self.key.namespace)) {
            let Some(pod) = store.get(&key) else {
                continue;
            };
            let fits = selector::matches(chooses, &pod.texts("/metadata/labels"))
                && self.ordinal(pod).is_some();
            if fits && pod.controller().is_none() && !pod.is_going() {
                store.edit(&key, |pod| {
                    let mut owners = pod.list("/metadata/ownerReferences").to_vec();
                    owners.push(self.reference());
                    pod.set("/metadata/ownerReferences", owners.into());
                });
            }
        }
    }

    /// Makes the pods that should be there, all at once or one after the other.
    fn fill(&self, store: &mut Store) {
        for ordinal in 0..self.replicas {
            let key = self.pod_key(ordinal);
            match store.get(&key) {
                None => {
                    if let Err(message) = self.make(store, ordinal) {
                        store.tell(self.key, "FailedCreate", &message);
                        return;
                    }
                }
                Some(pod) if is_over(pod) && self.controls(pod) && !pod.is_going() => {
                    let _ = delete(store, &key, &Deletion::default());
                }
                // A pod that waits for a claim that is gone gets another.
                Some(pod) if pod.text("/status/phase") == "Pending" && self.controls(pod) => {
                    if let Err(message) = self.make_claims(store, ordinal) {
                        store.tell(self.key, "FailedCreate", &message);
                    }
                }
                Some(_) => {}
            }
            let ready = store
                .get(&key)
                .is_some_and(|pod| is_ready(pod) && !pod.is_going());
            if !self.parallel && !ready {
                return;
            }
        }
    }

    fn make(&self, store: &mut Store, ordinal: i64) -> Result<(), String> {
        self.make_claims(store, ordinal)?;
        let key = self.pod_key(ordinal);
        let failed = |failure: Failure| {
            format!(
                "create Pod {} in StatefulSet {} failed error: {}",
                key.name,
                self.key.name,
                failure.message()
            )
        };
        let pod = self.pod(&key.name, ordinal);
        create(store, &POD, &key.namespace, pod, &manager("v1"))
            .map(drop)
            .map_err(failed)
    }

    fn make_claims(&self, store: &mut Store, ordinal: i64) -> Result<(), String> {
        let pod = self.pod_key(ordinal).name;
        for template in self.object.list("/spec/volumeClaimTemplates") {
            let name = format!("{}-{pod}", template.name());
            let key = Key::new(&CLAIM, &self.key.namespace, &name);
            let failed = |why: &str| {
                format!(
                    "create Claim {name} for Pod {pod} in StatefulSet {} failed error: {why}",
                    self.key.name
                )
            };
            match store.get(&key) {
                Some(claim) if claim.is_going() => {
                    return Err(format!(
                        "create Pod {pod} in StatefulSet {} failed error: pvc {name} is being \
                         deleted",
                        self.key.name
                    ));
                }
                Some(_) => {}
                None => {
                    let claim = self.claim(template, &name);
                    create(store, &CLAIM, &key.namespace, claim, &manager("v1"))
                        .map_err(|failure| failed(failure.message()))?;
                }
            }
        }
        Ok(())
    }

    fn claim(&self, template: &Value, name: &str) -> Value {
        let mut labels = template.texts("/metadata/labels");
        labels.extend(self.object.texts("/spec/selector/matchLabels"));
        json!({
            "metadata": {
                "name": name,
                "labels": labels,
                "annotations": template.texts("/metadata/annotations"),
            },
            "spec": template["spec"],
        })
    }

    fn pod(&self, name: &str, ordinal: i64) -> Value {
        let template = &self.object["spec"]["template"];
        let mut labels = template.texts("/metadata/labels");
        labels.extend([
            (
                "statefulset.kubernetes.io/pod-name".to_owned(),
                name.to_owned(),
            ),
            (
                "apps.kubernetes.io/pod-index".to_owned(),
                ordinal.to_string(),
            ),
            ("controller-revision-hash".to_owned(), self.revision.clone()),
        ]);
        let mut spec = template["spec"].clone();
        let mut volumes = spec.list("/volumes").to_vec();
        for claim in self.object.list("/spec/volumeClaimTemplates") {
            volumes.push(json!({
                "name": claim.name(),
                "persistentVolumeClaim": { "claimName": format!("{}-{name}", claim.name()) },
            }));
        }
        spec.set("/volumes", volumes.into());
        spec.set("/hostname", name.into());
        spec.set("/subdomain", self.object["spec"]["serviceName"].clone());
        json!({
            "metadata": {
                "name": name,
                "generateName": format!("{}-", self.key.name),
                "labels": labels,
                "annotations": template.texts("/metadata/annotations"),
                "ownerReferences": [self.reference()],
            },
            "spec": spec,
        })
    }

    /// Ends pods whose number is too high: all at once, or the last one.
    fn shrink(&self, store: &mut Store) {
        let surplus = self.pods(store).into_iter().rev();
        for (ordinal, pod) in surplus.filter(|(ordinal, _)| *ordinal >= self.replicas) {
            if !pod.is_going() {
                let _ = delete(store, &self.pod_key(ordinal), &Deletion::default());
            }
            if !self.parallel {
                return;
            }
        }
    }

    /// Under `RollingUpdate` the last pod of an old revision goes, if all others are ready.
    fn roll(&self, store: &mut Store) {
        if self.object.text("/spec/updateStrategy/type") != "RollingUpdate" {
            return;
        }
        let pods = self.pods(store);
        for (ordinal, pod) in pods.iter().rev() {
            if pod.is_going() {
                return;
            }
            if pod.text(REVISION) != self.revision {
                let _ = delete(store, &self.pod_key(*ordinal), &Deletion::default());
                return;
            }
            if !is_ready(pod) {
                return;
            }
        }
    }

    fn report(&self, store: &mut Store) {
        let pods = self.pods(store);
        let count =
            |counts: &dyn Fn(&Value) -> bool| pods.values().filter(|pod| counts(pod)).count();
        let updated = count(&|pod| pod.text(REVISION) == self.revision);
        let ready = count(&is_ready);
        let before = self.object.text("/status/currentRevision");
        let done = before.is_empty() || updated == pods.len();
        let current = if done { &self.revision } else { before };
        let of_current = count(&|pod| pod.text(REVISION) == current);
        let status = json!({
            "observedGeneration": self.object.number("/metadata/generation"),
            "replicas": pods.len(),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "currentReplicas": of_current,
            "updatedReplicas": updated,
            "currentRevision": current,
            "updateRevision": self.revision,
            "collisionCount": 0,
        });
        store.edit(self.key, |set| set.set("/status", status));
    }
}

fn manager(api_version: &str) -> Manager {
    Manager::new("kube-controller-manager", false, "", api_version)
}
