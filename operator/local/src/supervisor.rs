//! The supervisor: kubelet, StatefulSet and API server in small, one loop over one [`World`].
//!
//! It outlives the operator, which is one more process that it keeps running. What a request
//! changed is on disk before the request is answered.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use api::{MemberId, ZooKeeperCluster};
use ferrokeeper_operator::authority::Holder;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::authority::Authority;
use crate::folder::{self, Folder};
use crate::pod::{Blueprint, Event, Programs};
use crate::ports::Claims;
use crate::process::{End, Recipe, keep};
use crate::world::{Container, Due, Fault, Pod, Probe, Refusal, Request, World};

/// Where the world is kept, in the state folder.
const WORLD: &str = "world.json";

/// How long a member may take to end when everything is ended: it needs no drain, since no other
/// member will serve its clients.
const END_WITHIN: Duration = Duration::from_secs(15);

/// A request and where its answer goes.
pub(crate) type Asked = (Request, oneshot::Sender<Result<Arc<World>, Refusal>>);

/// The supervisor of one state folder.
pub(crate) struct Supervisor {
    folder: Folder,
    world: World,
    kept: World,
    authority: Authority,
    programs: Programs,
    /// Tests may make the world misbehave.
    faults_allowed: bool,
    fault: Fault,
    stale: Option<Arc<World>>,
    claims: Claims,
    pods: BTreeMap<String, Running>,
    events: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    shown: watch::Sender<Arc<World>>,
}

struct Running {
    end: watch::Sender<Option<End>>,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Takes over what the folder holds, or starts with a new resource made from `manifest`.
    pub(crate) fn open(
        folder: Folder,
        manifest: ZooKeeperCluster,
        programs: Programs,
        faults_allowed: bool,
    ) -> anyhow::Result<Self> {
        let authority = Authority::open(Path::new("authority"))?;
        authority.issue(Path::new("operator"), Holder::Operator)?;
        let mut world = match folder::read_json::<World>(Path::new(WORLD))? {
            Some(mut world) => {
                world.pods.clear();
                world.operator = Container::default();
                world
            }
            None => World::new(manifest.clone()),
        };
        world.put_spec(manifest);
        let mut claims = Claims::default();
        let lost = claims.keep(world.ports.values());
        if !lost.is_empty() {
            warn!("another `cargo up` has taken ports of this ensemble: {lost:?}; end that one");
        }
        let (shown, _) = watch::channel(Arc::new(world.clone()));
        let mut supervisor = Self {
            folder,
            kept: world.clone(),
            world,
            authority,
            programs,
            faults_allowed,
            fault: Fault::default(),
            stale: None,
            claims,
            pods: BTreeMap::new(),
            events: mpsc::unbounded_channel(),
            shown,
        };
        supervisor.keep_ports();
        supervisor.write()?;
        Ok(supervisor)
    }

    /// The world, each time it changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<World>> {
        self.shown.subscribe()
    }

    /// Runs until `shutdown` resolves, then ends every process, the leader last.
    pub(crate) async fn run(
        mut self,
        mut asked: mpsc::Receiver<Asked>,
        mut manifests: mpsc::Receiver<ZooKeeperCluster>,
        shutdown: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let (end_operator, operator_ends) = watch::channel(None);
        let (recipe, events) = (self.operator(), self.events.0.clone());
        let operator = tokio::spawn(async move {
            let tell = |state| drop(events.send(Event::Operator(state)));
            keep(&recipe, None, operator_ends, tell).await;
        });
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            self.carry_out_due();
            self.write()?;
            tokio::select! {
                () = &mut shutdown => break,
                Some((request, answer)) = asked.recv() => self.answer(request, answer)?,
                Some(event) = self.events.1.recv() => self.note(event),
                Some(manifest) = manifests.recv() => {
                    self.world.put_spec(manifest);
                    self.keep_ports();
                }
            }
        }
        end_operator.send_replace(Some(End {
            grace: Duration::from_secs(5),
            pre_stop: false,
        }));
        operator.await.context("operator")?;
        self.end_all().await;
        self.write()
    }

    fn operator(&self) -> Recipe {
        Recipe {
            name: "ferrokeeper operator".into(),
            program: self.programs.own.clone(),
            arguments: vec!["operator".into()],
            folder: self.folder.root().to_owned(),
            environment: Vec::new(),
            log: self.folder.root().join("logs/operator.log"),
            life: self.folder.root().join("life"),
        }
    }

    fn answer(
        &mut self,
        request: Request,
        answer: oneshot::Sender<Result<Arc<World>, Refusal>>,
    ) -> anyhow::Result<()> {
        let observe = matches!(request, Request::Observe);
        let outcome = match self.misbehave(&request) {
            Some(refusal) => Err(refusal),
            None => self.world.carry_out(Timestamp::now(), request),
        };
        self.carry_out_due();
        self.write()?;
        let world = match &self.stale {
            Some(old) if observe && self.fault.stale_reads > 0 => {
                self.fault.stale_reads -= 1;
                Arc::clone(old)
            }
            _ => Arc::new(self.world.clone()),
        };
        // Whoever asked may be gone.
        drop(answer.send(outcome.map(|()| world)));
        Ok(())
    }

    /// Faults that tests asked for.
    fn misbehave(&mut self, request: &Request) -> Option<Refusal> {
        let what = "what was read".to_owned();
        match request {
            Request::Fault(fault) if self.faults_allowed => {
                self.fault = *fault;
                self.stale = Some(Arc::new(self.world.clone()));
                None
            }
            Request::Fault(_) => Some(Refusal::Invalid {
                why: "faults are for tests".into(),
            }),
            Request::Evict { name, .. } if self.fault.budget_refusals > 0 => {
                self.fault.budget_refusals -= 1;
                Some(Refusal::Budget { what: name.clone() })
            }
            Request::PutStatus { .. } | Request::PutReplicas { .. } if self.fault.conflicts > 0 => {
                self.fault.conflicts -= 1;
                Some(Refusal::Conflict { what })
            }
            _ => None,
        }
    }

    fn carry_out_due(&mut self) {
        for due in self.world.due(|| self.claims.choose()) {
            match due {
                Due::Start(name) => self.start(&name),
                Due::End(name) => self.end(&name),
                Due::Erase(name) => {
                    info!(volume = name, "erased");
                    if let Err(error) = fs::remove_dir_all(Path::new("volumes").join(&name)) {
                        warn!(volume = name, %error, "a volume is not wholly erased");
                    }
                }
            }
        }
    }

    fn start(&mut self, name: &str) {
        let blueprint = match self.prepare(name) {
            Ok(blueprint) => blueprint,
            Err(error) => {
                error!("{name} cannot be made, and will be tried again: {error:#}");
                self.world.pods.remove(name);
                return;
            }
        };
        info!(pod = name, "starting");
        let (end, ends) = watch::channel(None);
        let task = tokio::spawn(blueprint.run(ends, self.events.0.clone()));
        self.pods.insert(name.to_owned(), Running { end, task });
    }

    fn prepare(&self, name: &str) -> anyhow::Result<Blueprint> {
        let root = self.folder.root();
        let blueprint = Blueprint::of(&self.world, name, root, &self.programs)
            .context("its set or its ports are unknown")?;
        blueprint.prepare(&self.authority)?;
        Ok(blueprint)
    }

    fn end(&mut self, name: &str) {
        let grace = self.world.pods.get(name).and_then(|pod| {
            let set = self.world.sets.get(&pod.member.kind())?;
            Some(Duration::from_secs(set.template.grace_seconds))
        });
        match self.pods.get(name) {
            Some(running) if running.end.borrow().is_none() => {
                info!(pod = name, "ending");
                let grace = grace.unwrap_or(END_WITHIN);
                running.end.send_replace(Some(End {
                    grace,
                    pre_stop: true,
                }));
                if let Some(pod) = self.world.pods.get_mut(name) {
                    pod.terminating.get_or_insert_with(Timestamp::now);
                }
            }
            Some(_) => {}
            None => drop(self.world.pods.remove(name)),
        }
    }

    fn note(&mut self, event: Event) {
        let mut change = |name: &str, change: &dyn Fn(&mut Pod)| {
            let Some(pod) = self.world.pods.get_mut(name) else {
                return;
            };
            let before = pod.clone();
            change(pod);
            self.world.version += u64::from(*pod != before);
        };
        match event {
            Event::Operator(state) => {
                self.world.operator = state;
                self.world.version += 1;
            }
            Event::Sidecar(name, state) => change(&name, &|pod| pod.sidecar = state.clone()),
            Event::Server(name, state) => change(&name, &|pod| {
                // Whatever was found is of the process before.
                pod.probe = Probe::default();
                pod.server = state.clone();
            }),
            Event::Probed(name, found) => change(&name, &|pod| pod.probe = found.clone()),
            Event::Gone(name) => {
                self.world.pods.remove(&name);
                self.pods.remove(&name);
                self.world.version += 1;
            }
        }
    }

    /// Ends all pods: followers beside each other, then the leader, so that no election is held
    /// for nothing.
    async fn end_all(&mut self) {
        let leader = self
            .world
            .ensemble
            .status
            .as_ref()
            .and_then(|status| status.leader);
        let leader = leader.map(|id| self.world.pod_name(id));
        let (last, first): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pods)
            .into_iter()
            .partition(|(name, _)| Some(name) == leader.as_ref());
        for group in [first, last] {
            for (_, running) in &group {
                let how = End {
                    grace: END_WITHIN,
                    pre_stop: false,
                };
                running
                    .end
                    .send_if_modified(|end| end.replace(how).is_none());
            }
            for (name, running) in group {
                if let Err(error) = running.task.await {
                    error!(pod = name, %error, "ended in disorder");
                }
                self.world.pods.remove(&name);
            }
        }
    }

    /// Ports of every member that the spec asks for, so that addresses are known before pods are.
    fn keep_ports(&mut self) {
        let voters = u8::try_from(self.world.ensemble.spec.replicas).unwrap_or_default();
        for member in (0..voters).filter_map(MemberId::voter) {
            let ports = self.world.ports.entry(member);
            ports.or_insert_with(|| self.claims.choose());
        }
    }

    /// Writes what outlives this process, if that changed, and shows the world.
    fn write(&mut self) -> anyhow::Result<()> {
        let durable = World {
            pods: BTreeMap::new(),
            operator: Container::default(),
            version: 0,
            ..self.world.clone()
        };
        if durable != self.kept {
            let written = World {
                version: self.world.version,
                ..durable.clone()
            };
            folder::write_json(Path::new(WORLD), &written).context(WORLD)?;
            self.kept = durable;
        }
        self.shown.send_if_modified(|shown| {
            let changed = **shown != self.world;
            if changed {
                *shown = Arc::new(self.world.clone());
            }
            changed
        });
        Ok(())
    }
}

/// This binary, as it was when it was started: a new build in the meantime does not mix in.
pub(crate) fn own_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}
