use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the members. What is left out has ZooKeeper's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.minSessionTimeout) || !has(self.maxSessionTimeout) || \
     self.minSessionTimeout <= self.maxSessionTimeout"
).message("minSessionTimeout must not be above maxSessionTimeout"))]
pub struct MemberConfig {
    /// Milliseconds of one tick, the unit of the limits below; 2000 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 50, max = 60_000))]
    pub tick_time: Option<i32>,
    /// Ticks that a follower has to connect and synchronise; 10 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub init_limit: Option<i32>,
    /// Ticks that a follower may be silent; 5 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub sync_limit: Option<i32>,
    /// Connections that one address may hold to one member, 0 for no limit; 60 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_client_cnxns: Option<i32>,
    /// Shortest session timeout that a client gets, milliseconds; two ticks if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min_session_timeout: Option<i32>,
    /// Longest session timeout that a client gets, milliseconds; twenty ticks if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_session_timeout: Option<i32>,
    /// Removal of old snapshots and logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autopurge: Option<Autopurge>,
    /// Transactions after which a snapshot is written; 100000 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub snap_count: Option<i32>,
    /// Requests that may wait in a member before its clients are throttled; 1000 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub global_outstanding_limit: Option<i32>,
    /// Bytes of the largest request or znode; 1048575 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 134_217_728))]
    pub jute_max_buffer: Option<i32>,
    /// Four-letter words that are answered, or `*`; `srvr` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(regex(pattern = r"^(\*|[a-z]{4})$")))]
    pub four_letter_words: Option<Vec<String>>,
    /// What is logged; `info` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,
    /// How it is logged; `text` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
}

/// Removal of old snapshots and logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Autopurge {
    /// Snapshots that are kept, with the logs they need; 3 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 3, max = 10_000))]
    pub snap_retain_count: Option<i32>,
    /// Hours between two removals, 0 for never; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 8760))]
    pub purge_interval: Option<i32>,
}

/// What is logged; `info` if absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Errors alone.
    Error,
    /// And warnings.
    Warn,
    /// And what happens rarely.
    #[default]
    Info,
    /// And what helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

/// How it is logged; `text` if absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
