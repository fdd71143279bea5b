//! Ports on 127.0.0.1, chosen once for each member and kept.
//!
//! A port that was chosen is bound only when its member starts, and not while the ensemble is
//! down. So that two supervisors do not choose the same one, each holds a name for every port of
//! its members while it lives: an abstract Unix socket, which like ports belongs to the network
//! namespace and like them is gone with its process.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::world::Ports;

/// Below the ports that the kernel gives to outgoing connections, so that a member that is away
/// does not lose its port to a client.
const RANGE: std::ops::Range<u16> = 20_000..30_000;

/// The ports of one supervisor's members.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    held: BTreeMap<u16, UnixListener>,
    /// The last client port, beside which the next one is to be.
    client: Option<u16>,
}

impl Claims {
    /// Claims ports that were chosen in an earlier run; answers those that another supervisor has
    /// chosen meanwhile.
    pub(crate) fn keep<'a>(&mut self, kept: impl IntoIterator<Item = &'a Ports>) -> Vec<u16> {
        let mut lost = Vec::new();
        for ports in kept {
            self.client = self.client.max(Some(ports.client));
            lost.extend(ports.all().into_iter().filter(|port| !self.claim(*port)));
        }
        lost
    }

    /// Ports that are free now and that nobody has claimed. The client's is, if it can be, the one
    /// after the last member's: it is typed by people.
    pub(crate) fn choose(&mut self) -> Ports {
        let client = match self
            .client
            .map(|last| last + 1)
            .filter(|port| self.take(*port))
        {
            Some(port) => port,
            None => self.any(),
        };
        self.client = Some(client);
        Ports {
            client,
            quorum: self.any(),
            election: self.any(),
            orders: self.any(),
            plain: self.any(),
            admin: self.any(),
        }
    }

    fn any(&mut self) -> u16 {
        loop {
            let [a, b, ..] = *uuid::Uuid::new_v4().as_bytes();
            let port = RANGE.start + u16::from_be_bytes([a, b]) % (RANGE.end - RANGE.start);
            if self.take(port) {
                return port;
            }
        }
    }

    /// Claims a port if nobody listens on it either.
    fn take(&mut self, port: u16) -> bool {
        TcpListener::bind(("127.0.0.1", port)).is_ok() && self.claim(port)
    }

    fn claim(&mut self, port: u16) -> bool {
        let name = SocketAddr::from_abstract_name(format!("ferrokeeper-port-{port}"));
        match name.and_then(|name| UnixListener::bind_addr(&name)) {
            Ok(name) => self.held.insert(port, name).is_none(),
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_ports_are_the_same_and_clients_ports_are_beside_each_other() {
        let (mut one, mut two) = (Claims::default(), Claims::default());
        let chosen: Vec<_> = (0..20).flat_map(|_| [one.choose(), two.choose()]).collect();
        let all: Vec<_> = chosen.iter().flat_map(Ports::all).collect();
        let different: BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        let beside = |pair: &[Ports]| pair[1].client == pair[0].client + 1;
        let mut alone = Claims::default();
        let chosen: Vec<_> = (0..5).map(|_| alone.choose()).collect();
        assert!(
            chosen.windows(2).filter(|pair| beside(pair)).count() >= 3,
            "{chosen:?}"
        );
    }

    #[test]
    fn kept_ports_are_claimed_again_and_lost_ones_named() {
        let mut before = Claims::default();
        let chosen = before.choose();
        assert_eq!(Claims::default().keep([&chosen]), chosen.all());
        drop(before);
        assert_eq!(Claims::default().keep([&chosen]), Vec::<u16>::new());
    }
}
