//! The sidecars' certificate: a Secret that is written and never read.

use std::fmt;

use api::ZooKeeperCluster;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use plan::Desired;
use serde_json::Value;

use super::compare::applicable;
use super::objects::certificate;
use super::observe::World;
use super::pods::awaits_volumes_since;
use super::refusal::{Written, written};
use super::{FIELD_MANAGER, Kubernetes};
use crate::platform::{PlatformError, Seen};

/// Why a certificate was not signed.
pub type SignError = Box<dyn std::error::Error + Send + Sync>;

/// Signs certificates for the sidecars' order ports.
pub trait Authority: fmt::Debug + Send + Sync {
    /// A new certificate for these DNS names; one may be a wildcard. It must not be taken for the
    /// operator's.
    ///
    /// # Errors
    /// If it cannot be made; the cause is shown to people.
    fn issue(&self, names: &[String]) -> Result<Issued, SignError>;
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

/// A pod that waits for its volumes so long may be missing the Secret.
const MISSED_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// While a pod waits, the Secret is written again after so long.
const WRITTEN_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// What a failure to sign is remembered by.
const SIGNED: &str = "certificate";

/// What this process has issued for an ensemble.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Uid of the resource that it was issued for.
    uid: String,
    names: Vec<String>,
    issued: Issued,
    written_at: Option<Timestamp>,
    /// The Secret's name is taken.
    taken: bool,
}

impl Kubernetes {
    /// Writes the Secret once in this process' life, when it is due to be renewed, and when a pod
    /// waits for what may be it: it may be created and changed, and not looked at.
    pub(super) async fn keep_certificate(
        &self,
        seen: &Seen<World>,
        desired: &Desired,
    ) -> Result<(), PlatformError> {
        let now = seen.observed.now;
        let wanted_names = vec![self.wildcard(&desired.cluster_domain)];
        let held = self.ensemble.memory.lock().certificate.clone();
        let held = held.filter(|held| {
            held.uid == seen.world.uid && held.names == wanted_names && now < held.issued.renew_at
        });
        let issued = match held {
            Some(held) => Ok(held),
            None => self.issue(seen, wanted_names),
        };
        let mut held = match issued {
            Ok(held) => held,
            Err(error) => {
                let why = format!("the sidecars' certificate cannot be signed: {error}");
                self.remember(SIGNED, Some(why));
                return Ok(());
            }
        };
        self.remember(SIGNED, None);
        let missed = |pod| {
            let since = awaits_volumes_since(pod);
            since.is_some_and(|since| now.duration_since(since) >= MISSED_AFTER)
        };
        let due = held.written_at.is_none_or(|at| {
            let long_ago = now.duration_since(at) >= WRITTEN_EVERY;
            long_ago && seen.world.pods.values().any(missed)
        });
        if !due {
            return Ok(());
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let refused = match self.write_certificate(&held, &params).await? {
            Written::Done(()) => None,
            Written::Refused(refusal) => Some(refusal),
        };
        held.taken = refused.as_ref().is_some_and(|refusal| refusal.invalid);
        held.written_at = refused.is_none().then_some(now);
        let what = format!("Secret {}", self.ensemble.names.certificate());
        self.remember(&what, refused.map(|refusal| refusal.why));
        self.ensemble.memory.lock().certificate = Some(held);
        Ok(())
    }

    fn issue(&self, seen: &Seen<World>, names: Vec<String>) -> Result<Held, SignError> {
        let issued = self.ensemble.options.authority.issue(&names)?;
        Ok(Held {
            uid: seen.world.uid.clone(),
            names,
            issued,
            written_at: None,
            taken: false,
        })
    }

    /// The Secret, as a conflict, while its name is taken: a Secret of another type refuses what
    /// is applied to it. As it cannot be looked at, a dry run asks whether it still does.
    pub(super) async fn certificate_is_refused(
        &self,
        resource: &ZooKeeperCluster,
    ) -> Option<String> {
        let held = self.ensemble.memory.lock().certificate.clone()?;
        if !held.taken || Some(&held.uid) != resource.metadata.uid.as_ref() {
            return None;
        }
        let params = PatchParams::apply(FIELD_MANAGER).force().dry_run();
        match self.write_certificate(&held, &params).await {
            Ok(Written::Refused(_)) | Err(_) => {
                Some(format!("Secret {}", self.ensemble.names.certificate()))
            }
            Ok(Written::Done(())) => None,
        }
    }

    async fn write_certificate(
        &self,
        held: &Held,
        params: &PatchParams,
    ) -> Result<Written<()>, PlatformError> {
        let names = &self.ensemble.names;
        let secret: Value = applicable(&certificate(names, &held.uid, &held.issued));
        let name = names.certificate();
        let secrets = self.api::<Secret>();
        let answer = secrets.patch(&name, params, &Patch::Apply(&secret)).await;
        written(&format!("Secret {name}"), answer.map(drop))
    }

    /// Covers the names of all members, those to come included.
    fn wildcard(&self, cluster_domain: &str) -> String {
        format!("*.{}", self.ensemble.names.domain(cluster_domain))
    }
}
