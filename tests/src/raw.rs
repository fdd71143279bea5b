//! A client that sees every frame, for tests of bytes and of order.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use wire::client::{
    ConnectRequest, ConnectResponse, ReplyHeader, Request, RequestHeader, WatcherEvent, xid,
};
use wire::frame::{FrameDecoder, encode_frame};
use wire::{Reader, Record, SessionId, Zxid};

/// How long a server may be silent.
const LIMIT: Duration = Duration::from_secs(20);
/// Longest frame taken.
const FRAME: usize = 16 << 20;

/// A connection to a client port.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    decoder: FrameDecoder,
    next: i32,
    /// The session, once there is one.
    pub session: SessionId,
}

/// What a server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The answer to a request, and its record.
    Reply(ReplyHeader, Bytes),
    /// A watch event.
    Event(Zxid, WatcherEvent),
}

impl Connection {
    /// Connects, and says nothing.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub fn open(server: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&server, LIMIT).context("connect")?;
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        stream
            .set_read_timeout(Some(LIMIT))
            .context("limit reads")?;
        Ok(Self {
            stream,
            decoder: FrameDecoder::new(FRAME),
            next: 1,
            session: SessionId::NONE,
        })
    }

    /// Connects with a session: a new one, or one that is named.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn connect(server: SocketAddr, session: SessionId) -> anyhow::Result<Self> {
        Ok(Self::connect_as(server, session, false)?.0)
    }

    /// As [`Connection::connect`], for a client that goes with a server that can only be read,
    /// or does not. Returns also whether this one is.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn connect_as(
        server: SocketAddr,
        session: SessionId,
        may_only_read: bool,
    ) -> anyhow::Result<(Self, bool)> {
        let mut connection = Self::open(server)?;
        let password = if session == SessionId::NONE {
            [0; 16]
        } else {
            session.password()
        };
        let response = connection.greet_as(session, &password, may_only_read)?;
        ensure!(
            response.session_id != SessionId::NONE,
            "the server does not know the session"
        );
        connection.session = response.session_id;
        Ok((connection, response.read_only == Some(true)))
    }

    /// Sends a first frame and returns the answer.
    ///
    /// # Errors
    /// If the server closes.
    pub fn greet(
        &mut self,
        session: SessionId,
        password: &[u8],
    ) -> anyhow::Result<ConnectResponse> {
        self.greet_as(session, password, false)
    }

    fn greet_as(
        &mut self,
        session: SessionId,
        password: &[u8],
        may_only_read: bool,
    ) -> anyhow::Result<ConnectResponse> {
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout: 10_000,
            session_id: session,
            password: Bytes::copy_from_slice(password),
            read_only: Some(may_only_read),
        };
        let mut out = Vec::new();
        encode_frame(&mut out, |out| request.encode(out));
        self.send_bytes(&out)?;
        let frame = self.frame()?;
        ConnectResponse::from_bytes(&frame).context("read the connect response")
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the connection is closed.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).context("send")
    }

    /// Sends requests in one piece; returns the first one's number, the others follow it.
    ///
    /// # Errors
    /// If the connection is closed.
    pub fn send(&mut self, requests: &[Request]) -> anyhow::Result<i32> {
        let first = self.next;
        let mut out = Vec::new();
        for request in requests {
            let xid = if matches!(request, Request::Ping(())) {
                xid::PING
            } else {
                self.next += 1;
                self.next - 1
            };
            let op = request.op().code();
            encode_frame(&mut out, |out| {
                RequestHeader { xid, op }.encode(out);
                request.encode(out);
            });
        }
        self.send_bytes(&out)?;
        Ok(first)
    }

    /// Sends a request and waits for its answer; events before it are appended to `events`.
    ///
    /// # Errors
    /// If the connection is closed.
    pub fn call(
        &mut self,
        request: Request,
        events: &mut VecDeque<WatcherEvent>,
    ) -> anyhow::Result<(ReplyHeader, Bytes)> {
        let number = self.send(&[request])?;
        loop {
            match self.receive()? {
                Frame::Event(_, event) => events.push_back(event),
                Frame::Reply(header, body) if header.xid == number => return Ok((header, body)),
                Frame::Reply(header, _) => bail!("answer to {} instead of {number}", header.xid),
            }
        }
    }

    /// The next frame.
    ///
    /// # Errors
    /// If the server closes, or is silent for too long.
    pub fn receive(&mut self) -> anyhow::Result<Frame> {
        let frame = self.frame()?;
        let mut reader = Reader::new(&frame);
        let header: ReplyHeader = reader.read().context("read a header")?;
        if header.xid == xid::NOTIFICATION {
            let event = reader.read().context("read an event")?;
            return Ok(Frame::Event(header.zxid, event));
        }
        Ok(Frame::Reply(header, reader.rest()))
    }

    /// Whether the server closes without sending anything more.
    ///
    /// # Errors
    /// If it sends something, or stays.
    pub fn expect_end(&mut self) -> anyhow::Result<()> {
        match self.frame() {
            Ok(frame) => bail!("{} bytes came instead of the end", frame.len()),
            Err(error) if error.is::<Ended>() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn frame(&mut self) -> anyhow::Result<Bytes> {
        let mut buffer = [0; 64 << 10];
        loop {
            if let Some(frame) = self.decoder.poll().context("cut a frame")? {
                return Ok(frame);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Ended.into()),
                Ok(n) => self.decoder.feed(&buffer[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    return Err(Ended.into());
                }
                Err(error) => return Err(error).context("receive"),
            }
        }
    }
}

/// The server has closed the connection.
#[derive(Debug)]
pub struct Ended;

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the server closed the connection")
    }
}

impl std::error::Error for Ended {}
