//! Members in pods that are only written down: real sidecars beside servers in small.
//!
//! Start in [`Members::turn`]: it looks which pods run, starts and ends servers as the pods do,
//! and lets them elect. A volume is as old as its claim. `server` says what a server does with
//! its disk and its peers; the sidecars are the ones that run in a real pod.

mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use api::MemberId;
use api::sidecar::{OrderRequest, OrderResponse, SidecarStatus};
use ferrokeeper_operator::platform::Endpoint;
use ferrokeeper_operator::sidecars::{Orders, SidecarError};
use ferrokeeper_sidecar::steward::{Seat, Steward};
use jiff::Timestamp;
use parking_lot::Mutex;
use plan::observed::Report;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;
use wire::control::{FromServer, ToServer};

use super::memory::kinds::{CLAIM, POD};
use super::memory::{Memory, Object};
pub use server::Birth;
use server::{Disk, Ensemble, Server};

/// The annotation of a pod that names the resource it is a member of.
const ENSEMBLE: &str = "/metadata/annotations/ferrokeeper.io~1uid";

/// Lines that may wait for a server.
const LINES: usize = 16;

/// All members of all ensembles of one namespace. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Members(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    memory: Memory,
    namespace: String,
    folder: TempDir,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the uid of the claim.
    disks: BTreeMap<String, Disk>,
    /// By the name of the pod.
    seated: BTreeMap<String, Seated>,
    ensemble: Ensemble,
    /// Pods that nobody reaches, and that reach nobody.
    cut_off: BTreeSet<String>,
}

/// A member in a pod.
#[derive(Debug)]
struct Seated {
    /// Uid of the pod.
    pod: String,
    /// Uid of the claim.
    claim: String,
    address: Option<IpAddr>,
    steward: Arc<Steward>,
    connection: u64,
    lines: mpsc::Receiver<ToServer>,
    server: Server,
}

impl Members {
    /// For the pods of a namespace.
    ///
    /// # Errors
    /// If there is no folder for the sidecars' journals.
    pub fn new(memory: &Memory, namespace: &str) -> std::io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            memory: memory.clone(),
            namespace: namespace.to_owned(),
            folder: TempDir::new()?,
            state: Mutex::default(),
        })))
    }

    /// Members do what they can: start and end with their pods, do what they were told, elect,
    /// and are ready or not.
    ///
    /// # Errors
    /// If a sidecar's journal cannot be kept.
    pub fn turn(&self) -> anyhow::Result<()> {
        let pods = self.0.memory.list(&POD, &self.0.namespace);
        let mut guard = self.0.state.lock();
        let state = &mut *guard;
        let running: BTreeMap<_, _> = pods
            .iter()
            .filter(|pod| pod.text("/status/phase") == "Running")
            .map(|pod| (pod.name().to_owned(), pod))
            .collect();
        state
            .seated
            .retain(|name, seated| running.get(name).is_some_and(|pod| pod.uid() == seated.pod));
        for (name, pod) in &running {
            if !state.seated.contains_key(name) {
                let seated = self.seat(state, pod)?;
                state
                    .seated
                    .extend(seated.map(|seated| (name.clone(), seated)));
            }
        }
        state.hear();
        state.meet();
        state.speak();
        let unready = state.unready();
        drop(guard);
        self.0.memory.rule(|rules| rules.unready = unready);
        Ok(())
    }

    /// First starts that were granted, each volume's first one.
    pub fn births(&self) -> Vec<Birth> {
        self.0.state.lock().ensemble.births.clone()
    }

    /// How many times members that all had nothing elected a leader. More than once is what must
    /// never happen.
    pub fn histories(&self) -> u32 {
        self.0.state.lock().ensemble.histories
    }

    /// The id of the leader, if there is one.
    pub fn leader(&self) -> Option<MemberId> {
        self.0.state.lock().ensemble.leader()
    }

    /// Nobody reaches this pod's sidecar, and its server reaches nobody.
    pub fn cut_off(&self, pod: &str) {
        self.0.state.lock().cut_off.insert(pod.to_owned());
    }

    /// Everybody reaches everybody again.
    pub fn reach_all(&self) {
        self.0.state.lock().cut_off.clear();
    }

    /// What a member's sidecar says.
    pub fn status(&self, pod: &str) -> Option<SidecarStatus> {
        let state = self.0.state.lock();
        state.seated.get(pod).map(|seated| seated.steward.status())
    }

    fn seat(&self, state: &mut State, pod: &Value) -> anyhow::Result<Option<Seated>> {
        let member = pod.text("/metadata/labels/apps.kubernetes.io~1pod-index");
        let Some(member) = member.parse().ok().and_then(MemberId::voter) else {
            return Ok(None);
        };
        let claim = format!("data-{}", pod.name());
        let Some(claim) = self.0.memory.get(&CLAIM, &self.0.namespace, &claim) else {
            return Ok(None);
        };
        let claim = claim.uid().to_owned();
        let number = state.disks.len() + 1;
        let disk = state
            .disks
            .entry(claim.clone())
            .or_insert_with(|| Disk::new(number));
        let volume = self.0.folder.path().join(&claim);
        std::fs::create_dir_all(&volume)?;
        let steward = Arc::new(Steward::open(Seat {
            member,
            ensemble: pod.text(ENSEMBLE).to_owned(),
            volume,
        })?);
        let (send, lines) = mpsc::channel(LINES);
        let connection = steward.connected(disk.report(), None, send);
        Ok(Some(Seated {
            pod: pod.uid().to_owned(),
            claim,
            address: pod.text("/status/podIP").parse().ok(),
            steward,
            connection,
            lines,
            server: Server::new(member),
        }))
    }
}

impl State {
    /// Servers do what their sidecars told them.
    fn hear(&mut self) {
        for seated in self.seated.values_mut() {
            let Some(disk) = self.disks.get_mut(&seated.claim) else {
                continue;
            };
            while let Ok(line) = seated.lines.try_recv() {
                if let ToServer::Boot(plan) = line {
                    let born = seated.server.boot(disk, plan);
                    self.ensemble.births.extend(born);
                }
            }
        }
    }

    /// Servers that reach each other elect, and follow.
    fn meet(&mut self) {
        let reach: Vec<_> = self
            .seated
            .iter()
            .filter(|(name, seated)| !self.cut_off.contains(*name) && seated.server.runs())
            .map(|(_, seated)| {
                (
                    seated.server.member(),
                    seated.claim.clone(),
                    seated.pod.clone(),
                )
            })
            .collect();
        self.ensemble.meet(&mut self.disks, &reach);
    }

    /// Servers tell their sidecars how they are.
    fn speak(&self) {
        for seated in self.seated.values().filter(|seated| seated.server.runs()) {
            let Some(disk) = self.disks.get(&seated.claim) else {
                continue;
            };
            let status = self
                .ensemble
                .status(seated.server.member(), &seated.pod, disk);
            seated
                .steward
                .heard(seated.connection, FromServer::Status(status));
        }
    }

    /// Pods whose server does not serve.
    fn unready(&self) -> BTreeSet<String> {
        let serves = |seated: &&Seated| {
            seated.server.runs() && self.ensemble.follows(seated.server.member(), &seated.pod)
        };
        let unready = self.seated.iter().filter(|(_, seated)| !serves(seated));
        unready.map(|(name, _)| name.clone()).collect()
    }

    /// Whoever answers at an endpoint: the address must be the pod's.
    fn at(&self, endpoint: &Endpoint) -> Option<Arc<Steward>> {
        let name = endpoint.name.split('.').next()?;
        let seated = self.seated.get(name)?;
        let reached = endpoint.address == seated.address && !self.cut_off.contains(name);
        reached.then(|| Arc::clone(&seated.steward))
    }
}

impl Orders for Members {
    async fn ask_all(
        &self,
        endpoints: &BTreeMap<MemberId, Endpoint>,
    ) -> BTreeMap<MemberId, Report> {
        let state = self.0.state.lock();
        let asked = endpoints.iter().filter_map(|(member, endpoint)| {
            let status = state.at(endpoint)?.status();
            let at = Timestamp::now();
            (status.member == *member).then_some((*member, Report { at, status }))
        });
        asked.collect()
    }

    async fn order(
        &self,
        endpoint: &Endpoint,
        request: &OrderRequest,
    ) -> Result<OrderResponse, SidecarError> {
        let steward = self.0.state.lock().at(endpoint);
        let steward = steward.ok_or_else(|| SidecarError::Nobody(endpoint.name.clone()))?;
        Ok(steward.order(request.clone()).await)
    }
}
