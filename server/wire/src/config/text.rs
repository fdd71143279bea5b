//! The text of a configuration, read and written as Apache does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use super::{Address, ConfigError, EnsembleConfig, Member, MemberKind, PeerAddress};
use crate::ids::PeerId;

/// What a member's line should look like, for messages.
const FORM: &str = "expected host:port:port[:participant|observer][|host:port:port…][;[host:]port]";

/// A client address without host listens everywhere.
const ANY_HOST: &str = "0.0.0.0";

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Bracketed(&self.host), self.port)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = Bracketed(&self.host);
        write!(f, "{host}:{}:{}", self.quorum_port, self.election_port)
    }
}

impl fmt::Display for MemberKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Participant => "participant",
            Self::Observer => "observer",
        })
    }
}

/// What stands behind `server.N=`.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, address) in self.addresses.iter().enumerate() {
            let separator = if i == 0 { "" } else { "|" };
            write!(f, "{separator}{address}")?;
        }
        write!(f, ":{}", self.kind)?;
        match &self.client {
            Some(client) => write!(f, ";{client}"),
            None => Ok(()),
        }
    }
}

/// The text in the order in which an Apache member that read it from a file writes it.
impl fmt::Display for EnsembleConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines() {
            writeln!(f, "{line}")?;
        }
        write!(f, "version={:x}", self.version)
    }
}

impl EnsembleConfig {
    /// The content of a `zoo.cfg.dynamic.<version>` file: sorted lines, without a version and
    /// without a final line end.
    #[must_use]
    pub fn to_file(&self) -> String {
        let mut lines = self.lines();
        lines.sort_unstable();
        lines.join("\n")
    }

    /// Reads the whole configuration that a reconfig asks for: lines separated by commas or line
    /// ends.
    ///
    /// # Errors
    /// If it is not one.
    pub fn from_list(text: &str) -> Result<Self, ConfigError> {
        text.replace(',', "\n").parse()
    }

    /// Reads the list of a reconfig's joining members: `server.N=…`, separated by commas.
    ///
    /// # Errors
    /// At the first item that is not one.
    pub fn joining(text: &str) -> Result<Vec<(PeerId, Member)>, ConfigError> {
        list(text)
            .map(|item| {
                let (key, value) = split_line(item)?;
                let Some(id) = key.strip_prefix("server.") else {
                    let why = format!("expected server.N=…; {FORM}");
                    return Err(ConfigError::new(item, why));
                };
                Ok((parse_id(item, id)?, parse_member(item, value)?))
            })
            .collect()
    }

    /// Reads the list of a reconfig's leaving members: ids, separated by commas.
    ///
    /// # Errors
    /// At the first item that is not an id.
    pub fn leaving(text: &str) -> Result<Vec<PeerId>, ConfigError> {
        list(text).map(|item| parse_id(item, item)).collect()
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for id in java_order(self.members.keys().copied()) {
            lines.push(format!("server.{id}={}", self.members[&id]));
        }
        if !self.is_hierarchical() {
            return lines;
        }
        for group in java_order(self.groups.keys().map(|group| PeerId(*group))) {
            let ids = java_order(self.groups[&group.0].iter().copied());
            let ids: Vec<_> = ids.iter().map(PeerId::to_string).collect();
            lines.push(format!("group.{group}={}", ids.join(":")));
        }
        let weighted: BTreeSet<_> = self.voters().chain(self.weights.keys().copied()).collect();
        for id in java_order(weighted.into_iter()) {
            let weight = self.weights.get(&id).unwrap_or(&1);
            lines.push(format!("weight.{id}={weight}"));
        }
        lines
    }
}

impl FromStr for EnsembleConfig {
    type Err = ConfigError;

    /// Reads either form; comments and empty lines are skipped. A line that is none of
    /// `server.N`, `group.N`, `weight.N` and `version` is an error, as in Apache.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let mut weights = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let (key, value) = split_line(line)?;
            if !seen.insert(key) {
                return Err(ConfigError::new(line, format!("{key} is given twice")));
            }
            match key.split_once('.') {
                Some(("server", id)) => {
                    let id = parse_id(line, id)?;
                    config.members.insert(id, parse_member(line, value)?);
                }
                Some(("group", group)) => {
                    let group = parse_id(line, group)?.0;
                    let ids: Result<BTreeSet<_>, _> =
                        value.split(':').map(|id| parse_id(line, id)).collect();
                    config.groups.insert(group, ids?);
                }
                Some(("weight", id)) => {
                    let id = parse_id(line, id)?;
                    weights.insert(id, parse_weight(line, value)?);
                }
                None if key == "version" => {
                    config.version = u64::from_str_radix(value, 16)
                        .map_err(|_| ConfigError::new(line, "a version is a hexadecimal number"))?;
                }
                _ => {
                    let why = "expected server.N=…, group.N=…, weight.N=… or version=…";
                    return Err(ConfigError::new(line, why));
                }
            }
        }
        check_groups(&config, &weights)?;
        // Without groups no member is a participant, and a weight says nothing.
        weights.retain(|_, weight| *weight != 1 && config.is_hierarchical());
        config.weights = weights;
        Ok(config)
    }
}

impl FromStr for Member {
    type Err = ConfigError;

    /// Reads what stands behind `server.N=`, with or without role and client address.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        parse_member(text, text)
    }
}

impl FromStr for Address {
    type Err = ConfigError;

    /// Reads `host:port`, IPv6 in brackets.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let expected = || ConfigError::new(text, "expected host:port");
        let (host, rest) = split_host(text).ok_or_else(expected)?;
        Ok(Self {
            host: parse_host(text, host)?,
            port: parse_port(text, rest)?,
        })
    }
}

/// A host as text has it before a port: IPv6 in brackets.
struct Bracketed<'a>(&'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') {
            write!(f, "[{}]", self.0)
        } else {
            f.write_str(self.0)
        }
    }
}

/// The order in which a Java `HashMap` with `Long` keys lists them, which is that of Apache's
/// lines: by bucket. It is the numerical order for fewer than 13 members with ids below 16. Keys
/// in one bucket come by insertion in Java; here by number.
fn java_order(ids: impl Iterator<Item = PeerId>) -> Vec<PeerId> {
    let mut ids: Vec<_> = ids.collect();
    let mut buckets = 16;
    while ids.len() > buckets / 4 * 3 {
        buckets *= 2;
    }
    ids.sort_by_key(|id| {
        let bits = id.0 as u64;
        let hash = (bits ^ bits >> 32) as u32;
        ((hash ^ hash >> 16) as usize & (buckets - 1), *id)
    });
    ids
}

/// The items between commas.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn split_line(line: &str) -> Result<(&str, &str), ConfigError> {
    let (key, value) = line
        .split_once('=')
        .ok_or_else(|| ConfigError::new(line, "expected key=value"))?;
    Ok((key.trim(), value.trim()))
}

fn parse_id(line: &str, text: &str) -> Result<PeerId, ConfigError> {
    match text.trim().parse() {
        Ok(id) if id >= 0 => Ok(PeerId(id)),
        _ => {
            let why = format!("{text:?} is not an id: expected a whole number from 0");
            Err(ConfigError::new(line, why))
        }
    }
}

fn parse_weight(line: &str, text: &str) -> Result<u64, ConfigError> {
    // Sums of weights must not overflow, whatever the number of members.
    match text.parse::<u32>() {
        Ok(weight) => Ok(weight.into()),
        Err(_) => {
            let why = format!("{text:?} is not a weight: expected a whole number from 0 to 2^32-1");
            Err(ConfigError::new(line, why))
        }
    }
}

/// Groups are disjoint, consist of voters and cover them all; weights need groups.
fn check_groups(
    config: &EnsembleConfig,
    weights: &BTreeMap<PeerId, u64>,
) -> Result<(), ConfigError> {
    let mut grouped = BTreeMap::new();
    for (group, ids) in &config.groups {
        let line = || format!("group.{group}");
        for id in ids {
            if !config.is_voter(*id) {
                let why = format!("no server.{id} is a participant, and groups consist of those");
                return Err(ConfigError::new(&line(), why));
            }
            if let Some(other) = grouped.insert(*id, group) {
                let why = format!("server {id} is in group.{other} too");
                return Err(ConfigError::new(&line(), why));
            }
        }
    }
    if config.groups.is_empty() && weights.is_empty() {
        return Ok(());
    }
    match config.voters().find(|id| !grouped.contains_key(id)) {
        None => Ok(()),
        Some(id) => Err(ConfigError::new(
            &format!("server.{id}"),
            "with groups or weights each participant must be in a group",
        )),
    }
}

fn parse_member(line: &str, text: &str) -> Result<Member, ConfigError> {
    let (peer, client) = match text.trim().split_once(';') {
        None => (text.trim(), ""),
        Some((_, client)) if client.contains(';') => {
            return Err(ConfigError::new(
                line,
                format!("more than one \";\"; {FORM}"),
            ));
        }
        Some((peer, client)) => (peer, client.trim()),
    };
    let mut addresses = Vec::new();
    let mut kind = None;
    for part in peer.split('|') {
        let (address, its_kind) = parse_peer_address(line, part.trim())?;
        if let (Some(one), Some(other)) = (kind, its_kind)
            && one != other
        {
            let why = format!("its addresses disagree whether it is {one} or {other}");
            return Err(ConfigError::new(line, why));
        }
        kind = kind.or(its_kind);
        addresses.push(address);
    }
    addresses.sort();
    Ok(Member {
        addresses,
        kind: kind.unwrap_or(MemberKind::Participant),
        client: match client {
            "" => None,
            client => Some(parse_client(line, client)?),
        },
    })
}

fn parse_peer_address(
    line: &str,
    text: &str,
) -> Result<(PeerAddress, Option<MemberKind>), ConfigError> {
    let expected = || ConfigError::new(line, FORM);
    let (host, rest) = split_host(text).ok_or_else(expected)?;
    let mut parts = rest.split(':');
    let (Some(quorum), Some(election)) = (parts.next(), parts.next()) else {
        return Err(expected());
    };
    let kind = parts
        .next()
        .map(|kind| parse_kind(line, kind))
        .transpose()?;
    if parts.next().is_some() {
        return Err(expected());
    }
    let address = PeerAddress {
        host: parse_host(line, host)?,
        quorum_port: parse_port(line, quorum)?,
        election_port: parse_port(line, election)?,
    };
    if address.quorum_port == address.election_port {
        let why = format!(
            "quorum port and election port are both {}, they must differ",
            address.quorum_port
        );
        return Err(ConfigError::new(line, why));
    }
    Ok((address, kind))
}

fn parse_kind(line: &str, text: &str) -> Result<MemberKind, ConfigError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "participant" => Ok(MemberKind::Participant),
        "observer" => Ok(MemberKind::Observer),
        _ => {
            let why = format!("{text:?} is neither participant nor observer");
            Err(ConfigError::new(line, why))
        }
    }
}

fn parse_client(line: &str, text: &str) -> Result<Address, ConfigError> {
    let (host, port) = split_host(text).unwrap_or((ANY_HOST, text));
    Ok(Address {
        host: parse_host(line, host)?,
        port: parse_port(line, port)?,
    })
}

/// Splits at the colon behind the host, which is in brackets if it contains colons itself.
fn split_host(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => text.split_once(':'),
    }
}

/// IPv6 addresses get the one spelling that Java prints (eight groups, none left out), so that
/// one member's text and another's are the same.
fn parse_host(line: &str, host: &str) -> Result<String, ConfigError> {
    let host = host.trim();
    if let Ok(ip) = host.parse::<Ipv6Addr>() {
        return Ok(match ip.to_canonical() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => ip.segments().map(|group| format!("{group:x}")).join(":"),
        });
    }
    let wrong = |c: char| c.is_whitespace() || c.is_control() || "[]=,;|/".contains(c);
    if host.is_empty() || host.contains(wrong) {
        return Err(ConfigError::new(line, format!("{host:?} is not a host")));
    }
    Ok(host.to_owned())
}

fn parse_port(line: &str, text: &str) -> Result<u16, ConfigError> {
    match text.trim().parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => {
            let why = format!("{text:?} is not a port: expected a number from 1 to 65535");
            Err(ConfigError::new(line, why))
        }
    }
}
