//! What the threads of one member share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use member::{ClientId, Status};
use parking_lot::{Mutex, MutexGuard, RwLock};
use tree::acl::Schemes;
use tree::{Tree, WatchTable, Watcher};
use wire::config::EnsembleConfig;
use wire::{PeerId, Zxid};

use crate::admin::digests::DigestLog;
use crate::boot::random;
use crate::clients::admission::{Admission, Visit};
use crate::clients::mailbox::{Mailbox, Waiting};
use crate::clients::touched::Touched;
use crate::clock::Clock;
use crate::config::Config;
use crate::inbox::Inbox;
use crate::metrics::Metrics;

/// Bytes of all clients' writes under way; beyond it only clients without writes under way are
/// read. Half of what a member holds while it has no leader.
const OUTSTANDING: usize = 64 << 20;

/// Watches taken under one lock: less than a millisecond.
const WATCHES_AT_ONCE: usize = 1000;

/// Apache's first trace mask.
const TRACE_MASK: i64 = 306;

/// What the threads of one member share. Locks are taken in this order: the tree's, the
/// watches' or the digests', a mailbox's.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) schemes: Schemes,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) tree: RwLock<Tree>,
    pub(crate) watches: Mutex<WatchTable>,
    /// Of the tree that is there.
    pub(crate) digests: Mutex<DigestLog>,
    pub(crate) connections: Mutex<HashMap<ClientId, Arc<Mailbox>>>,
    pub(crate) touched: Touched,
    /// How fast clients are let in.
    pub(crate) admission: Admission,
    /// Bytes of writes that clients wait for.
    pub(crate) outstanding: AtomicUsize,
    /// Bytes of those that are large, as `largeRequestThreshold` says.
    pub(crate) large: AtomicUsize,
    /// Bytes that wait for clients to take them.
    pub(crate) waiting: Waiting,
    /// Requests that clients wait for.
    pub(crate) requests: AtomicUsize,
    /// The configuration in force.
    pub(crate) ensemble: RwLock<Arc<EnsembleConfig>>,
    /// What the member thread last showed of itself.
    pub(crate) status: RwLock<Option<Status>>,
    /// On the leader, the members that are synced to it, itself included.
    pub(crate) synced: RwLock<Vec<PeerId>>,
    /// New clients are refused, since this member is about to be stopped.
    pub(crate) draining: AtomicBool,
    /// The tree came from a leader, whose snapshot may be fuzzy.
    pub(crate) has_foreign_snapshot: AtomicBool,
    /// What `stmk` sets and `gtmk` tells; nothing is traced by it.
    pub(crate) trace_mask: AtomicI64,
    /// Counts what the member thread does, to see that it moves.
    pub(crate) rounds: AtomicU64,
    applied: AtomicU64,
    tree_generation: AtomicU64,
    serving: AtomicU8,
    /// Since when the member leads, in its own milliseconds; the greatest number for not at all.
    leading_since: AtomicU64,
}

/// Whether clients are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serving {
    /// No: connections are closed, new ones refused.
    No,
    /// The leader is lost: connections are kept a while, requests and new connections wait.
    Holding,
    /// Those who only want to read are: there is no leader.
    ReadOnly,
    /// Yes.
    Yes,
}

impl Serving {
    /// Whether what the tree holds is shown.
    pub(crate) fn shows_tree(self) -> bool {
        matches!(self, Self::ReadOnly | Self::Yes)
    }
}

impl Shared {
    pub(crate) fn new(config: Config, tree: Tree, watches: WatchTable, parts: Parts) -> Self {
        let applied = AtomicU64::new(tree.last_zxid().0);
        Self {
            ensemble: RwLock::new(Arc::new(config.ensemble.clone())),
            admission: Admission::new(config.limits.connecting.clone()),
            config,
            schemes: tree.options().schemes.clone(),
            clock: parts.clock,
            metrics: parts.metrics,
            inbox: parts.inbox,
            tree: RwLock::new(tree),
            watches: Mutex::new(watches),
            digests: Mutex::new(parts.digests),
            connections: Mutex::default(),
            touched: Touched::new(),
            outstanding: AtomicUsize::new(0),
            large: AtomicUsize::new(0),
            waiting: Waiting::default(),
            requests: AtomicUsize::new(0),
            status: RwLock::new(None),
            synced: RwLock::default(),
            draining: AtomicBool::new(false),
            has_foreign_snapshot: AtomicBool::new(false),
            trace_mask: AtomicI64::new(TRACE_MASK),
            rounds: AtomicU64::new(0),
            applied,
            tree_generation: AtomicU64::new(0),
            serving: AtomicU8::new(Serving::No as u8),
            leading_since: AtomicU64::new(u64::MAX),
        }
    }

    /// The last zxid applied, a moment ago.
    pub(crate) fn applied(&self) -> Zxid {
        Zxid(self.applied.load(Ordering::Acquire))
    }

    pub(crate) fn set_applied(&self, zxid: Zxid) {
        self.applied.store(zxid.0, Ordering::Release);
    }

    /// How often the tree was replaced as a whole. Changes only under the tree's write guard.
    pub(crate) fn tree_generation(&self) -> u64 {
        self.tree_generation.load(Ordering::Acquire)
    }

    /// Puts another tree in the place of the one there, which is returned.
    pub(crate) fn replace_tree(&self, tree: Tree, digests: DigestLog) -> Tree {
        let mut guard = self.tree.write();
        *self.digests.lock() = digests;
        let old = std::mem::replace(&mut *guard, tree);
        self.tree_generation.fetch_add(1, Ordering::AcqRel);
        self.set_applied(guard.last_zxid());
        old
    }

    /// Takes the watches of a connection that is over. Others get the table in between.
    pub(crate) fn forget_watcher(&self, watcher: Watcher) {
        let mut watches = self.watches.lock();
        while watches.remove_watcher(watcher, WATCHES_AT_ONCE) {
            MutexGuard::bump(&mut watches);
        }
    }

    pub(crate) fn serving(&self) -> Serving {
        match self.serving.load(Ordering::Acquire) {
            3 => Serving::Yes,
            2 => Serving::ReadOnly,
            1 => Serving::Holding,
            _ => Serving::No,
        }
    }

    pub(crate) fn set_serving(&self, serving: Serving) {
        self.serving.store(serving as u8, Ordering::Release);
    }

    /// Since when the member leads, in its own milliseconds.
    pub(crate) fn leading_since(&self) -> Option<u64> {
        Some(self.leading_since.load(Ordering::Relaxed)).filter(|since| *since != u64::MAX)
    }

    pub(crate) fn set_leading(&self, is_leading: bool) {
        let since = if is_leading {
            self.clock.millis()
        } else {
            u64::MAX
        };
        self.leading_since.store(since, Ordering::Relaxed);
    }

    /// Whether connections of clients are taken: a leader may be told to leave them to others.
    pub(crate) fn takes_clients(&self) -> bool {
        let serves = self.config.leader_serves || self.leading_since().is_none();
        serves && self.serving() != Serving::No
    }

    /// Whether clients that have requests under way may be read.
    pub(crate) fn has_room(&self) -> bool {
        let limit = self.config.limits.outstanding.unwrap_or(usize::MAX);
        self.outstanding.load(Ordering::Relaxed) < OUTSTANDING
            && self.requests.load(Ordering::Relaxed) < limit
    }

    /// Whether one more client is let in now.
    pub(crate) fn admits(&self, visit: Visit) -> bool {
        let dice = || (random() >> 11) as f64 / (1_u64 << 53) as f64;
        let admits = self.admission.admits(visit, self.clock.millis(), dice);
        if admits {
            let deficit = self.admission.deficit() as f64;
            self.metrics.connection_token_deficit.observe(deficit);
        } else {
            self.metrics.connection_rejected.inc();
        }
        admits
    }
}

/// What is made before the rest.
pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) digests: DigestLog,
}
