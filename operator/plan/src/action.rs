//! What a pass results in.

use std::time::Duration;

use api::{MemberId, Term, ZooKeeperClusterStatus, sidecar::OrderRequest};

/// What one pass decides. The operator first writes `status`, conditional on the version that it
/// planned on, if it differs from the one read; then it carries out `converge` and `step`. A
/// failure or conflict anywhere ends the pass, and the next one plans anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What disrupts nothing. Done in each pass, in this order.
    pub converge: Vec<Converge>,
    /// What can disrupt, or may happen once only. At most one.
    pub step: Option<Step>,
    /// The status to be written before anything is done.
    pub status: ZooKeeperClusterStatus,
    /// When to look again at the latest; jitter is the operator's.
    pub requeue_after: Duration,
    /// Another operator has taken this term since: nothing may be written or ordered any more
    /// before leadership is won anew.
    pub superseded: Option<Term>,
}

/// Something that disrupts nothing and can be done again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Converge {
    /// What the members share, and the templates they are made from.
    Shared,
    /// Each of these members has a volume.
    Volumes(Vec<MemberId>),
    /// Each of these members has a process, running or being started.
    Processes(Vec<MemberId>),
    /// Tell a waiting server how to start, or not to.
    Boot(MemberOrder),
}

/// Something that can disrupt or may happen once only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// First start of the ensemble, or what is left of it to be told.
    Birth(Vec<MemberOrder>),
    /// Have a process made anew from the newest template. It is proven not to serve, and it came
    /// from an older one.
    Renew {
        /// The member.
        member: MemberId,
        /// Uid of its process: this incarnation and no other.
        process: String,
    },
    /// Remove a member that no ensemble ever listed, with its volume, which it reported blank in
    /// this pass. The process goes first.
    Dismiss {
        /// The member.
        member: MemberId,
        /// Uid of its process: this incarnation and no other.
        process: String,
        /// Uid of its volume: this one and no other.
        volume: String,
    },
}

/// An order and whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberOrder {
    /// For whom.
    pub member: MemberId,
    /// What.
    pub request: OrderRequest,
}
