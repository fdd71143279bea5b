//! The byte stream under a client's connection.

use std::io;
use std::pin::Pin;
#[cfg(any(test, feature = "rehearsal"))]
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

#[cfg(any(test, feature = "rehearsal"))]
use crate::rehearsal::Pipe;

/// What a client's bytes come by. Encrypted streams become further variants; which one it is, is
/// decided by the first bytes ([`TcpStream::peek`]) before the connection is made.
#[derive(Debug)]
pub(crate) enum ByteStream {
    /// Plain TCP.
    Plain(TcpStream),
    /// In a rehearsal.
    #[cfg(any(test, feature = "rehearsal"))]
    Memory(Arc<Pipe>),
}

impl ByteStream {
    /// Reads into `buffer`; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => {
                let mut buffer = ReadBuf::new(buffer);
                let result = Pin::new(stream).poll_read(cx, &mut buffer);
                result.map_ok(|()| buffer.filled().len())
            }
            #[cfg(any(test, feature = "rehearsal"))]
            Self::Memory(pipe) => pipe.poll_read(cx, buffer),
        }
    }

    /// Writes some of `bytes`.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(any(test, feature = "rehearsal"))]
            Self::Memory(pipe) => pipe.poll_write(cx, bytes),
        }
    }

    /// Says that nothing more follows.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(any(test, feature = "rehearsal"))]
            Self::Memory(pipe) => {
                pipe.shut();
                Poll::Ready(Ok(()))
            }
        }
    }
}
