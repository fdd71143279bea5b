//! A small world for the planner: members with disks, sidecars that fence, operators that crash
//! between any two of their writes and act on what they saw long ago.
//!
//! It knows one thing that the planner must bring about at most once: a history, which begins when
//! a majority whose members all have nothing elects a leader.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    EnsembleConfig, MemberId, Term, ZooKeeperClusterStatus,
    sidecar::{API_VERSION, Order, OrderRequest, ServerState, SidecarStatus},
};
use jiff::{SignedDuration, Timestamp};
use wire::control::{BootReport, MemberStatus, Role};

use crate::{
    Converge, Desired, MemberOrder, Observed, Plan, Step,
    fixture::{address, id, now},
    observed::{MemberObserved, ProcessObserved, ProcessState, Report, VolumeObserved},
    plan,
};

/// What is on a member's volume.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    volume_id: String,
    cluster_id: Option<String>,
    /// The grant's mark: nothing was promised from this volume, and it may vote.
    mark: bool,
    accepted_epoch: u32,
    /// The history that it has, and the epoch up to which.
    data: Option<(u32, u32)>,
    config: Option<String>,
    term: Term,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    Waiting,
    Running,
}

#[derive(Clone, Debug, Default)]
struct Operator {
    held: Option<Term>,
    /// What is left of its pass, and the version of the status that it was planned on.
    pass: Option<(u64, Plan)>,
    todo: Vec<Todo>,
    /// The last report of each member, for when it does not answer.
    heard: BTreeMap<MemberId, Report>,
}

#[derive(Clone, Debug)]
enum Todo {
    Volumes(Vec<MemberId>),
    Processes(Vec<MemberId>),
    Order(MemberOrder),
    Dismiss(MemberId, String),
}

#[derive(Clone, Debug)]
struct Leadership {
    leader: MemberId,
    followers: BTreeSet<MemberId>,
    epoch: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    now: Timestamp,
    desired: Desired,
    disks: BTreeMap<MemberId, Disk>,
    processes: BTreeMap<MemberId, Process>,
    unreachable: BTreeSet<MemberId>,
    status: ZooKeeperClusterStatus,
    before: ZooKeeperClusterStatus,
    version: u64,
    operators: [Operator; 2],
    leadership: Option<Leadership>,
    volumes_made: u32,
    ids_made: u32,
    /// Histories that began. More than one is what must never happen.
    pub(crate) histories: u32,
    /// Volumes that were lost.
    pub(crate) wipes: u32,
}

impl World {
    pub(crate) fn new(desired: Desired) -> Self {
        Self {
            now: now(),
            desired,
            disks: BTreeMap::new(),
            processes: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            status: ZooKeeperClusterStatus::default(),
            before: ZooKeeperClusterStatus::default(),
            version: 0,
            operators: Default::default(),
            leadership: None,
            volumes_made: 0,
            ids_made: 0,
            histories: 0,
            wipes: 0,
        }
    }

    pub(crate) fn status(&self) -> &ZooKeeperClusterStatus {
        &self.status
    }

    /// An operator looks, and plans; on an old status if `stale`.
    pub(crate) fn observe(&mut self, operator: usize, stale: bool) {
        self.now += SignedDuration::from_secs(1);
        let observed = self.seen_by(operator);
        let (version, status) = if stale {
            (self.version.saturating_sub(1), self.before.clone())
        } else {
            (self.version, self.status.clone())
        };
        let held = self.operators[operator].held;
        let plan = plan(Ok(&self.desired), &observed, &status, held);
        let operator = &mut self.operators[operator];
        operator.todo.clear();
        if plan.superseded.is_some() {
            *operator = Operator::default();
            return;
        }
        if plan.status == status {
            // Nothing to write, so nothing tells it that the status is old.
            operator.begin(plan);
        } else {
            operator.pass = Some((version, plan));
        }
    }

    /// An operator does the next thing of its pass: the status first, then one action each time.
    /// `answered` is false if it never learns that its write went through.
    pub(crate) fn act(&mut self, operator: usize, answered: bool) {
        if let Some((version, plan)) = self.operators[operator].pass.take() {
            if version != self.version {
                return;
            }
            self.version += 1;
            self.before = std::mem::replace(&mut self.status, plan.status.clone());
            if answered {
                self.operators[operator].begin(plan);
            }
            return;
        }
        let todo = &mut self.operators[operator].todo;
        if todo.is_empty() {
            return;
        }
        match todo.remove(0) {
            Todo::Volumes(members) => {
                for member in members {
                    if !self.disks.contains_key(&member) {
                        self.new_disk(member);
                    }
                }
            }
            Todo::Processes(members) => {
                for member in members {
                    self.processes.entry(member).or_insert(Process::Waiting);
                }
            }
            Todo::Order(order) => self.order(order.member, order.request),
            Todo::Dismiss(member, volume) => {
                let same = |disk: &Disk| volume_uid(disk) == volume;
                if self.disks.get(&member).is_some_and(same) {
                    self.processes.remove(&member);
                    self.disks.remove(&member);
                }
            }
        }
    }

    /// An operator ends in the middle of whatever it does; another starts in its place.
    pub(crate) fn crash_operator(&mut self, operator: usize) {
        self.operators[operator] = Operator::default();
    }

    /// A server ends and is started again: it waits.
    pub(crate) fn kill(&mut self, member: MemberId) {
        if let Some(process) = self.processes.get_mut(&member) {
            *process = Process::Waiting;
            self.leave(member);
        }
    }

    /// A member comes back with another volume.
    pub(crate) fn wipe(&mut self, member: MemberId) {
        if self.disks.contains_key(&member) {
            self.kill(member);
            self.new_disk(member);
            self.wipes += 1;
        }
    }

    pub(crate) fn toggle_reach(&mut self, member: MemberId) {
        if !self.unreachable.remove(&member) {
            self.unreachable.insert(member);
        }
    }

    pub(crate) fn reach_all(&mut self) {
        self.unreachable.clear();
    }

    pub(crate) fn scale_spec(&mut self, desired: Desired) {
        self.desired = desired;
    }

    /// Members in discovery promise an epoch to a leader, if they are enough; only the first
    /// `written` of them get it to their disks.
    pub(crate) fn promise(&mut self, among: &BTreeSet<MemberId>, written: usize) {
        let Some((_, voters)) = self.electable(among) else {
            return;
        };
        let epoch = self.next_epoch(&voters);
        for member in voters.into_iter().take(written) {
            if let Some(disk) = self.disks.get_mut(&member) {
                disk.accepted_epoch = epoch;
            }
        }
    }

    /// A leader is elected, brings everyone up to its history and commits.
    pub(crate) fn elect(&mut self, among: &BTreeSet<MemberId>) {
        let Some((leader, voters)) = self.electable(among) else {
            return;
        };
        let epoch = self.next_epoch(&voters);
        let history = self.disks[&leader].data.map(|(history, _)| history);
        let history = history.unwrap_or_else(|| {
            self.histories += 1;
            self.histories
        });
        let config = self.disks[&leader].config.clone().unwrap_or_default();
        let mut config = EnsembleConfig::parse(&config).unwrap();
        if config.version == 0 {
            config.version = u64::from(epoch) << 32;
        }
        let followers: BTreeSet<_> = among
            .iter()
            .copied()
            .filter(|member| self.processes.get(member) == Some(&Process::Running))
            .collect();
        for member in &followers {
            let disk = self.disks.get_mut(member).unwrap();
            disk.accepted_epoch = epoch;
            disk.data = Some((history, epoch));
            disk.config = Some(config.text());
            disk.mark = false;
        }
        self.leadership = Some(Leadership {
            leader,
            followers,
            epoch,
        });
    }

    /// The leader and all voters that these running members can elect, if they can: a majority
    /// of the configuration that they have, each with data or with the mark of a grant.
    fn electable(&self, among: &BTreeSet<MemberId>) -> Option<(MemberId, Vec<MemberId>)> {
        let may_vote = |member: &MemberId| {
            let disk = &self.disks[member];
            disk.data.is_some() || disk.mark
        };
        let running: Vec<_> = among
            .iter()
            .copied()
            .filter(|member| self.processes.get(member) == Some(&Process::Running))
            .filter(may_vote)
            .collect();
        let best = running
            .iter()
            .copied()
            .max_by_key(|member| (self.disks[member].data.map(|(_, epoch)| epoch), *member))?;
        let config = EnsembleConfig::parse(self.disks[&best].config.as_deref()?).unwrap();
        let voters: Vec<_> = config.voters().filter(|v| running.contains(v)).collect();
        (voters.len() >= config.majority()).then_some((best, voters))
    }

    fn next_epoch(&self, voters: &[MemberId]) -> u32 {
        let accepted = voters.iter().map(|v| self.disks[v].accepted_epoch);
        accepted.max().unwrap_or_default() + 1
    }

    fn leave(&mut self, member: MemberId) {
        let Some(leadership) = &mut self.leadership else {
            return;
        };
        leadership.followers.remove(&member);
        let config = self.disks[&leadership.leader].config.as_deref();
        let config = EnsembleConfig::parse(config.unwrap_or_default()).unwrap();
        let left = config
            .voters()
            .filter(|voter| leadership.followers.contains(voter))
            .count();
        if leadership.leader == member || left < config.majority() {
            self.leadership = None;
        }
    }

    fn new_disk(&mut self, member: MemberId) {
        self.volumes_made += 1;
        let disk = Disk {
            volume_id: format!("v{}", self.volumes_made),
            cluster_id: None,
            mark: false,
            accepted_epoch: 0,
            data: None,
            config: None,
            term: Term::default(),
        };
        self.disks.insert(member, disk);
    }

    /// What a sidecar and its server make of an order.
    fn order(&mut self, member: MemberId, request: OrderRequest) {
        let (Some(disk), Some(process)) =
            (self.disks.get_mut(&member), self.processes.get_mut(&member))
        else {
            return;
        };
        if request.term < disk.term || *process != Process::Waiting {
            return;
        }
        disk.term = request.term;
        let blank = disk.data.is_none() && disk.accepted_epoch == 0;
        let (cluster, volume, config, fits, mark) = match request.order {
            Order::Grant {
                cluster_id,
                volume_id,
                config,
            } => (cluster_id, volume_id, config, blank, true),
            Order::Start {
                cluster_id,
                volume_id,
                config,
            } => (cluster_id, volume_id, config, !blank, disk.mark),
            Order::Join {
                cluster_id,
                volume_id,
                config,
            } => (cluster_id, volume_id, config, true, false),
            _ => return,
        };
        let other = disk.cluster_id.as_ref().is_some_and(|id| *id != cluster);
        if !fits || other || disk.volume_id != volume {
            return;
        }
        disk.cluster_id = Some(cluster);
        disk.config = Some(config);
        disk.mark = mark;
        *process = Process::Running;
    }

    fn seen_by(&mut self, operator: usize) -> Observed {
        self.ids_made += 1;
        let heard = &mut self.operators[operator].heard;
        let mut reports = std::mem::take(heard);
        for member in self.processes.keys().copied() {
            if !self.unreachable.contains(&member) && self.disks.contains_key(&member) {
                let at = self.now;
                let status = self.report(member);
                reports.insert(member, Report { at, status });
            }
        }
        // Whatever was heard earlier is too old, however short ago it was.
        for report in reports.values_mut().filter(|report| report.at < self.now) {
            report.at = self.now - SignedDuration::from_secs(60);
        }
        self.operators[operator].heard.clone_from(&reports);
        let everyone = self.disks.keys().chain(self.processes.keys()).copied();
        let members = everyone.map(|member| {
            let volume = self.disks.get(&member).map(|disk| VolumeObserved {
                uid: volume_uid(disk),
                terminating: false,
            });
            let process = self.processes.get(&member).map(|_| ProcessObserved {
                uid: format!("process-{member}"),
                state: ProcessState::Running,
                outdated: false,
            });
            let observed = MemberObserved {
                volume,
                process,
                report: reports.get(&member).cloned(),
                trouble: None,
            };
            (member, observed)
        });
        Observed {
            now: self.now,
            generation: None,
            capabilities: Default::default(),
            members: members.collect(),
            addresses: (1..=9).map(|n| (id(n), address(n))).collect(),
            conflicts: Vec::new(),
            refusals: Vec::new(),
            default_images: Default::default(),
            fresh_id: format!("cluster-{}", self.ids_made),
        }
    }

    fn report(&self, member: MemberId) -> SidecarStatus {
        let disk = &self.disks[&member];
        let running = self.processes[&member] == Process::Running;
        let epoch = disk.data.map_or(0, |(_, epoch)| epoch);
        SidecarStatus {
            api_version: API_VERSION,
            version: String::new(),
            member,
            term: disk.term,
            server: if running {
                ServerState::Running
            } else {
                ServerState::WaitingForPlan
            },
            volume: Some(BootReport {
                version: "0.1.0".to_owned(),
                volume_id: disk.volume_id.clone(),
                cluster_id: disk.cluster_id.clone(),
                empty: disk.data.is_none() && disk.accepted_epoch == 0,
                accepted_epoch: disk.accepted_epoch,
                current_epoch: epoch,
                last_zxid: u64::from(epoch) << 32,
                config: disk.config.clone(),
                parked: None,
                running: false,
            }),
            status: running.then(|| self.member_status(member, disk)),
            granted: None,
            last_order: None,
        }
    }

    fn member_status(&self, member: MemberId, disk: &Disk) -> MemberStatus {
        let leadership = self
            .leadership
            .as_ref()
            .filter(|leadership| leadership.followers.contains(&member));
        let leads = leadership.is_some_and(|leadership| leadership.leader == member);
        let epoch = leadership.map_or(0, |leadership| leadership.epoch);
        let config = disk.config.clone().unwrap_or_default();
        let version = EnsembleConfig::parse(&config).unwrap().version;
        MemberStatus {
            role: match leadership {
                None => Role::Looking,
                Some(_) if leads => Role::Leader,
                Some(_) => Role::Follower,
            },
            ready: leadership.is_some(),
            draining: false,
            epoch,
            last_zxid: u64::from(epoch) << 32,
            committed_zxid: u64::from(epoch) << 32,
            leader: leadership.map(|leadership| leadership.leader.into()),
            synced: leadership.filter(|_| leads).map_or_else(Vec::new, |l| {
                l.followers.iter().map(|id| i64::from(*id)).collect()
            }),
            config_version: format!("{version:x}"),
            config,
            sessions: 0,
            connections: 0,
        }
    }
}

impl Operator {
    fn begin(&mut self, plan: Plan) {
        self.held = Some(plan.status.term);
        let converge = plan.converge.into_iter().filter_map(|action| match action {
            Converge::Shared => None,
            Converge::Volumes(members) => Some(Todo::Volumes(members)),
            Converge::Processes(members) => Some(Todo::Processes(members)),
            Converge::Boot(order) => Some(Todo::Order(order)),
        });
        self.todo = converge.collect();
        match plan.step {
            Some(Step::Birth(grants)) => self.todo.extend(grants.into_iter().map(Todo::Order)),
            Some(Step::Dismiss { member, volume, .. }) => {
                self.todo.push(Todo::Dismiss(member, volume));
            }
            Some(Step::Renew { .. }) => unreachable!("no process here is outdated"),
            None => {}
        }
    }
}

fn volume_uid(disk: &Disk) -> String {
    format!("uid-{}", disk.volume_id)
}

mod tests;
