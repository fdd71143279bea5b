//! Why something is not there that should be, where only an event says so.
//!
//! Events are read only while something is missing, and nothing but a message depends on them.

use std::collections::{BTreeMap, BTreeSet};

use api::{Kind, MemberId};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;
use kube::api::ListParams;

use super::Kubernetes;
use super::observe::{World, replicas};
use super::pods::is_unscheduled;

impl Kubernetes {
    /// What events say of each member that has no pod, or none that can be placed.
    pub(super) async fn told_by_events(
        &self,
        world: &World,
        voters: &BTreeSet<MemberId>,
    ) -> BTreeMap<MemberId, String> {
        let mut told = self.why_missing(world, voters).await;
        told.extend(self.why_unbound(world).await);
        told
    }

    /// Why pods are refused, as their StatefulSet says it.
    async fn why_missing(
        &self,
        world: &World,
        voters: &BTreeSet<MemberId>,
    ) -> BTreeMap<MemberId, String> {
        let names = &self.ensemble.names;
        let Some(set) = world.sets.get(&names.set(Kind::Voter)) else {
            return BTreeMap::new();
        };
        let asked = replicas(set);
        let missing: Vec<_> = voters
            .iter()
            .filter(|id| i32::from(id.ordinal()) < asked && !world.pods.contains_key(id))
            .collect();
        if missing.is_empty() {
            return BTreeMap::new();
        }
        let events = self
            .events(set.metadata.uid.as_deref(), "FailedCreate")
            .await;
        let why = |id: &MemberId| {
            let pod = format!("Pod {} in", names.pod(*id));
            let message = latest(&events, |message| message.contains(&pod))?;
            let cause = message.split_once("failed error: ");
            let cause = cause.map_or(message, |(_, cause)| cause);
            Some((*id, format!("its pod is refused: {cause}")))
        };
        missing.into_iter().filter_map(why).collect()
    }

    /// Why claims have no volume, while their pods wait for one. The scheduler says no more than
    /// that they have none.
    async fn why_unbound(&self, world: &World) -> BTreeMap<MemberId, String> {
        let mut told = BTreeMap::new();
        for (member, claim) in &world.claims {
            let phase = claim.status.as_ref().and_then(|s| s.phase.as_deref());
            let waits = world.pods.get(member).is_some_and(is_unscheduled);
            if phase != Some("Pending") || !waits {
                continue;
            }
            let uid = claim.metadata.uid.as_deref();
            let events = self.events(uid, "ProvisioningFailed").await;
            if let Some(message) = latest(&events, |_| true) {
                told.insert(*member, format!("claim {}: {message}", claim.name_any()));
            }
        }
        told
    }

    async fn events(&self, about: Option<&str>, reason: &str) -> Vec<Event> {
        let uid = about.unwrap_or_default();
        let selected = format!("involvedObject.uid={uid},reason={reason}");
        let listed = self
            .api::<Event>()
            .list(&ListParams::default().fields(&selected))
            .await;
        listed.map(|list| list.items).unwrap_or_default()
    }
}

/// The message of the latest of these.
fn latest(events: &[Event], concerns: impl Fn(&str) -> bool) -> Option<&str> {
    let messages = events
        .iter()
        .filter_map(|event| Some((when(event), event.message.as_deref()?)));
    messages
        .filter(|(_, message)| concerns(message))
        .max_by_key(|(when, _)| *when)
        .map(|(_, message)| message)
}

fn when(event: &Event) -> Option<Timestamp> {
    let seen = event.last_timestamp.as_ref().map(|time| time.0);
    let told = event.event_time.as_ref().map(|time| time.0);
    let made = event.metadata.creation_timestamp.as_ref();
    seen.or(told).or_else(|| made.map(|time| time.0))
}
