//! A client's session in plain frames.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use wire::client::{
    AuthPacket, BarePath, ConnectRequest, ConnectResponse, Create2Response, GetAclResponse,
    GetChildren2Response, GetChildrenResponse, GetDataResponse, GetEphemeralsResponse,
    MultiResponse, MultiResult, OpCode, ReplyHeader, Request, RequestHeader, StatResponse,
    WatcherEvent, WhoAmIResponse, xid,
};
use wire::frame::encode_frame;
use wire::{Reader, Record, SessionId, Stat, Zxid};

/// Of client 0, 1 and 2.
const CREDENTIALS: [Option<&str>; 3] = [Some("alice:a"), None, Some("super:test")];

/// How long a member may take to see what a session has seen elsewhere.
const TAKEN: Duration = Duration::from_secs(20);

pub(super) struct Session {
    stream: TcpStream,
    /// Requests that were not sent yet.
    out: Vec<u8>,
    client: usize,
    id: SessionId,
    password: Bytes,
    seen: Zxid,
    hides_zxids: bool,
    next_xid: i32,
    /// Of requests whose answers are to come.
    awaited: VecDeque<i32>,
}

/// What a request was answered, with the events before it.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// All of it, without what two runs cannot have in common.
    pub(super) text: String,
    pub(super) err: i32,
    /// Of a multi.
    pub(super) parts: Vec<MultiResult>,
}

impl Answer {
    /// Whether all of the request was done. A multi that failed has no error of its own.
    pub(super) fn is_success(&self) -> bool {
        let failed = |part: &MultiResult| matches!(part, MultiResult::Error(err) if *err != 0);
        self.err == 0 && !self.parts.iter().any(failed)
    }
}

impl Session {
    pub(super) fn open(server: SocketAddr, client: usize) -> anyhow::Result<Self> {
        let mut session = Self {
            stream: connect(server)?,
            out: Vec::new(),
            client,
            id: SessionId(0),
            password: vec![0; 16].into(),
            seen: Zxid::ZERO,
            hides_zxids: false,
            next_xid: 1,
            awaited: VecDeque::new(),
        };
        session.shake_hands()?;
        Ok(session)
    }

    /// Goes on over another connection; what had not been read is lost.
    pub(super) fn reconnect(&mut self, server: SocketAddr) -> anyhow::Result<()> {
        let (id, password) = (self.id, self.password.clone());
        let deadline = Instant::now() + TAKEN;
        loop {
            self.stream = connect(server)?;
            let Err(error) = self.shake_hands() else {
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

    fn shake_hands(&mut self) -> anyhow::Result<()> {
        let hello = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.seen,
            timeout: 10_000,
            session_id: self.id,
            password: self.password.clone(),
            read_only: Some(false),
        };
        encode_frame(&mut self.out, |out| hello.encode(out));
        self.flush()?;
        let welcome = ConnectResponse::from_bytes(&self.receive()?)?;
        (self.id, self.password) = (welcome.session_id, welcome.password);
        if let Some(credentials) = CREDENTIALS[self.client] {
            let packet = Request::Auth(AuthPacket {
                kind: 0,
                scheme: "digest".to_owned(),
                auth: Some(Bytes::from_static(credentials.as_bytes())),
            });
            self.queue(xid::AUTH, &packet);
            self.flush()?;
            let reply = ReplyHeader::from_bytes(&self.receive()?)?;
            ensure!(reply.err == 0, "credentials were not accepted");
        }
        Ok(())
    }

    pub(super) const fn id(&self) -> i64 {
        self.id.0
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
        self.post(&Request::Sync(BarePath { path }))
    }

    /// Events that came before the reply, and the reply. `owners` are the sessions' ids, which
    /// are shown by their place.
    pub(super) fn ask(&mut self, request: &Request, owners: &[i64]) -> anyhow::Result<Answer> {
        let before = self.awaited.len();
        self.post(request)?;
        self.flush()?;
        // What was posted before is a sync, of which only the events count.
        let mut events = Vec::new();
        for _ in 0..before {
            self.reply(&mut events)?;
        }
        self.take(request, owners, events)
    }

    /// Puts a request behind those that are under way.
    pub(super) fn post(&mut self, request: &Request) -> anyhow::Result<()> {
        let number = match request {
            Request::SetWatches2(_) => xid::SET_WATCHES,
            _ => {
                self.next_xid += 1;
                self.next_xid
            }
        };
        self.queue(number, request);
        self.awaited.push_back(number);
        Ok(())
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        let sent = self.stream.write_all(&self.out);
        self.out.clear();
        sent.context("send frames")
    }

    /// The answer to the request that has been under way for longest.
    pub(super) fn answer(&mut self, request: &Request, owners: &[i64]) -> anyhow::Result<Answer> {
        self.take(request, owners, Vec::new())
    }

    fn take(
        &mut self,
        request: &Request,
        owners: &[i64],
        mut events: Vec<(Zxid, i32, String)>,
    ) -> anyhow::Result<Answer> {
        let (mut header, record) = self.reply(&mut events)?;
        // What goes with one session goes in no promised order.
        events.sort_by(|a, b| (a.0, &a.2, a.1).cmp(&(b.0, &b.2, b.1)));
        let mut reader = Reader::new(&record);
        let mut parts = Vec::new();
        let body = if header.err == 0 {
            let hide = self.hides_zxids;
            let (body, found) = plain(request.op(), &mut reader, owners, hide)?;
            parts = found;
            body
        } else {
            String::new()
        };
        reader.finish()?;
        if self.hides_zxids {
            header.zxid = Zxid::ZERO;
            events.iter_mut().for_each(|event| event.0 = Zxid::ZERO);
        }
        let (zxid, err) = (header.zxid, header.err);
        let text = format!("{events:?} {zxid} error {err} {body}");
        Ok(Answer { text, err, parts })
    }

    /// The next reply, after events.
    fn reply(
        &mut self,
        events: &mut Vec<(Zxid, i32, String)>,
    ) -> anyhow::Result<(ReplyHeader, Bytes)> {
        let number = self.awaited.pop_front().context("nothing is under way")?;
        loop {
            let frame = self.receive()?;
            let mut reader = Reader::new(&frame);
            let header: ReplyHeader = reader.read()?;
            if header.xid == xid::NOTIFICATION {
                let event: WatcherEvent = reader.read()?;
                events.push((header.zxid, event.kind, event.path));
                continue;
            }
            ensure!(header.xid == number, "reply to {number} has {}", header.xid);
            if header.zxid != Zxid::NONE {
                self.seen = self.seen.max(header.zxid);
            }
            return Ok((header, reader.rest()));
        }
    }

    fn queue(&mut self, number: i32, request: &Request) {
        let header = RequestHeader {
            xid: number,
            op: request.op().code(),
        };
        encode_frame(&mut self.out, |out| {
            header.encode(out);
            request.encode(out);
        });
    }

    fn receive(&mut self) -> anyhow::Result<Bytes> {
        let mut length = [0; 4];
        self.stream
            .read_exact(&mut length)
            .context("wait for a frame")?;
        let mut payload = vec![0; usize::try_from(i32::from_be_bytes(length))?];
        self.stream
            .read_exact(&mut payload)
            .context("read a frame")?;
        Ok(payload.into())
    }
}

fn connect(server: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(server).context("connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

/// The record of an answer without times, and with lists in order.
fn plain(
    op: OpCode,
    reader: &mut Reader<'_>,
    owners: &[i64],
    hides_zxids: bool,
) -> anyhow::Result<(String, Vec<MultiResult>)> {
    let without = |stat: &mut Stat| {
        (stat.ctime, stat.mtime) = (0, 0);
        if hides_zxids {
            (stat.czxid, stat.mzxid, stat.pzxid) = (Zxid::ZERO, Zxid::ZERO, Zxid::ZERO);
        }
        if let Some(place) = owners.iter().position(|&id| id == stat.ephemeral_owner) {
            stat.ephemeral_owner = place as i64 + 1;
        }
    };
    let mut parts = Vec::new();
    let text = match op {
        OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
            let mut answer: Create2Response = reader.read()?;
            without(&mut answer.stat);
            format!("{answer:?}")
        }
        OpCode::Exists | OpCode::SetData | OpCode::SetAcl => {
            let mut answer: StatResponse = reader.read()?;
            without(&mut answer.stat);
            format!("{answer:?}")
        }
        OpCode::GetData => {
            let mut answer: GetDataResponse = reader.read()?;
            without(&mut answer.stat);
            format!("{answer:?}")
        }
        OpCode::GetAcl => {
            let mut answer: GetAclResponse = reader.read()?;
            without(&mut answer.stat);
            format!("{answer:?}")
        }
        OpCode::GetChildren => {
            let mut answer: GetChildrenResponse = reader.read()?;
            answer.children.sort();
            format!("{answer:?}")
        }
        OpCode::GetChildren2 => {
            let mut answer: GetChildren2Response = reader.read()?;
            answer.children.sort();
            without(&mut answer.stat);
            format!("{answer:?}")
        }
        OpCode::GetEphemerals => {
            let mut answer: GetEphemeralsResponse = reader.read()?;
            answer.ephemerals.sort();
            format!("{answer:?}")
        }
        OpCode::WhoAmI => {
            let mut answer: WhoAmIResponse = reader.read()?;
            answer.infos.sort_by(|a, b| a.scheme.cmp(&b.scheme));
            format!("{answer:?}")
        }
        OpCode::Multi | OpCode::MultiRead => {
            let mut answer: MultiResponse = reader.read()?;
            for result in &mut answer.results {
                match result {
                    MultiResult::Create2(part) => without(&mut part.stat),
                    MultiResult::SetData(part) => without(&mut part.stat),
                    MultiResult::GetData(part) => without(&mut part.stat),
                    MultiResult::GetChildren(part) => part.children.sort(),
                    _ => {}
                }
            }
            parts.clone_from(&answer.results);
            format!("{answer:?}")
        }
        _ => format!("{:?}", reader.rest()),
    };
    Ok((text, parts))
}
