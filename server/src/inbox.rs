//! What waits for the member thread.

use std::sync::Arc;
use std::time::Instant;

use member::{ClientId, SessionDeadlines};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;
use wire::{Id, PeerId, SessionId};

use crate::clients::mailbox::Mailbox;
use crate::clients::requests::Writes;
use crate::snapshots::Done;

/// Something for the member thread to do.
pub(crate) enum Work {
    /// From peers or the disk.
    Zab(zab::Input),
    /// A client wants a new session.
    Open {
        mailbox: Arc<Mailbox>,
        timeout: i32,
        identities: Arc<[Id]>,
    },
    /// A client wants to go on with a session.
    Resume {
        mailbox: Arc<Mailbox>,
        session: SessionId,
        timeout: i32,
    },
    /// Writes of one client, in its order.
    Writes { client: ClientId, writes: Writes },
    /// A connection with a session, or with a request for one, ended.
    Gone(ClientId),
    /// Sessions heard from.
    Touched(Vec<SessionId>),
    /// Tell when sessions end.
    Deadlines(Box<dyn FnOnce(SessionDeadlines) + Send>),
    /// Write a snapshot, and tell where it is.
    Snapshot(Done),
    /// Hand leadership over.
    Yield(Option<PeerId>),
}

/// Bytes waiting above which links and clients are not read: several times what the member thread
/// takes in while it applies one large batch.
const HIGH_WATER: usize = 64 << 20;

/// The queue in front of the member thread: many producers, one consumer, which takes all.
pub(crate) struct Inbox {
    state: Mutex<State>,
    wake: Condvar,
    room: Notify,
}

struct State {
    work: Vec<Work>,
    bytes: usize,
    asleep: bool,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                work: Vec::new(),
                bytes: 0,
                asleep: false,
            }),
            wake: Condvar::new(),
            room: Notify::new(),
        }
    }

    /// Adds work that holds about `bytes`. It is always taken; producers with much to say ask
    /// [`Inbox::room`] first.
    pub(crate) fn push(&self, work: Work, bytes: usize) {
        let mut state = self.state.lock();
        state.work.push(work);
        state.bytes += bytes;
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Adds an input from peers or the disk.
    pub(crate) fn zab(&self, input: zab::Input) {
        self.push(Work::Zab(input), 0);
    }

    /// Waits until there is room.
    pub(crate) async fn room(&self) {
        loop {
            let notified = self.room.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.state.lock().bytes <= HIGH_WATER {
                return;
            }
            notified.await;
        }
    }

    /// Whether nothing waits.
    #[cfg(any(test, feature = "rehearsal"))]
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().work.is_empty()
    }

    /// Moves all that waits into `work`, which is empty; waits for something at most until
    /// `deadline`.
    pub(crate) fn take(&self, work: &mut Vec<Work>, deadline: Instant) {
        let mut state = self.state.lock();
        while state.work.is_empty() {
            state.asleep = true;
            if self.wake.wait_until(&mut state, deadline).timed_out() {
                state.asleep = false;
                break;
            }
        }
        std::mem::swap(&mut state.work, work);
        let was_full = state.bytes > HIGH_WATER;
        state.bytes = 0;
        drop(state);
        if was_full {
            self.room.notify_waiters();
        }
    }
}
