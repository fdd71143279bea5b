//! Hosts, and the member's process on each: what the server's shell is in the real world.

use std::collections::BTreeMap;

use member::{ClientId, Effect, Input, LinkId, Member, Role};
use tree::Tree;
use txnlog::crashing::CrashingDisk;
use wire::config::EnsembleConfig;
use wire::{Epoch, PeerId, SessionId, Zxid};
use zab::Boot;

use crate::disk_queue::DiskQueue;
use crate::error::SimError;
use crate::invariants::{Bounds, violated};
use crate::link::Link;
use crate::mutation::Mutation;
use crate::network::HostId;
use crate::serving::Connection;
use crate::volume::{OwnSnapshot, Staged, Volume};
use crate::world::{Event, World};

/// A machine: its disk outlives its processes.
pub(crate) struct Host {
    pub(crate) peer: PeerId,
    pub(crate) disk: CrashingDisk,
    /// The newest configuration stored.
    pub(crate) config: EnsembleConfig,
    pub(crate) process: Option<Process>,
    /// Grows with each start.
    pub(crate) life: u64,
    /// When the process started.
    pub(crate) started: u64,
    /// How far its wall clock is off.
    pub(crate) skew: i64,
    /// Until then the process does not run.
    pub(crate) stopped_until: u64,
    /// When the last of what waits to be put into the member is.
    last_fed: u64,
    /// Syncs take that many times longer.
    pub(crate) slowness: u64,
    /// An operation of its disk is going to fail.
    pub(crate) has_faulty_disk: bool,
    pub(crate) seed: u64,
}

impl Host {
    pub(crate) fn new(peer: PeerId, config: EnsembleConfig, seed: u64) -> Self {
        Self {
            peer,
            disk: CrashingDisk::new(),
            config,
            process: None,
            life: 0,
            started: 0,
            skew: 0,
            stopped_until: 0,
            last_fed: 0,
            slowness: 1,
            has_faulty_disk: false,
            seed,
        }
    }
}

/// A running member with all that its driver keeps for it.
pub(crate) struct Process {
    pub(crate) member: Member,
    pub(crate) tree: Tree,
    pub(crate) applied: tree::Applied,
    pub(crate) volume: Volume,
    pub(crate) disk: DiskQueue,
    pub(crate) bounds: Bounds,
    pub(crate) links: BTreeMap<LinkId, Link>,
    pub(crate) next_inbound: u64,
    /// Received snapshots that wait to be installed.
    pub(crate) staged: BTreeMap<LinkId, Staged>,
    pub(crate) own_snapshot: Option<OwnSnapshot>,
    pub(crate) since_snapshot: u64,
    pub(crate) connections: BTreeMap<ClientId, Connection>,
    pub(crate) by_session: BTreeMap<SessionId, ClientId>,
    pub(crate) next_client: u64,
    pub(crate) touched: Vec<SessionId>,
    pub(crate) timer_at: Option<u64>,
    pub(crate) role: Role,
    /// A mutation wants the member to go on from memory.
    pub(crate) falls_back: bool,
}

impl World {
    /// A host starts its member from what is on its disk.
    pub(crate) fn start(&mut self, id: HostId) {
        if self.hosts[id].process.is_some() {
            return;
        }
        let window = self.shape.window_entries;
        let recovered = match Volume::open(&self.hosts[id].disk, &self.hosts[id].config, window) {
            Ok(recovered) => recovered,
            Err(error) => {
                let peer = self.hosts[id].peer;
                self.judge(violated(
                    "recovery",
                    format!("{peer} does not start: {error}"),
                ));
                return;
            }
        };
        let host = &mut self.hosts[id];
        host.life += 1;
        host.started = self.now;
        host.stopped_until = 0;
        let life = host.life;
        let last = recovered.tree.last_zxid();
        let boot = Boot {
            config: host.config.clone(),
            accepted: recovered.accepted,
            current: recovered.current,
            last,
            recent: recovered.recent,
            may_vote: true,
        };
        let peer = host.peer;
        self.note(&("start", peer, last, boot.accepted, boot.current));
        let verdict = self.oracle.epochs(peer, boot.accepted, boot.current);
        self.judge(verdict);
        let verdict = self.oracle.installed(last, recovered.tree.digest());
        self.judge(verdict);
        let (accepted, current) = (boot.accepted, boot.current);
        let member = Member::new(self.clock(id), self.settings(id), boot);
        let tick = self.shape.tick;
        let process = Process::new(member, recovered.tree, recovered.volume, accepted, current);
        self.hosts[id].process = Some(process);
        self.after(tick / 2, Event::Touches { host: id, life });
        self.feed_now(id, zab::Input::Tick);
    }

    pub(crate) fn settings(&self, id: HostId) -> member::Settings {
        let host = &self.hosts[id];
        member::Settings {
            zab: zab::Settings {
                id: host.peer,
                tick: self.shape.tick,
                init_limit: 20,
                sync_limit: 6,
                max_wait_for_epoch: None,
                finalize_wait: 20,
                notification_interval: (20, 400),
                window_entries: self.shape.window_entries,
                window_bytes: 1 << 20,
                disk_sync_bytes: self.shape.disk_sync_bytes,
                ensemble: None,
                reconfig: true,
                standalone: false,
                seed: host.seed ^ host.life,
            },
            local_sessions: member::LocalSessions::default(),
            reap: member::ReapSettings::default(),
        }
    }

    /// A member's process ends: with the power lost, what was not synced may be gone.
    pub(crate) fn crash(&mut self, id: HostId, loses_power: bool) {
        let Some(process) = self.hosts[id].process.take() else {
            return;
        };
        self.tally.crashes += 1;
        let peer = self.hosts[id].peer;
        self.note(&("crash", peer, loses_power, process.bounds));
        if loses_power {
            let seed = self.rng.u64(..);
            self.hosts[id].disk.lose_power(seed);
            if process.bounds.logged > process.bounds.synced {
                self.tally.unsynced_losses += 1;
            }
        } else {
            self.hosts[id].disk.kill();
        }
        self.forget_votes_of(id);
        for other in 0..self.hosts.len() {
            if other != id {
                self.close_channel(id, other);
            }
        }
        for connection in self.network.of(id) {
            self.end_connection(connection, id);
        }
        for connection in process.connections.values() {
            self.disconnect_client(connection);
        }
    }

    /// A member cannot go on: its process ends, as a server's does.
    pub(crate) fn give_up(&mut self, id: HostId, error: &SimError) {
        let peer = self.hosts[id].peer;
        self.note(&("gives up", peer, error.to_string()));
        self.judge(violated(
            "recovery",
            format!("{peer} cannot go on: {error}"),
        ));
        self.crash(id, true);
    }

    /// Whether this life of this host still runs.
    pub(crate) fn is_alive(&self, id: HostId, life: u64) -> bool {
        self.hosts[id].life == life && self.hosts[id].process.is_some()
    }

    pub(crate) fn timer(&mut self, id: HostId, life: u64) {
        if !self.is_alive(id, life) {
            return;
        }
        if let Some(process) = &mut self.hosts[id].process {
            process.timer_at = None;
        }
        self.feed_now(id, zab::Input::Tick);
    }

    pub(crate) fn feed(&mut self, id: HostId, life: u64, input: Input) {
        if self.is_alive(id, life) {
            self.drive(id, input);
        }
    }

    pub(crate) fn feed_now(&mut self, id: HostId, input: zab::Input) {
        self.drive(id, Input::Zab(input));
    }

    /// Feeds a member a moment later, as another thread would.
    pub(crate) fn feed_later(&mut self, id: HostId, input: zab::Input) {
        let delay = self.rng.u64(..=2);
        self.feed_after(id, delay, Input::Zab(input));
    }

    pub(crate) fn feed_after(&mut self, id: HostId, delay: u64, input: Input) {
        let now = self.now;
        let host = &mut self.hosts[id];
        // One queue leads into a member.
        host.last_fed = host.last_fed.max(now + delay);
        let (at, life) = (host.last_fed, host.life);
        self.at(
            at,
            Event::Feed {
                host: id,
                life,
                input: Box::new(input),
            },
        );
    }

    /// Puts something into a member and carries out what follows.
    pub(crate) fn drive(&mut self, id: HostId, input: Input) {
        let Some(mut process) = self.hosts[id].process.take() else {
            return;
        };
        let now = self.clock(id);
        if self.log {
            eprintln!(
                "{:>6} {} <- {}",
                self.now,
                self.hosts[id].peer,
                brief(&input)
            );
        }
        process.member.handle(now, &process.tree, input);
        let mut failed = None;
        while let Some(effect) = process.member.poll_effect() {
            if failed.is_none()
                && let Err(error) = self.carry_out(id, &mut process, effect)
            {
                failed = Some(error);
            }
        }
        if self.mutation != Some(Mutation::ApplyBeforeLog) {
            let verdict = process.bounds.says(&process.member.status());
            self.judge(verdict);
        }
        self.set_timer(id, &mut process);
        let falls_back = std::mem::take(&mut process.falls_back);
        self.hosts[id].process = Some(process);
        if let Some(error) = failed {
            self.disk_failed(id, &error);
        } else if falls_back {
            self.go_on_from_memory(id);
        }
    }

    fn set_timer(&mut self, id: HostId, process: &mut Process) {
        let due = self.hosts[id]
            .started
            .saturating_add(process.member.deadline().0);
        if process.timer_at.is_none_or(|at| due < at) {
            process.timer_at = Some(due);
            let life = self.hosts[id].life;
            // Never at once: a machine whose deadline is always now would stop the world.
            self.at(due.max(self.now + 1), Event::Timer { host: id, life });
        }
    }

    fn carry_out(
        &mut self,
        id: HostId,
        process: &mut Process,
        effect: Effect,
    ) -> Result<(), SimError> {
        if self.log {
            eprintln!(
                "{:>6} {} -> {}",
                self.now,
                self.hosts[id].peer,
                brief(&effect)
            );
        }
        match effect {
            Effect::Zab(effect) => self.carry_out_zab(id, process, effect)?,
            Effect::Apply(entries) => self.apply(id, process, &entries)?,
            Effect::Role(role) => self.change_role(id, process, role),
            Effect::ConfigCommitted(config) => self.keep_config(id, process, config)?,
            Effect::Opening {
                client, session, ..
            } => process.opening(client, session),
            Effect::Resumed {
                client,
                session,
                valid,
                ..
            } => self.resumed(id, process, client, session, valid),
            // Sessions of one member only are not simulated.
            Effect::Ended { .. } => {}
            Effect::SyncDone { session, cxid } => self.sync_done(id, process, session, cxid),
            Effect::Refused { session } => self.refused(id, process, session),
        }
        Ok(())
    }

    fn carry_out_zab(
        &mut self,
        id: HostId,
        process: &mut Process,
        effect: zab::Effect,
    ) -> Result<(), SimError> {
        match effect {
            zab::Effect::SendVote { to, notification } => {
                self.send_vote(id, crate::world::host_of(to), notification);
            }
            zab::Effect::Dial { link, peer, .. } => self.dial(id, process, link, peer),
            zab::Effect::Close { link, reason } => {
                self.note(&("close", self.hosts[id].peer, link, reason));
                self.close_link(id, process, link);
            }
            zab::Effect::Send { link, packets } => self.send(id, process, link, packets),
            zab::Effect::StreamSnapshot { link, zxid } => {
                self.stream_snapshot(id, process, link, zxid);
            }
            zab::Effect::ReadLog {
                link,
                after,
                through,
                limit,
            } => {
                let entries = process.volume.read(after, through, limit)?;
                self.feed_later(id, zab::Input::LogRead { link, entries });
            }
            zab::Effect::SendWhenSynced { .. }
            | zab::Effect::Append { .. }
            | zab::Effect::StoreAcceptedEpoch(_)
            | zab::Effect::StoreCurrentEpoch(_)
            | zab::Effect::Truncate { .. }
            | zab::Effect::InstallSnapshot { .. } => self.queue_on_disk(id, process, effect)?,
            zab::Effect::Deliver(_)
            | zab::Effect::Role(_)
            | zab::Effect::ConfigCommitted(_)
            | zab::Effect::FromLearner { .. }
            | zab::Effect::FromLeader { .. } => {
                self.judge(violated("interface", format!("{effect:?} from a member")));
            }
        }
        Ok(())
    }

    fn change_role(&mut self, id: HostId, process: &mut Process, role: Role) {
        let peer = self.hosts[id].peer;
        self.note(&("role", peer, role));
        process.role = role;
        match role {
            Role::Leading { epoch, last } => {
                self.leaders += 1;
                match self.oracle.leads(peer, epoch, last) {
                    Ok(tail_kept) => self.tally.tails_kept += usize::from(tail_kept),
                    Err(violation) => self.judge(Err(violation)),
                }
                self.resume_kept(id, process);
            }
            Role::Following { .. } | Role::Observing { .. } => self.resume_kept(id, process),
            Role::Looking => {
                self.leader_lost(id, process);
                process.falls_back = self.mutation == Some(Mutation::MemoryOverLog);
            }
        }
    }
}

impl Process {
    pub(crate) fn new(
        member: Member,
        tree: Tree,
        volume: Volume,
        accepted: Epoch,
        current: Epoch,
    ) -> Self {
        let last = volume.store.last_zxid();
        Self {
            member,
            tree,
            applied: tree::Applied::default(),
            volume,
            disk: DiskQueue::new(accepted, current),
            bounds: Bounds {
                logged: last,
                synced: last,
            },
            links: BTreeMap::new(),
            next_inbound: 0,
            staged: BTreeMap::new(),
            own_snapshot: None,
            since_snapshot: 0,
            connections: BTreeMap::new(),
            by_session: BTreeMap::new(),
            next_client: 0,
            touched: Vec::new(),
            timer_at: None,
            role: Role::Looking,
            falls_back: false,
        }
    }

    /// Writes at once what the disk was asked to append.
    pub(crate) fn flush(&mut self) -> Result<(), SimError> {
        for entry in self.disk.unsynced() {
            if entry.zxid() > self.volume.store.last_zxid() {
                self.volume.store.append(std::slice::from_ref(&entry))?;
            }
        }
        Ok(self.volume.store.sync()?)
    }

    pub(crate) fn last(&self) -> Zxid {
        self.tree.last_zxid()
    }
}

/// The beginning of what something says of itself.
fn brief(what: &dyn std::fmt::Debug) -> String {
    let mut text = format!("{what:?}");
    if let Some((at, _)) = text.char_indices().nth(BRIEF) {
        text.truncate(at);
    }
    text
}

const BRIEF: usize = 900;
