//! The operator's side of the order port.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::MemberId;
use api::sidecar::{ORDERS_PATH, OrderRequest, OrderResponse, STATUS_PATH, SidecarStatus};
use jiff::Timestamp;
use plan::observed::Report;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::task::JoinSet;
use tracing::debug;

use crate::platform::Endpoint;

/// Longest wait for a sidecar. All are asked at once, and those that answered count.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Speaks to sidecars, under the operator's name.
#[derive(Clone, Debug)]
pub struct Sidecars(reqwest::Client);

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
}

impl Sidecars {
    /// With `ca.pem`, `tls.crt` and `tls.key` of `folder`. If `host` is given every sidecar is
    /// reached there and only its port and its certificate's name tell them apart.
    ///
    /// # Errors
    /// If the certificates cannot be read or used.
    pub fn new(folder: &Path, host: Option<IpAddr>) -> Result<Self, SidecarError> {
        let read = |file: &str| {
            let path = folder.join(file);
            fs::read(&path).map_err(|source| SidecarError::File { path, source })
        };
        let mut own = read("tls.key")?;
        own.extend(read("tls.crt")?);
        let mut client = reqwest::Client::builder()
            .https_only(true)
            // Members are inside: the proxy of somebody's environment does not reach them.
            .no_proxy()
            .timeout(ANSWER_WITHIN)
            .identity(reqwest::Identity::from_pem(&own)?)
            .tls_certs_only([reqwest::Certificate::from_pem(&read("ca.pem")?)?]);
        if let Some(host) = host {
            client = client.dns_resolver(Arc::new(Always(host)));
        }
        Ok(Self(client.build()?))
    }

    /// Asks all at once; who does not answer in time is not in the result.
    pub async fn ask_all(
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

    /// Gives an order.
    ///
    /// # Errors
    /// If the sidecar does not answer; whether the order was carried out is not known then.
    pub async fn order(
        &self,
        endpoint: &Endpoint,
        request: &OrderRequest,
    ) -> Result<OrderResponse, SidecarError> {
        let response = self
            .0
            .post(url(endpoint, ORDERS_PATH))
            .json(request)
            .send()
            .await?;
        Ok(response.error_for_status()?.json().await?)
    }

    async fn status(&self, endpoint: &Endpoint) -> Result<SidecarStatus, SidecarError> {
        let response = self.0.get(url(endpoint, STATUS_PATH)).send().await?;
        Ok(response.error_for_status()?.json().await?)
    }
}

fn url(endpoint: &Endpoint, path: &str) -> String {
    format!("https://{}:{}{path}", endpoint.name, endpoint.port)
}

/// Every name is this host.
#[derive(Debug)]
struct Always(IpAddr);

impl Resolve for Always {
    fn resolve(&self, _: Name) -> Resolving {
        // The URL's port counts.
        let address = SocketAddr::new(self.0, 0);
        Box::pin(async move { Ok(Box::new(std::iter::once(address)) as Addrs) })
    }
}
