//! One ensemble member as a state machine: zab, the preparation of writes, sessions, timers.
//!
//! Start with [`Input`] and [`Effect`]. [`Member`] is driven by the server's member thread and by
//! the simulator, in the same way: take inputs as they come, then carry out effects in order.
//! The tree belongs to the driver; [`Member::handle`] reads it to prepare writes.
//!
//! Invariants:
//! - Preparing and proposing are one step: no zxid is taken that is not proposed.
//! - What only a leader knows (uncommitted changes, session deadlines and owners, pending syncs)
//!   is one value, made when leadership is established and dropped whole when it ends.
//! - Only the leader expires global sessions, and never before it has proved its quorum after a
//!   gap in its own time.
//! - Timeouts use monotonic time; transaction times and session ids wall time.
//!
//! This crate knows no socket, disk, clock, thread or lock.

use std::sync::Arc;

use bytes::Bytes;
use wire::client::Write;
use wire::config::EnsembleConfig;
use wire::txn::Entry;
use wire::{SessionId, Zxid};
pub use zab::{Instant, LinkId, Role};

/// Both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// For timeouts.
    pub monotonic: Instant,
    /// Milliseconds since 1970, for transaction times and session ids; may jump.
    pub wall: i64,
}

/// A client connection of this member; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// All that a member can hear.
#[derive(Clone, Debug)]
pub enum Input {
    /// From peers and disk, and the passing of time.
    Zab(zab::Input),
    /// A client wants a new session. Answered by [`Effect::Opening`] and, after the session's
    /// transaction is applied, by the driver.
    Open {
        /// Its connection.
        client: ClientId,
        /// The timeout, already negotiated, milliseconds.
        timeout: i32,
        /// All identities of the connection.
        identities: Arc<[wire::Id]>,
    },
    /// A client wants to go on with a session, and knows its password. Answered by
    /// [`Effect::Resumed`].
    Resume {
        /// Its connection.
        client: ClientId,
        /// The session.
        session: SessionId,
        /// The timeout, already negotiated, milliseconds.
        timeout: i32,
    },
    /// Changes that clients ask for, `sync` and `closeSession` included, in each client's order.
    /// A change is answered when its transaction is applied, a `sync` by
    /// [`Effect::SyncDone`].
    Writes(Vec<Write>),
    /// Sessions heard from since the last time.
    Touched(Vec<SessionId>),
    /// Hand leadership over to this member, or to the most advanced; nothing happens elsewhere.
    Yield(Option<wire::PeerId>),
}

/// All that a member can do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// About peers or disk; never one of `Deliver`, `Role`, `ConfigCommitted`, `FromLearner`,
    /// `FromLeader`, which become the variants below or stay inside.
    Zab(zab::Effect),
    /// Apply these in order and answer with `Input::Zab(zab::Input::Applied)`. Events and replies
    /// reach their connections before the write guard is released.
    Apply(Vec<Arc<Entry>>),
    /// The part changed. Connections may outlive it: requests wait for the next part, those
    /// forwarded and not answered have an unknown fate.
    Role(Role),
    /// Keep `/zookeeper/config` and the stored configuration equal to this.
    ConfigCommitted(EnsembleConfig),
    /// This session is being made for this client.
    Opening {
        /// The connection.
        client: ClientId,
        /// Its session to be.
        session: SessionId,
        /// Milliseconds.
        timeout: i32,
    },
    /// Whether a session goes on here.
    Resumed {
        /// The connection.
        client: ClientId,
        /// The session.
        session: SessionId,
        /// Milliseconds.
        timeout: i32,
        /// False: the session is no more.
        valid: bool,
    },
    /// A `sync` is done: everything committed before it is applied here.
    SyncDone {
        /// Whose.
        session: SessionId,
        /// Its number.
        cxid: i32,
    },
}

/// What does not change while a member runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For zab.
    pub zab: zab::Settings,
    /// For the preparation of writes.
    pub tree: tree::Options,
}

/// Where the bytes of a forwarded request begin: see [`wire::quorum::ForwardHeader`].
pub type Forwarded = (Zxid, Bytes);
