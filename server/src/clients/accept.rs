//! Accepting clients.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use member::ClientId;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use crate::clients::connection::Connection;
use crate::clients::mailbox::Mailbox;
use crate::clients::stream::ByteStream;
use crate::shared::Shared;
use crate::vital;

/// Counts connections, in all and by address.
pub(crate) struct Places {
    per_address: usize,
    in_all: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    by_address: HashMap<IpAddr, usize>,
    in_all: usize,
}

/// A connection's place; given back when dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    /// With these limits, 0 being none.
    pub(crate) fn new(per_address: usize, in_all: usize) -> Arc<Self> {
        Arc::new(Self {
            per_address,
            in_all,
            taken: Mutex::default(),
        })
    }

    /// A place for one more connection from this address, if there is one.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock();
        if self.in_all > 0 && taken.in_all >= self.in_all {
            return None;
        }
        let here = taken.by_address.entry(address).or_default();
        if self.per_address > 0 && *here >= self.per_address {
            return None;
        }
        *here += 1;
        taken.in_all += 1;
        Some(Place {
            places: self.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.in_all -= 1;
        if let Some(here) = taken.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// Accepts clients until its task is aborted.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener, runtime: Handle) {
    let limits = &shared.config.limits;
    let places = Places::new(limits.connections_per_address, limits.connections);
    let next = AtomicU64::new(1);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // An IPv4 client of a port that takes both is told of as such.
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                let client = ClientId(next.fetch_add(1, Ordering::Relaxed));
                if start(&shared, &places, client, stream, peer, &runtime).is_none() {
                    shared.metrics.connection_rejected.inc();
                    tracing::warn!(%peer, "client refused: too many connections");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the client port");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn start(
    shared: &Arc<Shared>,
    places: &Arc<Places>,
    client: ClientId,
    stream: TcpStream,
    peer: SocketAddr,
    runtime: &Handle,
) -> Option<()> {
    let place = places.take(peer.ip())?;
    // Fails only for a socket that is closed already, which reading will tell.
    let _ = stream.set_nodelay(true);
    if shared.config.limits.keep_alive {
        let _ = rustix::net::sockopt::set_socket_keepalive(&stream, true);
    }
    let mailbox = Arc::new(Mailbox::new(client, peer, shared.waiting.clone()));
    shared.connections.lock().insert(client, mailbox.clone());
    let connection = Connection::new(shared.clone(), mailbox, ByteStream::Plain(stream), place);
    vital::task(runtime, "client connection", connection);
    Some(())
}
