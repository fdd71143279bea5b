//! What a member's disk is asked to do, in order, and how long it takes.

use std::collections::VecDeque;
use std::sync::Arc;

use member::{Input, LinkId};
use wire::config::EnsembleConfig;
use wire::quorum::{Packet, packet};
use wire::txn::Entry;
use wire::{Epoch, Zxid};
use zab::Effect;

use crate::error::SimError;
use crate::host::Process;
use crate::mutation::Mutation;
use crate::network::HostId;
use crate::shape::between;
use crate::volume::OwnSnapshot;
use crate::world::{Event, World, host_of};

/// One thing to do.
#[derive(Debug)]
enum Job {
    Append { entries: Vec<Arc<Entry>>, mark: u64 },
    Send { link: LinkId, packets: Vec<Packet> },
    Accepted(Epoch),
    Current(Epoch),
    Truncate(Zxid),
    Install { link: LinkId, zxid: Zxid },
    Config(Box<EnsembleConfig>),
}

/// The jobs of one disk. Those in `syncing` are written and become durable together.
#[derive(Debug, Default)]
pub(crate) struct DiskQueue {
    jobs: VecDeque<Job>,
    syncing: Vec<Job>,
    is_busy: bool,
    accepted: Epoch,
    current: Epoch,
}

impl DiskQueue {
    pub(crate) fn new(accepted: Epoch, current: Epoch) -> Self {
        Self {
            accepted,
            current,
            ..Self::default()
        }
    }

    pub(crate) const fn epochs(&self) -> (Epoch, Epoch) {
        (self.accepted, self.current)
    }

    /// What is to be appended and not known to be durable.
    pub(crate) fn unsynced(&self) -> Vec<Arc<Entry>> {
        let jobs = self.syncing.iter().chain(&self.jobs);
        jobs.filter_map(|job| match job {
            Job::Append { entries, .. } => Some(entries.clone()),
            _ => None,
        })
        .flatten()
        .collect()
    }

    /// Whether a snapshot that came by this link is going to be installed.
    pub(crate) fn installs(&self, link: LinkId) -> bool {
        self.jobs
            .iter()
            .chain(&self.syncing)
            .any(|job| matches!(job, Job::Install { link: found, .. } if *found == link))
    }
}

/// Whether these acknowledge NEWLEADER: an ACK of an epoch's beginning.
fn acknowledges_leader(packets: &[Packet]) -> bool {
    packets
        .iter()
        .any(|found| found.kind == packet::ACK && found.zxid.counter() == 0)
}

impl World {
    pub(crate) fn queue_on_disk(
        &mut self,
        id: HostId,
        process: &mut Process,
        effect: Effect,
    ) -> Result<(), SimError> {
        let job = match effect {
            Effect::SendWhenSynced { link, packets } => {
                let early = self.mutation == Some(Mutation::AckBeforeHistory);
                if early && acknowledges_leader(&packets) {
                    self.send(id, process, link, packets);
                    return Ok(());
                }
                Job::Send { link, packets }
            }
            Effect::Append { entries, mark } => Job::Append { entries, mark },
            Effect::StoreAcceptedEpoch(epoch) => Job::Accepted(epoch),
            Effect::StoreCurrentEpoch(epoch) => {
                let leader = process.member.status().zab.leader.map(host_of);
                self.strike_at_epoch(id, leader);
                if self.mutation == Some(Mutation::EpochBeforeHistory) {
                    process.volume.store.store_current(epoch)?;
                    process.disk.current = epoch;
                    return Ok(());
                }
                Job::Current(epoch)
            }
            Effect::Truncate { to } => Job::Truncate(to),
            Effect::InstallSnapshot { link, zxid } => Job::Install { link, zxid },
            _ => return Ok(()),
        };
        process.disk.jobs.push_back(job);
        self.run_disk(id, process)
    }

    /// Keeps the configuration in force, on disk and in the tree.
    pub(crate) fn keep_config(
        &mut self,
        id: HostId,
        process: &mut Process,
        config: EnsembleConfig,
    ) -> Result<(), SimError> {
        let text = config.to_string();
        if process.tree.config() != text.as_bytes() {
            let time = self.clock(id).wall;
            process
                .tree
                .set_initial_config(&text, Zxid(config.version), time);
        }
        process.disk.jobs.push_back(Job::Config(Box::new(config)));
        self.run_disk(id, process)
    }

    /// Begins with the next jobs, if the disk has nothing to do.
    fn run_disk(&mut self, id: HostId, process: &mut Process) -> Result<(), SimError> {
        while !process.disk.is_busy {
            match process.disk.jobs.pop_front() {
                None => return Ok(()),
                Some(Job::Send { link, packets }) => self.send(id, process, link, packets),
                Some(job @ Job::Append { .. }) => {
                    process.disk.syncing.push(job);
                    let jobs = &mut process.disk.jobs;
                    let others = jobs
                        .iter()
                        .position(|job| !matches!(job, Job::Append { .. } | Job::Send { .. }))
                        .unwrap_or(jobs.len());
                    process.disk.syncing.extend(jobs.drain(..others));
                    self.write(process)?;
                    self.wait_for_disk(id, process);
                }
                Some(job) => {
                    process.disk.syncing.push(job);
                    self.wait_for_disk(id, process);
                }
            }
        }
        Ok(())
    }

    fn wait_for_disk(&mut self, id: HostId, process: &mut Process) {
        process.disk.is_busy = true;
        let host = &self.hosts[id];
        let (slowness, life) = (host.slowness, host.life);
        let delay = between(&mut self.rng, self.shape.sync) * slowness;
        self.after(delay, Event::Disk { host: id, life });
    }

    fn write(&mut self, process: &mut Process) -> Result<(), SimError> {
        for job in &process.disk.syncing {
            if let Job::Append { entries, .. } = job {
                let last = process.volume.store.last_zxid();
                let mut entries: &[Arc<Entry>] = entries;
                if self.mutation.is_some() {
                    // A log that is ahead of what its member says gets the same again.
                    let known = entries.partition_point(|entry| entry.zxid() <= last);
                    entries = &entries[known..];
                }
                let verdict = self.oracle.logged(last, entries);
                self.judge(verdict);
                process.volume.store.append(entries)?;
                process.bounds.logged = process.volume.store.last_zxid();
            }
        }
        Ok(())
    }

    /// The disk has done what it was asked.
    pub(crate) fn disk_done(&mut self, id: HostId, life: u64) {
        if !self.is_alive(id, life) {
            return;
        }
        let Some(mut process) = self.hosts[id].process.take() else {
            return;
        };
        process.disk.is_busy = false;
        let mut inputs = Vec::new();
        let done = self
            .finish_jobs(id, &mut process, &mut inputs)
            .and_then(|()| self.run_disk(id, &mut process));
        self.hosts[id].process = Some(process);
        if let Err(error) = done {
            self.disk_failed(id, &error);
            return;
        }
        for input in inputs {
            self.feed(id, life, Input::Zab(input));
        }
    }

    fn finish_jobs(
        &mut self,
        id: HostId,
        process: &mut Process,
        inputs: &mut Vec<zab::Input>,
    ) -> Result<(), SimError> {
        let jobs = std::mem::take(&mut process.disk.syncing);
        if matches!(jobs.first(), Some(Job::Append { .. })) {
            process.volume.store.sync()?;
            process.bounds.synced = process.volume.store.synced_zxid();
            self.oracle.synced(process.bounds.synced);
        }
        for job in jobs {
            match job {
                Job::Append { mark, .. } => inputs.push(zab::Input::Synced { mark }),
                Job::Send { link, packets } => self.send(id, process, link, packets),
                Job::Accepted(epoch) => {
                    process.volume.store.store_accepted(epoch)?;
                    process.disk.accepted = epoch;
                    self.see_epochs(id, process);
                }
                Job::Current(epoch) => {
                    process.volume.store.store_current(epoch)?;
                    process.disk.current = epoch;
                    self.see_epochs(id, process);
                }
                Job::Config(config) => self.hosts[id].config = *config,
                Job::Truncate(to) => inputs.push(self.truncate(id, process, to)?),
                Job::Install { link, zxid } => {
                    inputs.push(self.install(process, link, zxid)?);
                }
            }
        }
        Ok(())
    }

    fn see_epochs(&mut self, id: HostId, process: &Process) {
        let peer = self.hosts[id].peer;
        let (accepted, current) = (process.disk.accepted, process.disk.current);
        self.note(&("epochs", peer, accepted, current));
        let verdict = self.oracle.epochs(peer, accepted, current);
        self.judge(verdict);
    }

    fn truncate(
        &mut self,
        id: HostId,
        process: &mut Process,
        to: Zxid,
    ) -> Result<zab::Input, SimError> {
        let last = process.volume.truncate(to)?;
        self.void_own_snapshot(process);
        match last {
            Some(last) if process.tree.last_zxid() > last => {
                process.tree = process.volume.replay()?;
            }
            Some(_) => {}
            None => process.tree = crate::volume::first_tree(&self.hosts[id].config),
        }
        let last = last.unwrap_or(Zxid::ZERO);
        process.bounds.logged = last;
        process.bounds.synced = last;
        self.note(&("truncated", to, last));
        Ok(zab::Input::Truncated { last })
    }

    fn install(
        &mut self,
        process: &mut Process,
        link: LinkId,
        zxid: Zxid,
    ) -> Result<zab::Input, SimError> {
        let Some(staged) = process.staged.remove(&link) else {
            return Ok(zab::Input::SnapshotDropped { link });
        };
        self.void_own_snapshot(process);
        process.volume.store.install_snapshot(&staged.snapshot)?;
        process.tree = staged.tree;
        process.bounds.logged = zxid;
        process.bounds.synced = zxid;
        process.since_snapshot = 0;
        let verdict = self.oracle.installed(zxid, process.tree.digest());
        self.judge(verdict);
        self.note(&("installed", zxid));
        Ok(zab::Input::SnapshotInstalled { link, zxid })
    }

    fn void_own_snapshot(&mut self, process: &mut Process) {
        if let Some(snapshot) = process.own_snapshot.take() {
            snapshot.abandon(&mut process.tree);
        }
    }

    /// Begins a snapshot where enough has been applied since the last.
    pub(crate) fn begin_snapshot(
        &mut self,
        id: HostId,
        process: &mut Process,
    ) -> Result<(), SimError> {
        // The log is rolled with it, which needs the log's end to be at rest.
        let is_due = process.since_snapshot >= self.shape.snapshot_every;
        if !is_due || process.own_snapshot.is_some() || process.disk.is_busy {
            return Ok(());
        }
        process.since_snapshot = 0;
        let snapshot = OwnSnapshot::begin(&mut process.volume, &mut process.tree)?;
        process.own_snapshot = Some(snapshot);
        let life = self.hosts[id].life;
        self.after(1, Event::Snapshot { host: id, life });
        Ok(())
    }

    pub(crate) fn snapshot_more(&mut self, id: HostId, life: u64) {
        if !self.is_alive(id, life) {
            return;
        }
        let Some(process) = &mut self.hosts[id].process else {
            return;
        };
        let Some(mut snapshot) = process.own_snapshot.take() else {
            return;
        };
        let stepped = snapshot.step(&mut process.tree).and_then(|is_done| {
            if is_done {
                snapshot.complete()?;
                process.volume.store.purge(0)?;
            } else {
                process.own_snapshot = Some(snapshot);
            }
            Ok(is_done)
        });
        match stepped {
            Ok(true) => {}
            Ok(false) => {
                let delay = self.rng.u64(1..=5);
                self.after(delay, Event::Snapshot { host: id, life });
            }
            Err(error) => self.disk_failed(id, &error),
        }
    }

    /// A failed disk ends the process; it is a violation unless the failure was made.
    pub(crate) fn disk_failed(&mut self, id: HostId, error: &SimError) {
        let was_made = std::mem::take(&mut self.hosts[id].has_faulty_disk);
        if was_made && self.mutation == Some(Mutation::ApplyBeforeLog) {
            self.hosts[id].disk.kill();
            self.go_on_from_memory(id);
        } else if was_made {
            self.crash(id, true);
            let delay = self.rng.u64(50..1_000);
            self.after(delay, Event::Start { host: id });
        } else {
            self.give_up(id, error);
        }
    }
}
