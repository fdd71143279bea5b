//! All ensembles of a cluster: one task for each, woken when something of it changes.
//!
//! Watches carry metadata only, so an object that cannot be understood stops nobody: whoever
//! reconciles it reads it, and fails alone. They only ever shorten a wait: a pass reads what it
//! decides on by itself.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use api::{CLUSTER_LABEL, ZooKeeperCluster};
use futures::stream::{BoxStream, SelectAll, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ObjectMeta, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource};
use tokio::sync::{Notify, oneshot};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{debug, error, info, warn};

use crate::drive::drive;
use crate::kubernetes::{Kubernetes, Options};
use crate::metrics::Metrics;
use crate::reconcile::PassError;
use crate::sidecars::Sidecars;

/// Longest wait between two passes over an ensemble that nothing happens to: sidecars cannot
/// call.
const AT_REST: Duration = Duration::from_secs(10);

/// Wait before a task that failed in a way that it should not is begun anew.
const BEGIN_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Seconds after which a watch is begun anew: a connection may have died unseen.
const WATCH_FOR: u32 = 120;

/// What every ensemble is reconciled with.
#[derive(Clone)]
pub struct Fleet {
    /// It must not repeat a write by itself.
    pub client: Client,
    /// For the platform.
    pub options: Options,
    /// Speaks to all sidecars.
    pub sidecars: Sidecars,
    /// Of the process.
    pub metrics: Metrics,
}

/// Namespace and name of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    namespace: String,
    name: String,
}

/// What a watch says.
#[derive(Debug)]
enum Change {
    /// All resources of a scope follow.
    Listing(Scope),
    /// A resource is there.
    There(Scope, Key, Spec),
    /// All resources of the scope were named.
    Listed(Scope),
    /// A resource is gone.
    Gone(Key),
    /// Something that belongs to a resource changed.
    Touched(Key),
}

/// Which of the watched namespaces.
type Scope = usize;

/// What says that a resource changed, other than by its own status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Spec {
    uid: Option<String>,
    generation: Option<i64>,
    annotations: BTreeMap<String, String>,
    is_deleted: bool,
}

/// A task, and what it is told.
struct Tended {
    scope: Scope,
    spec: Spec,
    wake: Arc<Notify>,
    /// Gone once the task was told to end.
    end: Option<oneshot::Sender<()>>,
    /// It is to be there again when it has ended.
    wanted: bool,
    /// Seen in the listing that is under way.
    listed: bool,
}

/// The tasks.
struct Tasks {
    fleet: Fleet,
    by_key: HashMap<Key, Tended>,
    running: JoinSet<Result<(), PassError>>,
    keys: HashMap<Id, Key>,
}

impl Fleet {
    /// Reconciles every ensemble of these namespaces, or of all if none is named, until `stop`
    /// resolves and every pass that was under way has ended.
    ///
    /// # Errors
    /// If another operator was found to lead one of them: then this one must not go on.
    pub async fn run(
        self,
        namespaces: &[String],
        stop: impl Future<Output = ()>,
    ) -> Result<(), PassError> {
        let mut changes = self.watch(namespaces);
        let mut tasks = Tasks {
            fleet: self,
            by_key: HashMap::new(),
            running: JoinSet::new(),
            keys: HashMap::new(),
        };
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                // Watches are begun again for ever, so there is always a next change.
                Some(change) = changes.next() => tasks.note(change),
                Some(ended) = tasks.running.join_next_with_id() => tasks.ended(ended)?,
                () = &mut stop => return tasks.end().await,
            }
        }
    }

    fn watch(&self, namespaces: &[String]) -> SelectAll<BoxStream<'static, Change>> {
        let scopes: Vec<Option<&str>> = if namespaces.is_empty() {
            vec![None]
        } else {
            namespaces.iter().map(|name| Some(name.as_str())).collect()
        };
        let mut all = SelectAll::new();
        for (scope, namespace) in scopes.into_iter().enumerate() {
            all.push(self.resources(scope, namespace));
            all.push(self.parts::<Pod>(namespace));
            all.push(self.parts::<StatefulSet>(namespace));
            all.push(self.parts::<PersistentVolumeClaim>(namespace));
            all.push(self.parts::<Service>(namespace));
            all.push(self.parts::<ConfigMap>(namespace));
            all.push(self.parts::<PodDisruptionBudget>(namespace));
        }
        all
    }

    fn resources(&self, scope: Scope, namespace: Option<&str>) -> BoxStream<'static, Change> {
        let change = move |event| match event {
            Event::Init => Some(Change::Listing(scope)),
            Event::InitDone => Some(Change::Listed(scope)),
            Event::InitApply(meta) | Event::Apply(meta) => {
                Some(Change::There(scope, key(&meta)?, Spec::of(meta)))
            }
            Event::Delete(meta) => Some(Change::Gone(key(&meta)?)),
        };
        self.changes::<ZooKeeperCluster>(namespace, watcher::Config::default(), change)
    }

    /// What belongs to ensembles, by its label.
    fn parts<K>(&self, namespace: Option<&str>) -> BoxStream<'static, Change>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug,
        K: Send + 'static,
    {
        let touched = |event: Event<ObjectMeta>| {
            let (Event::InitApply(meta) | Event::Apply(meta) | Event::Delete(meta)) = event else {
                return None;
            };
            let name = meta.labels.as_ref()?.get(CLUSTER_LABEL)?.clone();
            let namespace = meta.namespace?;
            Some(Change::Touched(Key { namespace, name }))
        };
        let labelled = watcher::Config::default().labels(CLUSTER_LABEL);
        self.changes::<K>(namespace, labelled, touched)
    }

    fn changes<K>(
        &self,
        namespace: Option<&str>,
        config: watcher::Config,
        change: impl Fn(Event<ObjectMeta>) -> Option<Change> + Send + 'static,
    ) -> BoxStream<'static, Change>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug,
        K: Send + 'static,
    {
        let client = self.client.clone();
        let api: Api<PartialObjectMeta<K>> = match namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let broken = self.metrics.broken_watches.clone();
        let mut is_broken = false;
        watcher(api, config.timeout(WATCH_FOR))
            .default_backoff()
            .filter_map(move |event| {
                let what = K::plural(&());
                let found = match event {
                    Ok(event) => {
                        if std::mem::take(&mut is_broken) {
                            info!(%what, "watched again");
                        }
                        change(metadata(event))
                    }
                    Err(error) => {
                        broken.inc();
                        if std::mem::replace(&mut is_broken, true) {
                            debug!(%what, %error, "not watched yet");
                        } else {
                            warn!(%what, %error, "not watched any more; it is tried again");
                        }
                        None
                    }
                };
                std::future::ready(found)
            })
            .boxed()
    }
}

impl Tasks {
    fn note(&mut self, change: Change) {
        match change {
            Change::Listing(scope) => {
                for tended in self.by_key.values_mut().filter(|t| t.scope == scope) {
                    tended.listed = false;
                }
            }
            Change::There(scope, key, spec) => self.there(scope, key, spec),
            Change::Listed(scope) => {
                let here = self.by_key.values_mut().filter(|t| t.scope == scope);
                for tended in here.filter(|tended| !tended.listed) {
                    tended.let_go();
                }
            }
            Change::Gone(key) => {
                if let Some(tended) = self.by_key.get_mut(&key) {
                    tended.let_go();
                }
            }
            Change::Touched(key) => {
                if let Some(tended) = self.by_key.get(&key) {
                    tended.wake.notify_one();
                }
            }
        }
    }

    fn there(&mut self, scope: Scope, key: Key, spec: Spec) {
        let Some(tended) = self.by_key.get_mut(&key) else {
            info!(namespace = key.namespace, name = key.name, "taken on");
            let (end, ended) = oneshot::channel();
            let tended = Tended {
                scope,
                spec,
                wake: Arc::default(),
                end: Some(end),
                wanted: true,
                listed: true,
            };
            self.begin(&key, &tended.wake, ended, Duration::ZERO);
            self.by_key.insert(key, tended);
            return;
        };
        tended.listed = true;
        if tended.spec.uid != spec.uid {
            // Another resource of the same name: whoever tends the old one knows nothing of it.
            tended.let_go();
        }
        tended.wanted = true;
        if tended.spec != spec {
            tended.spec = spec;
            tended.wake.notify_one();
        }
    }

    fn begin(
        &mut self,
        key: &Key,
        wake: &Arc<Notify>,
        end: oneshot::Receiver<()>,
        after: Duration,
    ) {
        let Fleet {
            client,
            options,
            sidecars,
            metrics,
        } = self.fleet.clone();
        let (wake, Key { namespace, name }) = (Arc::clone(wake), key.clone());
        let tend = async move {
            // A fleet that is gone has no more use for this either.
            let mut end = pin!(async { drop(end.await) });
            tokio::select! {
                () = tokio::time::sleep(after) => {}
                () = &mut end => return Ok(()),
            }
            let platform = Kubernetes::new(client, &namespace, &name, options);
            let metrics = metrics.ensemble(&namespace, &name);
            drive(&platform, &sidecars, &metrics, AT_REST, &wake, end).await
        };
        let id = self.running.spawn(tend).id();
        self.keys.insert(id, key.clone());
    }

    /// A task ended: because it was told to, because it failed, or because another operator leads.
    fn ended(
        &mut self,
        ended: Result<(Id, Result<(), PassError>), JoinError>,
    ) -> Result<(), PassError> {
        let (id, failed) = match ended {
            Ok((id, outcome)) => {
                outcome?;
                (id, false)
            }
            Err(failure) => {
                error!(%failure, "a task failed; it is begun again");
                (failure.id(), true)
            }
        };
        let Some(key) = self.keys.remove(&id) else {
            return Ok(());
        };
        let Some(tended) = self.by_key.get_mut(&key) else {
            return Ok(());
        };
        if !tended.wanted {
            info!(namespace = key.namespace, name = key.name, "let go");
            self.by_key.remove(&key);
            return Ok(());
        }
        let (end, is_ended) = oneshot::channel();
        tended.end = Some(end);
        let wake = Arc::clone(&tended.wake);
        let after = if failed {
            BEGIN_AGAIN_AFTER
        } else {
            Duration::ZERO
        };
        self.begin(&key, &wake, is_ended, after);
        Ok(())
    }

    /// Ends all tasks, each after the pass that it is in.
    async fn end(mut self) -> Result<(), PassError> {
        for tended in self.by_key.values_mut() {
            tended.let_go();
        }
        while let Some(ended) = self.running.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(superseded)) => return Err(superseded),
                Err(failure) => error!(%failure, "a task failed"),
            }
        }
        Ok(())
    }
}

impl Tended {
    fn let_go(&mut self) {
        self.wanted = false;
        // Sent when it is dropped.
        self.end = None;
    }
}

impl Spec {
    fn of(meta: ObjectMeta) -> Self {
        Self {
            uid: meta.uid,
            generation: meta.generation,
            annotations: meta.annotations.unwrap_or_default(),
            is_deleted: meta.deletion_timestamp.is_some(),
        }
    }
}

fn key(meta: &ObjectMeta) -> Option<Key> {
    Some(Key {
        namespace: meta.namespace.clone()?,
        name: meta.name.clone()?,
    })
}

fn metadata<K>(event: Event<PartialObjectMeta<K>>) -> Event<ObjectMeta> {
    match event {
        Event::Apply(object) => Event::Apply(object.metadata),
        Event::Delete(object) => Event::Delete(object.metadata),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(object.metadata),
        Event::InitDone => Event::InitDone,
    }
}
