//! A client's connection in memory.

use std::io;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// What a socket is elsewhere.
#[derive(Default)]
pub(crate) struct Pipe(Mutex<Ends>);

struct Ends {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    /// Bytes that may wait for the client.
    room: usize,
    has_hung_up: bool,
    is_shut: bool,
    waker: Option<Waker>,
}

impl Default for Ends {
    fn default() -> Self {
        Self {
            to_server: Vec::new(),
            to_client: Vec::new(),
            room: usize::MAX,
            has_hung_up: false,
            is_shut: false,
            waker: None,
        }
    }
}

impl std::fmt::Debug for Pipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pipe")
    }
}

impl Ends {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Pipe {
    pub(super) fn send(&self, bytes: &[u8]) {
        let mut ends = self.0.lock();
        if !ends.is_shut && !ends.has_hung_up {
            ends.to_server.extend_from_slice(bytes);
            ends.wake();
        }
    }

    pub(super) fn take(&self) -> Vec<u8> {
        let mut ends = self.0.lock();
        ends.wake();
        std::mem::take(&mut ends.to_client)
    }

    pub(super) fn hold(&self, room: usize) {
        let mut ends = self.0.lock();
        ends.room = room;
        ends.wake();
    }

    pub(super) fn hang_up(&self) {
        let mut ends = self.0.lock();
        ends.has_hung_up = true;
        ends.wake();
    }

    /// The server's end says that nothing more follows.
    pub(crate) fn shut(&self) {
        self.0.lock().is_shut = true;
    }

    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.0.lock();
        let n = ends.to_server.len().min(buffer.len());
        if n == 0 && !ends.has_hung_up {
            ends.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        buffer[..n].copy_from_slice(&ends.to_server[..n]);
        ends.to_server.drain(..n);
        Poll::Ready(Ok(n))
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut ends = self.0.lock();
        if ends.has_hung_up {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let n = bytes
            .len()
            .min(ends.room.saturating_sub(ends.to_client.len()));
        if n == 0 && !bytes.is_empty() {
            ends.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        ends.to_client.extend_from_slice(&bytes[..n]);
        Poll::Ready(Ok(n))
    }
}
