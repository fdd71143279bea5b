//! One connection to the sidecar.

use std::io;
use std::path::Path;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use wire::control::{FromServer, ToServer};

/// Bytes of the longest line: a configuration of hundreds of members fits.
const LINE: u64 = 1 << 20;

/// A connection, line by line.
pub(crate) struct Lines {
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
    line: Vec<u8>,
}

impl Lines {
    /// Connects, and reports.
    pub(crate) async fn open(socket: &Path, first: &FromServer) -> io::Result<Self> {
        let (from, to) = UnixStream::connect(socket).await?.into_split();
        let mut lines = Self {
            from: BufReader::new(from),
            to,
            line: Vec::new(),
        };
        lines.say(first).await?;
        Ok(lines)
    }

    pub(crate) async fn say(&mut self, what: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        self.to.write_all(&line).await
    }

    /// The next line that makes sense. May be dropped and called again without losing bytes.
    pub(crate) async fn hear(&mut self) -> io::Result<ToServer> {
        loop {
            let left = LINE.saturating_sub(self.line.len() as u64);
            let mut from = (&mut self.from).take(left);
            from.read_until(b'\n', &mut self.line).await?;
            if self.line.last() != Some(&b'\n') {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the sidecar ended, or its line is too long",
                ));
            }
            let line = std::mem::take(&mut self.line);
            match serde_json::from_slice(&line) {
                Ok(heard) => return Ok(heard),
                Err(error) => tracing::warn!(%error, "a line of the sidecar is not understood"),
            }
        }
    }
}
