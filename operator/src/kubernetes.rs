//! The `kubernetes` platform: a `ZooKeeperCluster` as a StatefulSet, Services and volume claims.
//!
//! Start in [`Kubernetes`], one ensemble seen through one API server. `observe` reads, `objects`
//! builds what there should be, `apply` writes what differs, `pods` puts a pod into the planner's
//! words.
//!
//! Invariants:
//! - every write is conditional on what was read in the same pass, and none is repeated by itself;
//! - an object that this resource does not control is neither applied over nor deleted;
//! - at rest nothing is written: what is there is compared with what there should be, field by
//!   field;
//! - a StatefulSet's `replicas` never falls by accident: what is applied carries the number that
//!   was read, under the version it was read at.

use std::fmt;
use std::sync::Arc;

use api::ZooKeeperClusterStatus;
use api::status::Images;
use jiff::Timestamp;
use kube::Client;
use plan::{Converge, Desired, Step};

use crate::platform::{Notice, Platform, PlatformError, Seen};

/// Field manager of all that is written.
pub const FIELD_MANAGER: &str = "ferrokeeper-operator";

/// One ensemble in a Kubernetes cluster.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    #[expect(dead_code, reason = "filled in next")]
    ensemble: Arc<Ensemble>,
}

#[expect(dead_code, reason = "filled in next")]
#[derive(Debug)]
struct Ensemble {
    namespace: String,
    name: String,
    options: Options,
}

/// What the operator's process gives to all ensembles.
#[derive(Clone, Debug)]
pub struct Options {
    /// Images of an ensemble whose spec names none and whose status has pinned none.
    pub images: Images,
    /// Signs the certificates of the sidecars.
    pub authority: Arc<dyn Authority>,
    /// The uid and gid of all containers and the group of the volumes. `None` where the platform
    /// assigns them and refuses any other.
    pub user: Option<i64>,
}

/// Signs certificates for the sidecars' order ports.
pub trait Authority: fmt::Debug + Send + Sync {
    /// A new certificate for these DNS names; one may be a wildcard. It must not be taken for the
    /// operator's.
    ///
    /// # Errors
    /// If it cannot be made; the cause is shown to people.
    fn issue(&self, names: &[String]) -> Result<Issued, Box<dyn std::error::Error + Send + Sync>>;
}

/// A certificate for the sidecars of one ensemble; PEM.
#[derive(Clone)]
pub struct Issued {
    /// The authority that signs for all.
    pub authority: String,
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// When another one is to be asked for.
    pub renew_at: Timestamp,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { renew_at, .. } = self;
        f.debug_struct("Issued")
            .field("renew_at", renew_at)
            .finish_non_exhaustive()
    }
}

impl Kubernetes {
    /// The ensemble `namespace`/`name`. All requests go through `client`, which must not repeat
    /// any by itself (`kube::Config::default_retry` is to be false): a write that was carried out
    /// and not answered is observed, not repeated.
    #[must_use]
    pub fn new(_client: Client, namespace: &str, name: &str, options: Options) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let ensemble = Ensemble {
            namespace,
            name,
            options,
        };
        Self {
            ensemble: Arc::new(ensemble),
        }
    }
}

/// What was read of an ensemble's objects.
#[derive(Clone, Debug, Default)]
pub struct World {}

impl Platform for Kubernetes {
    type World = World;

    async fn observe(&self) -> Result<Seen<World>, PlatformError> {
        Err(PlatformError::Cannot("it is being built".into()))
    }

    async fn write_status(
        &self,
        _seen: &mut Seen<World>,
        _status: ZooKeeperClusterStatus,
    ) -> Result<(), PlatformError> {
        Err(PlatformError::Cannot("it is being built".into()))
    }

    async fn converge(
        &self,
        _seen: &Seen<World>,
        _desired: &Desired,
        _what: &Converge,
    ) -> Result<(), PlatformError> {
        Err(PlatformError::Cannot("it is being built".into()))
    }

    async fn step(&self, _seen: &Seen<World>, _step: &Step) -> Result<(), PlatformError> {
        Err(PlatformError::Cannot("it is being built".into()))
    }

    async fn announce(&self, _seen: &Seen<World>, _notices: &[Notice]) {}
}
