//! When containers and znodes with a time to live are collected.

use tree::Tree;
use zab::Instant;

use crate::{Now, ReapSettings};

/// Asks the tree for candidates every so often, and spreads their end.
///
/// What it yields is a proposal only: the transaction's preparation looks again.
#[derive(Debug)]
pub(crate) struct Reaper {
    settings: ReapSettings,
    next: Instant,
}

impl Reaper {
    pub(crate) const fn new(now: Instant, settings: ReapSettings) -> Self {
        Self {
            settings,
            next: Instant(now.0 + settings.interval),
        }
    }

    pub(crate) const fn deadline(&self) -> Instant {
        self.next
    }

    /// Candidates, if it is time to look for them; at most `limit`. If there may be more, the
    /// next look is as soon as the rate per minute allows.
    pub(crate) fn due(&mut self, now: Now, tree: &Tree, limit: usize) -> Vec<String> {
        if now.monotonic < self.next {
            return Vec::new();
        }
        let found = tree.lapsed(now.wall, self.settings.never_used, limit);
        let pause = if found.len() < limit {
            self.settings.interval
        } else {
            (limit as u64 * 60_000 / self.settings.per_minute.max(1)).max(1)
        };
        self.next = Instant(now.monotonic.0 + pause.min(self.settings.interval));
        found
    }
}
