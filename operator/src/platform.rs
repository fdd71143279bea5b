//! Where an ensemble runs: Kubernetes, or processes on one machine.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;

use api::{MemberId, ZooKeeperCluster, ZooKeeperClusterStatus};
use plan::{Converge, Desired, Observed, Step};

/// What a platform offers to an operator. Every write is conditional on what was observed; a
/// platform never retries one with newer versions by itself.
pub trait Platform: Sync {
    /// What the platform needs to remember of an observation for the writes that follow from it.
    type World: Send + Sync;

    /// Reads the resource and everything that belongs to it, the sidecars' reports excepted.
    fn observe(&self) -> impl Future<Output = Result<Seen<Self::World>, PlatformError>> + Send;

    /// Writes the status, if the resource is still the one that was seen; what was seen then
    /// holds the new status and version.
    fn write_status(
        &self,
        seen: &mut Seen<Self::World>,
        status: ZooKeeperClusterStatus,
    ) -> impl Future<Output = Result<(), PlatformError>> + Send;

    /// Carries out what disrupts nothing, orders to sidecars excepted.
    fn converge(
        &self,
        seen: &Seen<Self::World>,
        desired: &Desired,
        what: &Converge,
    ) -> impl Future<Output = Result<(), PlatformError>> + Send;

    /// Carries out a step, orders to sidecars excepted.
    fn step(
        &self,
        seen: &Seen<Self::World>,
        step: &Step,
    ) -> impl Future<Output = Result<(), PlatformError>> + Send;

    /// Tells people what changed, where the platform has a place for that. Best effort: what is
    /// lost stands in the status as well.
    fn announce(
        &self,
        _seen: &Seen<Self::World>,
        _notices: &[Notice],
    ) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Something that people look for in a list of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Something is wrong.
    pub warning: bool,
    /// In one word, for programs.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// One observation of one ensemble.
#[derive(Clone, Debug)]
pub struct Seen<W> {
    /// The resource as it was read.
    pub resource: ZooKeeperCluster,
    /// For the planner. The platform leaves the reports out.
    pub observed: Observed,
    /// Where each member's sidecar takes orders.
    pub sidecars: BTreeMap<MemberId, Endpoint>,
    /// The platform's own.
    pub world: W,
}

/// An order port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The name that its certificate must bear.
    pub name: String,
    /// Where it is, if the platform knows better than the resolver: a pod that has just been made
    /// anew is not yet in anybody's DNS.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: u16,
}

/// Why a platform did not do something. Each ends the pass; the next one observes anew.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// An object changed after it was read.
    #[error("{0} changed since it was read")]
    Conflict(String),
    /// Not now: a disruption budget, for one.
    #[error("refused for now: {0}")]
    Refused(String),
    /// The platform did not answer.
    #[error("platform")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The resource is gone or on its way out: there is nothing to reconcile any more.
    #[error("{0} is gone")]
    Gone(String),
    /// The plan asks for something that this platform does not know.
    #[error("this platform cannot do that: {0}")]
    Cannot(String),
}
