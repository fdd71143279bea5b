//! What came of a target's run, as libFuzzer tells it.

use std::path::PathBuf;
use std::time::Duration;

/// Over the lines of the table.
pub(crate) const HEADER: &str =
    "target                  time   executions  per second   corpus  coverage  findings";

/// What a run came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    executions: u64,
    /// Inputs that lead to something that no other leads to.
    corpus: u64,
    /// Edges of the program that were taken.
    coverage: u64,
    /// How long it ran.
    pub(crate) took: Duration,
    /// Files with inputs that something is wrong with.
    pub(crate) findings: Vec<PathBuf>,
    /// Whether the program said that it is done.
    pub(crate) ended_well: bool,
    /// What it said.
    pub(crate) log: PathBuf,
}

impl Outcome {
    /// Reads a run's log.
    pub(crate) fn of(log: &str) -> Self {
        let last = |key: &str| {
            let after = log.lines().rev().find_map(|line| line.split(key).nth(1));
            let word = after.and_then(|rest| rest.split([' ', '/']).find(|word| !word.is_empty()));
            word.and_then(|word| word.trim().parse().ok())
        };
        Self {
            executions: last("stat::number_of_executed_units:").unwrap_or_default(),
            corpus: last(" corp: ").unwrap_or_default(),
            coverage: last(" cov: ").unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Whether it ran and found nothing.
    pub(crate) fn is_well(&self) -> bool {
        self.ended_well && self.findings.is_empty() && self.executions > 0
    }

    /// A line of the table.
    pub(crate) fn line(&self, name: &str) -> String {
        let seconds = self.took.as_secs();
        let rate = self.executions / seconds.max(1);
        let findings = match (self.findings.len(), self.is_well()) {
            (0, false) => format!("did not end well: see {}", self.log.display()),
            (count, _) => count.to_string(),
        };
        format!(
            "{name:<20} {seconds:>5} s {:>12} {rate:>11} {:>8} {:>9}  {findings}",
            self.executions, self.corpus, self.coverage
        )
    }
}
