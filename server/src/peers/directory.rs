//! Where the peers listen.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::net::TcpStream;
use wire::PeerId;
use wire::config::{Address, EnsembleConfig};

/// The newest configuration, for those who look for addresses in it.
pub(crate) struct Directory {
    config: RwLock<Arc<EnsembleConfig>>,
}

impl Directory {
    pub(crate) fn new(config: EnsembleConfig) -> Self {
        Self {
            config: RwLock::new(Arc::new(config)),
        }
    }

    pub(crate) fn config(&self) -> Arc<EnsembleConfig> {
        self.config.read().clone()
    }

    pub(crate) fn replace(&self, config: EnsembleConfig) {
        *self.config.write() = Arc::new(config);
    }

    /// Where a member listens for votes; empty for one that is not in the configuration.
    pub(crate) fn election_addresses(&self, peer: PeerId) -> Vec<Address> {
        let config = self.config();
        let Some(member) = config.members.get(&peer) else {
            return Vec::new();
        };
        member
            .addresses
            .iter()
            .map(|address| Address {
                host: address.host.clone(),
                port: address.election_port,
            })
            .collect()
    }
}

/// Connects to the first address that answers. Names are looked up each time, since a member
/// that moves keeps its name.
///
/// # Errors
/// That of the last address tried.
pub(crate) async fn connect(addresses: &[Address], limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address is known");
    for address in addresses {
        match tokio::time::timeout(limit, connect_one(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

async fn connect_one(address: &Address) -> io::Result<TcpStream> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((address.host.as_str(), address.port))
        .await?
        .collect();
    TcpStream::connect(&found[..]).await
}
