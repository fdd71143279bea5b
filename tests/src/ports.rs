//! Ports on loopback that no other test has.
//!
//! A port that was free a moment ago may be another test's a moment later, and a test would talk
//! to that one's server. So each has a name while it is in use: an abstract Unix socket, as the
//! supervisor of `cargo up` has too.

use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail};

/// Below the ports that the kernel gives to outgoing connections: a member that is killed does not
/// lose its port to a client, and no client that tries it connects to itself. Above those that the
/// suites of kazoo and go-zookeeper take.
const FIRST: u16 = 21_000;
const COUNT: usize = 9_000;
/// Where this process goes on looking.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Ports that are free, and nobody else's until this is dropped.
#[derive(Debug)]
pub struct Ports {
    claimed: Vec<(u16, UnixListener)>,
}

impl Ports {
    /// So many.
    ///
    /// # Errors
    /// If there are not so many.
    pub fn claim(count: usize) -> anyhow::Result<Self> {
        // Processes begin at places of their own, so that they seldom ask for each other's.
        let start = std::process::id() as usize * 101;
        let mut claimed = Vec::new();
        for _ in 0..COUNT {
            if claimed.len() == count {
                return Ok(Self { claimed });
            }
            let at = (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
            let port = FIRST + u16::try_from(at).context("a port")?;
            claimed.extend(claim(port).map(|name| (port, name)));
        }
        bail!("no {count} ports of {COUNT} from {FIRST} on are free");
    }

    /// Their numbers.
    #[must_use]
    pub fn numbers(&self) -> Vec<u16> {
        self.claimed.iter().map(|(port, _)| *port).collect()
    }
}

/// Claims a port if nobody has, and nobody listens on it.
fn claim(port: u16) -> Option<UnixListener> {
    let name = SocketAddr::from_abstract_name(format!("ferrokeeper-port-{port}")).ok()?;
    let name = UnixListener::bind_addr(&name).ok()?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_one_tests_alone_until_that_has_ended() {
        let one = Ports::claim(50).expect("ports");
        let other = Ports::claim(50).expect("ports");
        let mut all = [one.numbers(), other.numbers()].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 100);
        let port = one.numbers()[0];
        assert!(claim(port).is_none());
        drop(one);
        assert!(claim(port).is_some());
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_taken() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        assert!(claim(port).is_none());
    }
}
