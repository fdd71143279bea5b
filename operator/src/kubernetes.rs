//! The `kubernetes` platform: a `ZooKeeperCluster` as a StatefulSet, Services and volume claims.
//!
//! Start in [`Kubernetes`], one ensemble seen through one API server. `observe` reads it, `pods`
//! puts a pod into the planner's words, `events` say why one is missing. `objects` builds what
//! there should be, `converge` writes what differs as `compare` finds it; `claims` are the volumes,
//! `authority` is the sidecars' certificate.
//!
//! Invariants:
//! - a write to what is there is conditional on the version that was read, and none is repeated;
//! - an object that this resource does not control is neither applied over nor deleted;
//! - at rest nothing is written: what is there is compared with what there should be, field by
//!   field;
//! - a StatefulSet's `replicas` never falls by accident: what is applied carries the number that
//!   was read, under the version it was read at;
//! - what the API server refuses is remembered, shown and tried again; it keeps other objects from
//!   being made in no pass, and orders from being given in one.

mod authority;
mod claims;
mod compare;
mod converge;
mod events;
mod names;
mod objects;
mod observe;
mod pods;
mod refusal;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use api::status::Images;
use api::{MemberId, ZooKeeperCluster, ZooKeeperClusterStatus};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use plan::{Converge, Desired, Step};
use tokio::time::timeout;
use tracing::{debug, info};

pub use authority::{Authority, Issued, SignError};
pub use observe::World;

use crate::platform::{Notice, Platform, PlatformError, Seen};
use names::Names;
use refusal::failure;

/// Field manager of all that is written.
pub const FIELD_MANAGER: &str = "ferrokeeper-operator";

/// Longest wait for an API server in one call of the platform, which may be many requests: more
/// than one that answers at all needs.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Longest wait for the events of a pass.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(5);

/// Longest note of an event.
const NOTE_LIMIT: usize = 1024;

/// One ensemble in a Kubernetes cluster.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    recorder: Recorder,
    ensemble: Arc<Ensemble>,
}

struct Ensemble {
    names: Names,
    options: Options,
    memory: Mutex<Memory>,
}

/// What cannot be read back. Losing it costs a write.
#[derive(Default)]
struct Memory {
    /// Why writes were refused when they were last tried, by what was to be written.
    refused: BTreeMap<String, String>,
    /// One of them is not in any status yet.
    unsaid: Option<String>,
    certificate: Option<authority::Held>,
}

/// What the operator's process gives to all ensembles.
#[derive(Clone, Debug)]
pub struct Options {
    /// Images of an ensemble whose spec names none and whose status has pinned none.
    pub images: Images,
    /// Signs the certificates of the sidecars.
    pub authority: Arc<dyn Authority>,
    /// The uid and gid of all containers and the group of the volumes. `None` where the platform
    /// assigns them and refuses any other.
    pub user: Option<i64>,
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes")
            .field("names", &self.ensemble.names)
            .finish_non_exhaustive()
    }
}

impl Kubernetes {
    /// The ensemble `namespace`/`name`. All requests go through `client`, which must not repeat
    /// any by itself (`kube::Config::default_retry` is to be false): a write that was carried out
    /// and not answered is observed, not repeated.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, options: Options) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let reporter = Reporter {
            controller: FIELD_MANAGER.to_owned(),
            instance: None,
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            ensemble: Arc::new(Ensemble {
                names: Names { namespace, name },
                options,
                memory: Mutex::default(),
            }),
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.ensemble.names.namespace)
    }

    /// Deletes a pod that does not serve, as it was read: its set makes another one.
    async fn renew(
        &self,
        seen: &Seen<World>,
        member: MemberId,
        process: &str,
    ) -> Result<(), PlatformError> {
        let name = self.ensemble.names.pod(member);
        let what = format!("Pod {name}");
        let pod = seen.world.pods.get(&member).map(|pod| &pod.metadata);
        let Some(read) = pod.filter(|pod| pod.uid.as_deref() == Some(process)) else {
            return Err(PlatformError::Conflict(what));
        };
        let as_read = DeleteParams::default().preconditions(Preconditions {
            uid: Some(process.to_owned()),
            resource_version: read.resource_version.clone(),
        });
        let deleted = self.api::<Pod>().delete(&name, &as_read).await;
        deleted.map(drop).map_err(|error| failure(&what, error))
    }

    /// Lowers the number of pods to the member's ordinal, which ends its process, and deletes its
    /// volume, which goes when the process has ended.
    async fn dismiss(
        &self,
        seen: &Seen<World>,
        member: MemberId,
        process: &str,
        volume: &str,
    ) -> Result<(), PlatformError> {
        let names = &self.ensemble.names;
        let pod = seen.world.pods.get(&member);
        if pod.is_none_or(|pod| pod.metadata.uid.as_deref() != Some(process)) {
            return Err(PlatformError::Conflict(format!(
                "Pod {}",
                names.pod(member)
            )));
        }
        let set = names.set(member.kind());
        let last = i32::from(member.ordinal()) + 1;
        let live = seen.world.sets.get(&set);
        let Some(live) = live.filter(|set| observe::replicas(set) <= last) else {
            let why = format!("member {member} is not the last of StatefulSet {set}");
            return Err(PlatformError::Cannot(why));
        };
        // The template may have been applied in this very pass.
        let what = format!("StatefulSet {set}");
        let found = self.api::<StatefulSet>().get(&set).await;
        let found = found.map_err(|error| failure(&what, error))?;
        if observe::replicas(&found) != observe::replicas(live) {
            return Err(PlatformError::Conflict(what));
        }
        if observe::replicas(&found) == last && !self.put_replicas(&found, last - 1).await? {
            return Ok(());
        }
        let claim = names.claim(member);
        info!(claim, "deleted");
        let exactly = DeleteParams::background().preconditions(Preconditions {
            uid: Some(volume.to_owned()),
            resource_version: None,
        });
        let claims = self.api::<PersistentVolumeClaim>();
        let deleted = claims.delete(&claim, &exactly).await;
        let what = format!("PersistentVolumeClaim {claim}");
        deleted.map(drop).map_err(|error| failure(&what, error))
    }
}

impl Platform for Kubernetes {
    type World = World;

    async fn observe(&self) -> Result<Seen<World>, PlatformError> {
        answered(self.look()).await
    }

    async fn write_status(
        &self,
        seen: &mut Seen<World>,
        status: ZooKeeperClusterStatus,
    ) -> Result<(), PlatformError> {
        let name = &self.ensemble.names.name;
        let what = format!("ZooKeeperCluster {name}");
        let mut next = seen.resource.clone();
        next.status = Some(status);
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let resources = self.api::<ZooKeeperCluster>();
        let answer = async {
            let answer = resources.replace_status(name, &params, &next).await;
            answer.map_err(|error| failure(&what, error))
        };
        seen.resource = answered(answer).await?;
        Ok(())
    }

    async fn converge(
        &self,
        seen: &Seen<World>,
        desired: &Desired,
        what: &Converge,
    ) -> Result<(), PlatformError> {
        match what {
            Converge::Shared => answered(self.keep_shared(seen, desired)).await,
            Converge::Volumes(members) => answered(self.keep_volumes(seen, desired, members)).await,
            Converge::Processes(members) => {
                answered(self.keep_processes(seen, members)).await?;
                self.all_is_said()
            }
            Converge::Boot(_) => Err(PlatformError::Cannot("orders go to the sidecar".into())),
        }
    }

    async fn step(&self, seen: &Seen<World>, step: &Step) -> Result<(), PlatformError> {
        match step {
            Step::Renew { member, process } => answered(self.renew(seen, *member, process)).await,
            Step::Dismiss {
                member,
                process,
                volume,
            } => answered(self.dismiss(seen, *member, process, volume)).await,
            Step::Birth(_) => Err(PlatformError::Cannot("orders go to the sidecar".into())),
        }
    }

    async fn announce(&self, seen: &Seen<World>, notices: &[Notice]) {
        let about = seen.resource.object_ref(&());
        for notice in notices {
            let ends = notice.message.char_indices();
            let ends = ends.map(|(at, char)| at + char.len_utf8());
            let end = ends.take_while(|end| *end <= NOTE_LIMIT).last();
            let note = notice.message[..end.unwrap_or_default()].to_owned();
            let event = Event {
                type_: if notice.warning {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                reason: notice.reason.clone(),
                note: Some(note),
                action: "Reconcile".to_owned(),
                secondary: None,
            };
            let recorded = timeout(ANNOUNCED_WITHIN, self.recorder.publish(&event, &about)).await;
            match recorded {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%error, reason = notice.reason, "event not recorded"),
                // The others would wait as long.
                Err(error) => return debug!(%error, reason = notice.reason, "event not recorded"),
            }
        }
    }
}

/// Bounds a call. Whether a write that is given up was carried out, the next pass sees.
async fn answered<T>(
    call: impl Future<Output = Result<T, PlatformError>>,
) -> Result<T, PlatformError> {
    timeout(ANSWERED_WITHIN, call)
        .await
        .unwrap_or_else(|elapsed| Err(PlatformError::Unreachable(Box::new(elapsed))))
}
