//! Who a member is and where it is reached.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// A member's number in its ensemble: the `N` of `server.N`, and its `myid`.
///
/// 1 + ordinal for voters, 101 + ordinal for observers, never above 254, because a session id
/// holds it in one byte and 255 is Apache's "none".
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct MemberId(u8);

impl MemberId {
    /// Greatest id there is.
    pub const MAX: u8 = 254;
    /// Voters have ids from 1 to this.
    pub const MAX_VOTER: u8 = 100;
    /// Most voters that a spec may ask for: odd, and their ids below the observers'.
    pub const MAX_VOTERS: i32 = 99;

    /// `None` for 0 and 255, which no member may have.
    pub fn new(id: u8) -> Option<Self> {
        (1..=Self::MAX).contains(&id).then_some(Self(id))
    }

    /// The voter with this ordinal, counted from 0.
    pub fn voter(ordinal: u8) -> Option<Self> {
        ordinal
            .checked_add(1)
            .filter(|id| *id <= Self::MAX_VOTER)
            .map(Self)
    }

    /// The observer with this ordinal, counted from 0.
    pub fn observer(ordinal: u8) -> Option<Self> {
        ordinal.checked_add(101).and_then(Self::new)
    }

    /// What this id was made for. A joiner that does not vote yet is a voter in this sense.
    pub fn kind(self) -> Kind {
        if self.0 <= Self::MAX_VOTER {
            Kind::Voter
        } else {
            Kind::Observer
        }
    }

    /// Its place among those of its kind, counted from 0.
    pub fn ordinal(self) -> u8 {
        match self.kind() {
            Kind::Voter => self.0 - 1,
            Kind::Observer => self.0 - 101,
        }
    }

    /// The number itself.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<MemberId> for i64 {
    fn from(id: MemberId) -> Self {
        id.0.into()
    }
}

impl TryFrom<i64> for MemberId {
    type Error = NotAMemberId;

    fn try_from(id: i64) -> Result<Self, NotAMemberId> {
        u8::try_from(id)
            .ok()
            .and_then(Self::new)
            .ok_or(NotAMemberId(id))
    }
}

/// A number that no member may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a member id: it must be between 1 and 254")]
pub struct NotAMemberId(pub i64);

impl<'de> Deserialize<'de> for MemberId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for MemberId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MemberId".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": Self::MAX })
    }
}

/// What a member is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Kind {
    /// Takes part in elections and acknowledges writes.
    Voter,
    /// Serves reads, takes no vote.
    Observer,
}

/// Where a member is reached. It stands in the committed configuration and so never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberAddress {
    /// Name or IP address for the other members.
    pub host: String,
    /// Followers reach a leader here.
    pub quorum_port: u16,
    /// Votes are exchanged here.
    pub election_port: u16,
    /// What clients' listener binds to; every address if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_host: Option<String>,
    /// Clients reach it here.
    pub client_port: u16,
}

impl MemberAddress {
    /// `host:port` for clients.
    pub fn client(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.client_port)
    }

    /// The `server.N=…` line of ZooKeeper's dynamic configuration for this member.
    pub fn line(&self, id: MemberId, kind: Kind) -> String {
        let kind = match kind {
            Kind::Voter => "participant",
            Kind::Observer => "observer",
        };
        let client_host = self.client_host.as_deref().unwrap_or("0.0.0.0");
        format!(
            "server.{id}={}:{}:{}:{kind};{}:{}",
            bracketed(&self.host),
            self.quorum_port,
            self.election_port,
            bracketed(client_host),
            self.client_port
        )
    }

    /// Whether `server`, what follows `server.N=` in a configuration, is this address. How clients
    /// reach the member is not looked at.
    pub fn is_of(&self, server: &str) -> bool {
        let host = bracketed(&self.host);
        let own = format!("{host}:{}:{}", self.quorum_port, self.election_port);
        let rest = server.trim().strip_prefix(&own);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', ';', '|']))
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_ordinals_and_stay_in_one_byte() {
        assert_eq!(MemberId::voter(0).map(MemberId::get), Some(1));
        assert_eq!(MemberId::voter(99).map(MemberId::get), Some(100));
        assert_eq!(MemberId::voter(100), None);
        assert_eq!(MemberId::voter(255), None);
        assert_eq!(MemberId::observer(0).map(MemberId::get), Some(101));
        assert_eq!(MemberId::observer(153).map(MemberId::get), Some(254));
        assert_eq!(MemberId::observer(154), None);
        for id in (1..=254).filter_map(MemberId::new) {
            let again = match id.kind() {
                Kind::Voter => MemberId::voter(id.ordinal()),
                Kind::Observer => MemberId::observer(id.ordinal()),
            };
            assert_eq!(again, Some(id));
        }
    }

    #[test]
    fn numbers_outside_the_range_are_refused_when_read() {
        for text in ["0", "255", "-1", "1000", "\"1\""] {
            assert!(serde_json::from_str::<MemberId>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<MemberId>("7").ok(), MemberId::new(7));
    }

    #[test]
    fn a_line_brackets_ipv6_and_names_the_client_port() {
        let address = MemberAddress {
            host: "::1".into(),
            quorum_port: 2888,
            election_port: 3888,
            client_host: None,
            client_port: 2181,
        };
        let id = MemberId::new(2).unwrap();
        assert_eq!(
            address.line(id, Kind::Observer),
            "server.2=[::1]:2888:3888:observer;0.0.0.0:2181"
        );
        assert!(address.is_of("[::1]:2888:3888:participant;2181"));
        assert!(address.is_of("[::1]:2888:3888"));
        assert!(!address.is_of("[::1]:2888:38880"));
        assert!(!address.is_of("zk-1:2888:3888:participant"));
    }
}
