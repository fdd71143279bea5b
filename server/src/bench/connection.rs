//! One client connection, as thin as it can be.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::client::{ConnectRequest, ConnectResponse, ReplyHeader, Request, RequestHeader};
use wire::frame::{FrameDecoder, encode_frame};
use wire::{DecodeError, Reader, Record, SessionId, Zxid};

/// Longest answer taken.
const FRAME: usize = 64 << 20;
/// What a session asks for, milliseconds.
const TIMEOUT: i32 = 30_000;

/// Why a measurement ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The connection could not be made, or broke.
    #[error("{server}: {source}")]
    Io {
        /// The server.
        server: String,
        /// Why.
        source: std::io::Error,
    },
    /// The server closed the connection.
    #[error("{server} closed the connection")]
    Closed {
        /// The server.
        server: String,
    },
    /// The server's bytes make no sense.
    #[error("{server} answered what is not ZooKeeper's protocol")]
    Protocol {
        /// The server.
        server: String,
        /// Where.
        source: DecodeError,
    },
    /// A request failed.
    #[error("{server} answered {what} with error {code}")]
    Refused {
        /// The server.
        server: String,
        /// The request.
        what: &'static str,
        /// ZooKeeper's error code.
        code: i32,
    },
}

/// A connection with a session.
pub(super) struct Connection {
    pub(super) server: String,
    stream: TcpStream,
    frames: FrameDecoder,
    out: Vec<u8>,
    next_xid: i32,
}

impl Connection {
    pub(super) async fn open(server: &str) -> Result<Self, BenchError> {
        let failed = |source| BenchError::Io {
            server: server.to_owned(),
            source,
        };
        let stream = TcpStream::connect(server).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let mut connection = Self {
            server: server.to_owned(),
            stream,
            frames: FrameDecoder::new(FRAME),
            out: Vec::new(),
            next_xid: 1,
        };
        let hello = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout: TIMEOUT,
            session_id: SessionId(0),
            password: Bytes::from_static(&[0; 16]),
            read_only: Some(false),
        };
        encode_frame(&mut connection.out, |out| hello.encode(out));
        connection.flush().await?;
        let frame = connection.frame().await?;
        let answer = ConnectResponse::from_bytes(&frame);
        let answer = answer.map_err(|source| connection.nonsense(source))?;
        if answer.timeout <= 0 {
            return Err(BenchError::Closed {
                server: connection.server,
            });
        }
        Ok(connection)
    }

    /// Queues a request; it goes out with the next [`Connection::flush`].
    pub(super) fn queue(&mut self, request: &Request) {
        let header = RequestHeader {
            xid: self.next_xid,
            op: request.op().code(),
        };
        self.next_xid = self.next_xid.checked_add(1).unwrap_or(1);
        encode_frame(&mut self.out, |out| {
            header.encode(out);
            request.encode(out);
        });
    }

    pub(super) async fn flush(&mut self) -> Result<(), BenchError> {
        let written = self.stream.write_all(&self.out).await;
        written.map_err(|source| BenchError::Io {
            server: self.server.clone(),
            source,
        })?;
        self.out.clear();
        Ok(())
    }

    /// Waits for the next reply and gives its error code.
    pub(super) async fn reply(&mut self) -> Result<i32, BenchError> {
        let frame = self.frame().await?;
        let header = ReplyHeader::decode(&mut Reader::new(&frame));
        Ok(header.map_err(|source| self.nonsense(source))?.err)
    }

    /// A reply that has arrived already.
    pub(super) fn ready(&mut self) -> Result<Option<i32>, BenchError> {
        let frame = self.frames.poll().map_err(|source| self.nonsense(source))?;
        let Some(frame) = frame else { return Ok(None) };
        let header = ReplyHeader::decode(&mut Reader::new(&frame));
        Ok(Some(header.map_err(|source| self.nonsense(source))?.err))
    }

    async fn frame(&mut self) -> Result<Bytes, BenchError> {
        loop {
            let frame = self.frames.poll().map_err(|source| self.nonsense(source))?;
            if let Some(frame) = frame {
                return Ok(frame);
            }
            self.frames.buffer().reserve(16 << 10);
            let read = self.stream.read_buf(self.frames.buffer()).await;
            match read {
                Ok(0) => {
                    return Err(BenchError::Closed {
                        server: self.server.clone(),
                    });
                }
                Ok(_) => {}
                Err(source) => {
                    return Err(BenchError::Io {
                        server: self.server.clone(),
                        source,
                    });
                }
            }
        }
    }

    fn nonsense(&self, source: DecodeError) -> BenchError {
        BenchError::Protocol {
            server: self.server.clone(),
            source,
        }
    }
}
