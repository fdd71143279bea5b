//! The ports of a member.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use wire::config::{Address, EnsembleConfig};

use crate::assembly::Running;
use crate::clients::accept;
use crate::config::Config;
use crate::serve::Listeners;
use crate::vital;

/// How long a member tries to listen on an address that is not its own yet: in a cluster its name
/// may resolve a little after it starts.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// Connections that may wait to be accepted, where the configuration does not say.
const BACKLOG: u32 = 4096;

/// Why a member cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for {whom} on {address}{hint}")]
pub struct ListenError {
    whom: &'static str,
    address: Address,
    hint: &'static str,
    source: io::Error,
}

/// A member's listening sockets.
pub(crate) struct Ports {
    client: TcpListener,
    peers: Option<(TcpListener, TcpListener)>,
}

impl Ports {
    /// Listens where the configuration says.
    ///
    /// # Errors
    /// If that is not possible.
    pub(crate) fn open(
        config: &Config,
        ensemble: &EnsembleConfig,
        given: Listeners,
        runtime: &Handle,
    ) -> Result<Self, ListenError> {
        let _entered = runtime.enter();
        let backlog = config.limits.backlog.unwrap_or(BACKLOG);
        let listen = |whom, given: Option<StdListener>, address: Address| {
            let result = match given {
                Some(given) => adopt(given),
                None => runtime.block_on(bind(&address, backlog)),
            };
            result.map_err(|source| ListenError {
                whom,
                hint: hint(&source),
                address,
                source,
            })
        };
        let own = ensemble
            .members
            .get(&config.id)
            .or_else(|| config.ensemble.members.get(&config.id));
        let client = listen("clients", given.client, config.client.clone())?;
        let peers = match own.and_then(|own| own.addresses.first()) {
            Some(own) if !config.standalone => {
                let host = if config.election.listen_on_all {
                    "0.0.0.0".to_owned()
                } else {
                    own.host.clone()
                };
                let at = |port| Address {
                    host: host.clone(),
                    port,
                };
                Some((
                    listen("learners", given.quorum, at(own.quorum_port))?,
                    listen("votes", given.election, at(own.election_port))?,
                ))
            }
            _ => None,
        };
        Ok(Self { client, peers })
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => ": another process listens there",
        io::ErrorKind::AddrNotAvailable => {
            ": it is not an address of this machine; quorumListenOnAllIPs=true listens on all"
        }
        io::ErrorKind::PermissionDenied => ": ports below 1024 need a privilege",
        _ => "",
    }
}

fn adopt(listener: StdListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn bind(address: &Address, backlog: u32) -> io::Result<TcpListener> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let error = match try_bind(address, backlog).await {
            Ok(listener) => return Ok(listener),
            Err(error) => error,
        };
        let may_pass = !matches!(
            error.kind(),
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
        );
        if !may_pass || Instant::now() > deadline {
            return Err(error);
        }
        tracing::warn!(%address, %error, "cannot listen yet");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn try_bind(address: &Address, backlog: u32) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((address.host.as_str(), address.port)).await? {
        // All addresses are those of both families, as in Java, where the machine has both.
        let all = (Ipv6Addr::UNSPECIFIED, address.port()).into();
        let both = address.is_ipv4() && address.ip().is_unspecified();
        for address in both.then_some(all).into_iter().chain([address]) {
            match listen(address, backlog) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if address.is_ipv6() && address.ip().is_unspecified() {
        rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// Starts to accept.
pub(crate) fn start(running: &Running, ports: Ports, runtime: &Handle) {
    if let Ok(address) = ports.client.local_addr() {
        tracing::info!(%address, "listening for clients");
    }
    let clients = accept::accept(running.shared.clone(), ports.client, runtime.clone());
    vital::task(runtime, "client port", clients);
    if let Some((quorum, votes)) = ports.peers {
        vital::task(runtime, "quorum port", running.links.clone().accept(quorum));
        vital::task(
            runtime,
            "election port",
            running.election.clone().accept(votes),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    #[test]
    fn all_addresses_are_those_of_both_families() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_io().build().expect("a runtime");
        let all = Address {
            host: "0.0.0.0".to_owned(),
            port: 0,
        };
        let listener = runtime.block_on(try_bind(&all, 16)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("by IPv4");
        // Only where the machine has such an address at all.
        if StdListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).expect("by IPv6");
        }
    }
}
