//! A single server without sockets, threads, files and clocks, which its caller moves step by
//! step: for tests that look at it between two steps, and for fuzzing.
//!
//! Start with [`Rehearsal`]. Everything between a client's bytes and the tree is the server's own:
//! connections, the order of their answers, the member thread's rounds, watches. A client is a
//! `Pipe` in place of a socket; the log is a list; time is a number; and nothing moves unless it
//! is told to ([`Rehearsal::run_client`], [`Rehearsal::run_member`], [`Rehearsal::run_log`], or
//! [`Rehearsal::settle`] for all), so that a caller chooses what happens before what.
//!
//! Only tests and fuzzing have it: it is there with the feature `rehearsal`, which no release has.
//! It has no peers, writes no snapshots to files and answers no HTTP; waits that are tokio's, such
//! as the one for a first frame, never end.

mod pipe;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use member::{ClientId, Member};
use tokio::runtime::{Builder, Runtime};
use tree::{CutProgress, Tree, WatchTable};
use txnlog::{Paths, RealDisk, Snapshots};
use wire::Zxid;
use wire::config::EnsembleConfig;
use wire::txn::Entry;

use crate::assembly;
use crate::boot;
use crate::clients::accept::Places;
use crate::clients::connection::Connection;
use crate::clients::mailbox::Mailbox;
use crate::clients::stream::ByteStream;
use crate::clock::Clock;
use crate::config::Config;
use crate::inbox::{Inbox, Work};
use crate::log_queue::{Job, LogQueue};
use crate::member_thread::{MemberThread, State};
use crate::metrics::Metrics;
use crate::peers::directory::Directory;
use crate::serve::ServeError;
use crate::shared::{Parts, Shared};
use crate::snapshots::NotWritten;

pub(crate) use self::pipe::Pipe;

/// Rounds in which everything comes to rest, if it ever does: far more than a client's bytes can
/// keep a server busy for.
const ROUNDS: usize = 100_000;
/// Znodes that a snapshot takes at once: few, so that some scripts see more than one part.
const SLICE: usize = 8;

thread_local! {
    /// Makes sleeps, which nobody waits for.
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without IO needs nothing");
    /// The time of this thread's rehearsal.
    static TIME: &'static AtomicU64 = Box::leak(Box::default());
}

/// A single server, moved by hand. One at a time on each thread.
pub struct Rehearsal {
    thread: MemberThread,
    log: Arc<LogQueue>,
    places: Arc<Places>,
    time: &'static AtomicU64,
    clients: Vec<Client>,
    /// All that was logged.
    logged: Vec<Arc<Entry>>,
    unsynced: Option<u64>,
}

struct Client {
    /// Until it is over.
    connection: Option<Connection>,
    pipe: Arc<Pipe>,
    alarm: Arc<Alarm>,
    waker: Waker,
}

/// Whether a connection was woken.
#[derive(Default)]
struct Alarm(std::sync::atomic::AtomicBool);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// What is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Connections.
    pub connections: usize,
    /// Bytes of writes.
    pub outstanding: usize,
    /// Bytes of those that are large.
    pub large: usize,
    /// Bytes that wait for clients to take them.
    pub waiting: usize,
    /// Requests.
    pub requests: usize,
    /// Sessions whose end is known, if the member leads.
    pub sessions: Option<usize>,
    /// Requests that the member has taken and not answered.
    pub uncommitted: usize,
}

impl Rehearsal {
    /// A fresh server, which serves. Of `config` everything counts that is not about files and
    /// ports.
    ///
    /// # Errors
    /// If metrics cannot be registered.
    ///
    /// # Panics
    /// If `config` is not a single server's, or the server does not come to serve.
    pub fn new(config: Config) -> Result<Self, ServeError> {
        assert!(config.standalone, "a rehearsal has no peers");
        let time = TIME.with(|time| *time);
        time.store(0, Relaxed);
        let clock = Clock::told(time);
        let inbox = Arc::new(Inbox::new());
        let log = Arc::new(LogQueue::default());
        let directory = Arc::new(Directory::new(EnsembleConfig::default()));
        let snapshots = Snapshots::of(RealDisk, &Paths::single(&config.data_dir));
        let (election, links) = RUNTIME.with(|runtime| {
            assembly::peers(&config, &directory, &inbox, snapshots, runtime.handle())
        });
        let parts = Parts {
            clock,
            metrics: Metrics::new()?,
            inbox,
            digests: Default::default(),
        };
        let settings = assembly::settings(&config, 0, None);
        let limits = &config.limits;
        let places = Places::new(limits.connections_per_address, limits.connections);
        let tree = Tree::new(1, boot::tree_options(&config));
        let shared = Arc::new(Shared::new(config, tree, WatchTable::new(1), parts));
        let boot = zab::Boot {
            config: EnsembleConfig::default(),
            accepted: wire::Epoch(0),
            current: wire::Epoch(0),
            last: Zxid::ZERO,
            recent: Vec::new(),
            may_vote: true,
        };
        let mut rehearsal = Self {
            thread: MemberThread {
                shared,
                member: Member::new(clock.now(), settings, boot),
                log: log.clone(),
                election,
                links,
                directory,
                stop: Arc::default(),
                state: State::default(),
            },
            log,
            places,
            time,
            clients: Vec::new(),
            logged: Vec::new(),
            unsynced: None,
        };
        rehearsal.thread.begin();
        rehearsal.settle();
        let serving = rehearsal.thread.shared.serving();
        assert!(serving.shows_tree(), "it comes to serve: {serving:?}");
        Ok(rehearsal)
    }

    /// A client connects; it gets the next number, from 0. Its connection is over at once if there
    /// are too many.
    pub fn connect(&mut self, from: SocketAddr) -> usize {
        let number = self.clients.len();
        let shared = self.thread.shared.clone();
        let alarm = Arc::new(Alarm(true.into()));
        let mut client = Client {
            connection: None,
            pipe: Arc::default(),
            waker: alarm.clone().into(),
            alarm,
        };
        if let Some(place) = self.places.take(from.ip().to_canonical()) {
            let id = ClientId(number as u64 + 1);
            let mailbox = Arc::new(Mailbox::new(id, from, shared.waiting.clone()));
            shared.connections.lock().insert(id, mailbox.clone());
            let stream = ByteStream::Memory(client.pipe.clone());
            let connection = RUNTIME.with(|runtime| {
                let _guard = runtime.enter();
                Connection::new(shared, mailbox, stream, place)
            });
            client.connection = Some(connection);
        }
        self.clients.push(client);
        number
    }

    /// The client sends this.
    pub fn send(&mut self, client: usize, bytes: &[u8]) {
        self.clients[client].pipe.send(bytes);
    }

    /// Takes what the server has sent to the client.
    pub fn received(&mut self, client: usize) -> Vec<u8> {
        self.clients[client].pipe.take()
    }

    /// The client takes no more than so many bytes that nobody has [received](Self::received).
    pub fn hold(&mut self, client: usize, bytes: usize) {
        self.clients[client].pipe.hold(bytes);
    }

    /// The client hangs up.
    pub fn hang_up(&mut self, client: usize) {
        self.clients[client].pipe.hang_up();
    }

    /// Whether the server has ended this connection, or taken notice of its end.
    #[must_use]
    pub fn is_over(&self, client: usize) -> bool {
        self.clients[client].connection.is_none()
    }

    /// A client's connection does what there is to do. False if there is nothing.
    pub fn run_client(&mut self, client: usize) -> bool {
        let client = &mut self.clients[client];
        let Some(connection) = &mut client.connection else {
            return false;
        };
        if !client.alarm.0.swap(false, Relaxed) {
            return false;
        }
        let polled = RUNTIME.with(|runtime| {
            let _guard = runtime.enter();
            let mut context = Context::from_waker(&client.waker);
            std::pin::Pin::new(connection).poll(&mut context)
        });
        if polled == Poll::Ready(()) {
            client.connection = None;
            client.pipe.shut();
        }
        true
    }

    /// The member thread does a round. False if there is nothing to do.
    pub fn run_member(&mut self) -> bool {
        let shared = self.thread.shared.clone();
        let is_due = shared.clock.now().monotonic >= self.thread.member.deadline();
        if shared.inbox.is_empty() && !is_due {
            return false;
        }
        let mut work = Vec::new();
        shared.inbox.take(&mut work, Instant::now());
        self.thread.round(&mut work);
        true
    }

    /// The log takes what waits for it, and syncs. False if there is nothing.
    ///
    /// # Panics
    /// If the member asks for what a single server never needs.
    pub fn run_log(&mut self) -> bool {
        let jobs = self.log.take_now();
        if jobs.is_empty() {
            return false;
        }
        for job in jobs {
            match job {
                Job::Append { entries, mark } => {
                    self.logged.extend(entries);
                    self.unsynced = Some(mark);
                }
                Job::Snapshot(done) => {
                    if let Some(done) = done {
                        done(Err(NotWritten::Failed));
                    }
                }
                Job::Accepted(_) | Job::Current(_) | Job::Config(_) | Job::Synced => {}
                Job::Purge | Job::Stop => {}
                Job::Send { .. } | Job::Truncate(_) | Job::Install { .. } | Job::Read { .. } => {
                    panic!("a single server has no peers")
                }
            }
        }
        if let Some(mark) = self.unsynced.take() {
            let inbox = &self.thread.shared.inbox;
            inbox.zab(zab::Input::Synced { mark });
        }
        true
    }

    /// Lets everything happen that happens without time.
    ///
    /// # Panics
    /// If it does not come to rest.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let mut moved = self.run_member() | self.run_log();
            for client in 0..self.clients.len() {
                moved |= self.run_client(client);
            }
            if !moved {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// Lets time pass, with everything that it brings, half a tick at a time.
    pub fn pass(&mut self, milliseconds: u64) {
        let shared = self.thread.shared.clone();
        let step = (shared.config.tick_time / 2).max(1);
        let end = self.time.load(Relaxed) + milliseconds;
        loop {
            self.settle();
            let now = self.time.load(Relaxed);
            if now >= end {
                return;
            }
            self.time.store(end.min(now + step), Relaxed);
            let touched = shared.touched.collect();
            shared.inbox.push(Work::Touched(touched), 0);
        }
    }

    /// The wall clock: milliseconds since 1970.
    #[must_use]
    pub fn wall(&self) -> i64 {
        self.thread.shared.clock.now().wall
    }

    /// Looks at the tree.
    pub fn with_tree<T>(&self, look: impl FnOnce(&Tree) -> T) -> T {
        look(&self.thread.shared.tree.read())
    }

    /// Looks at the watches. A watcher's number is its client's and 1.
    pub fn with_watches<T>(&self, look: impl FnOnce(&WatchTable) -> T) -> T {
        look(&self.thread.shared.watches.lock())
    }

    /// The body of a snapshot of the tree as it is, and its zxid.
    pub fn snapshot(&mut self) -> (Zxid, Vec<u8>) {
        let mut tree = self.thread.shared.tree.write();
        let cut = tree.begin_cut();
        let zxid = tree.last_zxid();
        let mut body = Vec::new();
        while tree.cut_next(cut, SLICE, &mut body) == CutProgress::More {}
        (zxid, body)
    }

    /// All that was logged, in order.
    #[must_use]
    pub fn logged(&self) -> &[Arc<Entry>] {
        &self.logged
    }

    /// How often the tree was not what its leader, this server, had foretold.
    #[must_use]
    pub fn digest_mismatches(&self) -> u64 {
        self.thread.shared.metrics.digest_mismatches_count.get()
    }

    /// What is under way.
    #[must_use]
    pub fn load(&self) -> Load {
        let shared = &self.thread.shared;
        let status = self.thread.member.status();
        Load {
            connections: shared.connections.lock().len(),
            outstanding: shared.outstanding.load(Relaxed),
            large: shared.large.load(Relaxed),
            waiting: shared.waiting.load(Relaxed),
            requests: shared.requests.load(Relaxed),
            sessions: status.sessions,
            uncommitted: status.uncommitted,
        }
    }
}

#[cfg(test)]
mod tests;
