//! Known bugs of Apache ZooKeeper, put back by hand to see that the oracle finds them.
//!
//! Each is a driver that breaks a rule which zab relies on; zab and member stay as they are.

use std::fmt;
use std::str::FromStr;

/// A bug put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// ZOOKEEPER-2845: a member that loses its leader goes on from its tree in memory, though its
    /// log holds more.
    MemoryOverLog,
    /// ZOOKEEPER-4643: currentEpoch is stored before the history that belongs to it.
    EpochBeforeHistory,
    /// ZOOKEEPER-4646: NEWLEADER is acknowledged before the history is durable.
    AckBeforeHistory,
    /// ZOOKEEPER-4882: a commit is applied before the member's own log has it; the log's write
    /// may then fail, and the member goes on from memory.
    ApplyBeforeLog,
}

impl Mutation {
    /// All of them, with the numbers of their issues.
    pub const ALL: &[(Self, &str)] = &[
        (Self::MemoryOverLog, "2845"),
        (Self::EpochBeforeHistory, "4643"),
        (Self::AckBeforeHistory, "4646"),
        (Self::ApplyBeforeLog, "4882"),
    ];
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, issue) = Self::ALL
            .iter()
            .find(|(mutation, _)| mutation == self)
            .unwrap_or(&Self::ALL[0]);
        f.write_str(issue)
    }
}

impl FromStr for Mutation {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .find(|(_, issue)| *issue == text)
            .map(|(mutation, _)| *mutation)
            .ok_or_else(|| format!("{text:?} is none of 2845, 4643, 4646, 4882"))
    }
}
