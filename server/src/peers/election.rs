//! The election port: one connection per pair of members, which carries votes.
//!
//! Only the member with the larger id keeps a connection that it dialled; the other one says
//! hello, closes, and is dialled back. Of the votes for a peer only the newest waits.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use wire::config::Address;
use wire::election::{Hello, MAX_FRAME, Notification};
use wire::{PeerId, Record};
use zab::{Channel, Input};

use crate::inbox::{Inbox, Work};
use crate::peers::directory::Directory;
use crate::vital;

/// How long a peer may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a peer that was said hello to may take to dial back.
const DIALED_BACK_WITHIN: Duration = Duration::from_millis(150);
/// Peers that no configuration names and that are still answered: joiners and observers. A bound,
/// since anyone who reaches the port can claim any id.
const STRANGERS: usize = 64;
/// Apache's id for an observer without one.
const NAMELESS: PeerId = PeerId(i64::MAX);

/// All election connections of this member.
pub(crate) struct Election {
    id: PeerId,
    connect_timeout: Duration,
    runtime: Handle,
    inbox: Arc<Inbox>,
    directory: Arc<Directory>,
    peers: Mutex<Peers>,
}

#[derive(Default)]
struct Peers {
    by_id: HashMap<PeerId, Peer>,
    generation: u64,
    nameless: i64,
}

/// What is known of the way to one peer.
#[derive(Default)]
struct Peer {
    /// The newest vote, while it is not sent.
    next: Option<Bytes>,
    /// The last vote sent: sent again on a new connection, since the old one may have lost it.
    last: Option<Bytes>,
    open: Option<Open>,
    dialing: bool,
    /// Where it says that it listens, for a peer that no configuration names.
    advertised: Vec<Address>,
}

struct Open {
    generation: u64,
    wake: Arc<Notify>,
    task: AbortHandle,
}

impl Election {
    pub(crate) fn new(
        id: PeerId,
        connect_timeout: Duration,
        runtime: Handle,
        inbox: Arc<Inbox>,
        directory: Arc<Directory>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            connect_timeout,
            runtime,
            inbox,
            directory,
            peers: Mutex::default(),
        })
    }

    /// Sends a vote, in place of one that waits; connects if need be.
    pub(crate) fn send(self: &Arc<Self>, to: PeerId, notification: &Notification) {
        let mut frame = vec![0; 4];
        notification.encode(&mut frame);
        let length = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        let mut peers = self.peers.lock();
        let peer = peers.by_id.entry(to).or_default();
        peer.next = Some(frame.into());
        match &peer.open {
            Some(open) => open.wake.notify_one(),
            None => self.dial(to, peer),
        }
    }

    /// Accepts connections until its task is aborted.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let election = self.clone();
                    vital::task(&self.runtime, "election hello", async move {
                        if let Err(error) = election.welcome(stream, from.ip().to_canonical()).await
                        {
                            tracing::warn!(%from, %error, "election connection refused");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the election port");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn dial(self: &Arc<Self>, to: PeerId, peer: &mut Peer) {
        if std::mem::replace(&mut peer.dialing, true) {
            return;
        }
        let election = self.clone();
        let advertised = peer.advertised.clone();
        vital::task(&self.runtime, "election dial", async move {
            let result = election.say_hello(to, advertised).await;
            if matches!(result, Ok(None)) {
                // Another hello meanwhile would end the connection that the peer is making.
                tokio::time::sleep(DIALED_BACK_WITHIN).await;
            }
            if let Some(peer) = election.peers.lock().by_id.get_mut(&to) {
                peer.dialing = false;
            }
            match result {
                Ok(Some(stream)) => election.adopt(to, stream),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(peer = %to, %error, "cannot reach the peer's election port");
                    let state = match error.kind() {
                        io::ErrorKind::ConnectionRefused => Channel::Refused,
                        _ => Channel::Closed,
                    };
                    election.inbox.zab(Input::Channel { peer: to, state });
                }
            }
        });
    }

    /// Connects and introduces this member; `None` if it is the peer's to dial back.
    async fn say_hello(
        &self,
        to: PeerId,
        advertised: Vec<Address>,
    ) -> io::Result<Option<TcpStream>> {
        let mut addresses = self.directory.election_addresses(to);
        if addresses.is_empty() {
            addresses = advertised;
        }
        let directory = &self.directory;
        let mut stream = directory.connect(&addresses, self.connect_timeout).await?;
        let own = directory.election_addresses(self.id);
        let hello = Hello {
            peer: self.id,
            addresses: own.iter().map(ToString::to_string).collect(),
        };
        // One write: Apache reads a hello with one read.
        stream.write_all(&hello.to_bytes()).await?;
        if to > self.id {
            stream.shutdown().await?;
            return Ok(None);
        }
        Ok(Some(stream))
    }

    async fn welcome(self: &Arc<Self>, mut stream: TcpStream, from: IpAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let hello = tokio::time::timeout(HELLO_TIMEOUT, read_hello(&mut stream))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "said no hello"))??;
        if hello.peer == self.id {
            return Err(invalid(format!(
                "says that it is member {}, which is this one: two members have one id",
                self.id
            )));
        }
        let peer = self.meet(&hello)?;
        self.directory.saw(peer, from);
        if peer > self.id {
            self.adopt(peer, stream);
            return Ok(());
        }
        drop(stream);
        let mut peers = self.peers.lock();
        if let Some(known) = peers.by_id.get_mut(&peer) {
            // A peer that says hello has no connection, whatever this side believes.
            if let Some(open) = known.open.take() {
                open.task.abort();
            }
            self.dial(peer, known);
        }
        Ok(())
    }

    /// Makes a place for a peer that said hello.
    fn meet(&self, hello: &Hello) -> io::Result<PeerId> {
        let config = self.directory.config();
        let mut peers = self.peers.lock();
        let id = if hello.peer == NAMELESS {
            peers.nameless -= 1;
            PeerId(peers.nameless)
        } else {
            hello.peer
        };
        if !config.members.contains_key(&id) && !peers.by_id.contains_key(&id) {
            let strangers = peers
                .by_id
                .keys()
                .filter(|id| !config.members.contains_key(id))
                .count();
            if strangers >= STRANGERS {
                return Err(invalid(format!(
                    "member {id} is in no configuration, and {STRANGERS} such are known already"
                )));
            }
        }
        let peer = peers.by_id.entry(id).or_default();
        peer.advertised = hello
            .addresses
            .iter()
            .filter_map(|text| parse_address(text))
            .collect();
        Ok(id)
    }

    /// Makes this the connection to a peer.
    fn adopt(self: &Arc<Self>, id: PeerId, stream: TcpStream) {
        let mut peers = self.peers.lock();
        peers.generation += 1;
        let generation = peers.generation;
        let peer = peers.by_id.entry(id).or_default();
        if let Some(open) = peer.open.take() {
            open.task.abort();
        }
        if peer.next.is_none() {
            peer.next = peer.last.clone();
        }
        let wake = Arc::new(Notify::new());
        let election = self.clone();
        let waker = wake.clone();
        let task = vital::task(&self.runtime, "election channel", async move {
            let result = election.exchange(id, stream, &waker).await;
            tracing::debug!(peer = %id, ?result, "election channel closed");
            election.closed(id, generation);
        });
        peer.open = Some(Open {
            generation,
            wake,
            task,
        });
        let state = Channel::Open;
        self.inbox.zab(Input::Channel { peer: id, state });
    }

    fn closed(&self, id: PeerId, generation: u64) {
        let mut peers = self.peers.lock();
        let Some(peer) = peers.by_id.get_mut(&id) else {
            return;
        };
        if peer.open.as_ref().map(|open| open.generation) == Some(generation) {
            peer.open = None;
            let state = Channel::Closed;
            self.inbox.zab(Input::Channel { peer: id, state });
        }
    }

    async fn exchange(&self, id: PeerId, stream: TcpStream, wake: &Notify) -> io::Result<()> {
        let (mut from, mut to) = stream.into_split();
        let receive = async {
            loop {
                let notification = read_notification(&mut from).await?;
                self.inbox.room().await;
                if let Some(notification) = notification {
                    let vote = Input::Vote {
                        from: id,
                        notification,
                    };
                    self.inbox.push(Work::Zab(vote), 0);
                }
            }
        };
        let send = async {
            loop {
                match self.next(id) {
                    Some(frame) => to.write_all(&frame).await?,
                    None => wake.notified().await,
                }
            }
        };
        tokio::select! {
            result = receive => result,
            result = send => result,
        }
    }

    fn next(&self, id: PeerId) -> Option<Bytes> {
        let mut peers = self.peers.lock();
        let peer = peers.by_id.get_mut(&id)?;
        let frame = peer.next.take()?;
        peer.last = Some(frame.clone());
        Some(frame)
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn parse_address(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').unwrap_or(host);
    Some(Address {
        host: host.strip_suffix(']').unwrap_or(host).to_owned(),
        port: port.parse().ok()?,
    })
}

/// The longest list of addresses that a hello may carry, as in Apache.
const HELLO_ADDRESSES: usize = 2048;

async fn read_hello(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Hello> {
    let mut bytes = vec![0; 8];
    stream.read_exact(&mut bytes).await?;
    // Before 3.5 a hello was the id alone.
    if bytes[0] & 0x80 != 0 {
        bytes.resize(20, 0);
        stream.read_exact(&mut bytes[8..]).await?;
        let length = u32::from_be_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]) as usize;
        if length > HELLO_ADDRESSES {
            return Err(invalid(format!("hello with {length} bytes of addresses")));
        }
        bytes.resize(20 + length, 0);
        stream.read_exact(&mut bytes[20..]).await?;
    }
    Hello::from_bytes(&bytes.into())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The next vote; `None` for a frame that is none, which is skipped as Apache does.
async fn read_notification(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<Notification>> {
    let length = stream.read_u32().await? as usize;
    if length == 0 || length > MAX_FRAME {
        return Err(invalid(format!("election frame of {length} bytes")));
    }
    // Grows with what arrives, not with what is announced.
    let mut frame = Vec::new();
    let read = stream.take(length as u64).read_to_end(&mut frame).await?;
    if read < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match Notification::from_bytes(&frame.into()) {
        Ok(notification) => Ok(Some(notification)),
        Err(error) => {
            tracing::debug!(%error, "election frame ignored");
            Ok(None)
        }
    }
}
