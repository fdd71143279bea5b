//! What the member thread has for one connection.

use std::net::SocketAddr;
use std::task::Waker;

use member::ClientId;
use parking_lot::Mutex;
use wire::client::{EventType, ReplyHeader, WatcherEvent, xid};
use wire::frame::encode_frame;
use wire::{Acl, Record, SessionId, Zxid};

use crate::clients::reads::Served;
use crate::clock;
use crate::metrics::ConnectionCounters;

/// Bytes of mail that a connection may leave unread: a client that takes its events more slowly
/// than they come is closed, and reads the state anew when it comes back.
const CAPACITY: usize = 64 << 20;

/// One connection, as the rest of the member sees it.
pub(crate) struct Mailbox {
    /// Its number.
    pub(crate) client: ClientId,
    /// Who is at the other end.
    pub(crate) peer: SocketAddr,
    /// For `cons` and its kin.
    pub(crate) counters: ConnectionCounters,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    letters: Letters,
    waker: Option<Waker>,
}

/// Mail in the order in which it came. Frames are encoded one behind the other in `bytes`.
#[derive(Default)]
pub(crate) struct Letters {
    pub(crate) mail: Vec<Mail>,
    pub(crate) bytes: Vec<u8>,
}

/// One letter. `end` is where its frame ends in [`Letters::bytes`].
pub(crate) enum Mail {
    /// The session asked for is there.
    Session { session: SessionId, timeout: i32 },
    /// The session asked for is no more.
    SessionGone,
    /// The answer to a write.
    Reply { xid: i32, err: i32, end: usize },
    /// Answers to reads that the member thread served, so many of the exchange's parts.
    Reads { served: Served, end: usize },
    /// A `sync` is done.
    SyncDone { xid: i32 },
    /// A watch event; only who may read under `acl` is told (`None`: everyone).
    Event { acl: Option<Box<[Acl]>>, end: usize },
    /// The member has another part: what was asked and is not answered has an unknown fate.
    RoleChanged,
    /// Close after what came before.
    Close(&'static str),
}

impl Mailbox {
    pub(crate) fn new(client: ClientId, peer: SocketAddr) -> Self {
        Self {
            client,
            peer,
            counters: ConnectionCounters::new(clock::wall()),
            inner: Mutex::default(),
        }
    }

    /// Adds to the mail. `true`: the connection is to be woken, see [`Mailbox::wake`].
    #[must_use]
    pub(crate) fn post(&self, write: impl FnOnce(&mut Letters)) -> bool {
        let mut inner = self.inner.lock();
        let was_empty = inner.letters.mail.is_empty();
        if inner.letters.bytes.len() > CAPACITY {
            inner.letters = Letters::default();
            let why = "client takes its events too slowly";
            inner.letters.mail.push(Mail::Close(why));
            return true;
        }
        write(&mut inner.letters);
        was_empty
    }

    /// Adds one letter without frame, and wakes the connection.
    pub(crate) fn post_now(&self, mail: Mail) {
        if self.post(|letters| letters.mail.push(mail)) {
            self.wake();
        }
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        let waker = self.inner.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes all mail, if there is any.
    pub(crate) fn take(&self) -> Option<Letters> {
        let mut inner = self.inner.lock();
        if inner.letters.mail.is_empty() {
            return None;
        }
        Some(std::mem::take(&mut inner.letters))
    }

    /// Remembers whom to wake. To be called before [`Mailbox::take`].
    pub(crate) fn register(&self, waker: &Waker) {
        let mut inner = self.inner.lock();
        match &mut inner.waker {
            Some(old) => old.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }
}

impl Letters {
    /// The answer to a write.
    pub(crate) fn reply(&mut self, xid: i32, zxid: Zxid, err: i32, body: &[u8]) {
        let header = ReplyHeader { xid, zxid, err };
        encode_frame(&mut self.bytes, |out| {
            header.encode(out);
            out.extend_from_slice(body);
        });
        let end = self.bytes.len();
        self.mail.push(Mail::Reply { xid, err, end });
    }

    /// Answers to reads that the member thread served.
    pub(crate) fn reads(&mut self, served: Served, frames: &[u8]) {
        self.bytes.extend_from_slice(frames);
        let end = self.bytes.len();
        self.mail.push(Mail::Reads { served, end });
    }

    /// A watch event.
    pub(crate) fn event(&mut self, kind: EventType, path: &str, zxid: Zxid, acl: Option<&[Acl]>) {
        event_frame(&mut self.bytes, kind, path, zxid);
        self.mail.push(Mail::Event {
            acl: acl.map(Into::into),
            end: self.bytes.len(),
        });
    }
}

/// The session's state in events: connected.
const CONNECTED: i32 = 3;

/// Appends the frame of a watch event.
pub(crate) fn event_frame(out: &mut Vec<u8>, kind: EventType, path: &str, zxid: Zxid) {
    let header = ReplyHeader {
        xid: xid::NOTIFICATION,
        zxid,
        err: 0,
    };
    let event = WatcherEvent {
        kind: kind.code(),
        state: CONNECTED,
        path: path.to_owned(),
    };
    encode_frame(out, |out| {
        header.encode(out);
        event.encode(out);
    });
}
