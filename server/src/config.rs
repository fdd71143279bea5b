//! A member's configuration: an Apache `zoo.cfg` and `myid`, read unchanged.
//!
//! Start with [`Config::load`]. A setting that cannot work is refused with file, line and reason;
//! a key without meaning here is a [`Warning`], since Apache takes any key as a system property.
//! `keys` says what each key means, `build` turns settings into a [`Config`]; settings may also
//! come from the command line and the environment ([`Overrides`]).

mod build;
pub(crate) mod keys;
mod numbers;
mod overrides;
mod properties;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use member::LocalSessions;
use tree::acl::Schemes;
use txnlog::Compression;
use wire::PeerId;
use wire::config::{Address, EnsembleConfig};

pub use self::overrides::{OverrideError, Overrides};

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
    /// Whether sessions are of one member only, to begin with.
    pub local_sessions: LocalSessions,
    /// Clients may read while there is no quorum (`readonlymode.enabled`).
    pub read_only: bool,
    /// Whether clients are served while this member leads (`leaderServes`).
    pub leader_serves: bool,
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
    /// All that was set, and what it means.
    pub given: Vec<Given>,
    /// Settings without effect, and why.
    pub warnings: Vec<Warning>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its key, without `zookeeper.` before it.
    pub key: String,
    /// As it stands.
    pub value: String,
    /// Where.
    pub origin: Origin,
    /// Whether it is as it says.
    pub is_honoured: bool,
    /// What it means, or why it has no effect.
    pub effect: String,
}

impl Given {
    /// The value, unless it is a secret.
    #[must_use]
    pub fn shown(&self) -> &str {
        if keys::is_secret(&self.key) {
            "(secret)"
        } else {
            &self.value
        }
    }
}

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In the file, counted from 1.
    Line(usize),
    /// In this environment variable.
    Variable(String),
    /// On the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag => f.write_str("command line"),
        }
    }
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
    /// Requests under way before clients that have some are no longer read
    /// (`globalOutstandingLimit`), if there is such a limit besides the one in bytes.
    pub outstanding: Option<usize>,
    /// Milliseconds that a connection may take to ask for a session
    /// (`nio.sessionlessCnxnTimeout`).
    pub sessionless: u64,
    /// Clients that are gone without a word are found out by the system (`clientTcpKeepAlive`).
    pub keep_alive: bool,
    /// How fast connections are taken.
    pub connecting: Connecting,
    /// Requests that are held back or refused while there is much to do.
    pub throttle: Throttle,
}

/// How fast connections are taken (`connection_throttle_*`).
#[derive(Clone, Debug, PartialEq)]
pub struct Connecting {
    /// Tokens that the bucket holds, 0 for no limit.
    pub tokens: u32,
    /// Milliseconds until it gets more.
    pub fill_time: u64,
    /// How many it gets.
    pub fill_count: u32,
    /// Milliseconds between two changes of the probability of refusing at random, -1 for never.
    pub freeze_time: i64,
    /// What is added to that probability when the bucket gets emptier.
    pub drop_increase: f64,
    /// What is taken from it when it gets fuller.
    pub drop_decrease: f64,
    /// A share of connections between which it stays the same.
    pub decrease_ratio: f64,
    /// Tokens that a new session, a renewed one and a local one take, if that matters.
    pub weights: Option<(u32, u32, u32)>,
}

// None of its numbers is NaN.
impl Eq for Connecting {}

/// Requests that are held back or refused while there is much to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Requests under way beyond which no client is read (`request_throttle_max_requests`),
    /// 0 for the member's own limits only.
    pub requests: usize,
    /// Milliseconds between two looks whether a client is read again
    /// (`request_throttle_stall_time`).
    pub stall: u64,
    /// Milliseconds after which a request that still waits is refused with `THROTTLEDOP`
    /// (`throttled_op_wait_time`), 0 for never.
    pub wait: u64,
    /// Bytes from which on a request is a large one (`largeRequestThreshold`), if any is.
    pub large_from: Option<usize>,
    /// Bytes of all large requests under way beyond which one more closes its connection
    /// (`largeRequestMaxBytes`).
    pub large_bytes: usize,
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
    /// Log bytes without which no snapshot is written for its number of transactions, as a share
    /// of the last one's size (`snapshot.logFactor`, a key of ours), in percent.
    pub snapshot_log_percent: u64,
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
    /// How snapshots are compressed (`snapshot.compression.method`).
    pub compression: Compression,
    /// Whether a log without a snapshot is believed (`snapshot.trust.empty`).
    pub trust_empty: bool,
    /// Whether a member with an empty disk may vote (`db.autocreate`).
    pub autocreate: bool,
    /// Milliseconds from which on a sync of the log is warned of (`fsync.warningthresholdms`).
    pub slow_sync: u64,
    /// Milliseconds between two looks for containers to collect
    /// (`znode.container.checkIntervalMs`).
    pub container_interval: u64,
    /// Containers collected in a minute (`znode.container.maxPerMinute`).
    pub containers_per_minute: u64,
    /// Milliseconds that a container may stay without ever having had a child, 0 for ever
    /// (`znode.container.maxNeverUsedIntervalMs`).
    pub container_never_used: i64,
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
    /// Permissions are looked at before a request goes to the leader, too
    /// (`enableEagerACLCheck`).
    pub eager_acl_check: bool,
    /// Who clients may be, and must be.
    pub schemes: Schemes,
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
    /// The AdminServer (`admin.serverAddress`, `admin.serverPort`), unless
    /// `admin.enableServer=false`.
    pub http: Option<Address>,
    /// The path of its commands (`admin.commandURL`).
    pub commands: String,
    /// Whether `snapshot` is served (`admin.snapshot.enabled`).
    pub snapshot: bool,
    /// Whether `restore` is served (`admin.restore.enabled`).
    pub restore: bool,
    /// Milliseconds between two snapshots asked for, and between two that are restored
    /// (`admin.rateLimiterIntervalInMS`).
    pub pause: u64,
    /// How long nothing may move on a monitor's connection (`admin.idleTimeout`).
    pub idle: Duration,
    /// `/metrics` (`metricsProvider.httpHost`, `httpPort`), if a metrics provider is named.
    pub metrics: Option<Address>,
    /// Counters are shown with `_total` at the end, as from Apache 3.10 on
    /// (`metricsProvider.totalNames`).
    pub total_names: bool,
    /// Changes are logged with who made them (`audit.enable`).
    pub audit: bool,
}

/// A setting without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it stands.
    pub origin: Origin,
    /// Its key.
    pub key: String,
    /// Why it has no effect.
    pub why: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.key, self.why)
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
    #[error("{}: {key}: {why}", place(file, origin))]
    Setting {
        /// The file.
        file: PathBuf,
        /// Where.
        origin: Origin,
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

fn place(file: &Path, origin: &Origin) -> String {
    match origin {
        Origin::Line(line) => format!("{}:{line}", file.display()),
        elsewhere => elsewhere.to_string(),
    }
}

impl Config {
    /// Reads a `zoo.cfg`, the dynamic configuration that it names, and `myid`.
    ///
    /// # Errors
    /// If a file cannot be read, or what is set there or by `overrides` cannot work.
    pub fn load(file: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::parse(file, &read(file)?, overrides)
    }

    /// The same of a `zoo.cfg` that was read: this is its text.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(file: &Path, text: &str, overrides: &Overrides) -> Result<Self, ConfigError> {
        build::config(file, text, overrides)
    }
}

/// What is no UTF-8 is Latin 1, as which Java reads properties: an old file may have comments in it.
fn read(file: &Path) -> Result<String, ConfigError> {
    let bytes = std::fs::read(file).map_err(|source| ConfigError::Read {
        file: file.to_owned(),
        source,
    })?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect()))
}
