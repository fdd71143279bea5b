//! An ensemble, a Kubernetes in memory for it, and operators that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::Duration;

use api::status::{BootstrapPhase, Images};
use api::{Condition, ConditionStatus, ConditionType, ZooKeeperClusterStatus};
use ferrokeeper_operator::kubernetes::{Authority, Issued, Kubernetes, Options, SignError};
use ferrokeeper_operator::metrics::{EnsembleMetrics, Metrics};
use ferrokeeper_operator::reconcile::{Leadership, PassError, reconcile};
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tests::kubernetes::intercept::{Intercept, Tap, Tapped};
use tests::kubernetes::members::Members;
use tests::kubernetes::memory::kinds::{
    BUDGET, CLAIM, CONFIG_MAP, ENSEMBLE, Kind, POD, SECRET, SERVICE, STATEFUL_SET,
};
use tests::kubernetes::memory::{Memory, Object};
use tests::kubernetes::script::Desk;

/// Where the ensemble is.
pub(super) const NAMESPACE: &str = "data";

/// What it is called.
pub(super) const NAME: &str = "demo";

/// Rounds in which everything must have come to its end.
const ROUNDS: usize = 60;

/// All kinds that the operator makes.
pub(super) static MADE: [&Kind; 7] = [
    &STATEFUL_SET,
    &POD,
    &CLAIM,
    &SERVICE,
    &CONFIG_MAP,
    &SECRET,
    &BUDGET,
];

/// A namespace that enforces `restricted`, with one ensemble.
pub(super) struct Scene {
    pub(super) memory: Memory,
    pub(super) members: Members,
    pub(super) desk: Desk,
}

/// An operator's process.
pub(super) struct Operator {
    platform: Kubernetes,
    sidecars: Tapped<Members>,
    lead: Leadership,
    metrics: EnsembleMetrics,
    pub(super) tap: Tap,
}

/// Signs with nothing: nobody here checks.
#[derive(Debug)]
struct Blank;

impl Authority for Blank {
    fn issue(&self, names: &[String]) -> Result<Issued, SignError> {
        let far = jiff::SignedDuration::from_hours(24 * 365);
        Ok(Issued {
            authority: "authority".to_owned(),
            certificate: names.join(","),
            key: "key".to_owned(),
            renew_at: jiff::Timestamp::now() + far,
        })
    }
}

impl Scene {
    /// With nothing in it.
    pub(super) fn empty() -> Self {
        let memory = Memory::new();
        let strict = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        memory.add_namespace(NAMESPACE, strict);
        Self {
            members: Members::new(&memory, NAMESPACE).expect("a folder"),
            desk: Desk::new(Arc::new(memory.clone()), NAMESPACE),
            memory,
        }
    }

    /// With a resource of this spec, and nothing done for it yet.
    pub(super) async fn of(spec: Value) -> Self {
        let scene = Self::empty();
        scene.ask_for(spec).await;
        scene
    }

    /// With an ensemble of three that is ready, and its operator.
    pub(super) async fn ready() -> (Self, Operator) {
        let scene = Self::of(json!({})).await;
        let mut operator = scene.operator(Tap::default());
        scene.until_ready(&mut operator).await;
        (scene, operator)
    }

    /// Makes the resource.
    pub(super) async fn ask_for(&self, spec: Value) {
        let resource = json!({ "metadata": { "name": NAME }, "spec": spec });
        let made = self.desk.create(&ENSEMBLE, resource).await;
        made.expect("a valid resource");
    }

    /// Starts an operator.
    pub(super) fn operator(&self, tap: Tap) -> Operator {
        let service = Intercept::new(self.memory.clone(), tap.clone());
        let client = kube::Client::new(service, "default");
        let options = Options {
            images: Images {
                server: Some("server:1".to_owned()),
                sidecar: Some("sidecar:1".to_owned()),
            },
            authority: Arc::new(Blank),
            user: Some(65532),
        };
        let metrics = Metrics::new().expect("metrics");
        Operator {
            platform: Kubernetes::new(client, NAMESPACE, NAME, options),
            sidecars: Tapped::new(self.members.clone(), tap.clone()),
            lead: Leadership::default(),
            metrics: metrics.ensemble(NAMESPACE, NAME),
            tap,
        }
    }

    /// A pass, and then everybody else does what can be done. An operator that has crashed is
    /// followed by another one.
    pub(super) async fn round(&self, operator: &mut Operator) -> Result<Duration, PassError> {
        let outcome = operator.pass().await;
        if operator.tap.has_crashed() {
            operator.tap.revive();
            *operator = self.operator(operator.tap.clone());
        }
        self.rest();
        outcome
    }

    /// Everybody but the operator does what can be done.
    pub(super) fn rest(&self) {
        self.memory.settle();
        self.members.turn().expect("sidecars with journals");
        self.memory.settle();
    }

    /// Rounds until something holds.
    pub(super) async fn until(
        &self,
        operator: &mut Operator,
        what: &str,
        holds: impl Fn(&Self) -> bool,
    ) {
        let mut last = Vec::new();
        // What the status says is older than what the test has just done.
        for _ in 0..ROUNDS {
            last.push(match self.round(operator).await {
                Ok(_) => "done".to_owned(),
                Err(error) => format!("{error}: {:?}", std::error::Error::source(&error)),
            });
            if holds(self) {
                return;
            }
        }
        let last: Vec<_> = last.iter().rev().take(5).collect();
        panic!(
            "not so after {ROUNDS} rounds: {what}\nlast passes: {last:#?}\nstatus: {:#?}",
            self.status()
        );
    }

    /// Rounds until the ensemble is ready.
    pub(super) async fn until_ready(&self, operator: &mut Operator) {
        self.until(operator, "it is ready", Self::is_ready).await;
    }

    /// So many rounds, whatever comes of them.
    pub(super) async fn rounds(&self, operator: &mut Operator, count: usize) {
        for _ in 0..count {
            // A pass that ends early is repeated, as by a real operator.
            let _ = self.round(operator).await;
        }
    }

    pub(super) fn get(&self, kind: &'static Kind, name: &str) -> Option<Value> {
        self.memory.get(kind, NAMESPACE, name)
    }

    pub(super) fn status(&self) -> ZooKeeperClusterStatus {
        let status = self
            .get(&ENSEMBLE, NAME)
            .and_then(|mut found| found.unset("/status"));
        let status = status.map(serde_json::from_value).transpose();
        status
            .expect("a status that can be read")
            .unwrap_or_default()
    }

    pub(super) fn condition(&self, type_: ConditionType) -> Option<Condition> {
        let mut conditions = self.status().conditions.into_iter();
        conditions.find(|condition| condition.type_ == type_)
    }

    pub(super) fn holds(&self, type_: ConditionType) -> bool {
        let condition = self.condition(type_);
        condition.is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.holds(ConditionType::Ready)
    }

    /// What `Ready` says.
    pub(super) fn says(&self) -> String {
        let ready = self.condition(ConditionType::Ready);
        ready.map(|condition| condition.message).unwrap_or_default()
    }

    pub(super) fn uid(&self, kind: &'static Kind, name: &str) -> Option<String> {
        self.get(kind, name).map(|object| object.uid().to_owned())
    }

    /// Deletes an object that is there.
    pub(super) async fn delete(&self, kind: &Kind, name: &str, how: DeleteParams) {
        let deleted = self.desk.delete(kind, name, &how).await;
        deleted.expect(name);
    }

    /// Ends a pod, and its volume if that is asked for.
    pub(super) async fn lose(&self, ordinal: u8, volume: bool) {
        let pod = format!("{NAME}-{ordinal}");
        if volume {
            let claim = format!("data-{pod}");
            self.delete(&CLAIM, &claim, DeleteParams::default()).await;
        }
        self.delete(&POD, &pod, DeleteParams::default()).await;
    }

    /// Exactly one ensemble was born, on so many volumes, each granted once.
    pub(super) fn assert_born_once(&self, volumes: impl RangeBounds<usize> + Debug) {
        let births = self.members.births();
        let granted: BTreeSet<_> = births.iter().map(|birth| &birth.volume_id).collect();
        let born: BTreeSet<_> = births.iter().map(|birth| &birth.cluster_id).collect();
        let told = (granted.len(), born.len(), self.members.histories());
        assert_eq!(told, (births.len(), 1, 1), "{births:#?}");
        assert!(volumes.contains(&births.len()), "{volumes:?}: {births:#?}");
        let status = self.status();
        assert_eq!(status.cluster_id.as_ref(), born.first().copied());
        assert_eq!(status.phase(), BootstrapPhase::Initialised);
    }

    /// Everything that was made, without what differs from one time to the next.
    pub(super) fn portrait(&self) -> BTreeMap<String, Value> {
        let mut portrait = BTreeMap::new();
        for kind in MADE {
            for object in self.memory.list(kind, NAMESPACE) {
                portrait.insert(format!("{} {}", kind.kind, object.name()), outline(object));
            }
        }
        let conditions = self.status().conditions.into_iter();
        let conditions: Vec<_> = conditions
            .map(|c| format!("{:?} {:?} {:?}: {}", c.type_, c.status, c.reason, c.message))
            .collect();
        portrait.insert("conditions".to_owned(), conditions.into());
        portrait
    }
}

/// An object without what differs from one time to the next.
fn outline(mut object: Value) -> Value {
    object.unset("/status");
    for field in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
        "generation",
    ] {
        object.unset(&format!("/metadata/{field}"));
    }
    let owners = object.pointer_mut("/metadata/ownerReferences");
    for owner in owners.and_then(Value::as_array_mut).into_iter().flatten() {
        owner.unset("/uid");
    }
    for field in ["clusterIP", "clusterIPs", "volumeName"] {
        object.unset(&format!("/spec/{field}"));
    }
    object
}

impl Operator {
    /// One pass.
    pub(super) async fn pass(&mut self) -> Result<Duration, PassError> {
        reconcile(
            &self.platform,
            &self.sidecars,
            &mut self.lead,
            &self.metrics,
        )
        .await
    }
}
