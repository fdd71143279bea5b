//! How a storm was, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::part::Outcome;

/// How a storm was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Sessions in all.
    pub sessions: usize,
    /// Milliseconds that their opening took, ephemerals and watches included.
    pub opening_ms: u64,
    /// Sessions whose connection went on.
    pub kept: usize,
    /// Sessions that came back by a new connection.
    pub came_back: usize,
    /// Sessions that were told that they have expired.
    pub expired: usize,
    /// Sessions whose ephemeral was gone.
    pub ephemerals_lost: usize,
    /// Sessions that were not told of a change that they watched for.
    pub watches_lost: usize,
    /// Sessions that were neither served nor expired in time.
    pub missing: usize,
    /// Connections tried after the storm's beginning.
    pub attempts: u64,
    /// Half of those that came back were by then, milliseconds from the storm's beginning.
    pub p50_ms: u64,
    /// 99 % of them were.
    pub p99_ms: u64,
    /// The last one was.
    pub last_ms: u64,
    /// From the storm's beginning until a write that began after it was acknowledged.
    pub serving_ms: u64,
    /// The slowest write of a client that wrote all the while, its reconnects included.
    pub slowest_write_ms: u64,
}

impl Report {
    pub(super) fn new(
        sessions: usize,
        opening: Duration,
        serving: Duration,
        slowest: Duration,
        outcomes: &[Outcome],
    ) -> Self {
        let sum = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum();
        let mut back: Vec<u64> = outcomes.iter().flat_map(|one| one.back.clone()).collect();
        back.sort_unstable();
        let at = |percent: usize| {
            let rank = (back.len() * percent).div_ceil(100).saturating_sub(1);
            back.get(rank).map_or(0, |micros| micros / 1000)
        };
        Self {
            sessions,
            opening_ms: opening.as_millis() as u64,
            kept: sum(|one| one.kept),
            came_back: back.len(),
            expired: sum(|one| one.expired),
            ephemerals_lost: sum(|one| one.ephemerals_lost),
            watches_lost: sum(|one| one.watches_lost),
            missing: sum(|one| one.missing),
            attempts: outcomes.iter().map(|one| one.attempts).sum(),
            p50_ms: at(50),
            p99_ms: at(99),
            last_ms: at(100),
            serving_ms: serving.as_millis() as u64,
            slowest_write_ms: slowest.as_millis() as u64,
        }
    }

    /// Whether each session went on, with its ephemeral and its watch.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.expired == 0
            && self.ephemerals_lost == 0
            && self.watches_lost == 0
            && self.missing == 0
            && self.kept + self.came_back == self.sessions
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |milliseconds: u64| milliseconds as f64 / 1000.0;
        writeln!(
            f,
            "{} sessions, opened in {:.1} s: {} kept their connection, {} came back by {} tries",
            self.sessions,
            seconds(self.opening_ms),
            self.kept,
            self.came_back,
            self.attempts
        )?;
        writeln!(
            f,
            "back: half after {:.2} s, 99 % after {:.2} s, the last after {:.2} s",
            seconds(self.p50_ms),
            seconds(self.p99_ms),
            seconds(self.last_ms)
        )?;
        writeln!(
            f,
            "first write after {:.2} s, slowest write {:.2} s",
            seconds(self.serving_ms),
            seconds(self.slowest_write_ms)
        )?;
        writeln!(
            f,
            "lost: {} sessions, {} ephemerals, {} watches; {} not back in time",
            self.expired, self.ephemerals_lost, self.watches_lost, self.missing
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_summed_up() {
        let part = |back: Vec<u64>, expired| Outcome {
            back,
            expired,
            kept: 1,
            attempts: 5,
            ..Outcome::default()
        };
        let second = Duration::from_secs(1);
        let slow = (1..=99).map(|n| n * 1_000_000).collect();
        let outcomes = [part(slow, 0), part(vec![7_000], 2)];
        let report = Report::new(104, second, second, second * 2, &outcomes);
        let expected = Report {
            sessions: 104,
            opening_ms: 1000,
            kept: 2,
            came_back: 100,
            expired: 2,
            ephemerals_lost: 0,
            watches_lost: 0,
            missing: 0,
            attempts: 10,
            p50_ms: 49_000,
            p99_ms: 98_000,
            last_ms: 99_000,
            serving_ms: 1000,
            slowest_write_ms: 2000,
        };
        assert_eq!(report, expected);
        assert!(!report.is_whole());
        assert!(
            Report {
                expired: 0,
                sessions: 102,
                ..report
            }
            .is_whole()
        );
    }
}
