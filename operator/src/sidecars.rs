//! The operator's side of the order port.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::MemberId;
use api::sidecar::{ORDERS_PATH, OrderRequest, OrderResponse, STATUS_PATH, SidecarStatus};
use jiff::Timestamp;
use parking_lot::RwLock;
use plan::observed::Report;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::task::JoinSet;
use tracing::debug;

use crate::platform::Endpoint;

/// Longest wait for a sidecar. All are asked at once, and those that answered count. A question
/// that was not answered is asked once more: a machine under load must not look like a member
/// that is down. Both together stay below the age at which the other answers are stale.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Whoever can ask sidecars and give them orders.
pub trait Orders: Sync {
    /// Asks all at once; who does not answer in time is not in the result.
    fn ask_all(
        &self,
        endpoints: &BTreeMap<MemberId, Endpoint>,
    ) -> impl Future<Output = BTreeMap<MemberId, Report>> + Send;

    /// Gives an order.
    ///
    /// # Errors
    /// If the sidecar does not answer; whether the order was carried out is not known then.
    fn order(
        &self,
        endpoint: &Endpoint,
        request: &OrderRequest,
    ) -> impl Future<Output = Result<OrderResponse, SidecarError>> + Send;
}

/// Speaks to sidecars over mutual TLS, under the operator's name. Copies share credentials.
#[derive(Clone, Debug)]
pub struct Sidecars {
    client: Arc<RwLock<reqwest::Client>>,
    known: Arc<Known>,
}

/// What somebody proves a name with, and whom it believes; PEM.
#[derive(Clone)]
pub struct Credentials {
    /// The authority that signs for all.
    pub authority: String,
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { certificate, .. } = self;
        f.debug_struct("Credentials")
            .field("certificate", certificate)
            .finish_non_exhaustive()
    }
}

/// Why no sidecar can be spoken to, or one did not answer.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// A file of the certificates cannot be read.
    #[error("certificate file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The certificates cannot be used, or the sidecar did not answer as it should.
    #[error("sidecar")]
    Http(#[from] reqwest::Error),
    /// No sidecar is there.
    #[error("nobody answers at {0}")]
    Nobody(String),
}

impl Credentials {
    /// `ca.pem`, `tls.crt` and `tls.key` of `folder`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn read(folder: &Path) -> Result<Self, SidecarError> {
        let read = |file: &str| {
            let path = folder.join(file);
            fs::read_to_string(&path).map_err(|source| SidecarError::File { path, source })
        };
        Ok(Self {
            authority: read("ca.pem")?,
            certificate: read("tls.crt")?,
            key: read("tls.key")?,
        })
    }
}

impl Sidecars {
    /// With these credentials.
    ///
    /// # Errors
    /// If the credentials cannot be used.
    pub fn new(credentials: &Credentials) -> Result<Self, SidecarError> {
        let known = Arc::new(Known::default());
        let client = Arc::new(RwLock::new(client(credentials, &known)?));
        Ok(Self { client, known })
    }

    /// Uses other credentials from now on.
    ///
    /// # Errors
    /// If they cannot be used; those from before are used further then.
    pub fn renew(&self, credentials: &Credentials) -> Result<(), SidecarError> {
        *self.client.write() = client(credentials, &self.known)?;
        Ok(())
    }

    fn client(&self) -> reqwest::Client {
        self.client.read().clone()
    }

    async fn status(&self, endpoint: &Endpoint) -> Result<SidecarStatus, SidecarError> {
        self.known.learn(endpoint);
        match self.ask(endpoint).await {
            Err(SidecarError::Http(error)) if error.is_timeout() => self.ask(endpoint).await,
            answer => answer,
        }
    }

    async fn ask(&self, endpoint: &Endpoint) -> Result<SidecarStatus, SidecarError> {
        let response = self.client().get(url(endpoint, STATUS_PATH)).send().await?;
        Ok(response.error_for_status()?.json().await?)
    }
}

fn client(credentials: &Credentials, known: &Arc<Known>) -> Result<reqwest::Client, SidecarError> {
    let own = format!("{}{}", credentials.key, credentials.certificate);
    let authority = reqwest::Certificate::from_pem(credentials.authority.as_bytes())?;
    let client = reqwest::Client::builder()
        .https_only(true)
        // Members are inside: the proxy of somebody's environment does not reach them.
        .no_proxy()
        // A name can be at another address in the next pass.
        .pool_max_idle_per_host(0)
        .timeout(ANSWER_WITHIN)
        .identity(reqwest::Identity::from_pem(own.as_bytes())?)
        .tls_certs_only([authority])
        .dns_resolver(Arc::clone(known))
        .build()?;
    Ok(client)
}

impl Orders for Sidecars {
    async fn ask_all(
        &self,
        endpoints: &BTreeMap<MemberId, Endpoint>,
    ) -> BTreeMap<MemberId, Report> {
        let mut asked = JoinSet::new();
        for (member, endpoint) in endpoints {
            let (sidecars, member, endpoint) = (self.clone(), *member, endpoint.clone());
            asked.spawn(async move { (member, sidecars.status(&endpoint).await) });
        }
        let mut reports = BTreeMap::new();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok((member, Ok(status))) if status.member == member => {
                    reports.insert(
                        member,
                        Report {
                            at: Timestamp::now(),
                            status,
                        },
                    );
                }
                Ok((member, Ok(status))) => {
                    debug!(%member, is = %status.member, "another member answers");
                }
                Ok((member, Err(error))) => debug!(%member, ?error, "no answer"),
                Err(error) => debug!(%error, "not asked"),
            }
        }
        reports
    }

    async fn order(
        &self,
        endpoint: &Endpoint,
        request: &OrderRequest,
    ) -> Result<OrderResponse, SidecarError> {
        self.known.learn(endpoint);
        let response = self
            .client()
            .post(url(endpoint, ORDERS_PATH))
            .json(request)
            .send()
            .await?;
        Ok(response.error_for_status()?.json().await?)
    }
}

fn url(endpoint: &Endpoint, path: &str) -> String {
    format!("https://{}:{}{path}", endpoint.name, endpoint.port)
}

/// Where names were last seen, for those that a platform knows better than the resolver.
#[derive(Debug, Default)]
struct Known(RwLock<HashMap<String, IpAddr>>);

impl Known {
    fn learn(&self, endpoint: &Endpoint) {
        let mut known = self.0.write();
        match endpoint.address {
            Some(address) => known.insert(endpoint.name.clone(), address),
            None => known.remove(&endpoint.name),
        };
    }
}

impl Resolve for Known {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.0.read().get(name.as_str()).copied();
        Box::pin(async move {
            // The URL's port counts.
            let addresses: Addrs = match found {
                Some(address) => Box::new(std::iter::once(SocketAddr::new(address, 0))),
                None => {
                    let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
                    Box::new(found.collect::<Vec<_>>().into_iter())
                }
            };
            Ok(addresses)
        })
    }
}
