//! One operator acts, the others stand by: a `coordination.k8s.io` Lease says which.
//!
//! Whether a holder is still there is judged by this machine's own monotonic clock: a Lease that
//! did not change for as long as it promises is free. What its holder wrote as time is for people.
//! A deposed operator may still be acting for a moment: orders are fenced by the term in the
//! status, writes by the version that they were planned on, not by this.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{info, warn};

/// Who does not renew for so long has lost the Lease.
const DURATION: Duration = Duration::from_secs(15);

/// A third of it, so that two attempts may fail.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// A holder that could not renew for so long stops: three seconds before anybody else may begin,
/// since others count from when they saw the renewal and this one from when it was sent.
const STOP_AFTER: Duration = Duration::from_secs(12);

/// Between two looks, and after a failed attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// An API server that takes longer is tried again.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// A Lease that this process would like to hold.
#[derive(Clone, Debug)]
pub struct Lease {
    api: Api<Object>,
    name: String,
    identity: String,
}

/// A Lease that this process holds until [`Held::keep`] ends.
#[derive(Debug)]
pub struct Held {
    lease: Lease,
    object: Object,
    /// When the last renewal that succeeded was sent.
    renewed: Instant,
}

/// What an observer sees of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Another process holds the Lease.
    Behind(String),
    /// The API server does not answer, or refuses.
    Blind,
}

/// Why a Lease is not held any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Somebody else has it.
    #[error("the Lease was taken by {0}")]
    Taken(String),
    /// It was deleted.
    #[error("the Lease was deleted")]
    Deleted,
    /// It could not be renewed in time.
    #[error("the Lease could not be renewed for {STOP_AFTER:?}: {0}")]
    Silence(String),
}

/// When an unchanged Lease was first seen.
#[derive(Default)]
struct Sighting {
    version: Option<String>,
    since: Option<Instant>,
}

impl Lease {
    /// The Lease of this name, for a holder of this name. Names of processes that run at the same
    /// time must differ.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
        }
    }

    /// Waits until it is held, however long the API server is away; `report` hears of whom it
    /// waits for.
    pub async fn take(&self, report: impl Fn(&Standing)) -> Held {
        let mut sighting = Sighting::default();
        let mut before = None;
        loop {
            let now = Instant::now();
            let standing = match timeout_at(now + ANSWER_WITHIN, self.attempt(&mut sighting)).await
            {
                Ok(Ok(Ok(object))) => {
                    info!(lease = self.name, identity = self.identity, "leading");
                    return Held {
                        lease: self.clone(),
                        object,
                        renewed: now,
                    };
                }
                Ok(Ok(Err(holder))) => Standing::Behind(holder),
                Ok(Err(error)) => {
                    if before != Some(Standing::Blind) {
                        warn!(%error, lease = self.name, "the Lease cannot be read or taken yet");
                    }
                    Standing::Blind
                }
                Err(_) => Standing::Blind,
            };
            if before.as_ref() != Some(&standing) {
                info!(?standing, lease = self.name, "standing by");
                report(&standing);
                before = Some(standing);
            }
            sleep(PAUSE).await;
        }
    }

    /// Takes the Lease if nobody holds it; otherwise answers who does.
    async fn attempt(&self, sighting: &mut Sighting) -> Result<Result<Object, String>, Error> {
        let Some(found) = self.api.get_opt(&self.name).await? else {
            let made = self.object(ObjectMeta::default(), 0);
            return match self.api.create(&PostParams::default(), &made).await {
                Err(error) if is_conflict(&error) => Ok(Err("somebody who was quicker".into())),
                created => created.map(Ok),
            };
        };
        let holder = holder(&found).to_owned();
        // What a process of this name left behind is free: it has ended, since names differ.
        let free = holder.is_empty() || holder == self.identity;
        if !free && !sighting.has_lapsed(&found, Instant::now()) {
            return Ok(Err(holder));
        }
        let taken = self.object(found.metadata.clone(), transitions(&found) + 1);
        match self
            .api
            .replace(&self.name, &PostParams::default(), &taken)
            .await
        {
            Err(error) if is_conflict(&error) => Ok(Err("somebody who was quicker".into())),
            replaced => replaced.map(Ok),
        }
    }

    fn object(&self, metadata: ObjectMeta, transitions: i32) -> Object {
        let now = MicroTime(Timestamp::now());
        Object {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                managed_fields: None,
                ..metadata
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }
}

impl Held {
    /// Renews until that fails for good.
    pub async fn keep(&mut self) -> Lost {
        let mut next = self.renewed + RENEW_EVERY;
        let mut failure = String::from("no answer");
        loop {
            let stop = self.renewed + STOP_AFTER;
            sleep_until(next.min(stop)).await;
            let sent = Instant::now();
            if sent >= stop {
                return Lost::Silence(failure);
            }
            match timeout_at(stop.min(sent + ANSWER_WITHIN), self.renew()).await {
                Ok(Ok(None)) => {
                    self.renewed = sent;
                    next = sent + RENEW_EVERY;
                }
                Ok(Ok(Some(lost))) => return lost,
                Ok(Err(error)) => {
                    warn!(%error, "the Lease was not renewed");
                    failure = error.to_string();
                    next = Instant::now() + PAUSE;
                }
                Err(_) => {
                    warn!("the Lease was not renewed: no answer");
                    next = Instant::now() + PAUSE;
                }
            }
        }
    }

    /// Renews once; answers how the Lease was lost, if it was.
    async fn renew(&mut self) -> Result<Option<Lost>, Error> {
        let mut renewed = self.object.clone();
        renewed.metadata.managed_fields = None;
        if let Some(spec) = &mut renewed.spec {
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        let Lease { api, name, .. } = &self.lease;
        let error = match api.replace(name, &PostParams::default(), &renewed).await {
            Ok(object) => {
                self.object = object;
                return Ok(None);
            }
            Err(error) => error,
        };
        let gone = matches!(&error, Error::Api(status) if status.is_not_found());
        if !gone && !is_conflict(&error) {
            return Err(error);
        }
        // A renewal whose answer was lost looks like this as well.
        let Some(found) = api.get_opt(name).await? else {
            return Ok(Some(Lost::Deleted));
        };
        if holder(&found) != self.lease.identity || transitions(&found) != transitions(&self.object)
        {
            return Ok(Some(Lost::Taken(holder(&found).to_owned())));
        }
        self.object = found;
        Err(error)
    }

    /// Gives the Lease back, so that the next holder need not wait for it to lapse. Best effort.
    pub async fn release(mut self) {
        let Lease { api, name, .. } = &self.lease;
        self.object.metadata.managed_fields = None;
        if let Some(spec) = &mut self.object.spec {
            spec.holder_identity = None;
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        let parameters = PostParams::default();
        let released = api.replace(name, &parameters, &self.object);
        match timeout_at(Instant::now() + ANSWER_WITHIN, released).await {
            Ok(Ok(_)) => info!(lease = name, "released"),
            Ok(Err(error)) => warn!(%error, lease = name, "not released; it lapses by itself"),
            Err(_) => warn!(lease = name, "not released in time; it lapses by itself"),
        }
    }
}

impl Sighting {
    /// True if the Lease has not changed for as long as its holder promised to renew it.
    fn has_lapsed(&mut self, found: &Object, now: Instant) -> bool {
        let version = &found.metadata.resource_version;
        let since = match self.since {
            Some(since) if self.version == *version => since,
            _ => {
                self.version.clone_from(version);
                *self.since.insert(now)
            }
        };
        let promised = found
            .spec
            .as_ref()
            .and_then(|spec| spec.lease_duration_seconds)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(DURATION, Duration::from_secs);
        now.duration_since(since) >= promised
    }
}

fn holder(lease: &Object) -> &str {
    let spec = lease.spec.as_ref();
    spec.and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}

fn transitions(lease: &Object) -> i32 {
    let spec = lease.spec.as_ref();
    spec.and_then(|spec| spec.lease_transitions)
        .unwrap_or_default()
}

/// Changed since it was read, or made by somebody else meanwhile.
fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.is_conflict() || status.is_already_exists())
}

#[cfg(test)]
mod tests;
