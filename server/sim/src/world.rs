//! The world: hosts, network, clients and one queue of events, moved by one seed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use fastrand::Rng;
use member::Now;
use wire::config::{Address, EnsembleConfig, Member, MemberKind, PeerAddress};
use wire::election::Notification;
use wire::{PeerId, Zxid};

use crate::channels::Channels;
use crate::client::{Client, ClientEvent};
use crate::host::Host;
use crate::invariants::{Oracle, Verdict, Violation};
use crate::mutation::Mutation;
use crate::network::{HostId, Network};
use crate::shape::Shape;
use crate::tally::Tally;

/// Wall time when the world begins.
const EPOCH: i64 = 1_700_000_000_000;

/// What may happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A member's deadline.
    Timer { host: HostId, life: u64 },
    /// Something that a driver puts into its member later.
    Feed {
        host: HostId,
        life: u64,
        input: Box<member::Input>,
    },
    /// A vote arrives, if its channel is still the same.
    Vote {
        from: HostId,
        to: HostId,
        generation: u64,
        notification: Box<Notification>,
    },
    /// It is time to look at the election channel between two.
    Channel { a: HostId, b: HostId },
    /// A connection's end has something to take, perhaps.
    Pipe { connection: u64, side: usize },
    /// A connection breaks for both ends.
    Break { connection: u64 },
    /// A member's attempt to connect ends.
    Dialed {
        host: HostId,
        life: u64,
        link: member::LinkId,
        target: HostId,
    },
    /// A disk has done what it was asked.
    Disk { host: HostId, life: u64 },
    /// More of a snapshot is to be sent.
    Stream {
        host: HostId,
        life: u64,
        link: member::LinkId,
    },
    /// More of a member's own snapshot is to be written.
    Snapshot { host: HostId, life: u64 },
    /// A member tells its leader who has been heard from.
    Touches { host: HostId, life: u64 },
    /// Something about a client.
    Client { client: usize, event: ClientEvent },
    /// Something of a client arrives at a member.
    Request {
        host: HostId,
        life: u64,
        connection: member::ClientId,
        request: Box<crate::serving::Request>,
    },
    /// A host starts its member.
    Start { host: HostId },
    /// Something bad happens.
    Fault,
    /// A member's power goes, if it still lives that life.
    PowerLoss { host: HostId, life: u64 },
    /// Nobody sees this host any more.
    Isolate { host: HostId },
    /// A partition ends.
    Heal,
}

/// Everything.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) shape: Shape,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) network: Network,
    pub(crate) channels: Channels,
    pub(crate) clients: Vec<Client>,
    pub(crate) oracle: Oracle,
    pub(crate) tally: Tally,
    pub(crate) leaders: usize,
    pub(crate) is_stormy: bool,
    /// Clients ask for nothing new.
    pub(crate) is_quiet: bool,
    queue: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    trace: DefaultHasher,
    violation: Option<Violation>,
    pub(crate) log: bool,
}

impl World {
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>, log: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let shape = Shape::new(&mut rng);
        let config = ensemble(&shape);
        let hosts = (0..shape.members())
            .map(|id| Host::new(PeerId(id as i64 + 1), config.clone(), rng.u64(..)))
            .collect();
        let clients = (0..shape.clients).map(Client::new).collect();
        let mut world = Self {
            now: 0,
            rng,
            mutation,
            hosts,
            network: Network::default(),
            channels: Channels::default(),
            clients,
            oracle: Oracle::default(),
            tally: Tally::default(),
            leaders: 0,
            is_stormy: true,
            is_quiet: false,
            queue: BTreeMap::new(),
            next_event: 0,
            trace: DefaultHasher::new(),
            violation: None,
            log,
            shape,
        };
        for host in 0..world.hosts.len() {
            let delay = world.rng.u64(..50);
            world.after(delay, Event::Start { host });
        }
        for a in 0..world.hosts.len() {
            for b in a + 1..world.hosts.len() {
                world.after(1, Event::Channel { a, b });
            }
        }
        for client in 0..world.clients.len() {
            let delay = world.rng.u64(..500);
            let event = ClientEvent::Connect { attempt: 0 };
            world.after(delay, Event::Client { client, event });
        }
        let delay = world.shape.fault_every;
        world.after(delay, Event::Fault);
        world
    }

    /// Lets an event happen later.
    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Lets an event happen then.
    pub(crate) fn at(&mut self, time: u64, event: Event) {
        self.next_event += 1;
        self.queue
            .insert((time.max(self.now), self.next_event), event);
    }

    /// The clocks of a host.
    pub(crate) fn clock(&self, host: HostId) -> Now {
        let host = &self.hosts[host];
        Now {
            monotonic: member::Instant(self.now - host.started),
            wall: EPOCH + self.now as i64 + host.skew,
        }
    }

    /// Notes what does not hold. The first one counts.
    pub(crate) fn judge(&mut self, verdict: Verdict) {
        if let Err(violation) = verdict {
            self.violation.get_or_insert(violation);
        }
    }

    pub(crate) const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Makes what happened part of the trace, and of the log if there is one.
    pub(crate) fn note(&mut self, what: &dyn std::fmt::Debug) {
        let text = format!("{what:?}");
        (self.now, &text).hash(&mut self.trace);
        if self.log {
            eprintln!("{:>6} {text}", self.now);
        }
    }

    /// A number that two runs of one seed must share.
    pub(crate) fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// Lets the next event happen. False if there is none before `end`, or something is violated.
    pub(crate) fn step(&mut self, end: u64) -> bool {
        if self.violation.is_some() {
            return false;
        }
        let Some(entry) = self.queue.first_entry() else {
            return false;
        };
        if entry.key().0 > end {
            self.now = end;
            return false;
        }
        let ((time, number), event) = entry.remove_entry();
        self.now = time;
        if let Some(until) = self.deferred(&event) {
            // With its number, so that what comes in order stays in order.
            self.queue.insert((until, number), event);
            return true;
        }
        self.happen(event);
        true
    }

    /// A stopped process takes nothing in until it goes on.
    fn deferred(&self, event: &Event) -> Option<u64> {
        let host = match event {
            Event::Timer { host, .. }
            | Event::Feed { host, .. }
            | Event::Dialed { host, .. }
            | Event::Disk { host, .. }
            | Event::Stream { host, .. }
            | Event::Snapshot { host, .. }
            | Event::Touches { host, .. }
            | Event::Request { host, .. } => *host,
            Event::Vote { to, .. } => *to,
            Event::Pipe { connection, side } => self.network.ends(*connection)?[*side].host,
            _ => return None,
        };
        let until = self.hosts[host].stopped_until;
        (until > self.now).then_some(until)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Timer { host, life } => self.timer(host, life),
            Event::Feed { host, life, input } => self.feed(host, life, *input),
            Event::Vote {
                from,
                to,
                generation,
                notification,
            } => self.vote_arrives(from, to, generation, *notification),
            Event::Channel { a, b } => self.look_at_channel(a, b),
            Event::Pipe { connection, side } => self.pipe_arrives(connection, side),
            Event::Break { connection } => self.break_connection(connection),
            Event::Dialed {
                host,
                life,
                link,
                target,
            } => self.dialed(host, life, link, target),
            Event::Disk { host, life } => self.disk_done(host, life),
            Event::Stream { host, life, link } => self.stream_more(host, life, link),
            Event::Snapshot { host, life } => self.snapshot_more(host, life),
            Event::Touches { host, life } => self.touches(host, life),
            Event::Client { client, event } => self.client_event(client, event),
            Event::Request {
                host,
                life,
                connection,
                request,
            } => self.request_arrives(host, life, connection, *request),
            Event::Start { host } => self.start(host),
            Event::Fault => self.fault(),
            Event::PowerLoss { host, life } => self.power_loss(host, life),
            Event::Isolate { host } => self.isolate(host),
            Event::Heal => self.heal(),
        }
    }

    /// Transactions that some member has applied.
    pub(crate) fn committed(&self) -> usize {
        self.oracle.history().applied_count()
    }

    /// All members run and have applied the same, and no client waits for anything.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.clients.iter().all(Client::is_idle) && self.common_zxid().is_some()
    }

    /// Judges what all have come to.
    pub(crate) fn finish(&mut self) {
        let Some(last) = self.common_zxid() else {
            return;
        };
        let trees: Vec<_> = self
            .hosts
            .iter()
            .filter_map(|host| Some((host.peer, &host.process.as_ref()?.tree)))
            .collect();
        let verdict = self.oracle.finish(last, &trees);
        self.judge(verdict);
        self.tally.committed = self.oracle.history().len_through(last);
        self.tally.tails_discarded = self.oracle.history().discarded(last);
    }

    /// What each member is, for a failure's report.
    pub(crate) fn roles(&self) -> String {
        let roles: Vec<String> = self
            .hosts
            .iter()
            .map(|host| match &host.process {
                None => format!("{} down", host.peer),
                Some(process) => {
                    let status = process.member.status();
                    format!("{} {:?} {status:?}", host.peer, process.role)
                }
            })
            .collect();
        roles.join("; ")
    }

    /// The zxid that every running member has applied, if it is one and nothing is under way.
    fn common_zxid(&self) -> Option<Zxid> {
        let mut zxids = self.hosts.iter().map(|host| {
            let process = host.process.as_ref()?;
            let last = process.tree.last_zxid();
            let is_settled = process.member.status().last_logged == last;
            is_settled.then_some(last)
        });
        let first = zxids.next()??;
        zxids.all(|zxid| zxid == Some(first)).then_some(first)
    }
}

/// Host `n` is member `n + 1`; the last ones observe.
fn ensemble(shape: &Shape) -> EnsembleConfig {
    let members = (0..shape.members())
        .map(|host| {
            let name = format!("host{host}");
            let member = Member {
                addresses: vec![PeerAddress {
                    host: name.clone(),
                    quorum_port: 2888,
                    election_port: 3888,
                }],
                kind: if host < shape.voters {
                    MemberKind::Participant
                } else {
                    MemberKind::Observer
                },
                client: Some(Address {
                    host: name,
                    port: 2181,
                }),
            };
            (PeerId(host as i64 + 1), member)
        })
        .collect();
    EnsembleConfig {
        members,
        ..EnsembleConfig::default()
    }
}

/// The host of a member.
pub(crate) const fn host_of(peer: PeerId) -> HostId {
    peer.0 as usize - 1
}
