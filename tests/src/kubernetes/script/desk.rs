//! What a behaviour works with.

use std::fmt::Debug;
use std::sync::Arc;

use anyhow::{bail, ensure};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::api::{PostParams, Preconditions};
use serde_json::{Value, json};

use super::World;
use crate::kubernetes::memory::Object;
use crate::kubernetes::memory::kinds::{Kind, STATEFUL_SET};

/// The field manager of whatever does not say another.
const MANAGER: &str = "script";

/// One namespace of a world.
#[derive(Clone)]
pub struct Desk {
    world: Arc<dyn World>,
    namespace: String,
}

type Outcome<T> = Result<T, kube::Error>;

impl Desk {
    /// The desk for a namespace, which need not exist yet.
    pub fn new(world: Arc<dyn World>, namespace: &str) -> Self {
        Self {
            world,
            namespace: namespace.to_owned(),
        }
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The world beneath.
    pub fn world(&self) -> &dyn World {
        self.world.as_ref()
    }

    /// Objects of a kind in the namespace.
    pub fn api(&self, kind: &Kind) -> Api<DynamicObject> {
        let resource = ApiResource {
            group: kind.group.to_owned(),
            version: kind.version.to_owned(),
            api_version: kind.api_version(),
            kind: kind.kind.to_owned(),
            plural: kind.plural.to_owned(),
        };
        if kind.namespaced {
            Api::namespaced_with(self.world.client(), &self.namespace, &resource)
        } else {
            Api::all_with(self.world.client(), &resource)
        }
    }

    /// Makes an object.
    pub async fn create(&self, kind: &Kind, object: Value) -> Outcome<Value> {
        let made = self.api(kind).create(&post(), &typed(kind, object)).await;
        made.map(plain)
    }

    /// Reads an object.
    pub async fn get(&self, kind: &Kind, name: &str) -> Outcome<Value> {
        self.api(kind).get(name).await.map(plain)
    }

    /// Reads an object that may not be there.
    pub async fn find(&self, kind: &Kind, name: &str) -> Outcome<Option<Value>> {
        Ok(self.api(kind).get_opt(name).await?.map(plain))
    }

    /// Reads all objects that are selected by `labels` and `fields`.
    pub async fn list(&self, kind: &Kind, labels: &str, fields: &str) -> Outcome<Vec<Value>> {
        let selected = ListParams::default().labels(labels).fields(fields);
        let found = self.api(kind).list(&selected).await?;
        Ok(found.items.into_iter().map(plain).collect())
    }

    /// Writes a whole object.
    pub async fn replace(&self, kind: &Kind, object: Value) -> Outcome<Value> {
        let name = object.name().to_owned();
        let written = self
            .api(kind)
            .replace(&name, &post(), &typed(kind, object))
            .await;
        written.map(plain)
    }

    /// Writes the status of a whole object.
    pub async fn replace_status(&self, kind: &Kind, object: Value) -> Outcome<Value> {
        let name = object.name().to_owned();
        let object = typed(kind, object);
        let written = self.api(kind).replace_status(&name, &post(), &object).await;
        written.map(plain)
    }

    /// Merges into an object.
    pub async fn merge(&self, kind: &Kind, name: &str, patch: Value) -> Outcome<Value> {
        let written = self
            .api(kind)
            .patch(name, &by(MANAGER), &Patch::Merge(patch))
            .await;
        written.map(plain)
    }

    /// Applies as somebody.
    pub async fn apply(&self, kind: &Kind, manager: &str, object: Value) -> Outcome<Value> {
        self.apply_with(kind, &by(manager), object).await
    }

    /// Applies as somebody, whoever manages the fields now.
    pub async fn force(&self, kind: &Kind, manager: &str, object: Value) -> Outcome<Value> {
        self.apply_with(kind, &by(manager).force(), object).await
    }

    async fn apply_with(
        &self,
        kind: &Kind,
        how: &PatchParams,
        mut object: Value,
    ) -> Outcome<Value> {
        object.set("/apiVersion", kind.api_version().into());
        object.set("/kind", kind.kind.into());
        let name = object.name().to_owned();
        let written = self
            .api(kind)
            .patch(&name, how, &Patch::Apply(object))
            .await;
        written.map(plain)
    }

    /// Deletes an object.
    pub async fn delete(&self, kind: &Kind, name: &str, how: &DeleteParams) -> Outcome<()> {
        self.api(kind).delete(name, how).await.map(drop)
    }

    /// Evicts a pod if its uid is this.
    pub async fn evict(&self, name: &str, uid: &str) -> Outcome<()> {
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": name, "namespace": self.namespace },
            "deleteOptions": { "preconditions": { "uid": uid } },
        });
        let path = format!("/api/v1/namespaces/{}/pods/{name}/eviction", self.namespace);
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(eviction.to_string().into_bytes())
            .map_err(kube::Error::HttpError)?;
        self.world
            .client()
            .request::<Value>(request)
            .await
            .map(drop)
    }

    /// Waits until `look` finds what it looks for.
    pub async fn until<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let mut attempt = 0;
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            if !self.world.pause(attempt).await {
                bail!("waited long enough for this: {what}");
            }
            attempt += 1;
        }
    }

    /// Waits until an object is as it should be.
    pub async fn until_object(
        &self,
        kind: &Kind,
        name: &str,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let mut last = None;
        let found = self
            .until(what, async || {
                last = self.find(kind, name).await?;
                Ok(last.clone().filter(|object| is(object)))
            })
            .await;
        found.map_err(|error| error.context(format!("{} {name} is {last:?}", kind.kind)))
    }

    /// Waits until an object is gone.
    pub async fn until_gone(&self, kind: &Kind, name: &str) -> anyhow::Result<()> {
        let what = format!("{} {name} is gone", kind.kind);
        self.until(&what, async || {
            Ok(self.find(kind, name).await?.is_none().then_some(()))
        })
        .await
    }

    /// A real namespace has no service account in its first moments, and no pods without one.
    pub async fn until_ready_for_pods(&self) -> anyhow::Result<()> {
        let path = format!("/api/v1/namespaces/{}/serviceaccounts", self.namespace);
        let client = self.world.client();
        self.until("the namespace has a service account", async || {
            let request = http::Request::get(&path).body(Vec::new())?;
            match client.request::<Value>(request).await {
                Ok(list) => Ok((!list.list("/items").is_empty()).then_some(())),
                // A world that has none needs none.
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Some(())),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// A set of pods that do nothing, each with a claim: `Parallel`, `OnDelete`.
    pub fn set(&self, name: &str, replicas: Option<u8>) -> Value {
        let mut set = json!({
            "metadata": { "name": name },
            "spec": {
                "serviceName": name,
                "podManagementPolicy": "Parallel",
                "updateStrategy": { "type": "OnDelete" },
                "selector": { "matchLabels": { "set": name } },
                "template": {
                    "metadata": { "labels": { "set": name } },
                    "spec": self.pod_spec(),
                },
                "volumeClaimTemplates": [{
                    "metadata": { "name": "data" },
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": { "requests": { "storage": "1Mi" } },
                    },
                }],
            },
        });
        set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] =
            json!([{ "name": "data", "mountPath": "/data" }]);
        if let Some(replicas) = replicas {
            set["spec"]["replicas"] = replicas.into();
        }
        set
    }

    /// A container that does nothing, and ends fast.
    pub fn pod_spec(&self) -> Value {
        json!({
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "idle",
                "image": self.world.image(),
                "imagePullPolicy": "IfNotPresent",
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        })
    }

    /// Makes a set, and waits until all its pods are ready; answers them by name.
    pub async fn running_set(&self, name: &str, replicas: u8) -> anyhow::Result<Vec<Value>> {
        self.create(&STATEFUL_SET, self.set(name, Some(replicas)))
            .await?;
        self.until_object(&STATEFUL_SET, name, "all pods are ready", |set| {
            set.number("/status/readyReplicas") == Some(replicas.into())
        })
        .await?;
        let pods = self.api(&crate::kubernetes::memory::kinds::POD);
        let mut found = Vec::new();
        for ordinal in 0..replicas {
            found.push(plain(pods.get(&format!("{name}-{ordinal}")).await?));
        }
        Ok(found)
    }
}

/// Only if the object still has this uid.
pub(super) fn if_uid(uid: &str) -> DeleteParams {
    DeleteParams::default().preconditions(Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: None,
    })
}

/// Only if the object still has this version.
pub(super) fn if_version(version: &str) -> DeleteParams {
    DeleteParams::default().preconditions(Preconditions {
        uid: None,
        resource_version: Some(version.to_owned()),
    })
}

/// Asserts that something was refused with this code and reason, in words that contain these.
pub(super) fn refused<T: Debug>(
    outcome: Outcome<T>,
    code: u16,
    reason: &str,
    words: &str,
) -> anyhow::Result<()> {
    match outcome {
        Err(kube::Error::Api(status)) => {
            let is = (status.code, status.reason.as_str());
            ensure!(is == (code, reason), "refused otherwise: {status:?}");
            ensure!(status.message.contains(words), "in other words: {status:?}");
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(done) => bail!("not refused ({code} {reason}): {done:?}"),
    }
}

fn post() -> PostParams {
    PostParams {
        dry_run: false,
        field_manager: Some(MANAGER.to_owned()),
    }
}

fn by(manager: &str) -> PatchParams {
    PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    }
}

fn typed(kind: &Kind, mut object: Value) -> DynamicObject {
    object.set("/apiVersion", kind.api_version().into());
    object.set("/kind", kind.kind.into());
    serde_json::from_value(object).expect("an object with metadata")
}

fn plain(object: DynamicObject) -> Value {
    serde_json::to_value(object).expect("an object is plain data")
}
