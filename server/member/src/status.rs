//! What a member shows of itself.

use wire::{SessionId, Zxid};
use zab::Instant;

use crate::Role;

/// What a member shows of itself, for metrics, four-letter words and the simulator.
///
/// `synced <= last_logged`, `applied <= synced`; and `applied <= committed`, except for what
/// replay applied before the member knew what is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Zab's own.
    pub zab: zab::Status,
    /// What it is.
    pub role: Role,
    /// The last zxid that the tree has applied.
    pub applied: Zxid,
    /// The last zxid known to be committed; zero while nothing is known.
    pub committed: Zxid,
    /// The last zxid that is durable here.
    pub synced: Zxid,
    /// The last zxid that is in the log or on its way there.
    pub last_logged: Zxid,
    /// Global sessions; only a leader counts them here.
    pub sessions: Option<usize>,
    /// Sessions of this member only.
    pub local_sessions: usize,
    /// `sync`s that are not done, of this member's clients and, at a leader, of learners.
    pub pending_syncs: usize,
    /// Leader only: proposals that are not applied here.
    pub uncommitted: usize,
    /// Their bytes.
    pub uncommitted_bytes: usize,
    /// Bytes of requests that wait for a leader or for room. Above half of
    /// [`Status::HELD_LIMIT`] a driver should stop reading from clients.
    pub held_bytes: usize,
}

impl Status {
    /// Above this [`Status::held_bytes`] requests are refused.
    pub const HELD_LIMIT: usize = crate::machine::HELD_LIMIT;
}

/// Sessions by when they end unless they are heard from, the next ones first.
pub type Deadlines = Vec<(Instant, Vec<SessionId>)>;

/// When sessions end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionDeadlines {
    /// Those of the ensemble; `None` unless this member leads.
    pub global: Option<Deadlines>,
    /// Those of this member only; `None` where there are none such.
    pub local: Option<Deadlines>,
}
