//! The supervisor's objects: what an API server holds, in small, and the rules of a StatefulSet.
//!
//! Pure: the supervisor carries out what [`World::due`] says and reports what became of it.
//! Every change raises [`World::version`]; an object carries the version of its last change, and
//! a write that was planned on an older one is refused.

use std::collections::BTreeMap;

use api::{Kind, MemberAddress, MemberId, ZooKeeperCluster, ZooKeeperClusterStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// All objects of one state folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct World {
    /// Raised by every change.
    pub version: u64,
    /// The resource; its metadata's uid, generation and resourceVersion are kept up here.
    pub ensemble: ZooKeeperCluster,
    /// One set of pods for each kind of member.
    pub sets: BTreeMap<Kind, Set>,
    /// By name. A volume outlives its pod and is bound to the next one by its name.
    pub volumes: BTreeMap<String, Volume>,
    /// Chosen once and kept: they stand in the committed configuration.
    pub ports: BTreeMap<MemberId, Ports>,
    /// By name. Not kept over a restart: a new supervisor starts without processes.
    pub pods: BTreeMap<String, Pod>,
    /// The operator's process. Not kept either.
    pub operator: Container,
}

/// A StatefulSet in small: `Parallel`, `OnDelete`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Set {
    /// Version of the last change.
    pub version: u64,
    /// Pods with a smaller ordinal exist, others are ended.
    pub replicas: u8,
    /// What a pod is made from.
    pub template: Template,
}

/// What a pod is made from; one that exists keeps what it was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Digest of all the rest.
    pub revision: String,
    /// zoo.cfg, without what differs from member to member.
    pub settings: Vec<String>,
    /// Filter for the server's log.
    pub log_level: String,
    /// The server logs JSON.
    pub log_json: bool,
    /// Seconds from the first notice to SIGKILL.
    pub grace_seconds: u64,
}

/// A volume claim in small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Never used again.
    pub uid: String,
    /// The member it is for.
    pub member: MemberId,
    /// As the spec asks for it; not enforced here.
    pub size: String,
    /// Uid of the resource that it goes with; kept if absent.
    pub owner: Option<String>,
    /// Deleted, and held until its pod is gone.
    pub deleting: bool,
}

/// A member's ports on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Clients.
    pub client: u16,
    /// Followers.
    pub quorum: u16,
    /// Votes.
    pub election: u16,
    /// The sidecar's order port.
    pub orders: u16,
    /// The sidecar's plain port.
    pub plain: u16,
    /// The server's own metrics and probes.
    pub admin: u16,
}

impl Ports {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> [u16; 6] {
        [
            self.client,
            self.quorum,
            self.election,
            self.orders,
            self.plain,
            self.admin,
        ]
    }
}

/// A pod in small: a sidecar and a server on one volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Never used again.
    pub uid: String,
    /// The member it is.
    pub member: MemberId,
    /// Name of its volume.
    pub volume: String,
    /// Of the template that it was made from.
    pub revision: String,
    /// Since when it is being ended, if it is.
    pub terminating: Option<Timestamp>,
    /// Its containers.
    pub sidecar: Container,
    /// Its containers.
    pub server: Container,
    /// The last probe of its server.
    pub probe: Probe,
}

/// What a probe of a server found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// It serves.
    pub ready: bool,
    /// Its role, if it runs.
    pub role: Option<String>,
}

/// One process of a pod, restarted when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// What it does.
    pub state: ContainerState,
    /// How often it was started again.
    pub restarts: u32,
    /// How it last ended, for people.
    pub last_exit: Option<String>,
}

/// What a container does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum ContainerState {
    /// Not started yet, or waiting to be started again.
    #[default]
    Waiting,
    /// It runs.
    Running {
        /// Its process.
        pid: u32,
        /// Since when.
        since: Timestamp,
    },
    /// Its pod ends, and it has.
    Ended,
}

/// What a client of the world asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Request {
    /// All objects.
    Observe,
    /// Writes the resource's status.
    #[serde(rename_all = "camelCase")]
    PutStatus {
        /// The resourceVersion that it was planned on.
        version: String,
        /// The new status.
        status: Box<ZooKeeperClusterStatus>,
    },
    /// Replaces the template of a set; makes the set if there is none. Pods stay as they are.
    PutTemplate {
        /// Which set.
        set: Kind,
        /// The new template.
        template: Template,
    },
    /// Changes how many pods a set has.
    PutReplicas {
        /// Which set.
        set: Kind,
        /// The set's version that it was planned on.
        version: u64,
        /// How many.
        replicas: u8,
    },
    /// Makes a volume, if there is none of this name.
    MakeVolume {
        /// The member it is for.
        member: MemberId,
        /// As the spec asks for it.
        size: String,
        /// Uid of the resource that it goes with.
        owner: Option<String>,
    },
    /// Deletes a volume and what is in it.
    DropVolume {
        /// Its name.
        name: String,
        /// Its uid: another volume of that name is left alone.
        uid: String,
    },
    /// Ends a pod if the disruption budget allows it.
    Evict {
        /// Its name.
        name: String,
        /// Its uid: another pod of that name is left alone.
        uid: String,
    },
    /// Ends a pod.
    Delete {
        /// Its name.
        name: String,
        /// Its uid: another pod of that name is left alone.
        uid: String,
    },
    /// Makes the world misbehave, in tests.
    Fault(Fault),
}

/// How the world misbehaves in tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Fault {
    /// So many evictions are refused by the budget.
    pub budget_refusals: u32,
    /// So many conditional writes are refused as conflicts.
    pub conflicts: u32,
    /// So many observations show the world as it is at this moment.
    pub stale_reads: u32,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Refusal {
    /// The object changed since it was read: observe again.
    #[error("{what} changed since it was read")]
    Conflict {
        /// Which object.
        what: String,
    },
    /// There is no such object, or its uid is another.
    #[error("{what} does not exist")]
    Absent {
        /// Which object.
        what: String,
    },
    /// The disruption budget forbids it now.
    #[error("the disruption budget does not allow {what} to end now")]
    Budget {
        /// Which pod.
        what: String,
    },
    /// It can never be carried out.
    #[error("{why}")]
    Invalid {
        /// For people.
        why: String,
    },
}

/// What the supervisor has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Start a pod; `world.pods` lists it already.
    Start(String),
    /// End a pod.
    End(String),
    /// Remove a volume's data; `world.volumes` does not list it any more.
    Erase(String),
}

impl World {
    /// A world with nothing but the resource.
    #[must_use]
    pub fn new(ensemble: ZooKeeperCluster) -> Self {
        let mut world = Self {
            version: 0,
            ensemble,
            sets: BTreeMap::new(),
            volumes: BTreeMap::new(),
            ports: BTreeMap::new(),
            pods: BTreeMap::new(),
            operator: Container::default(),
        };
        world.ensemble.metadata.uid = Some(uid());
        world.ensemble.metadata.generation = Some(1);
        world
            .ensemble
            .metadata
            .namespace
            .get_or_insert_with(|| "default".into());
        world.ensemble.status = None;
        world.touch_ensemble();
        world
    }

    /// The resource's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.ensemble.metadata.name.as_deref().unwrap_or_default()
    }

    /// The resource's uid.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.ensemble.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Name of a member's pod.
    #[must_use]
    pub fn pod_name(&self, member: MemberId) -> String {
        let name = self.name();
        match member.kind() {
            Kind::Voter => format!("{name}-{}", member.ordinal()),
            Kind::Observer => format!("{name}-observer-{}", member.ordinal()),
        }
    }

    /// Name of a member's volume.
    #[must_use]
    pub fn volume_name(&self, member: MemberId) -> String {
        format!("data-{}", self.pod_name(member))
    }

    /// Where each member is reached, whether it exists yet or not.
    pub fn addresses(&self) -> impl Iterator<Item = (MemberId, MemberAddress)> {
        let address = |(member, ports): (&MemberId, &Ports)| {
            let address = MemberAddress {
                host: "127.0.0.1".into(),
                quorum_port: ports.quorum,
                election_port: ports.election,
                client_host: Some("127.0.0.1".into()),
                client_port: ports.client,
            };
            (*member, address)
        };
        self.ports.iter().map(address)
    }

    /// Takes a changed manifest over; true if its spec differs from what was there.
    pub fn put_spec(&mut self, manifest: ZooKeeperCluster) -> bool {
        if self.ensemble.spec == manifest.spec
            && self.ensemble.metadata.annotations == manifest.metadata.annotations
        {
            return false;
        }
        if self.ensemble.spec != manifest.spec {
            *self.ensemble.metadata.generation.get_or_insert(0) += 1;
        }
        self.ensemble.spec = manifest.spec;
        self.ensemble.metadata.annotations = manifest.metadata.annotations;
        self.ensemble.metadata.labels = manifest.metadata.labels;
        self.touch_ensemble();
        true
    }

    /// Carries out a request. `Observe` and `Fault` change nothing here.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub fn carry_out(&mut self, now: Timestamp, request: Request) -> Result<(), Refusal> {
        match request {
            Request::Observe | Request::Fault(_) => Ok(()),
            Request::PutStatus { version, status } => {
                if self.ensemble.metadata.resource_version.as_deref() != Some(&version) {
                    return Err(Refusal::Conflict {
                        what: self.name().to_owned(),
                    });
                }
                if self.ensemble.status.as_ref() != Some(&status) {
                    self.ensemble.status = Some(*status);
                    self.touch_ensemble();
                }
                Ok(())
            }
            Request::PutTemplate { set, template } => {
                let known = self.sets.entry(set).or_default();
                if known.template != template {
                    known.template = template;
                    self.version += 1;
                    known.version = self.version;
                }
                Ok(())
            }
            Request::PutReplicas {
                set,
                version,
                replicas,
            } => self.put_replicas(set, version, replicas),
            Request::MakeVolume {
                member,
                size,
                owner,
            } => {
                self.make_volume(member, size, owner);
                Ok(())
            }
            Request::DropVolume { name, uid } => {
                let volume = self.volumes.get_mut(&name).filter(|v| v.uid == uid);
                volume.ok_or(Refusal::Absent { what: name })?.deleting = true;
                self.version += 1;
                Ok(())
            }
            Request::Evict { name, uid } => self.evict(now, name, &uid),
            Request::Delete { name, uid } => self.delete(now, name, &uid),
        }
    }

    /// What has to be done so that the processes are what the sets say. Pods that it starts are
    /// in the world when it returns, and volumes that it erases are not.
    pub fn due(&mut self, mut ports: impl FnMut() -> Ports) -> Vec<Due> {
        let mut due = Vec::new();
        for (kind, set) in self.sets.clone() {
            for ordinal in 0..set.replicas {
                let member = match kind {
                    Kind::Voter => MemberId::voter(ordinal),
                    Kind::Observer => MemberId::observer(ordinal),
                };
                let Some(member) = member else { continue };
                let name = self.pod_name(member);
                let volume = self.volume_name(member);
                let bound = self.volumes.get(&volume).is_some_and(|v| !v.deleting);
                if self.pods.contains_key(&name) || !bound {
                    continue;
                }
                self.ports.entry(member).or_insert_with(&mut ports);
                let revision = set.template.revision.clone();
                self.pods
                    .insert(name.clone(), Pod::new(member, volume, revision));
                due.push(Due::Start(name));
            }
        }
        for (name, pod) in &self.pods {
            let wanted = self
                .sets
                .get(&pod.member.kind())
                .is_some_and(|set| pod.member.ordinal() < set.replicas);
            if !wanted || pod.terminating.is_some() {
                due.push(Due::End(name.clone()));
            }
        }
        let used = |name: &String| self.pods.values().any(|pod| pod.volume == *name);
        let erased: Vec<_> = self
            .volumes
            .iter()
            .filter(|(name, volume)| volume.deleting && !used(name))
            .map(|(name, _)| name.clone())
            .collect();
        for name in erased {
            self.volumes.remove(&name);
            due.push(Due::Erase(name));
        }
        if !due.is_empty() {
            self.version += 1;
        }
        due
    }

    fn touch_ensemble(&mut self) {
        self.version += 1;
        self.ensemble.metadata.resource_version = Some(self.version.to_string());
    }

    fn put_replicas(&mut self, set: Kind, version: u64, replicas: u8) -> Result<(), Refusal> {
        let what = || format!("the set of {set:?}s");
        let known = self
            .sets
            .get_mut(&set)
            .ok_or_else(|| Refusal::Absent { what: what() })?;
        if known.version != version {
            return Err(Refusal::Conflict { what: what() });
        }
        self.version += 1;
        known.version = self.version;
        known.replicas = replicas;
        Ok(())
    }

    fn make_volume(&mut self, member: MemberId, size: String, owner: Option<String>) {
        let name = self.volume_name(member);
        if self.volumes.contains_key(&name) {
            return;
        }
        self.version += 1;
        let volume = Volume {
            uid: uid(),
            member,
            size,
            owner,
            deleting: false,
        };
        self.volumes.insert(name, volume);
    }

    /// A budget of one: no other pod of the set may be away while one is evicted. A pod that is
    /// not ready may always go, as with `AlwaysAllow`.
    fn evict(&mut self, now: Timestamp, name: String, uid: &str) -> Result<(), Refusal> {
        let pod = self.pods.get(&name).filter(|pod| pod.uid == uid);
        let Some(pod) = pod else {
            return Err(Refusal::Absent { what: name });
        };
        let kind = pod.member.kind();
        let replicas = self.sets.get(&kind).map_or(0, |set| set.replicas);
        let healthy = self
            .pods
            .values()
            .filter(|pod| pod.member.kind() == kind && pod.probe.ready && pod.terminating.is_none())
            .count();
        if pod.probe.ready && healthy < usize::from(replicas) {
            return Err(Refusal::Budget { what: name });
        }
        self.delete(now, name, uid)
    }

    fn delete(&mut self, now: Timestamp, name: String, uid: &str) -> Result<(), Refusal> {
        let pod = self.pods.get_mut(&name).filter(|pod| pod.uid == uid);
        let Some(pod) = pod else {
            return Err(Refusal::Absent { what: name });
        };
        pod.terminating.get_or_insert(now);
        self.version += 1;
        Ok(())
    }
}

impl Pod {
    fn new(member: MemberId, volume: String, revision: String) -> Self {
        Self {
            uid: uid(),
            member,
            volume,
            revision,
            terminating: None,
            sidecar: Container::default(),
            server: Container::default(),
            probe: Probe::default(),
        }
    }
}

fn uid() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests;
