//! Connections between members: streams, as TCP gives them.
//!
//! Within a direction of a connection nothing is lost, doubled or reordered, except that it may
//! end at any point. Different connections know nothing of each other. A blocked direction holds
//! what is on its way until it is open again or the connection breaks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use member::LinkId;
use wire::quorum::Packet;

/// A member's place in the world.
pub(crate) type HostId = usize;

/// One end of a connection. A member that starts again lives another life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) host: HostId,
    pub(crate) life: u64,
    pub(crate) link: LinkId,
}

/// What travels at once.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    Packets(Vec<Packet>),
    /// A part of what follows a SNAP packet.
    Body(Bytes),
    /// The other end closed.
    Fin,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    frames: VecDeque<(u64, Frame)>,
    last_arrival: u64,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) ends: [End; 2],
    /// By the end that they lead to.
    pipes: [Pipe; 2],
}

#[derive(Debug, Default)]
pub(crate) struct Network {
    connections: BTreeMap<u64, Connection>,
    next: u64,
    /// From whom to whom nothing gets through.
    blocked: BTreeSet<(HostId, HostId)>,
}

impl Network {
    pub(crate) fn connect(&mut self, ends: [End; 2]) -> u64 {
        self.next += 1;
        let pipes = Default::default();
        self.connections
            .insert(self.next, Connection { ends, pipes });
        self.next
    }

    pub(crate) fn ends(&self, connection: u64) -> Option<[End; 2]> {
        Some(self.connections.get(&connection)?.ends)
    }

    /// Sends towards end `side`; says when it arrives.
    pub(crate) fn send(
        &mut self,
        connection: u64,
        side: usize,
        arrival: u64,
        frame: Frame,
    ) -> Option<u64> {
        let pipe = &mut self.connections.get_mut(&connection)?.pipes[side];
        pipe.last_arrival = pipe.last_arrival.max(arrival);
        pipe.frames.push_back((pipe.last_arrival, frame));
        Some(pipe.last_arrival)
    }

    /// What has arrived at end `side` by now.
    pub(crate) fn receive(&mut self, connection: u64, side: usize, now: u64) -> Option<Frame> {
        let found = self.connections.get_mut(&connection)?;
        let (from, to) = (found.ends[1 - side].host, found.ends[side].host);
        if self.blocked.contains(&(from, to)) {
            return None;
        }
        let pipe = &mut found.pipes[side];
        let (arrival, _) = pipe.frames.front()?;
        if *arrival > now {
            return None;
        }
        pipe.frames.pop_front().map(|(_, frame)| frame)
    }

    pub(crate) fn forget(&mut self, connection: u64) {
        self.connections.remove(&connection);
    }

    /// All connections of this host.
    pub(crate) fn of(&self, host: HostId) -> Vec<u64> {
        self.connections
            .iter()
            .filter(|(_, connection)| connection.ends.iter().any(|end| end.host == host))
            .map(|(id, _)| *id)
            .collect()
    }

    pub(crate) fn all(&self) -> Vec<u64> {
        self.connections.keys().copied().collect()
    }

    pub(crate) fn block(&mut self, from: HostId, to: HostId) {
        self.blocked.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.blocked.clear();
    }

    pub(crate) fn is_blocked(&self, from: HostId, to: HostId) -> bool {
        self.blocked.contains(&(from, to))
    }

    /// Neither way is blocked.
    pub(crate) fn is_open(&self, a: HostId, b: HostId) -> bool {
        !self.is_blocked(a, b) && !self.is_blocked(b, a)
    }
}
