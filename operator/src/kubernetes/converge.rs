//! Makes what differs as it should be. Nothing here disrupts a member.

use std::collections::BTreeSet;
use std::fmt::Debug;

use api::status::Images;
use api::{Kind, MemberId};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Patch, PatchParams};
use kube::{Resource, ResourceExt};
use plan::Desired;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::{info, warn};

use super::claims::claim;
use super::compare::{applicable, holds, object_in};
use super::objects::Blueprint;
use super::observe::{Owner, World, replicas};
use super::refusal::{Written, failure, written};
use super::{FIELD_MANAGER, Kubernetes};
use crate::platform::{PlatformError, Seen};

impl Kubernetes {
    /// The Services, the budget, the connection and the pods' template.
    pub(super) async fn keep_shared(
        &self,
        seen: &Seen<World>,
        desired: &Desired,
    ) -> Result<(), PlatformError> {
        let names = &self.ensemble.names;
        let world = &seen.world;
        let Some(images) = self.images(seen, desired) else {
            let why = "no image is known: name them in spec.image and spec.sidecarImage, or as the \
                       operator's own defaults";
            self.remember("images", Some(why.to_owned()));
            return Ok(());
        };
        self.remember("images", None);
        let connection = connection_string(seen, desired);
        let blueprint = self.blueprint(seen, desired, &images, &connection);
        self.keep_certificate(seen, desired).await?;

        let peers = applicable(&blueprint.peers());
        self.keep(world, world.services.get(&names.peers()), peers)
            .await?;
        let client = applicable(&blueprint.client());
        self.keep(world, world.services.get(&names.client()), client)
            .await?;
        let connection = applicable(&blueprint.connection());
        self.keep(world, world.config_maps.get(&names.client()), connection)
            .await?;
        let budget = applicable(&blueprint.budget());
        self.keep(world, world.budgets.get(&names.budget()), budget)
            .await?;

        let live = world.sets.get(&names.set(Kind::Voter));
        let mut set = applicable(&blueprint.stateful_set(Kind::Voter));
        let spec = object_in(&mut set, "spec");
        match live {
            // As they are: claim templates cannot change, and a count that is left out is taken
            // for 1.
            Some(live) => {
                let claims = live.spec.as_ref().map(|spec| &spec.volume_claim_templates);
                spec["volumeClaimTemplates"] = plain(&claims);
                spec["replicas"] = replicas(live).into();
            }
            // One that is made anew takes over the pods that were left to it, and stops none.
            None => {
                spec["volumeClaimTemplates"] = plain(&blueprint.claim_templates(Kind::Voter));
                spec["replicas"] = orphans(world).into();
            }
        }
        self.keep(world, live, set).await
    }

    /// Raises the number of pods, never lowers it.
    pub(super) async fn keep_processes(
        &self,
        seen: &Seen<World>,
        members: &[MemberId],
    ) -> Result<(), PlatformError> {
        let name = self.ensemble.names.set(Kind::Voter);
        let voters = members.iter().filter(|id| id.kind() == Kind::Voter);
        let voters = voters.filter(|id| id.ordinal() < self.first_without_claim(seen, members));
        let Some(last) = voters.map(|id| id.ordinal()).max() else {
            return Ok(());
        };
        let wanted = i32::from(last) + 1;
        let known = seen.world.sets.get(&name).map(replicas);
        if known.is_some_and(|known| known >= wanted) {
            return Ok(());
        }
        let what = format!("StatefulSet {name}");
        // It may have been made or changed in this very pass.
        let sets = self.api::<StatefulSet>();
        let found = sets.get_opt(&name).await;
        let Some(live) = found.map_err(|error| failure(&what, error))? else {
            return Ok(());
        };
        if seen.world.owner(&live.metadata) != Owner::Ours {
            return Ok(());
        }
        if known.is_some_and(|known| known != replicas(&live)) {
            return Err(PlatformError::Conflict(what));
        }
        if replicas(&live) < wanted {
            self.put_replicas(&live, wanted).await?;
        }
        Ok(())
    }

    /// Sets the number of pods of the set as it was read; answers whether it was taken.
    pub(super) async fn put_replicas(
        &self,
        live: &StatefulSet,
        count: i32,
    ) -> Result<bool, PlatformError> {
        let name = live.name_any();
        let what = format!("StatefulSet {name}");
        let patch = json!({
            "metadata": {"resourceVersion": live.resource_version(), "uid": live.uid()},
            "spec": {"replicas": count},
        });
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let sets = self.api::<StatefulSet>();
        info!(set = name, from = replicas(live), to = count, "replicas");
        let answer = sets.patch(&name, &params, &Patch::Merge(&patch)).await;
        self.settle(&what, answer)
    }

    /// Applies `wanted` if the live object does not hold it.
    ///
    /// One that is there is changed only as it was read. One that is not there is made without
    /// force: should somebody have made it a moment ago, what is theirs stays.
    async fn keep<K>(
        &self,
        world: &World,
        live: Option<&K>,
        mut wanted: Value,
    ) -> Result<(), PlatformError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
        let name = name.to_owned();
        let what = format!("{} {name}", K::kind(&()));
        if world.leftovers.contains(&what) {
            return Ok(());
        }
        let mut params = PatchParams::apply(FIELD_MANAGER);
        if let Some(live) = live {
            let found = plain(live);
            if holds(&found, &wanted) {
                self.remember(&what, None);
                return Ok(());
            }
            wanted["metadata"]["resourceVersion"] = live.meta().resource_version.clone().into();
            params = params.force();
        }
        info!(what, made = live.is_none(), "applied");
        let answer = self
            .api::<K>()
            .patch(&name, &params, &Patch::Apply(&wanted))
            .await;
        self.settle(&what, answer).map(drop)
    }

    /// Whether it was done. A refusal is shown and tried again in the next pass; it keeps nothing
    /// else from being done.
    pub(super) fn settle<T>(
        &self,
        what: &str,
        answer: Result<T, kube::Error>,
    ) -> Result<bool, PlatformError> {
        let refused = match written(what, answer)? {
            Written::Done(_) => None,
            Written::Refused(refusal) => {
                warn!(why = refusal.why, "refused");
                Some(refusal.why)
            }
        };
        let done = refused.is_none();
        self.remember(what, refused);
        Ok(done)
    }

    pub(super) fn remember(&self, what: &str, refused: Option<String>) {
        let mut memory = self.ensemble.memory.lock();
        let Some(why) = refused else {
            memory.refused.remove(what);
            return;
        };
        if memory
            .refused
            .insert(what.to_owned(), why.clone())
            .is_none()
        {
            memory.unsaid = Some(why);
        }
    }

    /// A refusal that has just begun ends the pass, so that the next one comes soon and shows it:
    /// the status says already that all is as the spec wants it.
    pub(super) fn all_is_said(&self) -> Result<(), PlatformError> {
        let unsaid = self.ensemble.memory.lock().unsaid.take();
        unsaid.map_or(Ok(()), |why| Err(PlatformError::Refused(why)))
    }

    /// A pod without a claim would have it made by its StatefulSet, and be refused as well.
    fn first_without_claim(&self, seen: &Seen<World>, members: &[MemberId]) -> u8 {
        let memory = self.ensemble.memory.lock();
        let names = &self.ensemble.names;
        let refused = |id: &&MemberId| {
            let absent = !seen.world.claims.contains_key(*id);
            absent && memory.refused.contains_key(&claim(&names.claim(**id)))
        };
        let first = members.iter().filter(refused).map(|id| id.ordinal()).min();
        first.unwrap_or(u8::MAX)
    }

    pub(super) fn blueprint<'a>(
        &'a self,
        seen: &'a Seen<World>,
        desired: &'a Desired,
        images: &'a Images,
        connection_string: &'a str,
    ) -> Blueprint<'a> {
        Blueprint {
            names: &self.ensemble.names,
            uid: &seen.world.uid,
            desired,
            server_image: images.server.as_deref().unwrap_or_default(),
            sidecar_image: images.sidecar.as_deref().unwrap_or_default(),
            addresses: &seen.observed.addresses,
            connection_string,
            user: self.ensemble.options.user,
        }
    }

    /// The images that the status has pinned, which is written before anything is made.
    fn images(&self, seen: &Seen<World>, desired: &Desired) -> Option<Images> {
        let pinned = seen.resource.status.as_ref();
        let pinned = pinned.and_then(|status| status.images.clone());
        let pinned = pinned.unwrap_or_default();
        let defaults = &self.ensemble.options.images;
        let choose = |asked: &Option<String>, pinned: Option<String>, default: &Option<String>| {
            asked.clone().or(pinned).or_else(|| default.clone())
        };
        let server = choose(&desired.image, pinned.server, &defaults.server)?;
        let sidecar = choose(&desired.sidecar_image, pinned.sidecar, &defaults.sidecar)?;
        Some(Images {
            server: Some(server),
            sidecar: Some(sidecar),
        })
    }
}

fn plain(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("an object is plain data")
}

/// How many pods a set has to have so as to keep those that nobody controls.
fn orphans(world: &World) -> i32 {
    let orphaned = world
        .pods
        .iter()
        .filter(|(id, _)| id.kind() == Kind::Voter)
        .filter(|(_, pod)| world.owner(&pod.metadata) == Owner::Nobody);
    let last = orphaned.map(|(id, _)| id.ordinal()).max();
    last.map_or(0, |last| i32::from(last) + 1)
}

/// The members' addresses for clients: those of the ensemble that there is, or will be.
fn connection_string(seen: &Seen<World>, desired: &Desired) -> String {
    let status = seen.resource.status.as_ref();
    if let Some(known) = status.and_then(|status| status.connection_string.clone()) {
        return known;
    }
    let voters: BTreeSet<_> = desired.voters.iter().collect();
    let addresses = seen.observed.addresses.iter();
    let clients: Vec<_> = addresses
        .filter(|(id, _)| voters.contains(id))
        .map(|(_, address)| address.client())
        .collect();
    clients.join(",")
}
