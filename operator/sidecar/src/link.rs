//! The Unix socket: one line of JSON after the other, between the sidecar and its server.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};
use wire::control::{FromServer, ToServer};

use crate::prestop::{Hook, HookDone};
use crate::process::Process;
use crate::steward::Steward;

/// Longest line taken: a configuration of 254 members is about 30 KiB, twice in a status.
const LINE_LIMIT: u64 = 1 << 20;

/// Orders that may wait for a slow reader; one operation is in flight at a time.
const ORDERS_QUEUED: usize = 16;

/// Opens the socket, in place of one that an earlier sidecar left behind.
///
/// # Errors
/// If the path is too long for a socket, or its folder cannot be written.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Accepts for as long as the process lives. A connection of another user is closed.
pub async fn serve(listener: UnixListener, steward: Arc<Steward>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) if trusted(&stream) => {
                tokio::spawn(converse(stream, Arc::clone(&steward)));
            }
            Ok(_) => warn!("a connection of another user to the control socket is refused"),
            Err(error) => {
                warn!(%error, "control socket");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// Our own user and root may speak; the socket's mode alone is not relied on.
fn trusted(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

async fn converse(stream: UnixStream, steward: Arc<Steward>) {
    let process = Process::of(stream.peer_cred().ok().and_then(|peer| peer.pid()));
    let (read, write) = stream.into_split();
    let mut lines = Lines {
        read: BufReader::new(read),
        line: Vec::new(),
    };
    let Ok(Some(first)) = lines.next().await else {
        return;
    };
    if let Ok(Hook::PreStop { seconds }) = serde_json::from_slice(first) {
        let done = HookDone {
            message: steward.drain_before_stop(seconds).await,
        };
        let mut write = write;
        if let Err(error) = send(&mut write, &done).await {
            debug!(%error, "the hook did not wait for its answer");
        }
        return;
    }
    match serde_json::from_slice(first) {
        Ok(FromServer::Report(report)) => {
            info!(?report, "the server reports");
            let (orders, queue) = mpsc::channel(ORDERS_QUEUED);
            let connection = steward.connected(report, process, orders);
            tokio::spawn(forward(queue, write));
            let end = follow(lines, connection, &steward).await;
            steward.disconnected(connection);
            info!(reason = %end, "the server's connection ended");
        }
        Ok(other) => warn!(?other, "the first line of a connection must be a report"),
        Err(error) => warn!(%error, "the first line of a connection is not understood"),
    }
}

/// Takes what the server says until its connection ends; answers why it ended.
async fn follow(mut lines: Lines, connection: u64, steward: &Steward) -> String {
    loop {
        match lines.next_as().await {
            Ok(Some(line)) => steward.heard(connection, line),
            Ok(None) => return "closed".into(),
            Err(error) => return error.to_string(),
        }
    }
}

async fn forward(mut queue: mpsc::Receiver<ToServer>, mut write: OwnedWriteHalf) {
    while let Some(line) = queue.recv().await {
        if let Err(error) = send(&mut write, &line).await {
            debug!(%error, "the server does not listen any more");
            return;
        }
    }
}

pub(crate) async fn send(write: &mut OwnedWriteHalf, line: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    write.write_all(&bytes).await
}

/// Lines of bounded length.
pub(crate) struct Lines {
    pub(crate) read: BufReader<OwnedReadHalf>,
    pub(crate) line: Vec<u8>,
}

impl Lines {
    /// The next line without its end; `None` when the other side closed.
    async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let mut limited = (&mut self.read).take(LINE_LIMIT);
        limited.read_until(b'\n', &mut self.line).await?;
        match self.line.pop() {
            None => Ok(None),
            Some(b'\n') => Ok(Some(&self.line)),
            Some(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a line is cut off or longer than 1 MiB",
            )),
        }
    }

    /// The next line, decoded.
    pub(crate) async fn next_as<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        match self.next().await? {
            Some(line) => Ok(Some(serde_json::from_slice(line)?)),
            None => Ok(None),
        }
    }
}
