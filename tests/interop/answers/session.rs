//! A client's session in plain frames.

use std::collections::{HashSet, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use tests::raw::Ended;
use wire::client::{
    ConnectRequest, ConnectResponse, MultiResult, OpCode, ReplyHeader, Request, RequestHeader,
    WatcherEvent, xid,
};
use wire::frame::encode_frame;
use wire::{Reader, Record, SessionId, Zxid};

use super::asked::Asked;
use super::plain::plain;

/// Of client 0, 1 and 2.
const CREDENTIALS: [Option<&str>; 3] = [Some("alice:a"), None, Some("super:test")];

/// How long a member may take to see what a session has seen elsewhere.
const TAKEN: Duration = Duration::from_secs(20);

/// For so long a connection may stay that is to end.
const STAYS: Duration = Duration::from_secs(5);

/// In place of an error's code: the connection ended without a reply.
pub(super) const CLOSED: i32 = i32::MAX;

/// Milliseconds that a session is asked to last.
const TIMEOUT: i32 = 60_000;

pub(super) struct Session {
    stream: TcpStream,
    /// Requests that were not sent yet.
    out: Vec<u8>,
    client: usize,
    may_only_read: bool,
    id: SessionId,
    password: Bytes,
    seen: Zxid,
    hides_zxids: bool,
    next_xid: i32,
    /// Of requests whose answers are to come.
    awaited: VecDeque<i32>,
    /// Not told with an answer yet.
    events: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    zxid: Zxid,
    path: String,
    kind: i32,
    state: i32,
}

/// What a request was answered, with the events before it.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// All of it, without what two runs cannot have in common.
    pub(super) text: String,
    /// An error's code, or [`CLOSED`].
    pub(super) err: i32,
    /// Of a multi.
    pub(super) parts: Vec<MultiResult>,
    pub(super) zxid: Zxid,
}

impl Answer {
    /// Whether all of the request was done. A multi that failed has no error of its own.
    pub(super) fn is_success(&self) -> bool {
        let failed = |part: &MultiResult| matches!(part, MultiResult::Error(err) if *err != 0);
        self.err == 0 && !self.parts.iter().any(failed)
    }

    /// The connection ended.
    pub(super) fn closed() -> Self {
        Self::none(&[])
    }

    /// The connection ended, after events.
    fn none(events: &[Event]) -> Self {
        Self {
            text: format!("{events:?} closed"),
            err: CLOSED,
            parts: Vec::new(),
            zxid: Zxid::ZERO,
        }
    }
}

/// What answers are seen in the light of.
pub(super) struct Light<'a> {
    /// The sessions' ids, which are shown by their place.
    pub(super) owners: &'a [i64],
    pub(super) order: Order<'a>,
}

/// Which events come in a promised order.
#[derive(Clone, Copy)]
pub(super) enum Order<'a> {
    /// All.
    All,
    /// Those of one change after those of the one before; within these changes too.
    Of(&'a HashSet<Zxid>),
    /// None: it is left to chance what changes first.
    None,
}

impl Order<'_> {
    fn apply(self, events: &mut [Event]) {
        match self {
            Order::All => {}
            Order::None => events.sort_by(|a, b| (&a.path, a.kind).cmp(&(&b.path, b.kind))),
            // What goes with one session goes in no promised order.
            Order::Of(ordered) => {
                for group in events.chunk_by_mut(|a, b| a.zxid == b.zxid) {
                    if group[0].zxid != Zxid::NONE && !ordered.contains(&group[0].zxid) {
                        group.sort();
                    }
                }
            }
        }
    }
}

/// A first frame.
#[derive(Clone, Debug)]
pub(super) struct Hello {
    pub(super) protocol: i32,
    pub(super) seen: Zxid,
    pub(super) timeout: i32,
    pub(super) id: SessionId,
    pub(super) password: Bytes,
    pub(super) read_only: Option<bool>,
}

impl Session {
    /// A session of its own on a member.
    pub(super) fn open(
        server: SocketAddr,
        client: usize,
        may_only_read: bool,
    ) -> anyhow::Result<Self> {
        Self::open_for(server, client, may_only_read, TIMEOUT)
    }

    /// As [`Session::open`], and over after so many milliseconds of silence.
    pub(super) fn open_short(
        server: SocketAddr,
        client: usize,
        timeout: i32,
    ) -> anyhow::Result<Self> {
        Self::open_for(server, client, false, timeout)
    }

    fn open_for(
        server: SocketAddr,
        client: usize,
        may_only_read: bool,
        timeout: i32,
    ) -> anyhow::Result<Self> {
        let mut session = Self {
            stream: connect(server)?,
            out: Vec::new(),
            client,
            may_only_read,
            id: SessionId(0),
            password: vec![0; 16].into(),
            seen: Zxid::ZERO,
            hides_zxids: false,
            next_xid: 1,
            awaited: VecDeque::new(),
            events: Vec::new(),
        };
        session.shake_hands(timeout)?;
        Ok(session)
    }

    /// Goes on over another connection; what had not been read is lost.
    pub(super) fn reconnect(&mut self, server: SocketAddr) -> anyhow::Result<()> {
        self.close_stream();
        self.events.clear();
        self.awaited.clear();
        self.out.clear();
        let (id, password) = (self.id, self.password.clone());
        let deadline = Instant::now() + TAKEN;
        loop {
            self.stream = connect(server)?;
            let Err(error) = self.shake_hands(TIMEOUT) else {
                ensure!(self.id == id, "session {id} was not taken: {}", self.id);
                return Ok(());
            };
            // A member that has not seen yet what the session has closes the connection.
            if Instant::now() > deadline {
                return Err(error);
            }
            (self.id, self.password) = (id, password.clone());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The same session over another connection, while this one stays.
    pub(super) fn second(&self, server: SocketAddr) -> anyhow::Result<Self> {
        let mut second = Self {
            stream: self.stream.try_clone().context("hold the connection")?,
            out: Vec::new(),
            client: self.client,
            may_only_read: self.may_only_read,
            id: self.id,
            password: self.password.clone(),
            seen: self.seen,
            hides_zxids: self.hides_zxids,
            next_xid: self.next_xid + 1000,
            awaited: VecDeque::new(),
            events: Vec::new(),
        };
        // Of the two handles one is left, which ends the connection when it is dropped.
        let deadline = Instant::now() + TAKEN;
        loop {
            second.stream = connect(server)?;
            match second.shake_hands(TIMEOUT) {
                Ok(()) => return Ok(second),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn close_stream(&self) {
        // It may have ended already.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    fn shake_hands(&mut self, timeout: i32) -> anyhow::Result<()> {
        let hello = Hello {
            protocol: 0,
            seen: self.seen,
            timeout,
            id: self.id,
            password: self.password.clone(),
            read_only: Some(self.may_only_read),
        };
        self.put_hello(&hello);
        self.flush()?;
        let welcome = ConnectResponse::from_bytes(&self.receive()?)?;
        (self.id, self.password) = (welcome.session_id, welcome.password);
        if let Some(credentials) = CREDENTIALS[self.client] {
            let packet = Asked::auth("digest", Some(credentials.as_bytes()));
            self.queue(xid::AUTH, &packet);
            self.flush()?;
            let reply = ReplyHeader::from_bytes(&self.receive()?)?;
            ensure!(reply.err == 0, "credentials were not accepted");
        }
        Ok(())
    }

    fn put_hello(&mut self, hello: &Hello) {
        let request = ConnectRequest {
            protocol_version: hello.protocol,
            last_zxid_seen: hello.seen,
            timeout: hello.timeout,
            session_id: hello.id,
            password: hello.password.clone(),
            read_only: hello.read_only,
        };
        encode_frame(&mut self.out, |out| request.encode(out));
    }

    pub(super) const fn id(&self) -> i64 {
        self.id.0
    }

    /// How another connection would ask for this session.
    pub(super) fn hello(&self) -> Hello {
        Hello {
            protocol: 0,
            seen: self.seen,
            timeout: TIMEOUT,
            id: self.id,
            password: self.password.clone(),
            read_only: Some(self.may_only_read),
        }
    }

    /// The greatest zxid of an answer.
    pub(super) const fn seen(&self) -> Zxid {
        self.seen
    }

    /// Answers have no zxids from now on.
    pub(super) const fn hides_zxids(&mut self) {
        self.hides_zxids = true;
    }

    /// Waits until the member has seen all that the leader did before. Events that come
    /// meanwhile are kept for the next answer.
    pub(super) fn catch_up(&mut self) -> anyhow::Result<()> {
        let path = "/".to_owned();
        self.post(&Request::Sync(wire::client::BarePath { path }).into());
        self.flush()?;
        let (header, _) = self.reply()?;
        ensure!(header.err == 0, "sync has the error {}", header.err);
        Ok(())
    }

    /// Events that came before the reply, and the reply.
    pub(super) fn ask(&mut self, asked: &Asked, light: &Light<'_>) -> anyhow::Result<Answer> {
        self.post(asked);
        match self.flush() {
            Ok(()) => self.answer(asked, light),
            Err(error) if error.is::<Ended>() => Ok(self.end()),
            Err(error) => Err(error),
        }
    }

    fn end(&mut self) -> Answer {
        self.awaited.clear();
        Answer::none(&std::mem::take(&mut self.events))
    }

    /// Puts a request behind those that are under way.
    pub(super) fn post(&mut self, asked: &Asked) {
        let number = asked.fixed_number().unwrap_or_else(|| {
            self.next_xid += 1;
            self.next_xid
        });
        self.queue(number, asked);
        self.awaited.push_back(number);
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        let sent = self.stream.write_all(&self.out);
        self.out.clear();
        sent.map_err(lost).context("send frames")
    }

    /// The answer to the request that has been under way for longest.
    pub(super) fn answer(&mut self, asked: &Asked, light: &Light<'_>) -> anyhow::Result<Answer> {
        let (mut header, record) = match self.reply() {
            Ok(reply) => reply,
            Err(error) if error.is::<Ended>() => return Ok(self.end()),
            Err(error) => return Err(error),
        };
        let mut events = std::mem::take(&mut self.events);
        light.order.apply(&mut events);
        let mut reader = Reader::new(&record);
        let (mut body, mut parts) = (String::new(), Vec::new());
        if header.err == 0 {
            let op = OpCode::from_code(asked.op());
            (body, parts) = plain(op, &mut reader, light.owners, self.hides_zxids)
                .with_context(|| format!("read the answer {record:?}"))?;
        }
        reader.finish()?;
        if self.hides_zxids {
            header.zxid = Zxid::ZERO;
            events.iter_mut().for_each(|event| event.zxid = Zxid::ZERO);
        }
        let ReplyHeader { zxid, err, .. } = header;
        let told = events.iter().map(|event| {
            let Event {
                zxid,
                path,
                kind,
                state,
            } = event;
            format!("{zxid} {kind} {state} {path:?}")
        });
        let told: Vec<String> = told.collect();
        let text = format!("{told:?} {zxid} error {err} {body}");
        Ok(Answer {
            text,
            err,
            parts,
            zxid,
        })
    }

    /// Whether the server goes on with this connection.
    pub(super) fn is_open(&mut self) -> anyhow::Result<bool> {
        self.post(&Request::Ping(()).into());
        let answered = self.flush().and_then(|()| self.reply());
        match answered {
            Ok(_) => Ok(true),
            Err(error) if error.is::<Ended>() => {
                self.awaited.clear();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// As [`Session::is_open`], of a connection that is to end: a request that comes before the
    /// end may still be answered.
    pub(super) fn stays_open(&mut self) -> anyhow::Result<bool> {
        let deadline = Instant::now() + STAYS;
        while self.is_open()? {
            if Instant::now() > deadline {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits for the end of the connection; what comes before it is told.
    pub(super) fn await_end(&mut self) -> anyhow::Result<usize> {
        let mut frames = 0;
        loop {
            match self.receive() {
                Ok(_) => frames += 1,
                Err(error) if error.is::<Ended>() => return Ok(frames),
                Err(error) => return Err(error),
            }
        }
    }

    /// The next reply; events before it are kept.
    fn reply(&mut self) -> anyhow::Result<(ReplyHeader, Bytes)> {
        let number = self.awaited.pop_front().context("nothing is under way")?;
        loop {
            let frame = self.receive()?;
            let mut reader = Reader::new(&frame);
            let header: ReplyHeader = reader.read()?;
            if header.xid == xid::NOTIFICATION {
                let WatcherEvent { kind, state, path } = reader.read()?;
                let zxid = header.zxid;
                self.events.push(Event {
                    zxid,
                    path,
                    kind,
                    state,
                });
                continue;
            }
            ensure!(header.xid == number, "reply to {number} has {}", header.xid);
            if header.zxid != Zxid::NONE {
                self.seen = self.seen.max(header.zxid);
            }
            return Ok((header, reader.rest()));
        }
    }

    fn queue(&mut self, number: i32, asked: &Asked) {
        let header = RequestHeader {
            xid: number,
            op: asked.op(),
        };
        encode_frame(&mut self.out, |out| {
            header.encode(out);
            asked.encode(out);
        });
    }

    fn receive(&mut self) -> anyhow::Result<Bytes> {
        let mut length = [0; 4];
        self.stream
            .read_exact(&mut length)
            .map_err(lost)
            .context("wait for a frame")?;
        let mut payload = vec![0; usize::try_from(i32::from_be_bytes(length))?];
        self.stream
            .read_exact(&mut payload)
            .map_err(lost)
            .context("read a frame")?;
        Ok(payload.into())
    }
}

/// What a member answers to a first frame and a request right behind it, as text, and whether
/// it takes the session.
pub(super) fn greet(
    server: SocketAddr,
    hello: &Hello,
    behind: Option<&Asked>,
) -> anyhow::Result<(String, bool)> {
    let mut stream = Session {
        stream: connect(server)?,
        out: Vec::new(),
        client: 1,
        may_only_read: false,
        id: SessionId(0),
        password: Bytes::new(),
        seen: Zxid::ZERO,
        hides_zxids: false,
        next_xid: 1,
        awaited: VecDeque::new(),
        events: Vec::new(),
    };
    stream.put_hello(hello);
    behind.into_iter().for_each(|asked| stream.post(asked));
    stream.flush()?;
    let frame = match stream.receive() {
        Ok(frame) => frame,
        Err(error) if error.is::<Ended>() => return Ok(("closed".to_owned(), false)),
        Err(error) => return Err(error),
    };
    let Ok(answer) = ConnectResponse::from_bytes(&frame) else {
        return Ok((format!("no welcome: {frame:?}"), false));
    };
    let is_taken = answer.session_id != SessionId(0);
    let fits = answer.password[..] == answer.session_id.password();
    let text = format!(
        "version {} timeout {} taken {is_taken} password fits {fits} read-only {:?}",
        answer.protocol_version, answer.timeout, answer.read_only
    );
    if is_taken && hello.id == SessionId(0) {
        // Nobody goes on with it.
        stream.post(&Request::CloseSession(()).into());
        stream.flush()?;
        stream.await_end()?;
        return Ok((text, true));
    }
    if is_taken {
        return Ok((text, true));
    }
    let frames = stream.await_end()?;
    Ok((format!("{text}, {frames} frames, closed"), false))
}

fn lost(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            Ended.into()
        }
        _ => error.into(),
    }
}

fn connect(server: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(server).context("connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}
