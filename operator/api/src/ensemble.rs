//! ZooKeeper's dynamic configuration text, read and written.

use std::collections::BTreeMap;

use crate::member::{Kind, MemberAddress, MemberId, NotAMemberId};

/// A membership, as the ensemble itself keeps it in `/zookeeper/config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnsembleConfig {
    /// The zxid that committed it; 0 for the list that an ensemble is born with.
    pub version: u64,
    /// Who belongs to it.
    pub members: BTreeMap<MemberId, ConfiguredMember>,
    /// It has groups or weights, so a majority is not a count of voters.
    pub weighted: bool,
}

/// A member as the configuration lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredMember {
    /// Votes or observes.
    pub kind: Kind,
    /// What follows `server.N=`, as it is written.
    pub server: String,
}

/// Why a text is not a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A line that is neither `server.N=…`, `group.N=…`, `weight.N=…` nor `version=…`.
    #[error("line {line} is not understood: {text}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// A `server.N` that no member may have.
    #[error("line {line}: {source}")]
    Id {
        /// Counted from 1.
        line: usize,
        /// The number.
        source: NotAMemberId,
    },
    /// The same member twice.
    #[error("line {line}: member {id} is listed twice")]
    Twice {
        /// Counted from 1.
        line: usize,
        /// The member.
        id: MemberId,
    },
}

impl EnsembleConfig {
    /// The list that an ensemble of these voters is born with.
    pub fn first<'a>(voters: impl IntoIterator<Item = (MemberId, &'a MemberAddress)>) -> Self {
        let members = voters
            .into_iter()
            .map(|(id, address)| {
                let line = address.line(id, Kind::Voter);
                let server = line.split_once('=').map_or("", |(_, server)| server);
                let member = ConfiguredMember {
                    kind: Kind::Voter,
                    server: server.to_owned(),
                };
                (id, member)
            })
            .collect();
        Self {
            version: 0,
            members,
            weighted: false,
        }
    }

    /// Reads a configuration, from `/zookeeper/config` or a dynamic configuration file.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut config = Self {
            version: 0,
            members: BTreeMap::new(),
            weighted: false,
        };
        for (index, raw) in text.lines().enumerate() {
            let trimmed = raw.trim();
            if !trimmed.is_empty() && !trimmed.starts_with('#') {
                config.read_line(index + 1, trimmed)?;
            }
        }
        Ok(config)
    }

    fn read_line(&mut self, line: usize, text: &str) -> Result<(), ConfigError> {
        let unknown = || ConfigError::Line {
            line,
            text: text.to_owned(),
        };
        let (key, value) = text.split_once('=').ok_or_else(unknown)?;
        let (key, value) = (key.trim(), value.trim());
        if key == "version" {
            self.version = parse_version(value).ok_or_else(unknown)?;
        } else if key.starts_with("group.") || key.starts_with("weight.") {
            self.weighted = true;
        } else {
            let number = key.strip_prefix("server.").ok_or_else(unknown)?;
            let number: i64 = number.parse().map_err(|_| unknown())?;
            let id =
                MemberId::try_from(number).map_err(|source| ConfigError::Id { line, source })?;
            let member = ConfiguredMember {
                kind: kind_of(value),
                server: value.to_owned(),
            };
            if self.members.insert(id, member).is_some() {
                return Err(ConfigError::Twice { line, id });
            }
        }
        Ok(())
    }

    /// Those that vote, in order of id.
    pub fn voters(&self) -> impl Iterator<Item = MemberId> + '_ {
        let voting = |(id, member): (&MemberId, &ConfiguredMember)| {
            (member.kind == Kind::Voter).then_some(*id)
        };
        self.members.iter().filter_map(voting)
    }

    /// How many voters make a majority.
    pub fn majority(&self) -> usize {
        self.voters().count() / 2 + 1
    }

    /// The configuration as ZooKeeper writes it, the version last; version 0 is not written.
    pub fn text(&self) -> String {
        let mut lines: Vec<_> = self
            .members
            .iter()
            .map(|(id, member)| format!("server.{id}={}", member.server))
            .collect();
        if self.version > 0 {
            lines.push(format!("version={:x}", self.version));
        }
        lines.join("\n")
    }
}

/// A configuration's version as ZooKeeper writes it: hexadecimal, without a prefix.
pub fn parse_version(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
}

fn kind_of(server: &str) -> Kind {
    let before_client = server.split(';').next().unwrap_or_default();
    if before_client.trim_end().ends_with(":observer") {
        Kind::Observer
    } else {
        Kind::Voter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> MemberId {
        MemberId::new(number).unwrap()
    }

    #[test]
    fn a_configuration_is_written_as_it_was_read() {
        let text = "server.1=a:2888:3888:participant;0.0.0.0:2181\n\
                    server.2=b:2888:3888:participant;0.0.0.0:2181\n\
                    server.101=c:2888:3888:observer;0.0.0.0:2181\n\
                    version=100000000";
        let config = EnsembleConfig::parse(text).unwrap();
        assert_eq!(config.version, 0x1_0000_0000);
        assert_eq!(config.voters().collect::<Vec<_>>(), [id(1), id(2)]);
        assert_eq!(config.majority(), 2);
        assert!(!config.weighted);
        assert_eq!(config.text(), text);
    }

    #[test]
    fn a_kind_is_a_participant_unless_it_says_observer() {
        let config = EnsembleConfig::parse("server.1=a:1:2\nserver.2=b:1:2:observer").unwrap();
        assert_eq!(config.voters().collect::<Vec<_>>(), [id(1)]);
    }

    #[test]
    fn groups_and_weights_are_noticed() {
        let text = "server.1=a:1:2\ngroup.1=1\nweight.1=2";
        assert!(EnsembleConfig::parse(text).unwrap().weighted);
    }

    #[test]
    fn what_is_not_a_configuration_names_its_line() {
        let wrong = |text| EnsembleConfig::parse(text).unwrap_err().to_string();
        assert_eq!(
            wrong("server.1=a:1:2\nnonsense"),
            "line 2 is not understood: nonsense"
        );
        assert_eq!(
            wrong("server.300=a:1:2"),
            "line 1: 300 is not a member id: it must be between 1 and 254"
        );
        assert_eq!(
            wrong("server.1=a:1:2\nserver.1=b:1:2"),
            "line 2: member 1 is listed twice"
        );
    }

    #[test]
    fn the_first_configuration_lists_all_as_voters_without_a_version() {
        let address = MemberAddress {
            host: "127.0.0.1".into(),
            quorum_port: 1,
            election_port: 2,
            client_host: Some("127.0.0.1".into()),
            client_port: 3,
        };
        let config = EnsembleConfig::first([(id(1), &address)]);
        assert_eq!(
            config.text(),
            "server.1=127.0.0.1:1:2:participant;127.0.0.1:3"
        );
    }
}
