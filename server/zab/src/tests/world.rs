//! A few members with a network and disks in memory, driven by one seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use wire::config::{EnsembleConfig, Member, MemberKind, PeerAddress};
use wire::election::Notification;
use wire::quorum::{Packet, packet};
use wire::txn::{Entry, ErrorTxn, Txn, TxnHeader, kind};
use wire::{Epoch, PeerId, SessionId, Zxid};

use crate::{Boot, Channel, Effect, Input, Instant, LinkId, Role, Settings, Zab};

/// Numbers that look random and follow from a seed (splitmix64).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

pub(crate) fn config(voters: &[i64], observers: &[i64]) -> EnsembleConfig {
    let member = |id: i64, kind| Member {
        addresses: vec![PeerAddress {
            host: format!("host{id}"),
            quorum_port: 2888,
            election_port: 3888,
        }],
        kind,
        client: None,
    };
    let voters = voters.iter().map(|id| (*id, MemberKind::Participant));
    let observers = observers.iter().map(|id| (*id, MemberKind::Observer));
    EnsembleConfig {
        members: voters
            .chain(observers)
            .map(|(id, kind)| (PeerId(id), member(id, kind)))
            .collect(),
        ..EnsembleConfig::default()
    }
}

pub(crate) fn settings(id: i64) -> Settings {
    Settings {
        id: PeerId(id),
        tick: 100,
        init_limit: 10,
        sync_limit: 5,
        max_wait_for_epoch: None,
        finalize_wait: 200,
        notification_interval: (200, 1600),
        window_entries: 100,
        window_bytes: 1 << 20,
        disk_sync_bytes: 1 << 20,
        ensemble: None,
        reconfig: true,
        standalone: false,
        seed: 0,
    }
}

/// A transaction that nothing else has: who proposed it tells it apart.
pub(crate) fn entry(zxid: Zxid, by: i64) -> Arc<Entry> {
    let header = TxnHeader {
        client_id: SessionId(by),
        cxid: 0,
        zxid,
        time: 0,
        kind: kind::ERROR,
    };
    Arc::new(Entry::new(header, Txn::Error(ErrorTxn { err: -1 }), None))
}

pub(crate) fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

/// What travels on a link.
#[derive(Debug)]
enum Parcel {
    Packets(Vec<Packet>),
    Snapshot(Zxid, Vec<Arc<Entry>>),
    End,
}

/// What waits for the disk.
#[derive(Debug)]
enum DiskWork {
    Append(Vec<Arc<Entry>>, u64),
    Accepted(Epoch),
    Current(Epoch),
    Truncate(Zxid),
    Install(LinkId, Zxid),
    Send(LinkId, Vec<Packet>),
    Read(LinkId, Zxid, Zxid),
}

#[derive(Debug, Default)]
struct Disk {
    accepted: Epoch,
    current: Epoch,
    /// The whole history, so that any snapshot can be made of it.
    log: Vec<Arc<Entry>>,
    /// A snapshot's zxid, if it is greater than the last entry's.
    floor: Zxid,
}

impl Disk {
    fn last(&self) -> Zxid {
        self.log.last().map_or(self.floor, |e| e.zxid())
    }
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) zab: Option<Zab>,
    settings: Settings,
    disk: Disk,
    queue: VecDeque<DiskWork>,
    staging: BTreeMap<LinkId, (Zxid, Vec<Arc<Entry>>)>,
    /// What the tree is made of.
    pub(crate) applied: Vec<Arc<Entry>>,
    pub(crate) may_vote: bool,
}

/// The other end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End(i64, LinkId);

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) random: Random,
    config: EnsembleConfig,
    pub(crate) servers: BTreeMap<i64, Server>,
    votes: BTreeMap<(i64, i64), Notification>,
    links: BTreeMap<End, End>,
    parcels: BTreeMap<End, VecDeque<Parcel>>,
    inbound: u64,
    cut: BTreeSet<(i64, i64)>,
    /// Everything delivered anywhere, in order.
    pub(crate) history: Vec<Arc<Entry>>,
    /// How often each thing happened.
    pub(crate) seen: BTreeMap<&'static str, u64>,
    /// What members do, one line each, if wanted.
    pub(crate) transcript: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, config: EnsembleConfig) -> Self {
        Self {
            now: 0,
            random: Random(seed),
            config,
            servers: BTreeMap::new(),
            votes: BTreeMap::new(),
            links: BTreeMap::new(),
            parcels: BTreeMap::new(),
            inbound: 0,
            cut: BTreeSet::new(),
            history: Vec::new(),
            seen: BTreeMap::new(),
            transcript: None,
        }
    }

    /// Adds every member of the configuration, not started.
    pub(crate) fn populate(&mut self, change: impl Fn(&mut Settings)) {
        let ids: Vec<i64> = self.config.members.keys().map(|id| id.0).collect();
        for id in ids {
            let mut settings = settings(id);
            change(&mut settings);
            let server = Server {
                zab: None,
                settings,
                disk: Disk::default(),
                queue: VecDeque::new(),
                staging: BTreeMap::new(),
                applied: Vec::new(),
                may_vote: true,
            };
            self.servers.insert(id, server);
        }
    }

    fn server(&mut self, id: i64) -> &mut Server {
        self.servers.get_mut(&id).expect("a member of the world")
    }

    pub(crate) fn ids(&self) -> Vec<i64> {
        self.servers.keys().copied().collect()
    }

    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub(crate) fn start(&mut self, id: i64) {
        let now = Instant(self.now);
        let config = self.config.clone();
        let keep = self.random.below(20) as usize;
        let server = self.server(id);
        let last = server.disk.last();
        let recent = server.disk.log.len().saturating_sub(keep);
        let boot = Boot {
            config,
            accepted: server.disk.accepted,
            current: server.disk.current,
            last,
            recent: server.disk.log[recent..].to_vec(),
            may_vote: server.may_vote,
        };
        server.applied = server.disk.log.clone();
        server.zab = Some(Zab::new(now, server.settings.clone(), boot));
        for other in self.ids() {
            let up = self.servers[&other].zab.is_some();
            if other != id && up && !self.is_cut(id, other) {
                self.channel(id, other, Channel::Open);
                self.channel(other, id, Channel::Open);
            }
        }
        self.carry_out(id);
    }

    /// Stops a member at once: what its disk has not done is lost.
    pub(crate) fn crash(&mut self, id: i64) {
        self.count("crash");
        let server = self.server(id);
        server.zab = None;
        if !server.queue.is_empty() {
            server.queue.clear();
            self.count("unsynced loss");
        }
        self.servers.get_mut(&id).expect("there").staging.clear();
        self.disconnect(|a, b| a == id || b == id);
        for other in self.ids() {
            self.channel(other, id, Channel::Refused);
        }
    }

    /// A member that is down loses its disk; it may not vote until it has caught up.
    pub(crate) fn wipe(&mut self, id: i64) {
        let others = self.servers.values().all(|server| server.may_vote);
        let server = self.server(id);
        if others && server.zab.is_none() {
            server.disk = Disk::default();
            server.may_vote = false;
            self.count("disk lost");
        }
    }

    pub(crate) fn cut(&mut self, a: i64, b: i64) {
        self.cut.insert((a.min(b), a.max(b)));
        self.disconnect(|x, y| (x == a && y == b) || (x == b && y == a));
        self.channel(a, b, Channel::Closed);
        self.channel(b, a, Channel::Closed);
    }

    pub(crate) fn heal(&mut self) {
        for (a, b) in std::mem::take(&mut self.cut) {
            if self.servers[&a].zab.is_some() && self.servers[&b].zab.is_some() {
                self.channel(a, b, Channel::Open);
                self.channel(b, a, Channel::Open);
            }
        }
    }

    fn is_cut(&self, a: i64, b: i64) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    fn channel(&mut self, at: i64, peer: i64, state: Channel) {
        let peer = PeerId(peer);
        self.input(at, Input::Channel { peer, state });
    }

    /// Breaks links: each end that lives learns of it, what was under way is lost.
    fn disconnect(&mut self, which: impl Fn(i64, i64) -> bool) {
        self.votes.retain(|(from, to), _| !which(*from, *to));
        let broken: Vec<End> = self
            .links
            .iter()
            .filter(|(a, b)| which(a.0, b.0))
            .map(|(a, _)| *a)
            .collect();
        for end in &broken {
            self.links.remove(end);
            self.parcels.remove(end);
        }
        for End(at, link) in broken {
            self.input(at, Input::LinkClosed { link });
        }
    }

    pub(crate) fn input(&mut self, id: i64, input: Input) {
        let now = Instant(self.now);
        if let Some(zab) = &mut self.server(id).zab {
            zab.handle(now, input);
            self.carry_out(id);
        }
    }

    fn carry_out(&mut self, id: i64) {
        while let Some(effect) = self.server(id).zab.as_mut().and_then(Zab::poll_effect) {
            self.effect(id, effect);
        }
        let Some(zab) = &self.servers[&id].zab else {
            return;
        };
        let may_vote = zab.status().may_vote;
        assert!(zab.synced() <= zab.last_logged());
        assert!(zab.delivered() <= zab.last_logged());
        let server = self.server(id);
        if may_vote && !server.may_vote {
            server.may_vote = true;
            self.count("vote back");
        }
    }

    fn effect(&mut self, id: i64, effect: Effect) {
        if let Some(lines) = &mut self.transcript {
            let links = &self.links;
            let other = |link: LinkId| links.get(&End(id, link)).map(|end| end.0);
            lines.extend(super::words::effect(id, &effect, other));
        }
        let work = match effect {
            Effect::SendVote { to, notification } => {
                if to.0 != id && self.servers.contains_key(&to.0) && !self.is_cut(id, to.0) {
                    self.votes.insert((id, to.0), notification);
                }
                return;
            }
            Effect::Dial { link, peer, .. } => return self.dial(id, link, peer.0),
            Effect::Close { link, .. } => return self.close(End(id, link)),
            Effect::Send { link, packets } => {
                return self.post(End(id, link), Parcel::Packets(packets));
            }
            Effect::StreamSnapshot { link, zxid } => {
                let server = self.server(id);
                let tree = server.applied.clone();
                let last = tree.last().map_or(server.disk.floor, |e| e.zxid());
                assert_eq!(last, zxid, "a snapshot of what is applied");
                self.count("SNAP");
                return self.post(End(id, link), Parcel::Snapshot(zxid, tree));
            }
            Effect::Deliver(entries) => return self.deliver(id, entries),
            Effect::Role(role) => {
                if let Role::Leading { .. } = role {
                    self.count("leader");
                }
                if role != Role::Looking {
                    self.deliver(id, Vec::new());
                }
                return;
            }
            Effect::ConfigCommitted(_) | Effect::FromLearner { .. } | Effect::FromLeader { .. } => {
                return;
            }
            Effect::SendWhenSynced { link, packets } => DiskWork::Send(link, packets),
            Effect::ReadLog {
                link,
                after,
                through,
                ..
            } => DiskWork::Read(link, after, through),
            Effect::Append { entries, mark } => DiskWork::Append(entries, mark),
            Effect::StoreAcceptedEpoch(epoch) => DiskWork::Accepted(epoch),
            Effect::StoreCurrentEpoch(epoch) => DiskWork::Current(epoch),
            Effect::Truncate { to } => DiskWork::Truncate(to),
            Effect::InstallSnapshot { link, zxid } => DiskWork::Install(link, zxid),
        };
        self.server(id).queue.push_back(work);
    }

    /// Every entry delivered must be the next of the one history, and what replay applied must be
    /// part of it once the member serves.
    fn deliver(&mut self, id: i64, entries: Vec<Arc<Entry>>) {
        let server = self.servers.get_mut(&id).expect("there");
        server.applied.extend(entries);
        for (index, entry) in server.applied.iter().enumerate() {
            match self.history.get(index) {
                Some(known) => assert_eq!(known, entry, "member {id} differs at {index}"),
                None => self.history.push(Arc::clone(entry)),
            }
        }
    }

    fn dial(&mut self, id: i64, link: LinkId, peer: i64) {
        let up = self.servers.get(&peer).is_some_and(|s| s.zab.is_some());
        if !up || self.is_cut(id, peer) {
            self.post_closed(End(id, link));
            return;
        }
        self.inbound += 2;
        let there = End(peer, LinkId(self.inbound));
        let here = End(id, link);
        self.links.insert(here, there);
        self.links.insert(there, here);
        self.input(peer, Input::LinkAccepted { link: there.1 });
        self.input(id, Input::LinkDialed { link });
    }

    /// Lets a member learn, in its time, that its link is no more.
    fn post_closed(&mut self, end: End) {
        self.parcels.entry(end).or_default().push_back(Parcel::End);
    }

    fn close(&mut self, end: End) {
        self.parcels.remove(&end);
        if let Some(other) = self.links.remove(&end) {
            self.links.remove(&other);
            self.post_closed(other);
        }
    }

    fn post(&mut self, from: End, parcel: Parcel) {
        if let Some(to) = self.links.get(&from) {
            self.parcels.entry(*to).or_default().push_back(parcel);
        }
    }

    /// Lets one thing happen, or time pass until something is due.
    pub(crate) fn step(&mut self) {
        let parcels: Vec<End> = self.parcels.keys().copied().collect();
        let votes: Vec<_> = self.votes.keys().copied().collect();
        let disks: Vec<i64> = self
            .servers
            .iter()
            .filter(|(_, server)| !server.queue.is_empty())
            .map(|(id, _)| *id)
            .collect();
        if self.transcript.is_some() {
            return self.step_in_order(&parcels, &votes, &disks);
        }
        let total = (parcels.len() + votes.len() + disks.len()) as u64;
        if total == 0 || self.random.below(40) == 0 {
            self.pass_time();
            return;
        }
        let mut pick = self.random.below(total) as usize;
        if pick < parcels.len() {
            return self.unpack(parcels[pick]);
        }
        pick -= parcels.len();
        if pick < votes.len() {
            return self.hear(votes[pick]);
        }
        self.work(disks[pick - votes.len()]);
    }

    /// Disks first, then links, then votes, then time.
    fn step_in_order(&mut self, parcels: &[End], votes: &[(i64, i64)], disks: &[i64]) {
        match (disks, parcels, votes) {
            ([id, ..], _, _) => self.work(*id),
            (_, [end, ..], _) => self.unpack(*end),
            (_, _, [vote, ..]) => self.hear(*vote),
            _ => self.pass_time(),
        }
    }

    fn hear(&mut self, (from, to): (i64, i64)) {
        if let Some(notification) = self.votes.remove(&(from, to)) {
            let from = PeerId(from);
            self.input(to, Input::Vote { from, notification });
        }
    }

    fn unpack(&mut self, end: End) {
        let Some(queue) = self.parcels.get_mut(&end) else {
            return;
        };
        let parcel = queue.pop_front();
        if queue.is_empty() {
            self.parcels.remove(&end);
        }
        let End(id, link) = end;
        match parcel {
            Some(Parcel::Packets(packets)) => {
                for packet in &packets {
                    match packet.kind {
                        packet::DIFF => self.count("DIFF"),
                        packet::TRUNC => self.count("TRUNC"),
                        _ => {}
                    }
                }
                self.input(id, Input::Packets { link, packets });
            }
            Some(Parcel::Snapshot(zxid, tree)) => {
                self.server(id).staging.insert(link, (zxid, tree));
                let packets = vec![Packet::bare(packet::SNAP, zxid)];
                self.input(id, Input::Packets { link, packets });
            }
            Some(Parcel::End) => self.input(id, Input::LinkClosed { link }),
            None => {}
        }
    }

    /// The disk does the first thing that waits for it.
    fn work(&mut self, id: i64) {
        let server = self.server(id);
        let Some(work) = server.queue.pop_front() else {
            return;
        };
        let input = match work {
            DiskWork::Append(entries, mark) => {
                for entry in entries {
                    assert!(entry.zxid().follows(server.disk.last()));
                    server.disk.log.push(entry);
                }
                Input::Synced { mark }
            }
            DiskWork::Accepted(epoch) => {
                assert!(epoch > server.disk.accepted);
                server.disk.accepted = epoch;
                return;
            }
            DiskWork::Current(epoch) => {
                assert!(epoch > server.disk.current && epoch <= server.disk.accepted);
                server.disk.current = epoch;
                return;
            }
            DiskWork::Truncate(to) => {
                server.disk.log.retain(|entry| entry.zxid() <= to);
                server.applied.retain(|entry| entry.zxid() <= to);
                let last = server.disk.last();
                Input::Truncated { last }
            }
            DiskWork::Install(link, zxid) => {
                let (staged, tree) = server.staging.remove(&link).expect("a staged snapshot");
                assert_eq!(staged, zxid);
                server.disk.log = tree.clone();
                server.disk.floor = zxid;
                server.applied = tree;
                Input::SnapshotInstalled { link, zxid }
            }
            DiskWork::Send(link, packets) => {
                return self.post(End(id, link), Parcel::Packets(packets));
            }
            DiskWork::Read(link, after, through) => {
                let log = &server.disk.log;
                let known = log.iter().position(|entry| entry.zxid() == after);
                let entries = known.map(|at| {
                    let rest = log[at + 1..].iter();
                    rest.take_while(|e| e.zxid() <= through).cloned().collect()
                });
                Input::LogRead { link, entries }
            }
        };
        self.input(id, input);
    }

    fn pass_time(&mut self) {
        let deadline = self
            .servers
            .values()
            .filter_map(|server| server.zab.as_ref().map(Zab::deadline))
            .min();
        if let Some(Instant(deadline)) = deadline
            && deadline != u64::MAX
        {
            self.now = self.now.max(deadline);
        }
        for id in self.ids() {
            let zab = self.servers[&id].zab.as_ref();
            if zab.is_some_and(|zab| zab.deadline().0 <= self.now) {
                self.input(id, Input::Tick);
            }
        }
    }

    /// Runs until `done`, within `limit` milliseconds.
    pub(crate) fn run_until(&mut self, limit: u64, done: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !done(self) {
            assert!(self.now < end, "not done by {end}: {}", self.describe());
            self.step();
        }
    }

    fn describe(&self) -> String {
        let mut text = format!("history {}", self.history.len());
        for (id, server) in &self.servers {
            let Some(zab) = &server.zab else { continue };
            let (role, status) = (zab.role(), zab.status());
            text += &format!(
                "\n{id}: {role:?} {} -> {:?} round {} epoch {} last {} synced {} committed {} \
                 delivered {} applied {} queue {}",
                status.peer_state(),
                status.leader,
                status.round,
                status.current_epoch,
                zab.last_logged(),
                zab.synced(),
                zab.committed(),
                zab.delivered(),
                server.applied.len(),
                server.queue.len(),
            );
        }
        text
    }

    pub(crate) fn leader(&self) -> Option<i64> {
        let leads = |server: &Server| {
            let role = server.zab.as_ref().map(Zab::role);
            matches!(role, Some(Role::Leading { .. }))
        };
        let mut leaders = self.servers.iter().filter(|(_, server)| leads(server));
        leaders.next().map(|(id, _)| *id)
    }

    /// Whether all that run serve under one leader and have delivered everything.
    pub(crate) fn is_settled(&self) -> bool {
        let Some(leader) = self.leader() else {
            return false;
        };
        self.servers.iter().all(|(id, server)| {
            let Some(zab) = &server.zab else {
                return true;
            };
            let follows = match zab.role() {
                Role::Leading { .. } => *id == leader,
                Role::Following { leader: l, .. } | Role::Observing { leader: l, .. } => {
                    l.0 == leader
                }
                Role::Looking => false,
            };
            follows && server.applied == self.history && zab.last_logged() == zab.delivered()
        })
    }

    /// Has whoever leads propose some transactions.
    pub(crate) fn propose(&mut self, count: u64) {
        let leading: Vec<i64> = self
            .servers
            .iter()
            .filter(|(_, s)| s.zab.as_ref().is_some_and(|zab| zab.next_zxid().is_some()))
            .map(|(id, _)| *id)
            .collect();
        let now = Instant(self.now);
        for id in leading {
            let zab = self.server(id).zab.as_mut().expect("it leads");
            let first = zab.next_zxid().expect("it leads");
            let entries = (0..count).map(|i| entry(Zxid(first.0 + i), id)).collect();
            zab.propose(now, entries);
            self.carry_out(id);
        }
    }
}
