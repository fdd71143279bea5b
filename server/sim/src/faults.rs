//! What goes wrong, and what a bug put back makes of it.

use member::Member;
use txnlog::crashing::Fault;
use wire::quorum::{Packet, packet};
use zab::Boot;

use crate::host::Process;
use crate::mutation::Mutation;
use crate::network::HostId;
use crate::shape::choose;
use crate::volume::Volume;
use crate::world::{Event, World};

impl World {
    /// One thing goes wrong, and the next is planned.
    pub(crate) fn fault(&mut self) {
        if !self.is_stormy {
            return;
        }
        let pause = self.rng.u64(1..=2 * self.shape.fault_every);
        self.after(pause, Event::Fault);
        let host = self.some_host();
        match self.rng.u8(..100) {
            0..15 => self.crash_for_a_while(host),
            15..20 => self.isolate(host),
            20..25 => self.rotate_outage(host),
            25..30 => {
                for host in 0..self.hosts.len() {
                    self.crash_for_a_while(host);
                }
            }
            30..55 => self.partition(host),
            55..65 => {
                let connections = self.network.of(host);
                if !connections.is_empty() {
                    let connection = *choose(&mut self.rng, &connections);
                    self.after(0, Event::Break { connection });
                }
            }
            65..75 => self.hosts[host].slowness = *choose(&mut self.rng, &[1, 1, 5, 30]),
            75..83 => {
                let pause = self.rng.u64(1..30) * self.shape.tick;
                self.hosts[host].stopped_until = self.now + pause;
                self.note(&("stop", host, pause));
            }
            83..88 => self.hosts[host].skew = self.rng.i64(-100_000..100_000),
            88..94 => self.damage_disk(host),
            _ => {
                let client = self.rng.usize(..self.clients.len());
                self.client_disconnected(client);
            }
        }
    }

    /// Any host, or the one that leads.
    fn some_host(&mut self) -> HostId {
        let leader = self.hosts.iter().position(|host| {
            host.process
                .as_ref()
                .is_some_and(|process| matches!(process.role, member::Role::Leading { .. }))
        });
        match leader {
            Some(leader) if self.rng.bool() => leader,
            _ => self.rng.usize(..self.hosts.len()),
        }
    }

    fn crash_for_a_while(&mut self, host: HostId) {
        let loses_power = self.rng.u8(..4) > 0;
        self.crash(host, loses_power);
        let pause = self.rng.u64(10..2_000);
        self.after(pause, Event::Start { host });
    }

    pub(crate) fn power_loss(&mut self, host: HostId, life: u64) {
        if self.is_stormy && self.is_alive(host, life) {
            self.crash(host, true);
            let pause = self.rng.u64(10..500);
            self.after(pause, Event::Start { host });
        }
    }

    /// One host alone is cut off, and whatever was cut off before is not any more: so outages go
    /// round, and each quorum is made of others than the last.
    pub(crate) fn isolate(&mut self, host: HostId) {
        if !self.is_stormy {
            return;
        }
        self.heal();
        self.tally.partitions += 1;
        for other in 0..self.hosts.len() {
            if other != host {
                self.network.block(host, other);
                self.network.block(other, host);
            }
        }
        let side: Vec<bool> = (0..self.hosts.len()).map(|other| other == host).collect();
        self.note(&("isolate", host));
        self.break_across(&side);
        if self.rng.bool() {
            let pause = self.rng.u64(50..3_000);
            self.after(pause, Event::Heal);
        }
    }

    /// One host after the other is cut off, while the disks of the others are slow: what the
    /// first one proposed alone it brings back to a quorum in which the second one is missing.
    fn rotate_outage(&mut self, first: HostId) {
        self.isolate(first);
        let second = self.rng.usize(..self.hosts.len());
        let pause = self.rng.u64(20..=self.shape.tick * 8);
        self.after(pause, Event::Isolate { host: second });
        for host in 0..self.hosts.len() {
            if host != first && self.rng.bool() {
                self.hosts[host].slowness = *choose(&mut self.rng, &[1, 5, 30]);
            }
        }
    }

    /// A member is about to take up a new epoch under this leader: a good moment for the power to
    /// go, and for the leader to vanish soon after.
    pub(crate) fn strike_at_epoch(&mut self, host: HostId, leader: Option<HostId>) {
        if !self.is_stormy || self.rng.u8(..3) > 0 {
            return;
        }
        let life = self.hosts[host].life;
        let delay = self
            .rng
            .u64(..=self.shape.sync.1 * self.hosts[host].slowness);
        self.after(delay, Event::PowerLoss { host, life });
        if let Some(leader) = leader
            && leader != host
            && self.rng.u8(..3) > 0
        {
            let delay = delay + self.rng.u64(..200);
            self.after(delay, Event::Isolate { host: leader });
        }
    }

    /// One of the disk's next operations fails, or the power goes in the middle of it.
    fn damage_disk(&mut self, id: HostId) {
        let host = &mut self.hosts[id];
        if host.process.is_none() {
            return;
        }
        let fault = if self.rng.bool() {
            Fault::Crash
        } else {
            Fault::Fail(std::io::ErrorKind::Other)
        };
        let operation = host.disk.operations() + self.rng.u64(..20);
        host.disk.set_fault(operation, fault);
        host.has_faulty_disk = true;
        self.note(&("damage", id, operation, fault));
    }

    /// Some members lose sight of others, both ways or one.
    fn partition(&mut self, around: HostId) {
        self.tally.partitions += 1;
        let alone = self.rng.bool();
        let one_way = self.rng.u8(..3) == 0;
        let side: Vec<bool> = (0..self.hosts.len())
            .map(|host| host == around || (!alone && self.rng.bool()))
            .collect();
        let outward = self.rng.bool();
        for a in 0..side.len() {
            for b in 0..side.len() {
                if side[a] && !side[b] {
                    if !one_way || outward {
                        self.network.block(a, b);
                    }
                    if !one_way || !outward {
                        self.network.block(b, a);
                    }
                }
            }
        }
        self.note(&("partition", &side, one_way, outward));
        self.break_across(&side);
        let pause = self.rng.u64(50..4_000);
        self.after(pause, Event::Heal);
    }

    /// Half of the time connections across a partition break early.
    fn break_across(&mut self, side: &[bool]) {
        for connection in self.network.all() {
            let Some(ends) = self.network.ends(connection) else {
                continue;
            };
            if side[ends[0].host] != side[ends[1].host] && self.rng.bool() {
                let delay = self.rng.u64(..2_000);
                self.after(delay, Event::Break { connection });
            }
        }
        for a in 0..side.len() {
            for b in a + 1..side.len() {
                if side[a] != side[b] && self.rng.bool() {
                    self.close_channel(a, b);
                }
            }
        }
    }

    pub(crate) fn heal(&mut self) {
        self.note(&"heal");
        self.network.heal();
        self.wake_pipes();
    }

    /// Nothing goes wrong any more, and what did is repaired.
    pub(crate) fn calm_down(&mut self) {
        self.is_stormy = false;
        self.heal();
        for host in 0..self.hosts.len() {
            self.hosts[host].slowness = 1;
            if self.hosts[host].has_faulty_disk {
                self.crash(host, true);
            }
            self.after(1, Event::Start { host });
        }
    }

    /// With [`Mutation::ApplyBeforeLog`], what the leader has committed is applied before it is
    /// durable here.
    pub(crate) fn see_commits(&mut self, id: HostId, packets: &[Packet]) {
        if self.mutation != Some(Mutation::ApplyBeforeLog) {
            return;
        }
        let Some(mut process) = self.hosts[id].process.take() else {
            return;
        };
        let committed = packets
            .iter()
            .filter(|found| found.kind == packet::COMMIT)
            .map(|found| found.zxid)
            .max();
        if let Some(committed) = committed
            && matches!(process.role, member::Role::Following { .. })
        {
            for entry in process.disk.unsynced() {
                if entry.zxid() > process.last() && entry.zxid() <= committed {
                    self.apply_one(&mut process, &entry);
                    // Its client gets no answer, which is as if the connection had broken.
                    self.drop_session(&mut process, entry.header().client_id);
                }
            }
        }
        self.hosts[id].process = Some(process);
    }

    /// With [`Mutation::MemoryOverLog`] and [`Mutation::ApplyBeforeLog`], a member begins anew
    /// from its tree in memory, whatever its log says.
    pub(crate) fn go_on_from_memory(&mut self, id: HostId) {
        self.note(&("goes on from memory", id));
        let Some(mut process) = self.hosts[id].process.take() else {
            return;
        };
        for connection in process.connections.values() {
            self.disconnect_client(connection);
        }
        let (accepted, current) = process.disk.epochs();
        let _ = process.flush();
        let window = self.shape.window_entries;
        let Ok(recovered) = Volume::open(&self.hosts[id].disk, &self.hosts[id].config, window)
        else {
            self.hosts[id].process = Some(process);
            self.crash(id, true);
            self.after(100, Event::Start { host: id });
            return;
        };
        let last = process.last();
        let boot = Boot {
            config: self.hosts[id].config.clone(),
            accepted,
            current,
            last,
            recent: recovered
                .recent
                .into_iter()
                .filter(|entry| entry.zxid() <= last)
                .collect(),
            may_vote: true,
        };
        let host = &mut self.hosts[id];
        host.life += 1;
        host.started = self.now;
        host.has_faulty_disk = false;
        let life = host.life;
        let member = Member::new(self.clock(id), self.settings(id), boot);
        self.hosts[id].process = Some(Process::new(
            member,
            process.tree,
            recovered.volume,
            accepted,
            current,
        ));
        for other in 0..self.hosts.len() {
            if other != id {
                self.close_channel(id, other);
            }
        }
        for connection in self.network.of(id) {
            self.break_connection(connection);
        }
        self.after(self.shape.tick / 2, Event::Touches { host: id, life });
        self.feed_now(id, zab::Input::Tick);
    }
}
