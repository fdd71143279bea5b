//! What a seed chooses before anything happens: how large the world is, and how slow.

use fastrand::Rng;

/// The world's measures. Times are milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// 3 or 5.
    pub(crate) voters: usize,
    /// 0 or 1.
    pub(crate) observers: usize,
    pub(crate) tick: u64,
    /// Entries that zab keeps in memory: few, so that members fall behind it.
    pub(crate) window_entries: usize,
    /// Bytes that a learner may be brought up to date by from the log: few or none, so that
    /// snapshots are sent.
    pub(crate) disk_sync_bytes: u64,
    /// Transactions between two snapshots.
    pub(crate) snapshot_every: u64,
    /// One way over the network, at least and at most.
    pub(crate) delay: (u64, u64),
    /// One sync, at least and at most.
    pub(crate) sync: (u64, u64),
    pub(crate) clients: usize,
    /// Requests that a client has in flight.
    pub(crate) in_flight: usize,
    pub(crate) session_timeout: i32,
    /// Between two faults, on average.
    pub(crate) fault_every: u64,
    /// How long faults happen.
    pub(crate) stormy: u64,
    /// Transactions that must be committed before the storm ends.
    pub(crate) committed_at_least: usize,
}

impl Shape {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let tick = *choose(rng, &[50, 100, 200]);
        Self {
            voters: *choose(rng, &[3, 3, 5]),
            observers: usize::from(rng.u8(..4) == 0),
            tick,
            window_entries: *choose(rng, &[4, 16, 64, 256]),
            disk_sync_bytes: *choose(rng, &[0, 2_000, 20_000, 1_000_000]),
            snapshot_every: *choose(rng, &[20, 60, 150]),
            delay: *choose(rng, &[(1, 2), (1, 5), (2, 20)]),
            sync: *choose(rng, &[(1, 2), (1, 10), (5, 30)]),
            clients: rng.usize(3..=8),
            in_flight: *choose(rng, &[1, 4, 16]),
            session_timeout: (tick * rng.u64(4..=20)) as i32,
            fault_every: *choose(rng, &[300, 800, 2_000]),
            stormy: rng.u64(8_000..=25_000),
            committed_at_least: 500,
        }
    }

    pub(crate) const fn members(&self) -> usize {
        self.voters + self.observers
    }
}

pub(crate) fn choose<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

/// A number between both, both included.
pub(crate) fn between(rng: &mut Rng, (low, high): (u64, u64)) -> u64 {
    rng.u64(low..=high)
}
