//! The `local` platform: the operator's view of a supervisor's objects.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use api::cluster::{LogFormat, LogLevel, ReclaimPolicy};
use api::status::Images;
use api::{Kind, MemberId, ZooKeeperClusterStatus};
use ferrokeeper_operator::platform::{Endpoint, Platform, PlatformError, Seen};
use jiff::Timestamp;
use plan::observed::{
    Capabilities, MemberObserved, Observed, ProcessObserved, ProcessState, VolumeObserved,
};
use plan::{Converge, Desired, Step};
use sha1::{Digest, Sha1};

use crate::remote::{Remote, RemoteError};
use crate::world::{ContainerState, Pod, Refusal, Request, Template, World};

/// The objects of the supervisor in whose state folder this process runs.
#[derive(Clone, Debug)]
pub struct Local {
    supervisor: Remote,
}

impl Local {
    /// The supervisor whose state folder is the current folder.
    #[must_use]
    pub fn new(supervisor: Remote) -> Self {
        Self { supervisor }
    }

    async fn ask(&self, request: Request) -> Result<World, PlatformError> {
        self.supervisor
            .ask(&request)
            .await
            .map_err(|error| match error {
                RemoteError::Refused(Refusal::Conflict { what } | Refusal::Absent { what }) => {
                    PlatformError::Conflict(what)
                }
                RemoteError::Refused(refusal @ Refusal::Budget { .. }) => {
                    PlatformError::Refused(refusal.to_string())
                }
                RemoteError::Refused(Refusal::Invalid { why }) => PlatformError::Cannot(why),
                RemoteError::Unreachable(error) => PlatformError::Unreachable(Box::new(error)),
            })
    }

    async fn put_replicas(
        &self,
        world: &World,
        set: Kind,
        replicas: u8,
    ) -> Result<(), PlatformError> {
        let Some(known) = world.sets.get(&set) else {
            return Err(PlatformError::Conflict(format!("the set of {set:?}s")));
        };
        if known.replicas == replicas {
            return Ok(());
        }
        let version = known.version;
        self.ask(Request::PutReplicas {
            set,
            version,
            replicas,
        })
        .await
        .map(drop)
    }
}

impl Platform for Local {
    type World = World;

    async fn observe(&self) -> Result<Seen<World>, PlatformError> {
        let world = self.ask(Request::Observe).await?;
        let endpoint = |(_, pod): (&String, &Pod)| {
            let port = world.ports.get(&pod.member)?.orders;
            Some((
                pod.member,
                Endpoint {
                    name: world.pod_name(pod.member),
                    address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                    port,
                },
            ))
        };
        Ok(Seen {
            resource: world.ensemble.clone(),
            sidecars: world.pods.iter().filter_map(endpoint).collect(),
            observed: observed(&world),
            world,
        })
    }

    async fn write_status(
        &self,
        seen: &mut Seen<World>,
        status: ZooKeeperClusterStatus,
    ) -> Result<(), PlatformError> {
        let version = seen
            .resource
            .metadata
            .resource_version
            .clone()
            .unwrap_or_default();
        let status = Box::new(status);
        let world = self.ask(Request::PutStatus { version, status }).await?;
        seen.resource.metadata.resource_version = world.ensemble.metadata.resource_version;
        seen.resource.status = world.ensemble.status;
        Ok(())
    }

    async fn converge(
        &self,
        seen: &Seen<World>,
        desired: &Desired,
        what: &Converge,
    ) -> Result<(), PlatformError> {
        match what {
            Converge::Shared => {
                let template = template(desired);
                let known = seen.world.sets.get(&Kind::Voter);
                if known.is_none_or(|set| set.template != template) {
                    self.ask(Request::PutTemplate {
                        set: Kind::Voter,
                        template,
                    })
                    .await?;
                }
                Ok(())
            }
            Converge::Volumes(members) => {
                for member in members {
                    if seen
                        .world
                        .volumes
                        .contains_key(&seen.world.volume_name(*member))
                    {
                        continue;
                    }
                    let delete = desired.storage.reclaim_policy == ReclaimPolicy::Delete;
                    self.ask(Request::MakeVolume {
                        member: *member,
                        size: desired.storage.size.0.clone(),
                        owner: delete.then(|| seen.world.uid().to_owned()),
                    })
                    .await?;
                }
                Ok(())
            }
            Converge::Processes(members) => {
                // The template may have been put in this very pass.
                let world = self.ask(Request::Observe).await?;
                for kind in [Kind::Voter, Kind::Observer] {
                    let of_kind = members.iter().filter(|member| member.kind() == kind);
                    let Some(last) = of_kind.map(|member| member.ordinal()).max() else {
                        continue;
                    };
                    let now = seen.world.sets.get(&kind).map_or(0, |set| set.replicas);
                    let then = world.sets.get(&kind).map_or(0, |set| set.replicas);
                    if now != then {
                        return Err(PlatformError::Conflict(format!("the set of {kind:?}s")));
                    }
                    self.put_replicas(&world, kind, now.max(last + 1)).await?;
                }
                Ok(())
            }
            Converge::Boot(_) => Err(PlatformError::Cannot("orders go to the sidecar".into())),
        }
    }

    async fn step(&self, seen: &Seen<World>, step: &Step) -> Result<(), PlatformError> {
        let Step::Dismiss {
            member,
            process,
            volume,
        } = step
        else {
            return Err(PlatformError::Cannot("orders go to the sidecar".into()));
        };
        let name = seen.world.pod_name(*member);
        if seen
            .world
            .pods
            .get(&name)
            .is_none_or(|pod| pod.uid != *process)
        {
            return Err(PlatformError::Conflict(name));
        }
        // Erased when the process has ended.
        let claim = seen.world.volume_name(*member);
        self.put_replicas(&seen.world, member.kind(), member.ordinal())
            .await?;
        self.ask(Request::DropVolume {
            name: claim,
            uid: volume.clone(),
        })
        .await
        .map(drop)
    }
}

/// The world in the planner's words.
fn observed(world: &World) -> Observed {
    let mut members: BTreeMap<MemberId, MemberObserved> = BTreeMap::new();
    for volume in world.volumes.values() {
        let seen = VolumeObserved {
            uid: volume.uid.clone(),
            terminating: volume.deleting,
        };
        members.entry(volume.member).or_default().volume = Some(seen);
    }
    for pod in world.pods.values() {
        let member = members.entry(pod.member).or_default();
        member.process = Some(ProcessObserved {
            uid: pod.uid.clone(),
            state: state(pod),
            outdated: false,
        });
        member.trouble = pod
            .server
            .last_exit
            .clone()
            .filter(|_| !matches!(pod.server.state, ContainerState::Running { .. }));
    }
    Observed {
        now: Timestamp::now(),
        generation: world.ensemble.metadata.generation,
        capabilities: Capabilities {
            only_last_ordinal_can_go: true,
        },
        members,
        addresses: world.addresses().collect(),
        conflicts: Vec::new(),
        refusals: Vec::new(),
        default_images: Images::default(),
        fresh_id: uuid::Uuid::new_v4().to_string(),
    }
}

fn state(pod: &Pod) -> ProcessState {
    match (&pod.server.state, pod.terminating) {
        (ContainerState::Running { .. }, None) => ProcessState::Running,
        (ContainerState::Running { .. }, Some(_)) => ProcessState::Terminating,
        (ContainerState::Waiting, _) => ProcessState::NotServing {
            why: pod
                .server
                .last_exit
                .clone()
                .unwrap_or_else(|| "not started yet".into()),
        },
        (ContainerState::Ended, _) => ProcessState::NotServing {
            why: "ended".into(),
        },
    }
}

/// What pods are made from.
fn template(desired: &Desired) -> Template {
    let settings = desired.settings.zoo_cfg();
    let level = match desired.settings.log_level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let mut template = Template {
        revision: String::new(),
        settings: settings
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect(),
        log_level: level.into(),
        log_json: desired.settings.log_format == LogFormat::Json,
        grace_seconds: u64::try_from(desired.grace_seconds).unwrap_or(60),
    };
    let digest = Sha1::digest(format!("{template:?}"));
    template.revision = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    template
}
