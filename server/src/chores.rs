//! Slow work beside the log: filling log files ahead, removing old files, freeing trees, and
//! reading the log for learners, each on a thread of its own since a learner waits for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use tree::Tree;
use txnlog::{Purge, RealDisk, SpareJob};

use crate::clock::Clock;
use crate::vital;

/// A piece of slow work.
pub(crate) enum Chore {
    /// Fill the next log file with zeros.
    Fill(SpareJob<RealDisk>),
    /// Remove old snapshots and logs.
    Purge(Purge<RealDisk>),
    /// Free a tree.
    Drop(Box<Tree>),
}

/// Hands chores to their thread.
#[derive(Clone)]
pub(crate) struct Chores {
    sender: Sender<Chore>,
    clock: Clock,
    fill_again: Arc<AtomicU64>,
}

/// Milliseconds until a failed filling is tried again: a full disk rarely heals at once.
const FILL_PAUSE: u64 = 10_000;

impl Chores {
    /// Starts the thread, which ends with the last handle.
    pub(crate) fn start(clock: Clock) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let fill_again = Arc::new(AtomicU64::new(0));
        let chores = Self {
            sender,
            clock,
            fill_again: fill_again.clone(),
        };
        vital::thread("chores", move || run(&receiver, clock, &fill_again))?;
        Ok(chores)
    }

    pub(crate) fn push(&self, chore: Chore) {
        // The thread lives as long as this handle.
        let _ = self.sender.send(chore);
    }

    /// Whether filling ahead is worth a try.
    pub(crate) fn may_fill(&self) -> bool {
        self.clock.millis() >= self.fill_again.load(Ordering::Relaxed)
    }
}

fn run(receiver: &Receiver<Chore>, clock: Clock, fill_again: &AtomicU64) {
    for chore in receiver {
        match chore {
            Chore::Fill(job) => {
                if let Err(error) = job.run() {
                    tracing::warn!(%error, "cannot fill a log file ahead: writes become slower");
                    fill_again.store(clock.millis() + FILL_PAUSE, Ordering::Relaxed);
                }
            }
            Chore::Purge(purge) => match purge.run() {
                Ok(removed) if removed.is_empty() => {}
                Ok(removed) => tracing::info!(files = removed.len(), "old files removed"),
                Err(error) => tracing::warn!(%error, "cannot remove old files"),
            },
            Chore::Drop(tree) => drop(tree),
        }
    }
}
