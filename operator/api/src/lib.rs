//! What people, operator and sidecar say to each other.
//!
//! Start in [`cluster`]: [`ZooKeeperCluster`] is the one resource a person writes. [`status`] and
//! [`condition`] are what the operator writes back, [`sidecar`] is what operator and sidecar say
//! over the order port, [`member`] and [`ensemble`] are the words all of them share, and
//! [`manifest`] judges a file as an API server would, for platforms that have none.
//!
//! Invariants:
//! - the schema of `v1alpha1` changes only by addition;
//! - of the spec `replicas` alone has a schema default; every other default is resolved by
//!   `plan::validate` and never stored in anybody's spec;
//! - a [`MemberId`] is 1 + ordinal for voters and 101 + ordinal for observers, at most 254;
//! - `crds/` holds exactly what [`crd::yaml`] returns (a test compares them).
//!
//! Observers will scale through a resource of their own, `ZooKeeperObservers`, which will stand
//! beside [`cluster`] and name a `ZooKeeperCluster`; [`MemberId::observer`] is there already.
//!
//! This crate does not know how anything is reached, started or decided: no client, no socket.

// What KubeSchema expands to declares `pub` structs inside functions.
#![allow(unreachable_pub)]

pub mod cluster;
pub mod condition;
pub mod crd;
pub mod ensemble;
pub mod manifest;
pub mod member;
pub mod sidecar;
pub mod status;

pub use cluster::{ZooKeeperCluster, ZooKeeperClusterSpec};
pub use condition::{Condition, ConditionStatus, ConditionType, Reason};
pub use ensemble::EnsembleConfig;

pub use manifest::{Invalid, validate_manifest, validate_update};
pub use member::{Kind, MemberAddress, MemberId};
pub use sidecar::Term;
pub use status::ZooKeeperClusterStatus;

/// Group of the resources.
pub const GROUP: &str = "ferrokeeper.io";

/// Annotation that names granted volumes, by their `volume.id` and comma-separated, that were lost
/// before the ensemble's first committed configuration, and so confirms that the birth may go on
/// with the volumes that are there now. It has no effect on any other volume or at any other time.
pub const RESET_BIRTH: &str = "ferrokeeper.io/reset-birth";

/// Label that names the ensemble an object belongs to.
pub const CLUSTER_LABEL: &str = "ferrokeeper.io/cluster";

/// Label that says what a member is for: `voter` or `observer`.
pub const ROLE_LABEL: &str = "ferrokeeper.io/role";

/// Label that holds a member's id.
pub const MEMBER_LABEL: &str = "ferrokeeper.io/member";
