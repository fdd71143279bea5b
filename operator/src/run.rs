//! The operator's process in a cluster: one acts, the others stand by.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use api::status::Images;
use jiff::Timestamp;
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::authority::secret::{self, SecretError};
use crate::authority::{Authority, AuthorityError, Holder, LIFE};
use crate::fleet::Fleet;
use crate::kubernetes::Options;
use crate::lease::{Held, Lease, Lost};
use crate::metrics::Metrics;
use crate::reconcile::PassError;
use crate::serve::{self, Part};
use crate::sidecars::{SidecarError, Sidecars};

/// Longest wait for a connection to the API server.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Longest wait between two attempts to read the authority, and between two looks whether the
/// operator's own certificate is to be renewed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How the operator's process is started.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Namespaces to look after, separated by commas; all of them if not given.
    #[arg(
        long,
        value_name = "NAMES",
        env = "FERROKEEPER_NAMESPACES",
        value_delimiter = ','
    )]
    pub namespaces: Vec<String>,
    /// Image of the server, for ensembles that name none.
    #[arg(long, value_name = "IMAGE", env = "FERROKEEPER_SERVER_IMAGE")]
    pub server_image: String,
    /// Image of the sidecar, for ensembles that name none.
    #[arg(long, value_name = "IMAGE", env = "FERROKEEPER_SIDECAR_IMAGE")]
    pub sidecar_image: String,
    /// Uid and gid of the members' containers and group of their volumes; `assigned` where the
    /// platform assigns them and refuses any other, as OpenShift does.
    #[arg(
        long,
        value_name = "UID",
        env = "FERROKEEPER_MEMBER_USER",
        default_value = "65532",
        value_parser = user
    )]
    pub member_user: User,
    /// Namespace of the Lease and of the Secret with the certificate authority; the pod's or the
    /// kubeconfig's if not given.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Name of the Lease. Operators with the same one take turns; the authority's Secret is
    /// NAME-authority.
    #[arg(
        long,
        value_name = "NAME",
        env = "FERROKEEPER_LEASE",
        default_value = "ferrokeeper-operator"
    )]
    pub lease_name: String,
    /// What this process is called in the Lease: another name than any other's. Random if not
    /// given.
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub identity: Option<String>,
    /// Where /live, /ready and /metrics are answered.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "FERROKEEPER_LISTEN",
        default_value = "0.0.0.0:8080"
    )]
    pub listen: SocketAddr,
}

/// Whom the members' containers run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// This one.
    Uid(i64),
    /// Whom the platform assigns.
    Assigned,
}

fn user(text: &str) -> Result<User, String> {
    if text == "assigned" {
        return Ok(User::Assigned);
    }
    match text.parse() {
        Ok(uid @ 1..) => Ok(User::Uid(uid)),
        _ => Err("it is a number above 0, or the word assigned".into()),
    }
}

/// Why the operator ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Neither a service account nor a kubeconfig.
    #[error("no cluster is known: this is no pod with a service account, and no kubeconfig is set")]
    Cluster(#[source] Box<kube::config::InferConfigError>),
    /// What was found of the cluster cannot be used.
    #[error("the cluster's client cannot be made")]
    Client(#[source] Box<kube::Error>),
    /// The plain port is not to be had.
    #[error("cannot listen on {address} (--listen)")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Two metrics have one name.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// The operator's own certificate cannot be made or used.
    #[error("the operator's own certificate")]
    Certificate(#[from] CertificateError),
    /// The Lease is lost.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// Another operator leads an ensemble.
    #[error(transparent)]
    Superseded(#[from] PassError),
}

/// Why the operator has no certificate of its own.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be made.
    #[error(transparent)]
    Make(#[from] AuthorityError),
    /// It cannot be used.
    #[error(transparent)]
    Use(#[from] SidecarError),
}

impl RunError {
    /// True if somebody else may act now: this process must not, and one that is started in its
    /// place stands by.
    #[must_use]
    pub fn is_deposed(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Superseded(_))
    }
}

/// Runs until `shutdown` resolves: stands by, acts while it holds the Lease, gives it back at the
/// end.
///
/// # Errors
/// If it cannot begin, or must not go on.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    let client = connect().await?;
    let (part, metrics) = (Part::default(), Metrics::new()?);
    let listen = |source| RunError::Listen {
        address: settings.listen,
        source,
    };
    let listener = TcpListener::bind(settings.listen).await.map_err(listen)?;
    info!(address = %settings.listen, version = env!("CARGO_PKG_VERSION"), "started");
    let routes = serve::routes(part.clone(), metrics.clone());
    let operator = Operator {
        settings: &settings,
        client,
        part,
        metrics,
    };
    tokio::select! {
        outcome = operator.take_part(shutdown) => outcome,
        ended = axum::serve(listener, routes).into_future() => ended.map_err(listen),
    }
}

async fn connect() -> Result<Client, RunError> {
    let mut config = Config::infer()
        .await
        .map_err(|error| RunError::Cluster(Box::new(error)))?;
    // What was written and not answered is observed, not written again.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_WITHIN);
    Client::try_from(config).map_err(|error| RunError::Client(Box::new(error)))
}

struct Operator<'a> {
    settings: &'a Settings,
    client: Client,
    part: Part,
    metrics: Metrics,
}

impl Operator<'_> {
    async fn take_part(&self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let mut shutdown = pin!(shutdown);
        let namespace = match &self.settings.lease_namespace {
            Some(namespace) => namespace,
            None => self.client.default_namespace(),
        };
        let identity = match &self.settings.identity {
            Some(identity) => identity.clone(),
            None => format!("operator-{}", uuid::Uuid::new_v4()),
        };
        let name = &self.settings.lease_name;
        let lease = Lease::new(self.client.clone(), namespace, name, &identity);
        let mut held = tokio::select! {
            held = lease.take(|standing| self.part.stand_by(standing)) => held,
            () = &mut shutdown => return Ok(()),
        };
        self.metrics.leading.set(1);
        let outcome = self.hold(&mut held, namespace, shutdown).await;
        self.metrics.leading.set(0);
        if !matches!(outcome, Err(RunError::Lost(_))) {
            held.release().await;
        }
        outcome
    }

    /// Acts until `shutdown` resolves or the Lease is lost.
    async fn hold(
        &self,
        held: &mut Held,
        namespace: &str,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        tokio::select! {
            // Nothing is begun any more once it is lost.
            biased;
            lost = held.keep() => Err(lost.into()),
            outcome = self.lead(namespace, shutdown) => outcome,
        }
    }

    async fn lead(
        &self,
        namespace: &str,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let mut shutdown = pin!(shutdown);
        let authority = tokio::select! {
            authority = self.authority(namespace) => Arc::new(authority),
            () = &mut shutdown => return Ok(()),
        };
        let issue = || authority.issue(Holder::Operator, Timestamp::now(), LIFE);
        let own = issue().map_err(CertificateError::from)?;
        let sidecars = Sidecars::new(&own.credentials).map_err(CertificateError::from)?;
        let fleet = Fleet {
            client: self.client.clone(),
            options: self.options(&authority),
            sidecars: sidecars.clone(),
            metrics: self.metrics.clone(),
        };
        let namespaces = self.namespaces();
        self.part.lead();
        tokio::select! {
            outcome = fleet.run(&namespaces, shutdown) => Ok(outcome?),
            () = renew(&authority, &sidecars, own.renew_at) => Ok(()),
        }
    }

    /// An empty variable of the environment names none.
    fn namespaces(&self) -> Vec<String> {
        let names = self.settings.namespaces.iter().map(|name| name.trim());
        let named = names.filter(|name| !name.is_empty());
        named.map(ToOwned::to_owned).collect()
    }

    fn options(&self, authority: &Arc<Authority>) -> Options {
        Options {
            images: Images {
                server: Some(self.settings.server_image.clone()),
                sidecar: Some(self.settings.sidecar_image.clone()),
            },
            authority: Arc::clone(authority) as _,
            user: match self.settings.member_user {
                User::Uid(uid) => Some(uid),
                User::Assigned => None,
            },
        }
    }

    /// The authority of this cluster, as soon as it can be had.
    async fn authority(&self, namespace: &str) -> Authority {
        let name = format!("{}-authority", self.settings.lease_name);
        let mut pause = Duration::from_secs(1);
        loop {
            let error: SecretError = match secret::open(self.client.clone(), namespace, &name).await
            {
                Ok(authority) => return authority,
                Err(error) => error,
            };
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            warn!(%error, cause, again_in = ?pause, "no certificate authority yet");
            self.part
                .be_hindered(format!("leading, without a certificate authority: {error}"));
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Renews the operator's own certificate, for ever.
async fn renew(authority: &Authority, sidecars: &Sidecars, mut at: Timestamp) {
    loop {
        sleep(LONGEST_PAUSE).await;
        let now = Timestamp::now();
        if now < at {
            continue;
        }
        let renewed = authority
            .issue(Holder::Operator, now, LIFE)
            .map_err(CertificateError::from)
            .and_then(|issued| Ok((sidecars.renew(&issued.credentials)?, issued.renew_at)));
        match renewed {
            Ok(((), next)) => {
                info!(again_at = %next, "the operator's certificate is renewed");
                at = next;
            }
            Err(error) => error!(%error, "the operator's certificate is not renewed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_run_as_a_user_without_privileges() {
        assert_eq!(user("65532"), Ok(User::Uid(65532)));
        assert_eq!(user("assigned"), Ok(User::Assigned));
        for wrong in ["0", "-1", "root", ""] {
            assert!(user(wrong).is_err(), "{wrong}");
        }
    }
}
