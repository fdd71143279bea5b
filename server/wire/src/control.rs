//! What a server and the sidecar beside it say to each other, one JSON object a line.
//!
//! The sidecar listens on a Unix socket; the server connects at each start, sends
//! [`FromServer::Report`] and waits for [`ToServer::Boot`]. The connection stays open: orders go
//! down, answers and status go up. If it breaks the server goes on serving and dials again,
//! reporting anew; a sidecar that sees a report with `running: true` sends no boot plan.

use serde::{Deserialize, Serialize};

/// A line from the server to its sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum FromServer {
    /// The first line of each connection.
    Report(BootReport),
    /// Sent each second and at each change of role, once a boot plan was received.
    Status(MemberStatus),
    /// The answer to the order with the same number.
    Done {
        /// The order's number.
        id: u64,
        /// What came of it.
        outcome: Outcome,
    },
}

/// A line from the sidecar to its server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum ToServer {
    /// How to start.
    Boot(BootPlan),
    /// Something to do while running.
    Order {
        /// Chosen by the sidecar, repeated in the answer.
        id: u64,
        /// What to do.
        order: Order,
    },
}

/// What the server found on its volume before it joined anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BootReport {
    /// ferrokeeper's version.
    pub version: String,
    /// Written to `volume.id` when the volume was first seen; never changes.
    pub volume_id: String,
    /// The content of `cluster.id`, if this volume ever belonged to an ensemble.
    pub cluster_id: Option<String>,
    /// No log, no snapshot, no epoch: nothing was ever promised from this volume.
    pub empty: bool,
    /// Greatest epoch this member promised to, 0 if none.
    pub accepted_epoch: u32,
    /// Epoch of the last leader this member followed to the end of discovery, 0 if none.
    pub current_epoch: u32,
    /// Last zxid in the log or snapshot, 0 if none.
    pub last_zxid: u64,
    /// The last committed configuration found on the volume, as ZooKeeper's text.
    pub config: Option<String>,
    /// Why this volume must not start, if a park mark is on it.
    pub parked: Option<String>,
    /// The server is already serving: this is a reconnection, no boot plan is awaited.
    pub running: bool,
}

/// How the server is to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BootPlan {
    /// Start as a member of `config`, from what is on disk.
    #[serde(rename_all = "camelCase")]
    Start {
        /// Written to `cluster.id` if absent, compared if present.
        cluster_id: String,
        /// The ensemble as ZooKeeper's dynamic configuration text; the newer of this and the
        /// one on disk counts.
        config: String,
        /// The volume is empty and this is the ensemble's legitimate first boot: the member may
        /// vote from an empty disk.
        birth: bool,
    },
    /// Start as a non-voting follower of the ensemble in `config`, which may or may not list
    /// this member; it never votes before it is synced.
    #[serde(rename_all = "camelCase")]
    Join {
        /// As in `Start`.
        cluster_id: String,
        /// As in `Start`.
        config: String,
    },
    /// Do not start. The reason is logged and written to the park mark.
    Park {
        /// For people.
        reason: String,
    },
}

/// Something for a running server to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    /// Drain and end with status 0.
    Stop,
    /// Become unready, hand leadership over if leading, shed client connections.
    Drain,
    /// Undo `Drain`.
    Undrain,
    /// Hand leadership to `to`, or to the most advanced voter.
    Yield {
        /// Member id of the successor.
        to: Option<i64>,
    },
    /// Change the membership, conditional on the committed version, and prove the change active
    /// by a no-op write.
    #[serde(rename_all = "camelCase")]
    Reconfig {
        /// The committed configuration's version, hexadecimal.
        expected_version: String,
        /// `server.N=…` lines to add or change.
        joining: Vec<String>,
        /// Member ids to remove.
        leaving: Vec<i64>,
    },
    /// Write a snapshot now.
    Snapshot,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Carried out; the text is for people (for `Reconfig` the active version).
    Done(String),
    /// Not carried out, observe again.
    Refused(String),
}

/// A member's part in the ensemble, as `srvr` and the operator name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// In an election, or not yet in one.
    Looking,
    /// Synced to a leader, as voter or as non-voting follower.
    Follower,
    /// Leading with a quorum.
    Leader,
    /// Synced to a leader as an observer.
    Observer,
    /// A quorum of one without peers.
    Standalone,
}

/// What a running server says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Its part in the ensemble.
    pub role: Role,
    /// Serving requests in a quorum, and not draining.
    pub ready: bool,
    /// Draining.
    pub draining: bool,
    /// Epoch it serves in, 0 before the first.
    pub epoch: u32,
    /// Last zxid applied.
    pub last_zxid: u64,
    /// Last zxid known to be committed.
    pub committed_zxid: u64,
    /// The leader's member id, if known.
    pub leader: Option<i64>,
    /// On the leader: members synced to it, itself included. Empty elsewhere.
    pub synced: Vec<i64>,
    /// The committed configuration's version, hexadecimal.
    pub config_version: String,
    /// The committed configuration, as ZooKeeper's text.
    pub config: String,
    /// Sessions known to the ensemble.
    pub sessions: u64,
    /// Client connections of this member.
    pub connections: u64,
}
