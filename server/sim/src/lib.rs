//! A seeded world of members: network, disks, clocks, clients, and an oracle over all of them.
//!
//! Start with [`run`]: one seed, one world. The world is moved by one queue of events; each host
//! has a process that drives a [`member::Member`] as the server's shell does, over a disk that
//! loses what is not synced. What must hold is in `invariants/`, one file per property; it is
//! checked after every step. After a stormy time everything is repaired, and the members have to
//! come to the same state and to take writes within a bounded time.
//!
//! Invariants:
//! - One seed is one run: no clock, no thread, no other randomness, no order of hashing.
//! - Clients, peers and disks are driven only through what the server's shell uses as well.
//!
//! It does not know sockets, TLS, frames of clients, or the tools.

mod channels;
mod client;
mod disk_queue;
mod error;
mod faults;
mod host;
mod invariants;
mod link;
mod mutation;
mod network;
mod serving;
mod shape;
mod tally;
#[cfg(test)]
mod tests;
mod volume;
mod world;

pub use crate::invariants::Violation;
pub use crate::mutation::Mutation;
pub use crate::tally::Tally;

use crate::invariants::violated;
use crate::world::World;

/// What one seed led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which.
    pub seed: u64,
    /// What happened.
    pub tally: Tally,
    /// The first property that did not hold.
    pub violation: Option<Violation>,
    /// A number made of everything that happened: two runs of one seed share it.
    pub trace: u64,
    /// Simulated milliseconds.
    pub time: u64,
}

/// How a run differs from the ordinary one.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// A bug put back.
    pub mutation: Option<Mutation>,
    /// Say on standard error all that happens.
    pub log: bool,
}

/// After this many simulated milliseconds without faults a write must have succeeded, and later
/// all members must have come to the same state. An election may wait for its slowest repetition
/// and a discovery for `initLimit`, twice.
const RECOVERY: u64 = 30_000;

/// A storm that lets nothing be committed ends after this many times its length.
const STORM_FACTOR: u64 = 4;

/// Lets one world happen.
#[must_use]
pub fn run(seed: u64, options: RunOptions) -> Outcome {
    let mut world = World::new(seed, options.mutation, options.log);
    storm(&mut world);
    if world.violation().is_none() {
        recover(&mut world);
    }
    if world.violation().is_none() {
        come_to_rest(&mut world);
    }
    world.tally.leader_changes = world.leaders.saturating_sub(1);
    Outcome {
        seed,
        tally: world.tally,
        violation: world.violation().cloned(),
        trace: world.trace(),
        time: world.now,
    }
}

/// How often it is looked whether a phase is over.
const LOOK: u64 = 50;

/// Lets things happen until `done`, at most until `end`. False if it was not done by then.
fn until(world: &mut World, end: u64, mut done: impl FnMut(&World) -> bool) -> bool {
    while world.violation().is_none() {
        if done(world) {
            return true;
        }
        if world.now >= end {
            return false;
        }
        let next = (world.now + LOOK).min(end);
        while world.step(next) {}
    }
    true
}

fn storm(world: &mut World) {
    let (least, most) = (world.shape.stormy, world.shape.stormy * STORM_FACTOR);
    let wanted = world.shape.committed_at_least;
    until(world, most, |world| {
        world.now >= least && world.committed() >= wanted
    });
}

fn recover(world: &mut World) {
    world.calm_down();
    let end = world.now + RECOVERY;
    let wanted = world.committed().max(world.shape.committed_at_least) + 20;
    // The rest of what has to be committed may take longer than the first write.
    let before = world.committed();
    let begins = until(world, end, |world| world.committed() > before + 5);
    if !begins {
        let detail = format!("no write within {RECOVERY} ms of calm: {}", world.roles());
        world.judge(violated("liveness", detail));
    }
    let end = world.now + 4 * RECOVERY;
    if !until(world, end, |world| world.committed() >= wanted) {
        let detail = format!("{wanted} writes take too long: {}", world.roles());
        world.judge(violated("liveness", detail));
    }
}

fn come_to_rest(world: &mut World) {
    world.is_quiet = true;
    let end = world.now + RECOVERY;
    if !until(world, end, World::is_at_rest) {
        let detail = format!("members do not come to the same state: {}", world.roles());
        world.judge(violated("liveness", detail));
        return;
    }
    world.finish();
}
