//! Who the members of an ensemble are: the dynamic configuration, as data and as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::ids::PeerId;

/// What a member is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberKind {
    /// A voter.
    Participant,
    /// Follows without a vote.
    Observer,
}

/// A host and a port, as configured: never resolved, so that names compare as names
/// (ZOOKEEPER-4708).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Name or address; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Where a member listens for its peers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerAddress {
    /// Name or address; IPv6 without brackets.
    pub host: String,
    /// Where it listens as a leader.
    pub quorum_port: u16,
    /// Where it listens for votes.
    pub election_port: u16,
}

/// One `server.N` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// One or, with `multiAddress`, several.
    pub addresses: Vec<PeerAddress>,
    /// What it is for.
    pub kind: MemberKind,
    /// Where it listens for clients, if the line says.
    pub client: Option<Address>,
}

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnsembleConfig {
    /// Members by id.
    pub members: BTreeMap<PeerId, Member>,
    /// Groups by number; empty unless quorums are hierarchical.
    pub groups: BTreeMap<i64, BTreeSet<PeerId>>,
    /// Weights that differ from 1.
    pub weights: BTreeMap<PeerId, u64>,
    /// The zxid of the change that made it, 0 at first.
    pub version: u64,
}

/// Why a text is not a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line:?}: {why}")]
pub struct ConfigError {
    /// The line that is wrong.
    pub line: String,
    /// What is wrong with it.
    pub why: String,
}

impl EnsembleConfig {
    /// The ids of all voters.
    pub fn voters(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.members
            .iter()
            .filter(|(_, member)| member.kind == MemberKind::Participant)
            .map(|(id, _)| *id)
    }

    /// Whether this member has a vote.
    #[must_use]
    pub fn is_voter(&self, id: PeerId) -> bool {
        self.members
            .get(&id)
            .is_some_and(|member| member.kind == MemberKind::Participant)
    }
}

impl fmt::Display for EnsembleConfig {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}

impl FromStr for EnsembleConfig {
    type Err = ConfigError;
    fn from_str(_text: &str) -> Result<Self, ConfigError> {
        unimplemented!()
    }
}

impl FromStr for Member {
    type Err = ConfigError;
    fn from_str(_text: &str) -> Result<Self, ConfigError> {
        unimplemented!()
    }
}
