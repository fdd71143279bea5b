//! Reads an ensemble: the resource, what is labelled as its, and what stands in the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use api::cluster::DEFAULT_CLUSTER_DOMAIN;
use api::{CLUSTER_LABEL, Kind, MemberId, ZooKeeperCluster};
use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};
use plan::Observed;
use plan::observed::{Capabilities, MemberObserved, VolumeObserved};
use serde::de::DeserializeOwned;

use super::Kubernetes;
use super::pods::{self, Whose};
use super::refusal::failure;
use crate::platform::{PlatformError, Seen};

/// What was read of an ensemble's objects.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub(super) uid: String,
    pub(super) name: String,
    pub(super) sets: BTreeMap<String, StatefulSet>,
    pub(super) services: BTreeMap<String, Service>,
    pub(super) config_maps: BTreeMap<String, ConfigMap>,
    pub(super) budgets: BTreeMap<String, PodDisruptionBudget>,
    pub(super) pods: BTreeMap<MemberId, Pod>,
    pub(super) claims: BTreeMap<MemberId, PersistentVolumeClaim>,
    /// Objects of an earlier resource of this name that are being collected, as `Kind name`.
    pub(super) leftovers: BTreeSet<String>,
    /// Objects of our names that are somebody else's, as `Kind name`.
    pub(super) foreign: BTreeSet<String>,
}

impl Kubernetes {
    /// One pass' view. Everything is read from the API server itself, nothing from a cache.
    pub(super) async fn look(&self) -> Result<Seen<World>, PlatformError> {
        let (resource, mut world) = self.listed().await?;
        let voters = wanted_voters(&resource);
        self.find_missing(&mut world, &voters).await?;
        let domain = resource.spec.cluster_domain.as_deref();
        let domain = domain.unwrap_or(DEFAULT_CLUSTER_DOMAIN);
        let refused_certificate = self.certificate_is_refused(&resource).await;
        let told = self.told_by_events(&world, &voters).await;

        let now = Timestamp::now();
        let mut members = self.members(&world, now);
        for (member, why) in told {
            let trouble = &mut members.entry(member).or_default().trouble;
            *trouble = Some(match trouble.take() {
                Some(known) => format!("{known} ({why})"),
                None => why,
            });
        }
        let everybody: BTreeSet<_> = members.keys().copied().chain(voters).collect();
        let port = resource.spec.ports.clone().unwrap_or_default().orders;
        let port = port.unwrap_or(DEFAULT_ORDERS_PORT);
        let names = &self.ensemble.names;
        let sidecars = world.pods.iter().filter_map(|(member, pod)| {
            let ours = pods::whose(pod, names, &world.uid) == Whose::Ours;
            let endpoint = pods::endpoint(names, *member, pod, domain, port)?;
            ours.then_some((*member, endpoint))
        });
        let observed = Observed {
            now,
            generation: resource.metadata.generation,
            capabilities: Capabilities {
                only_last_ordinal_can_go: true,
            },
            addresses: everybody
                .iter()
                .map(|member| (*member, names.address(*member, &resource.spec)))
                .collect(),
            conflicts: world
                .foreign
                .iter()
                .cloned()
                .chain(refused_certificate)
                .collect(),
            refusals: self.refusals(&world),
            default_images: self.ensemble.options.images.clone(),
            fresh_id: uuid::Uuid::new_v4().to_string(),
            members,
        };
        Ok(Seen {
            sidecars: sidecars.collect(),
            observed,
            resource,
            world,
        })
    }

    /// The resource and everything that bears its label.
    async fn listed(&self) -> Result<(ZooKeeperCluster, World), PlatformError> {
        let names = &self.ensemble.names;
        let resources = self.api::<ZooKeeperCluster>();
        let get = async {
            let what = format!("ZooKeeperCluster {}/{}", names.namespace, names.name);
            match resources.get_opt(&names.name).await {
                Ok(Some(found)) if found.metadata.deletion_timestamp.is_none() => Ok(found),
                Ok(_) => Err(PlatformError::Gone(what)),
                Err(error) => Err(failure(&what, error)),
            }
        };
        let (resource, pods, claims, sets, services, config_maps, budgets) = futures::try_join!(
            get,
            self.list::<Pod>(),
            self.list::<PersistentVolumeClaim>(),
            self.list::<StatefulSet>(),
            self.list::<Service>(),
            self.list::<ConfigMap>(),
            self.list::<PodDisruptionBudget>(),
        )?;
        let mut world = World {
            uid: resource.metadata.uid.clone().unwrap_or_default(),
            name: names.name.clone(),
            ..World::default()
        };
        let of = |pod: &Pod| names.member(pod.metadata.name.as_deref()?);
        let pods = pods.into_iter().filter_map(|pod| Some((of(&pod)?, pod)));
        world.pods = pods.collect();
        for claim in claims {
            self.sort_claim(&mut world, claim);
        }
        self.sort_shared(&mut world, sets, services, config_maps, budgets);
        Ok((resource, world))
    }

    /// Looks by name for what bears no label of ours: it may be somebody else's.
    async fn find_missing(
        &self,
        world: &mut World,
        voters: &BTreeSet<MemberId>,
    ) -> Result<(), PlatformError> {
        let names = &self.ensemble.names;
        let pods = voters.iter().filter(|id| !world.pods.contains_key(id));
        let claims = voters.iter().filter(|id| !world.claims.contains_key(id));
        let (sets, services, config_maps, budgets, pods, claims) = futures::try_join!(
            self.named(world.absent(&world.sets, names.sets())),
            self.named(world.absent(&world.services, names.services())),
            self.named(world.absent(&world.config_maps, [names.client()])),
            self.named(world.absent(&world.budgets, [names.budget()])),
            self.named::<Pod>(pods.map(|id| names.pod(*id)).collect()),
            self.named::<PersistentVolumeClaim>(claims.map(|id| names.claim(*id)).collect()),
        )?;
        self.sort_shared(world, sets, services, config_maps, budgets);
        for claim in claims {
            self.sort_claim(world, claim);
        }
        for pod in pods {
            let name = pod.name_any();
            match (pods::whose(&pod, names, &world.uid), names.member(&name)) {
                (Whose::Ours | Whose::Former, Some(member)) => {
                    world.pods.insert(member, pod);
                }
                _ => {
                    world.foreign.insert(format!("Pod {name}"));
                }
            }
        }
        Ok(())
    }

    fn sort_shared(
        &self,
        world: &mut World,
        sets: Vec<StatefulSet>,
        services: Vec<Service>,
        config_maps: Vec<ConfigMap>,
        budgets: Vec<PodDisruptionBudget>,
    ) {
        let names = &self.ensemble.names;
        world.sort(sets, names.sets(), |world| &mut world.sets);
        world.sort(services, names.services(), |world| &mut world.services);
        world.sort(config_maps, [names.client()], |world| {
            &mut world.config_maps
        });
        world.sort(budgets, [names.budget()], |world| &mut world.budgets);
    }

    /// A claim that bears our label is ours if nobody controls it: one that was kept. One that an
    /// earlier resource of this name controls is being deleted.
    fn sort_claim(&self, world: &mut World, claim: PersistentVolumeClaim) {
        let names = &self.ensemble.names;
        let name = claim.name_any();
        let Some(member) = names.claimant(&name) else {
            return;
        };
        let ours = claim.labels().get(CLUSTER_LABEL) == Some(&names.name);
        match world.owner(&claim.metadata) {
            Owner::Nobody if !ours => {}
            Owner::Nobody | Owner::Ours | Owner::Former => {
                world.claims.insert(member, claim);
                return;
            }
            Owner::Somebody => {}
        }
        world
            .foreign
            .insert(format!("PersistentVolumeClaim {name}"));
    }

    fn members(&self, world: &World, now: Timestamp) -> BTreeMap<MemberId, MemberObserved> {
        let names = &self.ensemble.names;
        let mut members: BTreeMap<MemberId, MemberObserved> = BTreeMap::new();
        for (member, claim) in &world.claims {
            let going = claim.metadata.deletion_timestamp.is_some();
            let former = world.owner(&claim.metadata) == Owner::Former;
            let found = members.entry(*member).or_default();
            found.volume = Some(VolumeObserved {
                uid: claim.metadata.uid.clone().unwrap_or_default(),
                terminating: going || former,
            });
            let phase = claim.status.as_ref().and_then(|s| s.phase.as_deref());
            found.trouble = (phase == Some("Lost")).then(|| {
                format!(
                    "claim {} has lost its volume; if it will not come back, delete the claim and \
                     the pod",
                    claim.name_any()
                )
            });
        }
        let revision = world.sets.get(&names.set(Kind::Voter)).and_then(revision);
        for (member, pod) in &world.pods {
            let whose = pods::whose(pod, names, &world.uid);
            let found = members.entry(*member).or_default();
            found.process = Some(pods::process(pod, whose, revision));
            let trouble = pods::trouble(pod, whose, now);
            found.trouble = found.trouble.take().or(trouble);
        }
        members
    }

    /// What was refused in earlier passes, and what has to go before anything can be made.
    fn refusals(&self, world: &World) -> Vec<String> {
        let waits = world.leftovers.iter().map(|what| {
            format!("{what} of an earlier resource of this name is still being deleted")
        });
        let refused = self.ensemble.memory.lock();
        waits.chain(refused.refused.values().cloned()).collect()
    }

    async fn list<K>(&self) -> Result<Vec<K>, PlatformError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let names = &self.ensemble.names;
        let labelled = ListParams::default().labels(&format!("{CLUSTER_LABEL}={}", names.name));
        let listed = self.api::<K>().list(&labelled).await;
        let what = || format!("{} in namespace {}", K::plural(&()), names.namespace);
        Ok(listed.map_err(|error| failure(&what(), error))?.items)
    }

    async fn named<K>(&self, names: Vec<String>) -> Result<Vec<K>, PlatformError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api: Api<K> = self.api();
        let found = try_join_all(names.iter().map(|name| {
            let api = &api;
            async move {
                let found = api.get_opt(name).await;
                found.map_err(|error| failure(&format!("{} {name}", K::kind(&())), error))
            }
        }));
        Ok(found.await?.into_iter().flatten().collect())
    }
}

/// The sidecars' order port where the spec names none.
const DEFAULT_ORDERS_PORT: u16 = 8443;

/// The voters that the spec asks for, valid or not.
fn wanted_voters(resource: &ZooKeeperCluster) -> BTreeSet<MemberId> {
    let count = resource.spec.replicas.clamp(0, MemberId::MAX_VOTERS);
    let count = u8::try_from(count).unwrap_or_default();
    (0..count).filter_map(MemberId::voter).collect()
}

/// How many pods a set is to have. An API server fills in 1 where nothing is said.
pub(super) fn replicas(set: &StatefulSet) -> i32 {
    set.spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
}

/// The revision that pods are made from now, if the set's controller has seen the newest template.
fn revision(set: &StatefulSet) -> Option<&str> {
    let status = set.status.as_ref()?;
    let current = status.observed_generation >= set.metadata.generation;
    status.update_revision.as_deref().filter(|_| current)
}

/// Whose an object is, by its controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Ours,
    /// A resource of this name that is no more: the object is about to be collected.
    Former,
    Nobody,
    Somebody,
}

impl World {
    pub(super) fn owner(&self, metadata: &ObjectMeta) -> Owner {
        let references = metadata.owner_references.iter().flatten();
        let controller = references
            .into_iter()
            .find(|owner| owner.controller == Some(true));
        match controller {
            None => Owner::Nobody,
            Some(owner) if owner.uid == self.uid => Owner::Ours,
            Some(owner) if owner.kind == "ZooKeeperCluster" && owner.name == self.name => {
                Owner::Former
            }
            Some(_) => Owner::Somebody,
        }
    }

    /// Those names under which nothing was found yet.
    fn absent<K, const N: usize>(
        &self,
        known: &BTreeMap<String, K>,
        names: [String; N],
    ) -> Vec<String>
    where
        K: Resource<DynamicType = ()>,
    {
        let is_absent = |name: &String| {
            let what = format!("{} {name}", K::kind(&()));
            let found = known.contains_key(name);
            !found && !self.foreign.contains(&what) && !self.leftovers.contains(&what)
        };
        names.into_iter().filter(is_absent).collect()
    }

    /// Puts each of the named objects where it belongs. Others that bear our label are not looked
    /// at.
    fn sort<K, const N: usize>(
        &mut self,
        objects: Vec<K>,
        names: [String; N],
        place: impl Fn(&mut Self) -> &mut BTreeMap<String, K>,
    ) where
        K: Resource<DynamicType = ()>,
    {
        for object in objects {
            let name = object.name_any();
            if !names.contains(&name) {
                continue;
            }
            let what = format!("{} {name}", K::kind(&()));
            let going = object.meta().deletion_timestamp.is_some();
            match self.owner(object.meta()) {
                Owner::Ours if !going => {
                    place(self).insert(name, object);
                }
                Owner::Ours | Owner::Former => {
                    self.leftovers.insert(what);
                }
                Owner::Nobody | Owner::Somebody => {
                    self.foreign.insert(what);
                }
            }
        }
    }
}
