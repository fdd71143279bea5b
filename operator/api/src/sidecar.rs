//! The sidecar's order port: `GET /v1/status` and `POST /v1/orders`, JSON over mutual TLS.
//!
//! The operator is the only client that may give orders; the certificate's name says so. An order
//! carries the operator's term; a sidecar keeps the highest it ever saw on the member's volume
//! and refuses lower ones. Orders are idempotent by `(term, operation_id)`: asked again, a
//! sidecar answers as before and does nothing.
//!
//! Within `v1` fields are only added, and a reader ignores what it does not know. An operator
//! drives sidecars of its own and of the previous [`API_VERSION`].

use std::fmt;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use wire::control::{BootPlan, BootReport, MemberStatus};

use crate::{ensemble::EnsembleConfig, member::MemberId};

/// Version of this interface.
pub const API_VERSION: u32 = 1;
/// Path of [`SidecarStatus`].
pub const STATUS_PATH: &str = "/v1/status";
/// Path that takes an [`OrderRequest`] and answers with an [`OrderResponse`].
pub const ORDERS_PATH: &str = "/v1/orders";

/// The only name whose orders are obeyed: a DNS name of the client's certificate.
pub const OPERATOR: &str = "ferrokeeper-operator";

/// A fencing term: whoever acts for the ensemble takes a higher one than all before.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for Term {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Term".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "format": "int64", "minimum": 0 })
    }
}

/// What a sidecar sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SidecarStatus {
    /// [`API_VERSION`] of the sidecar.
    pub api_version: u32,
    /// The sidecar's own version.
    pub version: String,
    /// The member it stands beside.
    pub member: MemberId,
    /// Highest term seen; kept on the volume.
    pub term: Term,
    /// What the server's process does.
    pub server: ServerState,
    /// What the server found on its volume when it last started; absent until it ever connected.
    pub volume: Option<BootReport>,
    /// What the running server says of itself; absent unless `server` is `Running`, and shortly
    /// after a start.
    pub status: Option<MemberStatus>,
    /// The cluster id of the grant that this volume received, if it did. Kept on the volume.
    pub granted: Option<String>,
    /// The last order that was accepted, and what came of it.
    pub last_order: Option<OrderRecord>,
}

/// What a server's process does, as its sidecar sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum ServerState {
    /// No server has connected since the sidecar started. Not a proof that none runs.
    NotSeen,
    /// It has reported what is on its disk, and waits.
    WaitingForPlan,
    /// It was told to start, or was already running when the sidecar started.
    Running,
    /// It was told to park, and does not serve.
    Parked {
        /// For people.
        why: String,
    },
    /// Its connection broke and its process is known to be gone.
    #[serde(rename_all = "camelCase")]
    Down {
        /// Since when.
        since: Timestamp,
        /// Its exit status or signal, for people, if known.
        exit: Option<String>,
    },
    /// Its connection broke; whether it still serves is not known.
    #[serde(rename_all = "camelCase")]
    Lost {
        /// Since when.
        since: Timestamp,
    },
}

/// An order and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRecord {
    /// Under which term it was given.
    pub term: Term,
    /// The operation that it belongs to.
    pub operation_id: String,
    /// What came of it.
    pub response: OrderResponse,
}

/// An order from the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRequest {
    /// The operator's term.
    pub term: Term,
    /// Chosen by the operator. One id names one order to one member; the same id with another
    /// order is refused.
    pub operation_id: String,
    /// What to do.
    pub order: Order,
}

/// What a sidecar can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Order {
    /// First start of an ensemble: start as a voter from an empty volume. Refused unless the
    /// waiting server's volume is `volume_id`, empty, and of no other cluster.
    #[serde(rename_all = "camelCase")]
    Grant {
        /// The ensemble's new id.
        cluster_id: String,
        /// The volume that this grant is for.
        volume_id: String,
        /// All first members, as ZooKeeper's dynamic configuration text.
        config: String,
    },
    /// Start as a known member, from what is on disk.
    #[serde(rename_all = "camelCase")]
    Start {
        /// Must be what is on the volume.
        cluster_id: String,
        /// The volume that this order is for.
        volume_id: String,
        /// The newest committed configuration known, as text.
        config: String,
    },
    /// Start without a vote and synchronise; the server never votes before it is synced.
    #[serde(rename_all = "camelCase")]
    Join {
        /// Written to the volume if it has none, else compared.
        cluster_id: String,
        /// The volume that this order is for.
        volume_id: String,
        /// The newest committed configuration known, as text.
        config: String,
    },
    /// Do not start until told otherwise. Refused while the server runs.
    #[serde(rename_all = "camelCase")]
    Park {
        /// The volume that this order is for.
        volume_id: String,
        /// For people; written to the volume's park mark.
        reason: String,
    },
    /// Drain, then end the server with status 0.
    Stop,
    /// Become unready, hand leadership over, shed clients.
    #[serde(rename_all = "camelCase")]
    Drain {
        /// Milliseconds that it may take.
        within_ms: u64,
    },
    /// Undo `Drain`.
    Undrain,
    /// Hand leadership over.
    Yield {
        /// To whom; to the most advanced voter if absent.
        to: Option<MemberId>,
    },
    /// Change the membership, if the committed version is still the expected one; done when a
    /// no-op write has proven the new one active.
    #[serde(rename_all = "camelCase")]
    Reconfig {
        /// The committed configuration's version, hexadecimal.
        expected_version: String,
        /// `server.N=…` lines to add or to change.
        joining: Vec<String>,
        /// Members to remove.
        leaving: Vec<MemberId>,
    },
    /// Write a snapshot now.
    Snapshot,
}

/// What a sidecar answers to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum OrderResponse {
    /// Understood and begun; ask again with the same id, or observe.
    Accepted,
    /// Carried out.
    Done {
        /// For people; for `Reconfig` the active version.
        text: String,
    },
    /// Somebody with a higher term gives the orders.
    RefusedTerm {
        /// The higher term.
        seen: Term,
    },
    /// Not carried out: observe again.
    Refused {
        /// For people.
        why: String,
    },
}

impl SidecarStatus {
    /// The volume's id.
    pub fn volume_id(&self) -> Option<&str> {
        self.volume.as_ref().map(|v| v.volume_id.as_str())
    }

    /// The ensemble that the volume belongs to, or that it was granted to.
    pub fn cluster_id(&self) -> Option<&str> {
        let on_volume = self.volume.as_ref().and_then(|v| v.cluster_id.as_deref());
        on_volume.or(self.granted.as_deref())
    }

    /// What is said of the volume still holds: its server waits, or runs and says what it did
    /// since. A server that has ended may have written anything after it reported.
    pub fn volume_is_current(&self) -> bool {
        self.volume.is_some()
            && match self.server {
                ServerState::WaitingForPlan => true,
                ServerState::Running => self.status.is_some(),
                ServerState::NotSeen
                | ServerState::Parked { .. }
                | ServerState::Down { .. }
                | ServerState::Lost { .. } => false,
            }
    }

    /// The newest committed configuration that this member knows, from its server or its disk.
    /// Version 0 is the list an ensemble is born with and not yet committed: not returned.
    pub fn committed_config(&self) -> Option<EnsembleConfig> {
        let running = self.status.as_ref().map(|s| s.config.as_str());
        let on_disk = self.volume.as_ref().and_then(|v| v.config.as_deref());
        [running, on_disk]
            .into_iter()
            .flatten()
            .filter_map(|text| EnsembleConfig::parse(text).ok())
            .filter(|config| config.version > 0)
            .max_by_key(|config| config.version)
    }

    /// It promised something to a leader at least once: an ensemble that includes it may exist.
    /// The snapshot that a first member writes before its first election promises nothing.
    pub fn has_promised(&self) -> bool {
        let on_disk = self
            .volume
            .as_ref()
            .is_some_and(|v| v.accepted_epoch > 0 || v.current_epoch > 0 || v.last_zxid > 0);
        on_disk
            || self.status.as_ref().is_some_and(|s| s.epoch > 0)
            || self.committed_config().is_some()
    }

    /// It may have promised something, or holds data of whatever kind: nobody is born over it.
    pub fn has_followed(&self) -> bool {
        self.has_promised() || self.volume.as_ref().is_some_and(|v| !v.empty)
    }
}

/// The plan for a known member that restarts while no operator can be asked: from its own disk,
/// if that holds data of an ensemble whose configuration lists it and nothing forbids the start.
///
/// Safe without an operator because nothing is decided: a member that was removed meanwhile is
/// not listed by the others and takes no part in their quorums.
pub fn start_alone(member: MemberId, volume: &BootReport) -> Option<BootPlan> {
    let cluster_id = volume.cluster_id.clone()?;
    let config = volume.config.clone()?;
    let listed = EnsembleConfig::parse(&config)
        .ok()?
        .members
        .contains_key(&member);
    (listed && !volume.empty && volume.parked.is_none()).then_some(BootPlan::Start {
        cluster_id,
        config,
        birth: false,
    })
}

#[cfg(test)]
mod tests;
