//! What happened in a run, to see that the runs together try everything.

/// Counts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Transactions in the history that all members ended with.
    pub committed: usize,
    /// Leaders established after the first.
    pub leader_changes: usize,
    /// Learners brought up to date by what they missed.
    pub diffs: usize,
    /// Learners that cut what they had too much.
    pub truncs: usize,
    /// Learners that got a snapshot.
    pub snaps: usize,
    /// Crashes that lost what was written and not synced.
    pub unsynced_losses: usize,
    /// Leaders whose history ended with transactions that nobody had applied.
    pub tails_kept: usize,
    /// Transactions that were durable somewhere and are not in the final history.
    pub tails_discarded: usize,
    /// Members killed.
    pub crashes: usize,
    /// Partitions, one way or both.
    pub partitions: usize,
    /// Requests answered.
    pub answers: usize,
    /// Sessions that ended without being closed by their clients.
    pub expired: usize,
}

impl Tally {
    /// The events that must each happen in at least one percent of runs.
    #[must_use]
    pub const fn events(&self) -> [(&'static str, bool); 10] {
        [
            ("leader change", self.leader_changes > 0),
            ("DIFF", self.diffs > 0),
            ("TRUNC", self.truncs > 0),
            ("SNAP", self.snaps > 0),
            ("unsynced loss", self.unsynced_losses > 0),
            ("tail kept", self.tails_kept > 0),
            ("tail discarded", self.tails_discarded > 0),
            ("crash", self.crashes > 0),
            ("partition", self.partitions > 0),
            ("session expired", self.expired > 0),
        ]
    }
}
