//! The quorum port: links between a leader and its learners.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use txnlog::{RealDisk, Snapshots};
use wire::config::{Address, PeerAddress};
use wire::quorum::{Packet, PacketDecoder, packet};
use zab::{Input, LinkId};

use crate::inbox::{Inbox, Work};
use crate::peers::directory::Directory;
use crate::peers::link_queue::{LinkQueue, Outgoing, Piece};
use crate::peers::staging::{Staged, Staging};
use crate::vital;

/// How long a link that is closed may take to send its last bytes.
const LINGER: Duration = Duration::from_secs(5);
/// Waits between the attempts to reach a leader: it may not know yet that it leads.
const DIAL_PAUSES: [u64; 6] = [20, 50, 100, 200, 400, 1000];
/// Links that are not closed yet: beyond it, new ones are refused. A leader has one per learner;
/// the rest is somebody else's.
const LINKS: usize = 256;

/// All links of this member.
pub(crate) struct Links {
    runtime: Handle,
    inbox: Arc<Inbox>,
    directory: Arc<Directory>,
    settings: LinkSettings,
    snapshots: Snapshots<RealDisk>,
    staged: Staged,
    next_inbound: AtomicU64,
    links: Mutex<HashMap<LinkId, Link>>,
}

/// What links are told by the configuration.
pub(crate) struct LinkSettings {
    /// To connect to one address.
    pub(crate) connect_timeout: Duration,
    /// Bytes of the longest data in a packet.
    pub(crate) packet: usize,
}

struct Link {
    queue: Arc<LinkQueue>,
    task: AbortHandle,
}

impl Links {
    pub(crate) fn new(
        runtime: Handle,
        inbox: Arc<Inbox>,
        directory: Arc<Directory>,
        settings: LinkSettings,
        snapshots: Snapshots<RealDisk>,
    ) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            inbox,
            directory,
            settings,
            snapshots,
            staged: Staged::default(),
            next_inbound: AtomicU64::new(2),
            links: Mutex::default(),
        })
    }

    /// Received snapshots that are complete.
    pub(crate) fn staged(&self) -> &Staged {
        &self.staged
    }

    /// Sends packets; nothing happens if the link is gone.
    pub(crate) fn send(&self, link: LinkId, packets: &[Packet]) {
        if let Some(link) = self.links.lock().get(&link) {
            link.queue.push(packets);
        }
    }

    /// Sends what comes by this channel; what is sent later waits behind it.
    pub(crate) fn send_stream(&self, link: LinkId, pieces: mpsc::Receiver<Piece>) {
        if let Some(link) = self.links.lock().get(&link) {
            link.queue.push_stream(pieces);
        }
    }

    /// Closes a link after what was sent before. Nothing more comes from it.
    pub(crate) fn close(self: &Arc<Self>, id: LinkId, reason: &'static str) {
        self.staged.discard(id);
        let Some(link) = self.links.lock().remove(&id) else {
            return;
        };
        tracing::info!(link = id.0, reason, "link closed");
        link.queue.end();
        let task = link.task;
        vital::task(&self.runtime, "link end", async move {
            tokio::time::sleep(LINGER).await;
            task.abort();
        });
    }

    /// Accepts learners until its task is aborted.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    if self.links.lock().len() >= LINKS {
                        tracing::warn!(%from, "link refused: too many");
                        continue;
                    }
                    let _ = stream.set_nodelay(true);
                    let id = LinkId(self.next_inbound.fetch_add(2, Ordering::Relaxed));
                    tracing::debug!(link = id.0, %from, "link accepted");
                    self.inbox.zab(Input::LinkAccepted { link: id });
                    self.start(id, |links, queue| async move {
                        links.exchange(id, stream, &queue).await
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the quorum port");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Connects to a leader.
    pub(crate) fn dial(self: &Arc<Self>, id: LinkId, addresses: &[PeerAddress]) {
        let addresses: Vec<Address> = addresses
            .iter()
            .map(|address| Address {
                host: address.host.clone(),
                port: address.quorum_port,
            })
            .collect();
        self.start(id, |links, queue| async move {
            let stream = links.reach(&addresses).await?;
            links.inbox.zab(Input::LinkDialed { link: id });
            links.exchange(id, stream, &queue).await
        });
    }

    async fn reach(&self, addresses: &[Address]) -> io::Result<TcpStream> {
        let mut pauses = DIAL_PAUSES.iter();
        loop {
            let limit = self.settings.connect_timeout;
            match self.directory.connect(addresses, limit).await {
                Ok(stream) => return Ok(stream),
                Err(error) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(Duration::from_millis(*pause)).await,
                    None => return Err(error),
                },
            }
        }
    }

    /// Runs a link's task, and tells of its end unless it was closed from this side.
    fn start<F>(self: &Arc<Self>, id: LinkId, run: impl FnOnce(Arc<Self>, Arc<LinkQueue>) -> F)
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let queue = Arc::new(LinkQueue::default());
        let running = run(self.clone(), queue.clone());
        let links = self.clone();
        // The task looks for its own entry when it ends, so the entry is made first.
        let mut map = self.links.lock();
        let task = vital::task(&self.runtime, "link", async move {
            let result = running.await;
            if links.links.lock().remove(&id).is_some() {
                match result {
                    Ok(()) => tracing::info!(link = id.0, "link ended"),
                    Err(error) => tracing::info!(link = id.0, %error, "link broken"),
                }
                links.staged.discard(id);
                links.inbox.zab(Input::LinkClosed { link: id });
            }
        });
        map.insert(id, Link { queue, task });
    }

    async fn exchange(&self, id: LinkId, stream: TcpStream, queue: &LinkQueue) -> io::Result<()> {
        let (from, to) = stream.into_split();
        tokio::select! {
            result = self.receive(id, from) => result,
            result = self.send_queue(id, queue, to) => result,
        }
    }

    async fn send_queue(
        &self,
        id: LinkId,
        queue: &LinkQueue,
        mut to: OwnedWriteHalf,
    ) -> io::Result<()> {
        loop {
            match queue.next().await {
                Ok(Outgoing::Bytes(bytes)) => to.write_all(&bytes).await?,
                Ok(Outgoing::Stream(pieces)) => self.send_pieces(id, pieces, &mut to).await?,
                Err(end) => {
                    to.shutdown().await?;
                    return match end {
                        crate::peers::link_queue::End::Asked => Ok(()),
                        crate::peers::link_queue::End::Overflow => {
                            Err(io::Error::other("the peer takes too little"))
                        }
                    };
                }
            }
        }
    }

    /// Sends a snapshot, and lets the state machine know that it goes on.
    async fn send_pieces(
        &self,
        id: LinkId,
        mut pieces: mpsc::Receiver<Piece>,
        to: &mut OwnedWriteHalf,
    ) -> io::Result<()> {
        let mut told = Instant::now();
        loop {
            match pieces.recv().await {
                Some(Piece::Bytes(bytes)) => to.write_all(&bytes).await?,
                Some(Piece::End) => return Ok(()),
                None => return Err(io::Error::other("the snapshot could not be sent")),
            }
            self.tell_passing(id, &mut told);
        }
    }

    /// Says now and then that a snapshot is passing.
    fn tell_passing(&self, id: LinkId, told: &mut Instant) {
        if told.elapsed() >= PASSING_EVERY {
            *told = Instant::now();
            self.inbox.zab(Input::SnapshotPassing { link: id });
        }
    }

    async fn receive(&self, id: LinkId, mut from: OwnedReadHalf) -> io::Result<()> {
        let mut decoder = PacketDecoder::new(self.settings.packet);
        loop {
            make_room(decoder.buffer());
            let before = decoder.buffer().len();
            if from.read_buf(decoder.buffer()).await? == 0 {
                return Ok(());
            }
            let bytes = decoder.buffer().len() - before;
            let mut packets = Vec::new();
            while let Some(packet) = decoder.poll().map_err(invalid)? {
                if let Some(way) = synchronisation(packet.kind) {
                    tracing::info!(link = id.0, zxid = %packet.zxid, "brought up to date by {way}");
                }
                if packet.kind == packet::SNAP {
                    self.stage(id, &packet, &mut decoder, &mut from).await?;
                }
                packets.push(packet);
            }
            if !packets.is_empty() {
                self.inbox.room().await;
                let input = Input::Packets { link: id, packets };
                self.inbox.push(Work::Zab(input), bytes);
            }
        }
    }

    /// Takes the body behind a SNAP packet.
    async fn stage(
        &self,
        id: LinkId,
        snap: &Packet,
        decoder: &mut PacketDecoder,
        from: &mut OwnedReadHalf,
    ) -> io::Result<()> {
        let mut staging = Staging::begin(&self.snapshots, snap.zxid, self.settings.packet).await?;
        let mut arrived = decoder.take_rest();
        let mut told = Instant::now();
        loop {
            let rest;
            (staging, rest) = staging.take(arrived).await?;
            if let Some(rest) = rest {
                decoder.feed(&rest);
                break;
            }
            let mut buffer = bytes::BytesMut::with_capacity(STREAM_READ);
            if from.read_buf(&mut buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            arrived = buffer.freeze();
            self.tell_passing(id, &mut told);
        }
        let staged = staging.finish().await?;
        tracing::info!(link = id.0, bytes = staged.bytes(), "received a snapshot");
        self.staged.put(id, staged);
        Ok(())
    }
}

/// How often a passing snapshot is told of: more often than the shortest tick in use.
const PASSING_EVERY: Duration = Duration::from_millis(20);
/// Bytes of a snapshot taken from a socket at once.
const STREAM_READ: usize = 1 << 20;

/// Room for packets that is made at once.
const READ: usize = 64 << 10;
/// Room that is worth a read.
const LEAST: usize = 4 << 10;

/// Makes room to read into. What was read is kept for long in part, and shares the buffer's memory:
/// so the buffer is used up to its end before there is a new one.
fn make_room(buffer: &mut bytes::BytesMut) {
    if buffer.capacity() - buffer.len() < LEAST {
        // A packet that is longer than the room is not moved too often.
        buffer.reserve(READ.max(buffer.len()));
    }
}

fn invalid(error: wire::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
/// The name of the packet by which a leader begins to bring its learner up to date.
const fn synchronisation(kind: i32) -> Option<&'static str> {
    match kind {
        packet::SNAP => Some("SNAP"),
        packet::DIFF => Some("DIFF"),
        packet::TRUNC => Some("TRUNC"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_that_are_kept_lie_close_together_and_there_is_room_for_many() {
        let mut buffer = bytes::BytesMut::new();
        let mut kept: Vec<bytes::Bytes> = Vec::new();
        for _ in 0..1000 {
            make_room(&mut buffer);
            assert!(buffer.capacity() - buffer.len() >= LEAST);
            buffer.extend_from_slice(&[7; 200]);
            kept.push(buffer.split_to(200).freeze());
        }
        let is_next = |pair: &[bytes::Bytes]| pair[0].as_ptr_range().end == pair[1].as_ptr();
        let moves = kept.windows(2).filter(|pair| !is_next(pair)).count();
        assert_eq!(moves, 1000 * 200 / (READ - LEAST));
    }
}
