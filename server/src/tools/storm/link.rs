//! A connection as a session uses it: small, since there are many.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use wire::client::{ConnectRequest, ConnectResponse, Request, RequestHeader};
use wire::frame::{FrameDecoder, encode_frame};
use wire::{Record, SessionId, Zxid};

/// Longest answer taken.
const FRAME: usize = 4 << 20;
/// Bytes read at once.
const INPUT: usize = 4 << 10;
/// Addresses of this machine that connections to it come from in turn: each has some 28,000 ports.
const SOURCES: usize = 64;

/// What a session keeps from one connection to the next.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) session: SessionId,
    pub(super) password: Bytes,
    /// Milliseconds; what is wanted, then what was granted.
    pub(super) timeout: u32,
    pub(super) seen: Zxid,
}

impl Identity {
    pub(super) const fn new(timeout: u32) -> Self {
        Self {
            session: SessionId::NONE,
            password: Bytes::from_static(&[0; 16]),
            timeout,
            seen: Zxid::ZERO,
        }
    }
}

/// Why there is no connection with this session.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoLink {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server says that the session is no more.
    #[error("the session has expired")]
    Expired,
}

/// A connection with a session.
pub(super) struct Link {
    stream: TcpStream,
    frames: FrameDecoder,
}

impl Link {
    /// Connects with a session, or with a new one, and sends `behind` at once.
    pub(super) async fn open(
        server: SocketAddr,
        number: usize,
        identity: &mut Identity,
        behind: &[u8],
    ) -> Result<Self, NoLink> {
        let stream = connect(server, number).await?;
        stream.set_nodelay(true)?;
        let mut link = Self {
            stream,
            frames: FrameDecoder::new(FRAME),
        };
        let hello = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: identity.seen,
            timeout: i32::try_from(identity.timeout).unwrap_or(i32::MAX),
            session_id: identity.session,
            password: identity.password.clone(),
            read_only: Some(false),
        };
        let mut out = Vec::with_capacity(64 + behind.len());
        encode_frame(&mut out, |out| hello.encode(out));
        out.extend_from_slice(behind);
        link.send(&out).await?;
        let frame = link.frame().await?;
        let answer = ConnectResponse::from_bytes(&frame).map_err(io::Error::other)?;
        if answer.timeout <= 0 {
            return Err(NoLink::Expired);
        }
        identity.session = answer.session_id;
        identity.password = Bytes::copy_from_slice(&answer.password);
        identity.timeout = answer.timeout.unsigned_abs();
        Ok(link)
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next frame. Nothing is lost if this is dropped before it has come.
    pub(super) async fn frame(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(frame) = self.frames.poll().map_err(io::Error::other)? {
                return Ok(frame);
            }
            self.frames.release();
            self.stream.readable().await?;
            let mut input = [0; INPUT];
            match self.stream.try_read(&mut input) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.frames.feed(&input[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

async fn connect(server: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let IpAddr::V4(address) = server.ip() else {
        return TcpStream::connect(server).await;
    };
    let socket = TcpSocket::new_v4()?;
    if address.is_loopback() {
        let source = Ipv4Addr::new(127, 0, 0, 2 + (number % SOURCES) as u8);
        socket.bind((source, 0).into())?;
    }
    socket.connect(server).await
}

/// Appends a request's frame.
pub(super) fn request(out: &mut Vec<u8>, xid: i32, request: &Request) {
    let header = RequestHeader {
        xid,
        op: request.op().code(),
    };
    encode_frame(out, |out| {
        header.encode(out);
        request.encode(out);
    });
}
