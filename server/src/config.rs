//! A member's configuration: an Apache `zoo.cfg` and `myid`, read unchanged.
//!
//! Start with [`Config::load`]. A setting that cannot work is refused with file, line and reason;
//! a key without meaning here is a [`Warning`], since Apache takes any key as a system property.

mod build;
mod properties;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use wire::PeerId;
use wire::config::{Address, EnsembleConfig};

/// All that a member is told before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// This member's id: `myid`, 0 for a standalone server without one.
    pub id: PeerId,
    /// Snapshots, epochs, `myid`.
    pub data_dir: PathBuf,
    /// The transaction log; the same as `data_dir` unless set.
    pub log_dir: PathBuf,
    /// Where clients connect.
    pub client: Address,
    /// The ensemble as the file tells it; without members for a standalone server.
    pub ensemble: EnsembleConfig,
    /// A single server without peers.
    pub standalone: bool,
    /// Milliseconds.
    pub tick_time: u64,
    /// Ticks for discovery and synchronisation.
    pub init_limit: u64,
    /// Ticks of silence between leader and follower.
    pub sync_limit: u64,
    /// The least and the greatest session timeout granted, milliseconds.
    pub session_timeouts: (i32, i32),
    /// Connections and requests.
    pub limits: Limits,
    /// Log and snapshots.
    pub storage: Storage,
    /// The election.
    pub election: Election,
    /// What is allowed to whom.
    pub access: Access,
    /// Where people and monitors look.
    pub admin: Admin,
    /// Settings without effect, and why.
    pub warnings: Vec<Warning>,
}

/// Connections and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections from one address, 0 for any number (`maxClientCnxns`).
    pub connections_per_address: usize,
    /// Connections in all, 0 for any number (`maxCnxns`).
    pub connections: usize,
    /// The client port's backlog, if set.
    pub backlog: Option<u32>,
    /// Bytes of the longest frame and record (`jute.maxbuffer`).
    pub frame: usize,
    /// Requests under way before clients are no longer read (`globalOutstandingLimit`).
    pub outstanding: usize,
}

/// Log and snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Bytes by which the log grows (`preAllocSize`, given in KiB).
    pub preallocate: u64,
    /// Transactions between snapshots (`snapCount`).
    pub snapshot_every: u64,
    /// Log bytes between snapshots (`snapSizeLimitInKb`), `None` for any number.
    pub snapshot_every_bytes: Option<u64>,
    /// Entries kept in memory for learners (`commitLogCount`).
    pub window: usize,
    /// Log bytes sent to a learner instead of a snapshot, as a share of the snapshot's size
    /// (`snapshotSizeFactor`), in percent.
    pub disk_sync_percent: u64,
    /// Snapshots kept by a purge (`autopurge.snapRetainCount`).
    pub retain: usize,
    /// Hours between purges, 0 for none (`autopurge.purgeInterval`).
    pub purge_interval: u64,
    /// Whether snapshots and transactions carry the tree's digest (`digest.enabled`).
    pub digest: bool,
    /// Whether snapshots end with the last zxid (`serializeLastProcessedZxid.enabled`).
    pub last_zxid_in_snapshot: bool,
    /// Whether a log without a snapshot is believed (`snapshot.trust.empty`).
    pub trust_empty: bool,
    /// Whether a member with an empty disk may vote (`db.autocreate`).
    pub autocreate: bool,
}

/// The election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// Milliseconds to connect to a peer (`cnxTimeout`).
    pub connect_timeout: u64,
    /// Milliseconds between repeated votes, from and to.
    pub notification_interval: (u64, u64),
    /// Milliseconds that a leader waits for followers, if set
    /// (`leader.maxTimeToWaitForEpoch`).
    pub max_wait_for_epoch: Option<u64>,
    /// Listen on all addresses instead of the configured one (`quorumListenOnAllIPs`).
    pub listen_on_all: bool,
}

/// What is allowed to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// ACLs are not checked (`skipACL=yes`).
    pub skip_acl: bool,
    /// `user:base64(sha1(user:password))` of the superuser
    /// (`DigestAuthenticationProvider.superDigest`).
    pub super_digest: Option<String>,
    /// TTL znodes are allowed (`extendedTypesEnabled`).
    pub extended_types: bool,
    /// TTL znodes that 3.5.3 made are TTL znodes (`emulate353TTLNodes`).
    pub emulate_353: bool,
    /// What goes beyond a hard quota is refused (`enforceQuota`).
    pub enforce_quota: bool,
    /// Clients may change the membership (`reconfigEnabled`).
    pub reconfig: bool,
    /// Four-letter words answered (`4lw.commands.whitelist`).
    pub words: Words,
}

/// Four-letter words answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// `*`.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Words {
    /// Whether this one is answered.
    #[must_use]
    pub fn allow(&self, word: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(words) => words.contains(word),
        }
    }
}

/// Where people and monitors look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// `/commands`, `/live` and `/ready` (`admin.serverAddress`, `admin.serverPort`), unless
    /// `admin.enableServer=false`.
    pub http: Option<Address>,
    /// `/metrics` (`metricsProvider.httpHost`, `httpPort`), if a metrics provider is named.
    pub metrics: Option<Address>,
}

/// A setting without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it stands.
    pub line: usize,
    /// Its key.
    pub key: String,
    /// Why it has no effect.
    pub why: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.key, self.why)
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A setting cannot work.
    #[error("{}:{line}: {key}: {why}", file.display())]
    Setting {
        /// The file.
        file: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// The key.
        key: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// A setting is missing.
    #[error("{}: {key} is missing: {why}", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// What to write.
        why: String,
    },
    /// `myid` is not one of the ensemble.
    #[error("{}: {why}", file.display())]
    Id {
        /// The `myid` file.
        file: PathBuf,
        /// What is wrong, and what would be right.
        why: String,
    },
}

impl Config {
    /// Reads a `zoo.cfg`, the dynamic configuration that it names, and `myid`.
    ///
    /// # Errors
    /// If a file cannot be read, or says what cannot work.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        build::config(file, &read(file)?)
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file).map_err(|source| ConfigError::Read {
        file: file.to_owned(),
        source,
    })
}
