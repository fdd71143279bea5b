//! Who the members of an ensemble are: the dynamic configuration, as data and as text.
//!
//! The text is what `/zookeeper/config`, NEWLEADER and notifications carry: one `server.N=…` line
//! a member, with hierarchical quorums `group.N=…` and `weight.N=…` lines, and `version=<hex>`
//! last, without a line end. [`EnsembleConfig::to_file`] is the other form, that of a
//! `zoo.cfg.dynamic.<hex>` file. Whether a set of members is a quorum is not decided here.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

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
    /// One or, with `multiAddress`, several; read from text they are in the order of their hosts.
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

impl ConfigError {
    fn new(line: &str, why: impl Into<String>) -> Self {
        Self {
            line: line.to_owned(),
            why: why.into(),
        }
    }
}

impl PeerAddress {
    /// Where it listens as a leader.
    #[must_use]
    pub fn quorum(&self) -> Address {
        Address {
            host: self.host.clone(),
            port: self.quorum_port,
        }
    }

    /// Where it listens for votes.
    #[must_use]
    pub fn election(&self) -> Address {
        Address {
            host: self.host.clone(),
            port: self.election_port,
        }
    }
}

impl Member {
    /// Every address of the member, except those that may well be the same on several machines:
    /// loopback and "any".
    fn distinct_addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.addresses
            .iter()
            .flat_map(|address| [address.quorum(), address.election()])
            .chain(self.client.clone())
            .filter(|address| match address.host.parse::<IpAddr>() {
                Ok(ip) => !ip.is_loopback() && !ip.is_unspecified(),
                Err(_) => address.host != "localhost",
            })
    }
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

    /// Whether quorums are majorities of groups by weight, and not of voters by number.
    #[must_use]
    pub fn is_hierarchical(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Whether both say the same of members, groups and weights, whatever their versions.
    #[must_use]
    pub fn same_membership(&self, other: &Self) -> bool {
        self.members == other.members
            && self.groups == other.groups
            && self.weights == other.weights
    }

    /// The configuration after `leaving` left and then `joining` joined or changed their line,
    /// as an incremental reconfig asks. Who leaves without being a member is ignored, as Apache
    /// does.
    ///
    /// # Errors
    /// If quorums are hierarchical (Apache refuses as well: a joiner's group is not given), a
    /// joiner has no client address, or an address of a joiner belongs to another member.
    pub fn changed(
        &self,
        joining: &[(PeerId, Member)],
        leaving: &[PeerId],
        version: u64,
    ) -> Result<Self, ConfigError> {
        if self.is_hierarchical() {
            return Err(ConfigError::new(
                "",
                "groups are in use, so give the whole new configuration, not what joins and leaves",
            ));
        }
        let mut next = self.clone();
        next.version = version;
        for id in leaving {
            next.members.remove(id);
        }
        for (id, joiner) in joining {
            let line = || format!("server.{id}={joiner}");
            if joiner.client.is_none() {
                return Err(ConfigError::new(
                    &line(),
                    "a joining member needs its client port: add \";[host:]port\"",
                ));
            }
            next.members.remove(id);
            for (other, member) in &next.members {
                let taken = |address: &Address| member.distinct_addresses().any(|a| a == *address);
                if let Some(address) = joiner.distinct_addresses().find(taken) {
                    let why = format!("{address} belongs to server.{other}");
                    return Err(ConfigError::new(&line(), why));
                }
            }
            next.members.insert(*id, joiner.clone());
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests;
