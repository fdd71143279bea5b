//! A client's session in plain frames.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use wire::client::{
    AuthPacket, ConnectRequest, ConnectResponse, Create2Response, GetAclResponse,
    GetChildren2Response, GetChildrenResponse, GetDataResponse, GetEphemeralsResponse,
    MultiResponse, MultiResult, OpCode, ReplyHeader, Request, RequestHeader, StatResponse,
    WatcherEvent, WhoAmIResponse, xid,
};
use wire::{Reader, Record, SessionId, Stat, Zxid};

/// Of client 0, 1 and 2.
const CREDENTIALS: [Option<&str>; 3] = [Some("alice:a"), None, Some("super:test")];

pub(super) struct Session {
    stream: TcpStream,
    id: SessionId,
}

impl Session {
    pub(super) fn open(server: SocketAddr, client: usize) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server).context("connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let id = SessionId(0);
        let mut session = Self { stream, id };
        let hello = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout: 10_000,
            session_id: SessionId(0),
            password: vec![0; 16].into(),
            read_only: Some(false),
        };
        session.send(&hello.to_bytes())?;
        session.id = ConnectResponse::from_bytes(&session.receive()?)?.session_id;
        if let Some(credentials) = CREDENTIALS[client] {
            let packet = Request::Auth(AuthPacket {
                kind: 0,
                scheme: "digest".to_owned(),
                auth: Some(Bytes::from_static(credentials.as_bytes())),
            });
            session.send_request(xid::AUTH, &packet)?;
            let reply = ReplyHeader::from_bytes(&session.receive()?)?;
            ensure!(reply.err == 0, "credentials were not accepted");
        }
        Ok(session)
    }

    pub(super) const fn id(&self) -> i64 {
        self.id.0
    }

    /// Events that came before the reply, and the reply. `owners` are the sessions' ids, which
    /// are shown by their place.
    pub(super) fn ask(&mut self, request: &Request, owners: &[i64]) -> anyhow::Result<String> {
        let number = match request {
            Request::SetWatches2(_) => xid::SET_WATCHES,
            _ => 1,
        };
        self.send_request(number, request)?;
        let mut events = Vec::new();
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
            // What goes with one session goes in no promised order.
            events.sort_by(|a, b| (a.0, &a.2, a.1).cmp(&(b.0, &b.2, b.1)));
            let body = if header.err == 0 {
                plain(request.op(), &mut reader, owners)?
            } else {
                String::new()
            };
            reader.finish()?;
            let (zxid, err) = (header.zxid, header.err);
            return Ok(format!("{events:?} {zxid} error {err} {body}"));
        }
    }

    fn send_request(&mut self, number: i32, request: &Request) -> anyhow::Result<()> {
        let mut frame = Vec::new();
        RequestHeader {
            xid: number,
            op: request.op().code(),
        }
        .encode(&mut frame);
        request.encode(&mut frame);
        self.send(&frame)
    }

    fn send(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let length = i32::try_from(payload.len())?;
        let frame = [&length.to_be_bytes(), payload].concat();
        self.stream.write_all(&frame).context("send a frame")
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

/// The record of an answer without times, and with lists in order.
fn plain(op: OpCode, reader: &mut Reader<'_>, owners: &[i64]) -> anyhow::Result<String> {
    let without = |stat: &mut Stat| {
        (stat.ctime, stat.mtime) = (0, 0);
        if let Some(place) = owners.iter().position(|&id| id == stat.ephemeral_owner) {
            stat.ephemeral_owner = place as i64 + 1;
        }
    };
    Ok(match op {
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
            format!("{answer:?}")
        }
        _ => format!("{:?}", reader.rest()),
    })
}
