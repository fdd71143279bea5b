//! What the session's thread does, from the first connection to the end.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use wire::client::{
    AuthPacket, ConnectRequest, ConnectResponse, ErrorCode, EventType, ReplyHeader, Request,
    RequestHeader, WatcherEvent, xid,
};
use wire::frame::{FrameDecoder, encode_frame};
use wire::{DecodeError, Reader, Record as _, SessionId, Zxid};

use super::super::failure::Refused;
use super::super::watches::Watches;
use super::{Event, Options, Order, Reply, State, UNSEEN, local};

/// Longest answer taken.
const FRAME: usize = 64 << 20;
/// Between two rounds through all servers.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Life {
    servers: Vec<String>,
    next_server: usize,
    root: String,
    wanted: Duration,
    read_only: bool,
    events: Arc<dyn Fn(&Event) + Send + Sync>,
    state: Arc<Mutex<State>>,
    session: SessionId,
    password: Bytes,
    /// What the server granted.
    timeout: Duration,
    seen: Zxid,
    credentials: Vec<AuthPacket>,
    watches: Watches,
    last_xid: i32,
    pending: VecDeque<Pending>,
}

/// A request that was sent.
struct Pending {
    xid: i32,
    request: Box<Request>,
    answer: Option<SyncSender<Result<Reply, Refused>>>,
}

/// A connection that a server has given a session.
struct Link {
    stream: TcpStream,
    frames: FrameDecoder,
    heard: Instant,
    said: Instant,
}

/// Why a connection ended.
enum End {
    /// Another one may go on.
    Lost,
    /// The session is over.
    Over,
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Lost
    }
}

impl From<DecodeError> for End {
    fn from(_: DecodeError) -> Self {
        Self::Lost
    }
}

impl Life {
    pub(super) fn new(
        options: &Options,
        servers: Vec<String>,
        root: String,
        state: Arc<Mutex<State>>,
    ) -> Self {
        Self {
            servers,
            next_server: 0,
            root,
            wanted: options.timeout,
            read_only: options.read_only,
            events: options.events.clone(),
            state,
            session: SessionId(0),
            password: Bytes::from_static(&[0; 16]),
            timeout: options.timeout,
            seen: UNSEEN,
            credentials: Vec::new(),
            watches: Watches::default(),
            last_xid: 0,
            pending: VecDeque::new(),
        }
    }

    pub(super) async fn live(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(mut link) = self.connect(&mut orders).await {
            let end = self.serve(&mut link, &mut orders).await;
            let code = match end {
                Some(End::Over) | None if self.state() == State::AuthFailed => {
                    ErrorCode::AuthFailed
                }
                _ => ErrorCode::ConnectionLoss,
            };
            self.fail_pending(code);
            if matches!(end, Some(End::Over)) {
                return;
            }
            self.become_(State::Connecting, "Disconnected");
        }
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn become_(&self, state: State, name: &'static str) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        (self.events)(&Event {
            kind: EventType::None,
            state: name,
            path: None,
            zxid: -1,
        });
    }

    /// `None` when the session is over.
    async fn connect(&mut self, orders: &mut mpsc::Receiver<Order>) -> Option<Link> {
        let share = self.timeout / u32::try_from(self.servers.len()).unwrap_or(1);
        loop {
            for _ in 0..self.servers.len() {
                let server = self.servers[self.next_server % self.servers.len()].clone();
                self.next_server += 1;
                match timeout(share, self.shake_hands(&server)).await {
                    Ok(Ok(link)) => return Some(link),
                    Ok(Err(End::Over)) => {
                        self.become_(State::Closed, "Expired");
                        return None;
                    }
                    Ok(Err(End::Lost)) | Err(_) => {}
                }
            }
            // All were tried: who waits is told, and who wants to end may.
            while let Ok(order) = orders.try_recv() {
                match order {
                    Order::Call { answer, .. } => {
                        let lost = Refused::new(ErrorCode::ConnectionLoss, None);
                        let _ = answer.send(Err(lost));
                    }
                    Order::Close => {
                        self.become_(State::Closed, "Closed");
                        return None;
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }

    async fn shake_hands(&mut self, server: &str) -> Result<Link, End> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let mut link = Link {
            stream,
            frames: FrameDecoder::new(FRAME),
            heard: Instant::now(),
            said: Instant::now(),
        };
        let hello = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.seen,
            timeout: i32::try_from(self.wanted.as_millis()).unwrap_or(i32::MAX),
            session_id: self.session,
            password: self.password.clone(),
            read_only: Some(self.read_only),
        };
        let mut out = Vec::new();
        encode_frame(&mut out, |out| hello.encode(out));
        link.stream.write_all(&out).await?;
        let frame = link.frame().await?;
        let welcome = ConnectResponse::from_bytes(&frame)?;
        let Some(granted) = u64::try_from(welcome.timeout).ok().filter(|ms| *ms > 0) else {
            return Err(End::Over);
        };
        self.session = welcome.session_id;
        self.password = Bytes::copy_from_slice(&welcome.password);
        self.timeout = Duration::from_millis(granted);
        let mut out = Vec::new();
        for packet in self.credentials.clone() {
            self.queue(Box::new(Request::Auth(packet)), None, &mut out);
        }
        for request in self.watches.requests(self.seen) {
            self.queue(Box::new(request), None, &mut out);
        }
        link.stream.write_all(&out).await?;
        if welcome.read_only == Some(true) {
            self.become_(State::ConnectedReadOnly, "ConnectedReadOnly");
        } else {
            self.become_(State::Connected, "SyncConnected");
        }
        Ok(link)
    }

    /// Serves orders until the connection ends. `None` when nobody is there to order any more.
    async fn serve(&mut self, link: &mut Link, orders: &mut mpsc::Receiver<Order>) -> Option<End> {
        loop {
            while let Ok(Some(frame)) = link.frames.poll() {
                if let Err(end) = self.take(&frame) {
                    return Some(end);
                }
            }
            let silent = link.heard + self.timeout * 2 / 3;
            let ping = link.said + self.timeout / 3;
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Call { request, answer }) => {
                        let mut out = Vec::new();
                        self.queue(request, Some(answer), &mut out);
                        if let Err(end) = link.say(&out, silent).await {
                            return Some(end);
                        }
                    }
                    Some(Order::Close) | None => return Some(self.close(link).await),
                },
                read = link.stream.read_buf(link.frames.buffer()) => match read {
                    Ok(0) | Err(_) => return Some(End::Lost),
                    Ok(_) => link.heard = Instant::now(),
                },
                () = sleep_until(ping) => {
                    let mut out = Vec::new();
                    self.queue(Box::new(Request::Ping(())), None, &mut out);
                    if let Err(end) = link.say(&out, silent).await {
                        return Some(end);
                    }
                }
                () = sleep_until(silent) => return Some(End::Lost),
            }
        }
    }

    async fn close(&mut self, link: &mut Link) -> End {
        let mut out = Vec::new();
        let request = Box::new(Request::CloseSession(()));
        self.queue(request, None, &mut out);
        let asked = self.last_xid;
        let deadline = Instant::now() + self.timeout;
        if link.say(&out, deadline).await.is_ok() {
            while let Ok(Ok(frame)) = timeout_at(deadline, link.frame()).await {
                let header = ReplyHeader::from_bytes(&frame);
                if header.is_ok_and(|header| header.xid == asked) {
                    break;
                }
            }
        }
        self.become_(State::Closed, "Closed");
        End::Over
    }

    fn queue(
        &mut self,
        request: Box<Request>,
        answer: Option<SyncSender<Result<Reply, Refused>>>,
        out: &mut Vec<u8>,
    ) {
        let number = match &*request {
            Request::Ping(()) => xid::PING,
            Request::Auth(_) => xid::AUTH,
            Request::SetWatches2(_) => xid::SET_WATCHES,
            _ => {
                self.last_xid = self.last_xid.checked_add(1).unwrap_or(1);
                self.last_xid
            }
        };
        let header = RequestHeader {
            xid: number,
            op: request.op().code(),
        };
        encode_frame(out, |out| {
            header.encode(out);
            request.encode(out);
        });
        self.pending.push_back(Pending {
            xid: number,
            request,
            answer,
        });
    }

    /// Takes one frame from the server.
    fn take(&mut self, frame: &Bytes) -> Result<(), End> {
        let mut reader = Reader::new(frame);
        let header: ReplyHeader = reader.read()?;
        if header.xid == xid::NOTIFICATION {
            let event: WatcherEvent = reader.read()?;
            self.notify(&event, header.zxid);
            return Ok(());
        }
        // Pings are answered out of turn.
        let place = self.pending.iter().position(|sent| sent.xid == header.xid);
        let Some(sent) = place.and_then(|place| self.pending.remove(place)) else {
            return Err(End::Lost);
        };
        if header.zxid > self.seen && header.zxid != Zxid::NONE {
            self.seen = header.zxid;
        }
        if let Request::Auth(packet) = &*sent.request {
            if header.err != 0 {
                self.become_(State::AuthFailed, "AuthFailed");
                if let Some(answer) = sent.answer {
                    let _ = answer.send(Err(Refused::new(ErrorCode::AuthFailed, None)));
                }
                return Err(End::Over);
            }
            if sent.answer.is_some() {
                self.credentials.push(packet.clone());
            }
        }
        let removed = self.watches.answered(&sent.request, header.err);
        if let Request::RemoveWatches(request) = &*sent.request {
            for kind in removed {
                (self.events)(&Event {
                    kind,
                    state: self.state_name(),
                    path: Some(local(&self.root, &request.path)),
                    zxid: -1,
                });
            }
        }
        if let Some(answer) = sent.answer {
            let body = reader.rest();
            let _ = answer.send(match header.err {
                0 => Ok(Reply { body }),
                code => Err(Refused { code, path: None }),
            });
        }
        Ok(())
    }

    fn notify(&mut self, event: &WatcherEvent, zxid: Zxid) {
        let Some(kind) = EventType::from_code(event.kind) else {
            return;
        };
        self.watches.fired(kind, &event.path);
        (self.events)(&Event {
            kind,
            state: self.state_name(),
            path: Some(local(&self.root, &event.path)),
            zxid: zxid.0.cast_signed(),
        });
    }

    fn state_name(&self) -> &'static str {
        match self.state() {
            State::ConnectedReadOnly => "ConnectedReadOnly",
            _ => "SyncConnected",
        }
    }

    fn fail_pending(&mut self, code: ErrorCode) {
        for sent in self.pending.drain(..) {
            if let Some(answer) = sent.answer {
                let _ = answer.send(Err(Refused::new(code, None)));
            }
        }
    }
}

impl Link {
    /// Sends; a server that does not take it until `deadline` is given up.
    async fn say(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), End> {
        match timeout_at(deadline, self.stream.write_all(bytes)).await {
            Ok(written) => written?,
            Err(_) => return Err(End::Lost),
        }
        self.said = Instant::now();
        Ok(())
    }

    async fn frame(&mut self) -> Result<Bytes, End> {
        loop {
            if let Some(frame) = self.frames.poll()? {
                return Ok(frame);
            }
            if self.stream.read_buf(self.frames.buffer()).await? == 0 {
                return Err(End::Lost);
            }
            self.heard = Instant::now();
        }
    }
}
