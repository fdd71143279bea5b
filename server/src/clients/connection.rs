//! One client's connection.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use member::LocalSessions;
use tokio::time::Sleep;
use tree::Watcher;
use wire::client::{ErrorCode, OpCode, ReplyHeader, SyncResponse};
use wire::frame::{FrameDecoder, encode_frame};
use wire::{Id, Perms, Record, SessionId, Zxid};

use crate::admin::words::{self, Reply};
use crate::clients::accept::Place;
use crate::clients::admission::Visit;
use crate::clients::exchange::Exchange;
use crate::clients::handshake::{self, Hello, Wish};
use crate::clients::mailbox::{End, Mail, Mailbox};
use crate::clients::reads::{Limits, Reader, Served};
use crate::clients::requests::Writes;
use crate::clients::stream::ByteStream;
use crate::clients::throttle::Held;
use crate::inbox::Work;
use crate::shared::{Serving, Shared};

/// Requests of one connection under way: beyond it the client is not read.
const REQUESTS: usize = 4096;
/// Bytes of one connection's writes under way: beyond it the client is not read.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes of answers that the client has not taken: beyond it nothing of its is served.
const UNSENT_BYTES: usize = 1 << 20;
/// Reads served under one guard: few enough not to keep the member thread from applying.
const READS_PER_GUARD: usize = 128;
/// Rounds of reading and writing before other connections get their turn.
const ROUNDS: usize = 8;
/// How long a client may take to fetch its last answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client that comes while the leader is lost waits for the next one, before it may try
/// another member: no longer than clients pause by themselves.
const LEADERLESS: Duration = Duration::from_secs(1);
/// Bytes taken from a socket at once.
const INPUT: usize = 64 << 10;

/// What a worker thread lends to the connection that it runs, so that idle ones hold no buffers.
struct Scratch {
    input: Box<[u8]>,
    output: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; INPUT].into(),
        output: Vec::with_capacity(INPUT),
    });
}

/// A client's connection, from its first byte to its last.
pub(crate) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) mailbox: Arc<Mailbox>,
    /// All that the client is, its address included.
    pub(super) identities: Arc<[Id]>,
    pub(super) exchange: Exchange,
    pub(super) session: SessionId,
    pub(super) phase: Phase,
    /// It began while there was no leader, and ends when there is one.
    pub(super) is_read_only: bool,
    pub(super) decoder: FrameDecoder,
    /// Requests that wait in the decoder.
    pub(super) held: Option<Held>,
    /// What is taken now has waited too long.
    pub(super) is_late: bool,
    /// Requests under way that the rest of the member knows of.
    pub(super) counted: usize,
    stream: ByteStream,
    /// Answers that the socket has not taken, and how much of them it has.
    unsent: Vec<u8>,
    sent: usize,
    touched: u32,
    deadline: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing complete has come.
    Fresh,
    /// Waits for the answer to a four-letter word.
    Asking,
    /// Waits for its session.
    Connecting {
        /// The flag of the answer, if the client knows it.
        read_only: Option<bool>,
        /// When it asked for a new one, in the member's milliseconds. Else it goes on with its
        /// own, so that asking again does no harm.
        since: Option<u64>,
        /// The newest that the client has seen.
        seen: Zxid,
    },
    /// Has a session.
    Serving,
    /// What was asked is still answered, and nothing more is read.
    Draining,
    /// Closes once everything is sent.
    Closing,
}

/// The connection is over.
struct Over;

impl Connection {
    pub(crate) fn new(
        shared: Arc<Shared>,
        mailbox: Arc<Mailbox>,
        stream: ByteStream,
        place: Place,
    ) -> Self {
        let address = tree::acl::ip_identity(mailbox.peer.ip());
        let limits = &shared.config.limits;
        let decoder = FrameDecoder::new(limits.frame);
        let patience = Duration::from_millis(limits.sessionless);
        Self {
            shared,
            mailbox,
            identities: Arc::new([address]),
            exchange: Exchange::default(),
            session: SessionId::NONE,
            phase: Phase::Fresh,
            is_read_only: false,
            decoder,
            held: None,
            is_late: false,
            counted: 0,
            stream,
            unsent: Vec::new(),
            sent: 0,
            touched: 0,
            deadline: Some(Box::pin(tokio::time::sleep(patience))),
            _place: place,
        }
    }

    /// Runs until nothing more can be done now.
    fn advance(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<()> {
        self.mailbox.register(cx.waker());
        for _ in 0..ROUNDS {
            match self.round(cx, scratch) {
                Ok(true) => {}
                Ok(false) if self.may_look(cx) => {}
                Ok(false) => {
                    self.release();
                    // After the round, which may have set it.
                    return self.poll_deadline(cx);
                }
                Err(Over) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = &mut self.deadline else {
            return Poll::Pending;
        };
        ready!(deadline.as_mut().poll(cx));
        if matches!(self.phase, Phase::Fresh | Phase::Connecting { .. }) {
            self.shared.metrics.sessionless_connections_expired.inc();
        }
        Poll::Ready(())
    }

    /// One round; `true` if another one may find something to do.
    fn round(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Result<bool, Over> {
        let out = &mut scratch.output;
        if self.mailbox.end() == Some(End::Now) {
            tracing::info!(peer = %self.mailbox.peer, "client closed: it does not take its events");
            self.shared.metrics.connection_drop_count.inc();
            return Err(Over);
        }
        let mut progress = self.has_room() && self.take_mail(out);
        if !self.has_room() && self.mailbox.end().is_some() {
            self.close();
        }
        progress |= self.take_held(out);
        let was_asked = self.may_read();
        if was_asked {
            match self.stream.poll_read(cx, &mut scratch.input) {
                Poll::Ready(Ok(0) | Err(_)) => return Err(Over),
                Poll::Ready(Ok(n)) => {
                    progress = true;
                    self.shared.metrics.bytes_received_count.inc_by(n as u64);
                    self.decoder.feed(&scratch.input[..n]);
                    let writes = self.take_frames(out);
                    // Reads that came before them are best served now.
                    self.serve(out);
                    self.hand_over(writes);
                }
                Poll::Pending => {}
            }
        }
        self.serve(out);
        self.count(out.len());
        // Room for answers is as good as news: what waited for it is served in another round.
        progress |= self.is_full(out);
        let flushed = self.flush(cx, out);
        self.mailbox.set_unsent(self.unsent.len());
        match flushed {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Err(Over),
            Poll::Pending => return Ok(false),
        }
        if self.phase == Phase::Draining && self.exchange.is_empty() {
            self.close();
        }
        if self.phase == Phase::Closing {
            return match self.stream.poll_shutdown(cx) {
                Poll::Ready(_) => Err(Over),
                Poll::Pending => Ok(false),
            };
        }
        // A socket that was not asked would not wake this task.
        Ok(progress || (!was_asked && self.may_read()))
    }

    fn may_read(&self) -> bool {
        match self.phase {
            Phase::Fresh => true,
            Phase::Serving => {
                let own = self.exchange.bytes();
                self.exchange.len() < REQUESTS
                    && own < WRITE_BYTES
                    && self.has_room()
                    && self.held.is_none()
                    && (self.exchange.is_empty() || self.shared.has_room())
            }
            Phase::Asking | Phase::Connecting { .. } | Phase::Draining | Phase::Closing => false,
        }
    }

    fn has_room(&self) -> bool {
        !self.is_full(&[])
    }

    /// No more is to be answered before some of this has been taken.
    fn is_full(&self, out: &[u8]) -> bool {
        self.unsent.len() + out.len() >= UNSENT_BYTES
    }

    /// Takes what is complete of what has come. Returns the writes among it.
    pub(super) fn take_frames(&mut self, out: &mut Vec<u8>) -> Writes {
        if self.phase == Phase::Fresh && self.take_word(out) {
            return Writes::default();
        }
        let mut writes = Writes::default();
        let mut frames = 0;
        while matches!(self.phase, Phase::Fresh | Phase::Serving) && !self.must_wait() {
            let announced = self.decoder.peek().map(u32::from_be_bytes);
            if self.is_too_large(announced.map_or(0, |length| length as usize)) {
                break;
            }
            match self.decoder.poll() {
                Ok(Some(frame)) if self.phase == Phase::Fresh => self.greet(&frame, out),
                Ok(Some(frame)) => {
                    frames += 1;
                    self.take_request(&frame, out, &mut writes);
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::info!(peer = %self.mailbox.peer, %error, "client closed: bad frame");
                    self.close();
                }
            }
        }
        if frames > 0 {
            self.shared.metrics.packets_received.inc_by(frames);
            self.mailbox.counters.received(frames);
            self.shared.touched.touch(self.session, &mut self.touched);
        }
        writes
    }

    /// Takes a four-letter word, if one has come.
    fn take_word(&mut self, out: &mut Vec<u8>) -> bool {
        match words::answer(self.decoder.buffer(), &self.shared, &self.mailbox) {
            Reply::NotAWord => return false,
            Reply::More => {}
            Reply::Later => {
                self.decoder.take_rest();
                self.phase = Phase::Asking;
            }
            Reply::Now(answer) => {
                self.decoder.take_rest();
                out.extend_from_slice(answer.as_bytes());
                self.sent(1);
                self.close();
            }
        }
        true
    }

    pub(super) fn hand_over(&self, writes: Writes) {
        if !writes.writes.is_empty() {
            let size = writes.size;
            self.shared.outstanding.fetch_add(size, Ordering::Relaxed);
            let count = writes.writes.len() as u64;
            self.shared
                .metrics
                .prep_processor_request_queued
                .inc_by(count);
            let client = self.mailbox.client;
            self.shared
                .inbox
                .push(Work::Writes { client, writes }, size);
        }
    }

    /// The first frame.
    fn greet(&mut self, frame: &bytes::Bytes, out: &mut Vec<u8>) {
        self.shared.metrics.connection_request_count.inc();
        self.shared.metrics.packets_received.inc();
        self.mailbox.counters.received(1);
        let serving = self.shared.serving();
        if !self.shared.takes_clients() {
            self.shared
                .metrics
                .cnxn_closed_without_zk_server_running
                .inc();
            return self.close();
        }
        let is_held = serving == Serving::Holding;
        let applied = (!is_held).then(|| self.shared.applied());
        let timeouts = self.shared.config.session_timeouts;
        let hello = match handshake::read(frame, applied, timeouts) {
            Ok(hello) => hello,
            Err(error) => {
                tracing::info!(peer = %self.mailbox.peer, %error, "client refused");
                return self.close();
            }
        };
        self.is_read_only = serving == Serving::ReadOnly;
        if self.is_read_only && !self.may_read_only(&hello) {
            tracing::info!(peer = %self.mailbox.peer, "client refused: it can only read here");
            return self.close();
        }
        let read_only = hello.mirrors_read_only.then_some(self.is_read_only);
        let visit = match hello.wish {
            Wish::New { .. } => match self.shared.config.local_sessions {
                LocalSessions::None => Visit::New,
                LocalSessions::Fixed | LocalSessions::Upgradable => Visit::Local,
            },
            Wish::Resume { .. } | Wish::WrongPassword => Visit::Renewed,
        };
        if is_held && visit == Visit::Local {
            // It would have its session at once, and nothing to read until there is a leader, or
            // until the connection ends because there is none.
            return self.close();
        }
        if !self.shared.admits(visit) {
            return self.close();
        }
        let mailbox = self.mailbox.clone();
        let work = match hello.wish {
            Wish::New { timeout } => Work::Open {
                mailbox,
                timeout,
                identities: self.identities.clone(),
            },
            Wish::Resume { session, timeout } => Work::Resume {
                mailbox,
                session,
                timeout,
            },
            Wish::WrongPassword => {
                tracing::info!(peer = %self.mailbox.peer, "client refused: wrong session password");
                handshake::answer(out, None, read_only);
                return self.close();
            }
        };
        let is_new = matches!(work, Work::Open { .. });
        let since = is_new.then(|| self.shared.clock.millis());
        self.phase = Phase::Connecting {
            read_only,
            since,
            seen: hello.seen,
        };
        if is_held {
            self.deadline = Some(Box::pin(tokio::time::sleep(LEADERLESS)));
        }
        self.shared.inbox.push(work, 0);
    }

    /// Without a leader only a session of this member can be made, and one of the ensemble's
    /// cannot go on.
    fn may_read_only(&self, hello: &Hello) -> bool {
        hello.accepts_read_only
            && match hello.wish {
                Wish::New { .. } => self.shared.config.local_sessions != LocalSessions::None,
                Wish::Resume { session, .. } => self.shared.tree.read().session(session).is_none(),
                Wish::WrongPassword => true,
            }
    }

    /// Takes some of what the member thread has sent. `true` if there was something.
    fn take_mail(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(letters) = self.mailbox.take() else {
            return false;
        };
        let now = self.shared.clock.millis();
        let mut start = 0;
        for mail in letters.mail {
            match mail {
                Mail::Reply { xid, err, end } => {
                    self.reply(xid, err, &letters.bytes[start..end], now, out);
                    start = end;
                }
                Mail::Event { acl, end } => {
                    if self.shared.config.access.skip_acl
                        || tree::acl::allows(acl.as_deref(), Perms::READ, &self.identities)
                    {
                        out.extend_from_slice(&letters.bytes[start..end]);
                        self.shared.metrics.watch_bytes.inc_by((end - start) as u64);
                        self.sent(1);
                    }
                    start = end;
                }
                Mail::Reads { served, end } => {
                    out.extend_from_slice(&letters.bytes[start..end]);
                    start = end;
                    self.count_reads(served);
                }
                Mail::SyncDone { xid, zxid } => self.sync_done(xid, zxid, out),
                Mail::Session { session, timeout } => self.connected(session, timeout, out),
                Mail::SessionGone => {
                    if let Phase::Connecting { read_only, .. } = self.phase {
                        handshake::answer(out, None, read_only);
                    }
                    self.close();
                }
                Mail::RoleChanged => {
                    let may_stay = match self.phase {
                        Phase::Serving => self.exchange.writes() == 0,
                        Phase::Connecting { since, .. } => since.is_none(),
                        _ => false,
                    };
                    if !may_stay {
                        self.close();
                    }
                }
                Mail::Text(text) => {
                    out.extend_from_slice(text.as_bytes());
                    self.sent(1);
                    self.close();
                }
                Mail::Close(reason) => {
                    tracing::debug!(session = %self.session, reason, "connection closed");
                    self.close();
                }
            }
        }
        true
    }

    fn reply(&mut self, xid: i32, err: i32, frame: &[u8], now: u64, out: &mut Vec<u8>) {
        if err == ErrorCode::SessionMoved.code() {
            // Apache never sends this code: the client finds its session by connecting again.
            return self.close();
        }
        let before = self.exchange.bytes();
        let since = self
            .exchange
            .answer(xid, out, |out, _| out.extend_from_slice(frame));
        if let Some(since) = since {
            let freed = before - self.exchange.bytes();
            self.over(freed);
            let took = now.saturating_sub(since);
            self.shared.metrics.wrote(took);
            self.shared.metrics.responses.add(frame.len());
            self.answered(took);
            self.sent(1);
        }
    }

    fn sync_done(&mut self, xid: i32, zxid: Zxid, out: &mut Vec<u8>) {
        let before = self.exchange.bytes();
        self.exchange.answer(xid, out, |out, path| {
            encode_frame(out, |out| {
                ReplyHeader { xid, zxid, err: 0 }.encode(out);
                let path = path.unwrap_or_default().to_owned();
                SyncResponse { path }.encode(out);
            });
        });
        let freed = before - self.exchange.bytes();
        self.over(freed);
        self.sent(1);
    }

    fn connected(&mut self, session: SessionId, timeout: i32, out: &mut Vec<u8>) {
        let Phase::Connecting {
            read_only,
            since,
            seen,
        } = self.phase
        else {
            return;
        };
        if handshake::is_behind(self.shared.applied(), seen) {
            return self.close();
        }
        self.session = session;
        self.mailbox.counters.connected(session, timeout);
        self.phase = Phase::Serving;
        self.deadline = None;
        handshake::answer(out, Some((session, timeout)), read_only);
        self.sent(1);
        // Making a session is an operation, going on with one is none.
        if let Some(since) = since {
            let took = self.shared.clock.millis().saturating_sub(since);
            let op = OpCode::CreateSession.code();
            self.mailbox.counters.asked(0, op);
            self.shared.metrics.wrote(took);
            self.answered(took);
        }
        // Clients send credentials and watches right behind their first frame.
        let writes = self.take_frames(out);
        self.hand_over(writes);
    }

    /// Serves the reads whose turn it is.
    fn serve(&mut self, out: &mut Vec<u8>) {
        while matches!(self.phase, Phase::Serving | Phase::Draining)
            && self.exchange.due(out).is_some()
            && !self.is_full(out)
        {
            let shared = self.shared.clone();
            let tree = shared.tree.read();
            // Under the guard: a tree is replaced only after serving has ended.
            if !shared.serving().shows_tree() {
                return;
            }
            // What the tree shows has its events in the mailbox: they go first.
            while self.take_mail(out) {
                if self.is_full(out) {
                    return;
                }
            }
            if !matches!(self.phase, Phase::Serving | Phase::Draining) {
                return;
            }
            // The member thread may have served what was due.
            if let Some(group) = self.exchange.due(out) {
                let reader = Reader {
                    watches: &shared.watches,
                    watcher: Watcher(self.mailbox.client.0),
                    metrics: &shared.metrics,
                };
                let limits = Limits {
                    reads: READS_PER_GUARD,
                    bytes: UNSENT_BYTES,
                    now: shared.clock.millis(),
                };
                let served = reader.serve(&tree, &group, &limits, out);
                drop(tree);
                self.count_reads(served);
            }
        }
    }

    fn count_reads(&mut self, served: Served) {
        self.exchange.served(served.count);
        self.sent(served.frames as u64);
        if let Some((least, greatest)) = served.sizes {
            let metrics = &self.shared.metrics;
            metrics.read(served.count as u64, served.waited);
            metrics.responses.add(least);
            metrics.responses.add(greatest);
            self.answered(served.waited);
        }
    }

    fn answered(&self, took: u64) {
        let (zxid, now) = (self.shared.applied(), self.shared.clock.millis());
        self.mailbox.counters.answered(zxid, now, took);
    }

    /// Counts what goes out in one round, and what waits after it.
    fn count(&mut self, bytes: usize) {
        if bytes > 0 {
            self.shared.metrics.response_bytes.inc_by(bytes as u64);
        }
        self.count_under_way(self.exchange.len());
    }

    /// Counts frames on their way to the client.
    pub(super) fn sent(&self, frames: u64) {
        self.shared.metrics.packets_sent.inc_by(frames);
        self.mailbox.counters.sent(frames);
    }

    /// Ends the connection once everything is sent.
    pub(super) fn close(&mut self) {
        if self.phase != Phase::Closing {
            self.phase = Phase::Closing;
            self.shared.metrics.connection_drop_count.inc();
            self.deadline = Some(Box::pin(tokio::time::sleep(PATIENCE)));
        }
    }

    /// Writes `out`, and keeps what the socket does not take.
    fn flush(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<std::io::Result<()>> {
        if self.unsent.is_empty() {
            let mut at = 0;
            while at < out.len() {
                match self.stream.poll_write(cx, &out[at..]) {
                    Poll::Ready(Ok(n)) => at += n,
                    Poll::Ready(Err(error)) => {
                        out.clear();
                        return Poll::Ready(Err(error));
                    }
                    Poll::Pending => {
                        self.unsent.extend_from_slice(&out[at..]);
                        break;
                    }
                }
            }
            give_back(out);
            return if self.unsent.is_empty() {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            };
        }
        self.unsent.extend_from_slice(out);
        give_back(out);
        while self.sent < self.unsent.len() {
            let n = ready!(self.stream.poll_write(cx, &self.unsent[self.sent..]))?;
            self.sent += n;
        }
        self.unsent = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Gives memory back while nothing is going on.
    fn release(&mut self) {
        self.exchange.release();
        self.decoder.release();
    }

    /// The zxid in answers that show nothing of the tree.
    pub(super) fn applied(&self) -> Zxid {
        self.shared.applied()
    }
}

/// Empties what a worker lends, and keeps little of it.
fn give_back(out: &mut Vec<u8>) {
    out.clear();
    if out.capacity() > 4 * INPUT {
        out.shrink_to(INPUT);
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            let polled = self.get_mut().advance(cx, scratch);
            // What a connection leaves that ends in the middle is for nobody else.
            scratch.output.clear();
            polled
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.count_under_way(0);
        for size in self.exchange.sizes() {
            self.over(size);
        }
        let shared = &self.shared;
        if self.session != SessionId::NONE {
            let watcher = Watcher(self.mailbox.client.0);
            shared.forget_watcher(watcher);
        }
        shared.connections.lock().remove(&self.mailbox.client);
        shared.inbox.push(Work::Gone(self.mailbox.client), 0);
    }
}
