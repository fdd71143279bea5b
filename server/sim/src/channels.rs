//! The election's connections: one per pair of members, which carries the newest vote.

use std::collections::BTreeMap;

use wire::election::Notification;
use zab::{Channel, Input};

use crate::network::HostId;
use crate::shape::between;
use crate::world::{Event, World};

/// By pair, the smaller host first.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    pairs: BTreeMap<(HostId, HostId), Pair>,
}

#[derive(Debug, Default)]
struct Pair {
    is_open: bool,
    /// Grows whenever the connection opens or closes: what was sent before is lost.
    generation: u64,
    /// When the last vote arrives, per direction: votes do not overtake each other.
    arrivals: [u64; 2],
    /// Who was told that the other refuses.
    refused: [bool; 2],
    /// Sent while the way was blocked or the channel closed, by sender.
    waiting: [Option<Notification>; 2],
}

/// How often a closed channel is tried, and a held vote.
const RETRY: (u64, u64) = (10, 60);

const fn pair(from: HostId, to: HostId) -> ((HostId, HostId), usize) {
    if from < to {
        ((from, to), 0)
    } else {
        ((to, from), 1)
    }
}

impl World {
    /// A member sends a vote; the newest one not yet sent counts.
    pub(crate) fn send_vote(&mut self, from: HostId, to: HostId, notification: Notification) {
        let (key, side) = pair(from, to);
        let delay = between(&mut self.rng, self.shape.delay);
        let now = self.now;
        let is_blocked = self.network.is_blocked(from, to);
        let pair = self.channels.pairs.entry(key).or_default();
        if !pair.is_open || is_blocked {
            pair.waiting[side] = Some(notification);
            return;
        }
        let arrival = pair.arrivals[side].max(now + delay);
        pair.arrivals[side] = arrival;
        let generation = pair.generation;
        self.at(
            arrival,
            Event::Vote {
                from,
                to,
                generation,
                notification: Box::new(notification),
            },
        );
    }

    pub(crate) fn vote_arrives(
        &mut self,
        from: HostId,
        to: HostId,
        generation: u64,
        notification: Notification,
    ) {
        let (key, _) = pair(from, to);
        let current = self.channels.pairs.get(&key).map(|pair| pair.generation);
        if current == Some(generation) && !self.network.is_blocked(from, to) {
            let from = self.hosts[from].peer;
            self.feed_now(to, Input::Vote { from, notification });
        }
    }

    /// Opens, closes or uses a channel as the world is now, and comes back later.
    pub(crate) fn look_at_channel(&mut self, a: HostId, b: HostId) {
        let delay = between(&mut self.rng, RETRY);
        self.after(delay, Event::Channel { a, b });
        let can_open = self.network.is_open(a, b)
            && self.hosts[a].process.is_some()
            && self.hosts[b].process.is_some();
        let pair = self.channels.pairs.entry((a, b)).or_default();
        if can_open && !pair.is_open {
            pair.is_open = true;
            pair.generation += 1;
            pair.refused = [false; 2];
            self.tell_channel(a, b, Channel::Open);
            self.tell_channel(b, a, Channel::Open);
        }
        self.send_waiting(a, b);
        self.tell_refusals(a, b);
    }

    fn send_waiting(&mut self, a: HostId, b: HostId) {
        for (from, to) in [(a, b), (b, a)] {
            let (key, side) = pair(from, to);
            let Some(pair) = self.channels.pairs.get_mut(&key) else {
                continue;
            };
            if pair.is_open
                && !self.network.is_blocked(from, to)
                && let Some(notification) = pair.waiting[side].take()
            {
                self.send_vote(from, to, notification);
            }
        }
    }

    /// A host whose member does not run refuses.
    fn tell_refusals(&mut self, a: HostId, b: HostId) {
        for (from, to) in [(a, b), (b, a)] {
            let (key, side) = pair(from, to);
            let Some(pair) = self.channels.pairs.get_mut(&key) else {
                continue;
            };
            let refuses = !pair.is_open
                && self.hosts[from].process.is_some()
                && self.hosts[to].process.is_none()
                && self.network.is_open(from, to);
            if refuses && !pair.refused[side] {
                pair.refused[side] = true;
                self.tell_channel(from, to, Channel::Refused);
            }
        }
    }

    /// The channel between two ends: one of them has crashed, or they are apart for too long.
    pub(crate) fn close_channel(&mut self, a: HostId, b: HostId) {
        let (key, _) = pair(a, b);
        let pair = self.channels.pairs.entry(key).or_default();
        if !pair.is_open {
            return;
        }
        pair.is_open = false;
        pair.generation += 1;
        self.tell_channel(a, b, Channel::Closed);
        self.tell_channel(b, a, Channel::Closed);
    }

    /// A member that ends sends nothing any more.
    pub(crate) fn forget_votes_of(&mut self, host: HostId) {
        for ((a, b), pair) in &mut self.channels.pairs {
            if *a == host {
                pair.waiting[0] = None;
            } else if *b == host {
                pair.waiting[1] = None;
            }
        }
    }

    fn tell_channel(&mut self, host: HostId, about: HostId, state: Channel) {
        let peer = self.hosts[about].peer;
        self.feed_later(host, Input::Channel { peer, state });
    }
}
