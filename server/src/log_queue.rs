//! What waits for the log thread.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use wire::config::EnsembleConfig;
use wire::quorum::Packet;
use wire::txn::Entry;
use wire::{Epoch, Zxid};
use zab::LinkId;

use crate::snapshots::Done;

/// Something to do with the disk, in order.
pub(crate) enum Job {
    /// Append to the log, and answer with the mark once it is durable.
    Append { entries: Vec<Arc<Entry>>, mark: u64 },
    /// Send once everything before is durable.
    Send { link: LinkId, packets: Vec<Packet> },
    /// Store `acceptedEpoch`.
    Accepted(Epoch),
    /// Store `currentEpoch`.
    Current(Epoch),
    /// Cut the log behind this.
    Truncate(Zxid),
    /// Make the snapshot that came by this link the state.
    Install { link: LinkId, zxid: Zxid },
    /// Read the log for a learner.
    Read {
        link: LinkId,
        after: Zxid,
        through: Zxid,
        limit: u64,
    },
    /// Store the configuration in force.
    Config(Box<EnsembleConfig>),
    /// The member is synced again: it may vote after a restart.
    Synced,
    /// Write a snapshot, due or not, and tell who wants to know.
    Snapshot(Option<Done>),
    /// Remove old snapshots and logs.
    Purge,
    /// End after what came before.
    Stop,
}

/// The queue in front of the log thread.
#[derive(Default)]
pub(crate) struct LogQueue {
    jobs: Mutex<Vec<Job>>,
    wake: Condvar,
}

impl LogQueue {
    pub(crate) fn push(&self, job: Job) {
        let mut jobs = self.jobs.lock();
        jobs.push(job);
        if jobs.len() == 1 {
            self.wake.notify_one();
        }
    }

    /// All that waits.
    #[cfg(any(test, feature = "rehearsal"))]
    pub(crate) fn take_now(&self) -> Vec<Job> {
        std::mem::take(&mut self.jobs.lock())
    }

    /// Moves all that waits into `jobs`, which is empty; waits for something.
    pub(crate) fn take(&self, jobs: &mut Vec<Job>) {
        let mut waiting = self.jobs.lock();
        while waiting.is_empty() {
            self.wake.wait(&mut waiting);
        }
        std::mem::swap(&mut *waiting, jobs);
    }
}
