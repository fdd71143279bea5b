//! Where the peers listen.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::net::TcpStream;
use wire::PeerId;
use wire::config::{Address, EnsembleConfig};

/// How long a name may take to lead to a connection before the address that its member was last
/// seen at is tried beside it.
const HEAD_START: Duration = Duration::from_millis(100);

/// The newest configuration, for those who look for addresses in it, and where members were seen
/// last: a member that moves says hello to all others before every resolver knows where it is.
pub(crate) struct Directory {
    config: RwLock<Arc<EnsembleConfig>>,
    /// By the host that the configuration names.
    seen: RwLock<HashMap<String, IpAddr>>,
}

impl Directory {
    pub(crate) fn new(config: EnsembleConfig) -> Self {
        Self {
            config: RwLock::new(Arc::new(config)),
            seen: RwLock::default(),
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

    /// A member said hello from this address. One with several addresses is not followed: which
    /// of them it was is not known.
    pub(crate) fn saw(&self, peer: PeerId, at: IpAddr) {
        let config = self.config();
        let Some([only]) = config.members.get(&peer).map(|m| &m.addresses[..]) else {
            return;
        };
        self.seen
            .write()
            .insert(only.host.clone(), at.to_canonical());
    }

    /// Connects to the first address that answers. Names are looked up each time, since a member
    /// that moves keeps its name.
    ///
    /// # Errors
    /// That of the last address tried.
    pub(crate) async fn connect(
        &self,
        addresses: &[Address],
        limit: Duration,
    ) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address is known");
        for address in addresses {
            match tokio::time::timeout(limit, self.connect_one(address)).await {
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

    async fn connect_one(&self, address: &Address) -> io::Result<TcpStream> {
        let seen = self.seen.read().get(&address.host).copied();
        let mut by_name = pin!(by_name(address, seen));
        let Some(seen) = seen else {
            return by_name.await.map_err(|failure| failure.error);
        };
        let mut by_sight = pin!(async {
            tokio::time::sleep(HEAD_START).await;
            TcpStream::connect((seen, address.port)).await
        });
        // What the name leads to says how the member is: its error counts.
        tokio::select! {
            named = &mut by_name => match named {
                Ok(stream) => Ok(stream),
                Err(failure) if failure.was_there => Err(failure.error),
                Err(failure) => by_sight.await.map_err(|_| failure.error),
            },
            sighted = &mut by_sight => match sighted {
                Ok(stream) => Ok(stream),
                Err(_) => by_name.await.map_err(|failure| failure.error),
            },
        }
    }
}

/// Why a name did not lead to a connection.
struct Unreached {
    error: io::Error,
    /// The name led to where the member was seen: looking there again is of no use.
    was_there: bool,
}

async fn by_name(address: &Address, seen: Option<IpAddr>) -> Result<TcpStream, Unreached> {
    let unreached = |was_there| move |error| Unreached { error, was_there };
    let found: Vec<SocketAddr> = tokio::net::lookup_host((address.host.as_str(), address.port))
        .await
        .map_err(unreached(false))?
        .collect();
    let was_there = found.iter().any(|found| Some(found.ip()) == seen);
    TcpStream::connect(&found[..])
        .await
        .map_err(unreached(was_there))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn directory() -> Directory {
        let config = "server.2=127.0.0.9:1:2:participant;3\nversion=1";
        Directory::new(config.parse().expect("a configuration"))
    }

    /// Where the configuration says that member 2 listens. Nobody does there.
    async fn elsewhere() -> (TcpListener, Address) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let host = "127.0.0.9".to_owned();
        (listener, Address { host, port })
    }

    #[tokio::test]
    async fn a_member_that_moved_is_found_where_it_said_hello() {
        let directory = directory();
        let (listener, address) = elsewhere().await;
        let addresses = [address];
        let failure = directory.connect(&addresses, LIMIT).await;
        let refused = failure.expect_err("nobody is there").kind();
        assert_eq!(refused, io::ErrorKind::ConnectionRefused);

        let here = listener.local_addr().expect("an address").ip();
        directory.saw(PeerId(2), here);
        let found = directory.connect(&addresses, LIMIT).await.expect("found");
        let there = found.peer_addr().expect("an address");
        assert_eq!(there, listener.local_addr().expect("an address"));
    }

    #[tokio::test]
    async fn a_stranger_is_not_followed() {
        let directory = directory();
        let (listener, address) = elsewhere().await;
        let here = listener.local_addr().expect("an address").ip();
        directory.saw(PeerId(3), here);
        directory
            .connect(&[address], LIMIT)
            .await
            .expect_err("member 2 said nothing");
    }
}
