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
//! - Sessions of one member only are opened, ended and forgotten by it alone.
//! - Only the leader expires global sessions, and never before it has proved its quorum after a
//!   gap in its own time.
//! - Timeouts use monotonic time; transaction times and session ids wall time.
//!
//! This crate knows no socket, disk, clock, thread or lock.

mod forward;
mod held;
mod leading;
mod learning;
mod locals;
mod machine;
mod reap;
mod reconfig;
mod sessions;
mod status;

use std::sync::Arc;

use wire::SessionId;
use wire::client::Write;
use wire::config::EnsembleConfig;
use wire::txn::Entry;
pub use zab::{Instant, LinkId, Role};

pub use crate::machine::Member;
pub use crate::status::{Deadlines, SessionDeadlines, Status};

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
    /// transaction is applied, by the driver; if it is of this member only, by
    /// [`Effect::Resumed`] at once.
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
    /// A connection is over: if it waits to go on with a session, it does so no more.
    Gone(ClientId),
    /// Changes that clients ask for, `sync` and `closeSession` included, in each client's order.
    /// A change is answered when its transaction is applied, a `sync` by
    /// [`Effect::SyncDone`].
    Writes(Vec<Write>),
    /// Sessions heard from since the last time.
    Touched(Vec<SessionId>),
    /// There was no leader for long: until there is one, clients may read, with sessions of this
    /// member only.
    ServeReadOnly,
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
    /// The part changed. Connections may outlive it: requests and resumptions wait in the member
    /// for the next part. Of writes and `sync`s handed over while the part was another one than
    /// [`Role::Looking`] and not answered, the fate is unknown: close their connections. Resume
    /// the sessions of the others at the next part, since an Apache leader counts a learner that
    /// came back as another owner.
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
    /// A session of this member only has ended: because its client asked for it by the request of
    /// this number, or because its time was over.
    Ended {
        /// Which.
        session: SessionId,
        /// The number; the client waits for the answer.
        cxid: Option<i32>,
    },
    /// A `sync` is done: everything committed before it is in an [`Effect::Apply`] before this
    /// one, and nothing that its session asked for behind it.
    SyncDone {
        /// Whose.
        session: SessionId,
        /// Its number.
        cxid: i32,
    },
    /// A request of this session is not carried out, since too much waits for a leader or for
    /// commits already; nor is any later one until the session is resumed. Close its connection.
    Refused {
        /// Whose.
        session: SessionId,
    },
}

/// What does not change while a member runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For zab.
    pub zab: zab::Settings,
    /// Whether sessions are of one member only, to begin with.
    pub local_sessions: LocalSessions,
    /// For the collection of containers and znodes with a time to live.
    pub reap: ReapSettings,
}

/// Whether new sessions are of one member only, so that they cost the ensemble nothing
/// (`localSessionsEnabled`). The same on all members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalSessions {
    /// They are the ensemble's.
    #[default]
    None,
    /// They are, and own no ephemerals.
    Fixed,
    /// They are until they create an ephemeral; then they become the ensemble's
    /// (`localSessionsUpgradingEnabled`).
    Upgradable,
}

/// When containers and znodes with a time to live are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReapSettings {
    /// Milliseconds between two looks (`znode.container.checkIntervalMs`).
    pub interval: u64,
    /// Containers collected per minute (`znode.container.maxPerMinute`).
    pub per_minute: u64,
    /// Milliseconds that a container may stay without ever having had a child, 0 for ever
    /// (`znode.container.maxNeverUsedIntervalMs`).
    pub never_used: i64,
}

impl Default for ReapSettings {
    /// As Apache 3.9.
    fn default() -> Self {
        Self {
            interval: 60_000,
            per_minute: 10_000,
            never_used: 0,
        }
    }
}
