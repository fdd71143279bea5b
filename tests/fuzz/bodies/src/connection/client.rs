//! One client, and what it may expect.

use std::collections::VecDeque;

use bytes::Bytes;
use ferrokeeper::rehearsal::Rehearsal;
use wire::client::{
    ConnectRequest, ConnectResponse, ErrorCode, ErrorResponse, EventType, OpCode, ReplyHeader,
    Request, RequestHeader, WatcherEvent, xid,
};
use wire::frame::{FrameDecoder, encode_frame};
use wire::{Reader, Record, SessionId};

use super::asks::Ask;
use super::script::{Setting, TICK};
use crate::responses;

/// Bytes of the longest answer: what a server of a script can hold.
const ANSWER: usize = 16 << 20;

/// One connection's other end.
pub(super) struct Client {
    number: usize,
    frames: FrameDecoder,
    stage: Stage,
    /// What it asked and was not answered, in order, but for pings.
    asked: VecDeque<(i32, Option<OpCode>)>,
    pings: usize,
    next: i32,
    /// The greatest zxid that it was shown.
    seen: u64,
    session: Option<(SessionId, Bytes)>,
    timeout: u64,
    /// When it last said something, milliseconds.
    spoke: u64,
    /// The server has a reason to end this connection.
    may_end: bool,
    /// Its numbers tell nothing, since it sent what is no request.
    is_odd: bool,
    is_held: bool,
    has_hung_up: bool,
    has_touched_quotas: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has asked for a session; what is in the answer's end is what was in the request's.
    Greeting { wants_read_only: bool },
    /// It has one.
    Served,
    /// It gets nothing more.
    Refused,
}

impl Client {
    pub(super) fn new(number: usize) -> Self {
        Self {
            number,
            frames: FrameDecoder::new(ANSWER),
            stage: Stage::Refused,
            asked: VecDeque::new(),
            pings: 0,
            next: 1,
            seen: 0,
            session: None,
            timeout: 0,
            spoke: 0,
            may_end: false,
            is_odd: false,
            is_held: false,
            has_hung_up: false,
            has_touched_quotas: false,
        }
    }

    pub(super) const fn number(&self) -> usize {
        self.number
    }

    /// The session that it was given, with the password.
    pub(super) fn session(&self) -> Option<(SessionId, Bytes)> {
        self.session.clone()
    }

    pub(super) const fn may_end(&mut self) {
        self.may_end = true;
    }

    /// Whether it may have changed a quota other than by setting one.
    pub(super) const fn has_touched_quotas(&self) -> bool {
        self.has_touched_quotas
    }

    /// Sends the first frame.
    pub(super) fn greet(
        &mut self,
        server: &mut Rehearsal,
        now: u64,
        request: ConnectRequest,
        setting: Setting,
    ) {
        self.stage = Stage::Greeting {
            wants_read_only: request.read_only.is_some(),
        };
        self.spoke = now;
        // Any of these may be refused.
        let applied = server.with_tree(tree::Tree::last_zxid);
        let is_fresh = request.session_id == SessionId::NONE;
        let is_behind = request.last_zxid_seen.0 as i64 > applied.0 as i64;
        self.may_end = !is_fresh || is_behind || server.is_over(self.number);
        self.may_end |= setting == Setting::Local;
        let mut frame = Vec::new();
        encode_frame(&mut frame, |out| request.encode(out));
        server.send(self.number, &frame);
    }

    /// Sends a request, at once or in two pieces.
    pub(super) fn ask(
        &mut self,
        server: &mut Rehearsal,
        now: u64,
        setting: Setting,
        number: Option<i16>,
        ask: &Ask,
        cut: Option<usize>,
    ) {
        let xid = number.map_or(self.next, i32::from);
        if number.is_none() {
            self.next += 1;
        }
        let request = ask.request();
        self.note_quotas(ask, &request);
        let op = request.op();
        let mut frame = Vec::new();
        encode_frame(&mut frame, |out| {
            RequestHeader { xid, op: op.code() }.encode(out);
            request.encode(out);
        });
        self.may_end |= frame.len() - 4 > setting.longest_frame() || ends(ask);
        self.spoke = now;
        if op == OpCode::Ping {
            self.pings += 1;
        } else {
            // These would be taken for events and for answers to pings.
            self.is_odd |= matches!(xid, xid::NOTIFICATION | xid::PING);
            self.asked.push_back((xid, Some(op)));
        }
        let (first, second) = frame.split_at(cut.unwrap_or(frame.len()).min(frame.len()));
        server.send(self.number, first);
        if cut.is_some() {
            server.run_client(self.number);
            server.send(self.number, second);
        }
    }

    fn note_quotas(&mut self, ask: &Ask, request: &Request) {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        let named = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
        self.has_touched_quotas |= match ask {
            Ask::Limit(..) => named(b"/quota/zookeeper/"),
            _ => named(b"/zookeeper/quota/"),
        };
    }

    /// Sends anything.
    pub(super) fn send_raw(&mut self, server: &mut Rehearsal, framed: bool, bytes: &[u8]) {
        self.is_odd = true;
        self.may_end = true;
        self.has_touched_quotas = true;
        if framed {
            let mut frame = Vec::new();
            encode_frame(&mut frame, |out| out.extend_from_slice(bytes));
            server.send(self.number, &frame);
        } else {
            server.send(self.number, bytes);
        }
    }

    pub(super) fn hang_up(&mut self, server: &mut Rehearsal) {
        self.has_hung_up = true;
        self.may_end = true;
        server.hang_up(self.number);
    }

    pub(super) fn hold(&mut self, server: &mut Rehearsal, room: usize) {
        self.is_held = room != usize::MAX;
        server.hold(self.number, room);
        self.take(server);
    }

    /// Time has passed without a word: its session may be over.
    pub(super) fn grow_old(&mut self, now: u64) {
        self.may_end |= now - self.spoke >= self.timeout || self.is_held;
    }

    /// A session ends in time, and not before.
    pub(super) fn check_session(&self, server: &Rehearsal, now: u64, setting: Setting) {
        let Some((session, _)) = &self.session else {
            return;
        };
        if self.may_end || self.is_odd || setting == Setting::Local {
            return;
        }
        let is_there = server.with_tree(|tree| tree.session(*session).is_some());
        if now - self.spoke < self.timeout {
            assert!(is_there, "session {session} ended early");
        }
        if now - self.spoke > self.timeout + 3 * TICK {
            assert!(!is_there, "session {session} outlived its timeout");
        }
    }

    /// Takes all that the server has sent, and checks it.
    pub(super) fn take(&mut self, server: &mut Rehearsal) {
        let bytes = server.received(self.number);
        if self.is_odd {
            return;
        }
        self.frames.feed(&bytes);
        while let Some(frame) = self.frames.poll().expect("the server sends frames") {
            match self.stage {
                Stage::Greeting { wants_read_only } => self.greeted(&frame, wants_read_only),
                Stage::Served => self.answered(&frame),
                Stage::Refused => panic!("{frame:?} after the end"),
            }
        }
    }

    fn greeted(&mut self, frame: &Bytes, wants_read_only: bool) {
        let answer = ConnectResponse::from_bytes(frame).expect("an answer to a first frame");
        assert_eq!(answer.read_only, wants_read_only.then_some(false));
        if answer.session_id == SessionId::NONE {
            assert!(self.may_end, "a new session was refused");
            self.stage = Stage::Refused;
            return;
        }
        assert_eq!(answer.password[..], answer.session_id.password());
        let (least, greatest) = (2 * TICK, 20 * TICK);
        self.timeout = u64::try_from(answer.timeout).expect("no negative timeout");
        assert!((least..=greatest).contains(&self.timeout), "{answer:?}");
        self.session = Some((answer.session_id, answer.password));
        self.stage = Stage::Served;
    }

    fn answered(&mut self, frame: &Bytes) {
        let mut reader = Reader::new(frame);
        let header: ReplyHeader = reader.read().expect("a header");
        if header.xid == xid::PING {
            assert!(self.pings > 0, "an answer to no ping");
            self.pings -= 1;
            assert_eq!((header.err, reader.remaining()), (0, 0));
            return;
        }
        // No zxid, or none that says anything.
        if !matches!(header.zxid.0, 0 | u64::MAX) {
            let zxid = header.zxid.0;
            assert!(zxid >= self.seen, "{zxid:#x} after {:#x}", self.seen);
            self.seen = zxid;
        }
        if header.xid == xid::NOTIFICATION {
            let event: WatcherEvent = reader.read().expect("an event");
            reader.finish().expect("an event alone");
            assert!(EventType::from_code(event.kind).is_some(), "{event:?}");
            assert_eq!(event.state, 3);
            return;
        }
        let (expected, op) = self.asked.pop_front().expect("an answer to no request");
        assert_eq!(header.xid, expected, "answers come in order");
        let Some(op) = op else { return };
        if header.err == 0 {
            responses::check(op, &mut reader);
        } else {
            assert!(ErrorCode::from_code(header.err).is_some(), "{header:?}");
            if reader.remaining() > 0 {
                let _: ErrorResponse = reader.read().expect("an error alone");
            }
        }
        reader
            .finish()
            .unwrap_or_else(|error| panic!("{op:?}: {error}"));
    }

    /// The server has nothing more to do: it has answered everything, or has ended the connection
    /// for a reason.
    pub(super) fn check_rest(&self, server: &Rehearsal) {
        if server.is_over(self.number) {
            assert!(self.may_end, "a connection ended for no reason");
        } else if !self.is_odd && self.stage == Stage::Served && !self.has_hung_up {
            assert_eq!(self.asked, [], "requests without answers");
            assert_eq!(self.pings, 0, "pings without answers");
        }
    }
}

/// Whether a request may end its connection.
const fn ends(ask: &Ask) -> bool {
    match ask {
        Ask::Close | Ask::Check(_) | Ask::DeleteContainer(_) | Ask::CreateSession(_) => true,
        Ask::Auth(credentials) => !credentials.are_good(),
        _ => false,
    }
}
