//! What the member thread has for one connection.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;

use member::ClientId;
use parking_lot::Mutex;
use wire::client::{EventType, ReplyHeader, WatcherEvent, xid};
use wire::frame::encode_frame;
use wire::{Acl, Record, SessionId, Zxid};

use crate::clients::reads::Served;
use crate::clock;
use crate::metrics::ConnectionCounters;

/// Bytes that may wait for one client: one that takes its events more slowly than they come is
/// closed, and reads the state anew when it comes back. Enough for half a million events at once.
const CAPACITY: usize = 64 << 20;
/// Bytes that may wait for all clients before those that many wait for are closed.
const ALL: usize = 256 << 20;
/// Bytes that may wait for a client whatever waits for others.
const FAIR: usize = 1 << 20;
/// Bytes that are taken out at once, and that lie in one piece of memory: what piles up is never
/// moved, and its memory goes back piece by piece.
const BATCH: usize = 512 << 10;
/// What a letter takes besides its frame.
const LETTER: usize = size_of::<Mail>();

/// Bytes that wait for all clients, in mailboxes and in connections.
pub(crate) type Waiting = Arc<AtomicUsize>;

/// One connection, as the rest of the member sees it.
pub(crate) struct Mailbox {
    /// Its number.
    pub(crate) client: ClientId,
    /// Who is at the other end.
    pub(crate) peer: SocketAddr,
    /// For `cons` and its kin.
    pub(crate) counters: ConnectionCounters,
    inner: Mutex<Inner>,
    /// Bytes that the connection has taken out and could not send.
    unsent: AtomicUsize,
    waiting: Waiting,
}

#[derive(Default)]
struct Inner {
    /// What is taken next; empty only if nothing waits.
    first: Letters,
    /// What comes behind it.
    more: VecDeque<Letters>,
    /// Bytes of all.
    size: usize,
    waker: Option<Waker>,
    end: Option<End>,
}

/// How a connection that cannot send is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// What waits for it may still be sent for a while.
    Soon,
    /// Too much waits for it.
    Now,
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
    SyncDone {
        xid: i32,
        /// The last one applied then: the client's own writes behind the `sync` come later.
        zxid: Zxid,
    },
    /// A watch event; only who may read under `acl` is told (`None`: everyone).
    Event { acl: Option<Box<[Acl]>>, end: usize },
    /// The member has another part: what was asked and is not answered has an unknown fate.
    RoleChanged,
    /// The answer to a four-letter word, which ends the connection.
    Text(String),
    /// Close after what came before.
    Close(&'static str),
}

impl Mailbox {
    /// `waiting` is shared by all.
    pub(crate) fn new(client: ClientId, peer: SocketAddr, waiting: Waiting) -> Self {
        Self {
            client,
            peer,
            counters: ConnectionCounters::new(clock::wall()),
            inner: Mutex::default(),
            unsent: AtomicUsize::new(0),
            waiting,
        }
    }

    /// Adds to the mail. `true`: the connection is to be woken, see [`Mailbox::wake`].
    #[must_use]
    pub(crate) fn post(&self, write: impl FnOnce(&mut Letters)) -> bool {
        let mut inner = self.inner.lock();
        if inner.end == Some(End::Now) {
            return false;
        }
        let was_empty = inner.first.mail.is_empty();
        let own = inner.size + self.unsent.load(Relaxed);
        if own > CAPACITY || (own > FAIR && self.waiting.load(Relaxed) > ALL) {
            self.waiting.fetch_sub(inner.size, Relaxed);
            inner.clear();
            inner.end = Some(End::Now);
            return true;
        }
        let letters = inner.last();
        let before = letters.size();
        write(letters);
        let more = letters.size() - before;
        let is_last = matches!(letters.mail.last(), Some(Mail::Close(_)));
        inner.size += more;
        self.waiting.fetch_add(more, Relaxed);
        if is_last {
            inner.end = Some(End::Soon);
        }
        was_empty
    }

    /// How the connection is to end, if it is.
    pub(crate) fn end(&self) -> Option<End> {
        self.inner.lock().end
    }

    /// So many bytes have been taken out and could not be sent.
    pub(crate) fn set_unsent(&self, bytes: usize) {
        let before = self.unsent.swap(bytes, Relaxed);
        // Added first: the sum is never below what waits for others.
        self.waiting.fetch_add(bytes, Relaxed);
        self.waiting.fetch_sub(before, Relaxed);
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

    /// Takes the mail that came first, if there is any. Who does not come for the rest is not
    /// woken for it.
    pub(crate) fn take(&self) -> Option<Letters> {
        let mut inner = self.inner.lock();
        if inner.first.mail.is_empty() {
            return None;
        }
        let next = inner.more.pop_front().unwrap_or_default();
        let letters = std::mem::replace(&mut inner.first, next);
        inner.size -= letters.size();
        self.waiting.fetch_sub(letters.size(), Relaxed);
        Some(letters)
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

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.set_unsent(0);
        let left = self.inner.get_mut().size;
        self.waiting.fetch_sub(left, Relaxed);
    }
}

impl Inner {
    /// Where the next letter goes.
    fn last(&mut self) -> &mut Letters {
        let last = self.more.back().unwrap_or(&self.first);
        if last.size() >= BATCH {
            self.more.push_back(Letters::default());
        }
        self.more.back_mut().unwrap_or(&mut self.first)
    }

    fn clear(&mut self) {
        self.first = Letters::default();
        self.more = VecDeque::new();
        self.size = 0;
    }
}

impl Letters {
    /// About the bytes that they take.
    fn size(&self) -> usize {
        self.bytes.len() + self.mail.len() * LETTER
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(waiting: &Waiting) -> Mailbox {
        let peer = "127.0.0.1:1".parse().expect("an address");
        Mailbox::new(ClientId(1), peer, waiting.clone())
    }

    fn event(mailbox: &Mailbox) -> bool {
        mailbox.post(|letters| {
            letters.event(EventType::NodeCreated, &"x".repeat(1000), Zxid(1), None);
        })
    }

    #[test]
    fn what_waits_for_a_client_that_does_not_read_is_bounded() {
        let waiting = Waiting::default();
        let mailbox = mailbox(&waiting);
        let mut greatest = 0;
        for _ in 0..100_000 {
            let _ = event(&mailbox);
            greatest = greatest.max(waiting.load(Relaxed));
        }
        assert!(
            (CAPACITY..CAPACITY + 2000).contains(&greatest),
            "{greatest}"
        );
        assert_eq!((mailbox.end(), waiting.load(Relaxed)), (Some(End::Now), 0));
    }

    #[test]
    fn what_piles_up_is_taken_in_its_order_and_a_batch_at_a_time() {
        let waiting = Waiting::default();
        let mailbox = mailbox(&waiting);
        let posted = 3 * BATCH / 1000;
        let woken: Vec<usize> = (0..posted).filter(|_| event(&mailbox)).collect();
        mailbox.post_now(Mail::Close("the session ended"));
        assert_eq!(woken, [0], "who has mail is not woken for more");
        let batches: Vec<Letters> = std::iter::from_fn(|| mailbox.take()).collect();
        let sizes: Vec<usize> = batches.iter().map(Letters::size).collect();
        let full = BATCH..BATCH + 2000;
        assert!(
            sizes.len() == 4 && sizes[..3].iter().all(|size| full.contains(size)),
            "{sizes:?}"
        );
        let mail: Vec<&Mail> = batches.iter().flat_map(|batch| &batch.mail).collect();
        assert!(matches!(mail.last(), Some(Mail::Close(_))));
        assert_eq!((mail.len(), waiting.load(Relaxed)), (posted + 1, 0));
        assert!(event(&mailbox), "who has taken all is woken again");
    }

    #[test]
    fn what_was_taken_and_not_sent_counts_too() {
        let waiting = Waiting::default();
        let mailbox = mailbox(&waiting);
        mailbox.set_unsent(CAPACITY + 1);
        assert!(event(&mailbox));
        assert_eq!(mailbox.end(), Some(End::Now));
        drop(mailbox);
        assert_eq!(waiting.load(Relaxed), 0);
    }

    #[test]
    fn when_much_waits_for_all_those_are_closed_that_much_waits_for() {
        let waiting = Waiting::default();
        let (one, other) = (mailbox(&waiting), mailbox(&waiting));
        waiting.fetch_add(ALL, Relaxed);
        one.set_unsent(FAIR + 1);
        assert!(event(&one) && event(&other));
        assert_eq!((one.end(), other.end()), (Some(End::Now), None));
    }

    #[test]
    fn what_is_posted_last_is_known_before_it_is_taken() {
        let mailbox = mailbox(&Waiting::default());
        mailbox.post_now(Mail::Close("the session ended"));
        assert_eq!(mailbox.end(), Some(End::Soon));
    }
}
