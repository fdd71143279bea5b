//! What a member counts, by the names that Apache gives it.

mod namespaces;
mod summary;

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use prometheus::{IntCounter, Registry};
use wire::{SessionId, Zxid};

pub(crate) use self::namespaces::Namespaces;
pub(crate) use self::summary::Summary;

macro_rules! metrics {
    (
        counters { $( $counter:ident: $counter_help:literal, )* }
        summaries { $( $summary:ident: $summary_help:literal, )* }
        namespaces { $( $sizes:ident: $sizes_help:literal, )* }
    ) => {
        /// Counters and summaries of one member. Gauges are read where they are shown.
        pub(crate) struct Metrics {
            /// All of them, for `/metrics`.
            pub(crate) registry: Registry,
            /// All requests, for `srvr` and its kin.
            pub(crate) latency: Latency,
            /// Bytes of the answers to requests.
            pub(crate) responses: Sizes,
            /// Syncs of the log that took longer than `fsync.warningthresholdms`.
            pub(crate) slow_syncs: AtomicU64,
            $( pub(crate) $counter: IntCounter, )*
            $( pub(crate) $summary: Summary, )*
            $( pub(crate) $sizes: Arc<Namespaces>, )*
        }

        impl Metrics {
            pub(crate) fn new() -> Result<Self, prometheus::Error> {
                let registry = Registry::new();
                $(
                    let $counter = IntCounter::new(stringify!($counter), $counter_help)?;
                    registry.register(Box::new($counter.clone()))?;
                )*
                $(
                    let $summary = Summary::new(stringify!($summary), $summary_help)?;
                    registry.register(Box::new($summary.clone()))?;
                )*
                $(
                    let $sizes = Arc::new(Namespaces::new(stringify!($sizes), $sizes_help)?);
                    registry.register(Box::new(namespaces::Shown($sizes.clone())))?;
                )*
                Ok(Self {
                    registry,
                    latency: Latency::default(),
                    responses: Sizes::default(),
                    slow_syncs: AtomicU64::default(),
                    $( $counter, )*
                    $( $summary, )*
                    $( $sizes, )*
                })
            }

            /// Forgets what was counted and observed.
            pub(crate) fn reset(&self) {
                $( self.$counter.reset(); )*
                $( self.$summary.reset(); )*
                $( self.$sizes.reset(); )*
                self.latency.reset();
                self.responses.reset();
            }

            /// All summaries.
            pub(crate) fn summaries(&self) -> Vec<&Summary> {
                vec![$( &self.$summary, )*]
            }

            /// All sizes by namespace.
            pub(crate) fn namespaces(&self) -> Vec<&Namespaces> {
                vec![$( &*self.$sizes, )*]
            }
        }
    };
}

metrics! {
    counters {
        packets_received: "Requests received from clients",
        packets_sent: "Replies and events sent to clients",
        bytes_received_count: "Bytes received from clients",
        response_bytes: "Bytes sent to clients",
        connection_request_count: "Connect requests received",
        connection_rejected: "Connections refused for being too many",
        sessionless_connections_expired: "Connections closed that asked for no session in time",
        large_requests_rejected: "Large requests refused for being too many",
        throttled_ops: "Requests refused for having waited too long",
        request_throttle_wait_count: "Looks whether requests that wait may go on",
        connection_drop_count: "Connections closed by this member",
        connection_revalidate_count: "Sessions that clients went on with",
        cnxn_closed_without_zk_server_running: "Connections closed while not serving",
        auth_failed_count: "Credentials refused",
        proposal_count: "Transactions proposed by this member as the leader",
        commit_count: "Transactions committed by this member as the leader",
        learner_proposal_received_count: "Transactions received from a leader",
        learner_commit_received_count: "Transactions that a leader committed",
        digest_mismatches_count: "Transactions after which the tree is not the leader's",
        diff_count: "Learners brought up to date by what they missed",
        snap_count: "Learners brought up to date by a snapshot",
        snapshot_rate_limited_count: "Snapshots refused for coming too soon after the last",
        snapshot_error_count: "Snapshots asked for that failed",
        restore_rate_limited_count: "Restores refused for coming too soon after the last",
        restore_error_count: "Restores that failed",
        stale_sessions_expired: "Sessions that ended by their timeout",
        looking_count: "Elections that this member took part in",
        insecure_admin_count: "Commands asked of the AdminServer without encryption",
        watch_bytes: "Bytes of the events sent",
        ensemble_auth_success: "Clients that named this ensemble",
        ensemble_auth_fail: "Clients that named another ensemble",
        prep_processor_request_queued: "Requests for changes received",
        sync_processor_request_queued: "Transactions appended to the log",
        unrecoverable_error_count: "Errors that end the member, so none while it answers",
    }
    summaries {
        readlatency: "Milliseconds from a read's arrival to its answer",
        updatelatency: "Milliseconds from a write's arrival to its answer",
        propagation_latency: "Milliseconds from a transaction's making to its applying here",
        proposal_latency: "Milliseconds from a transaction's making to its arrival at a learner",
        proposal_ack_creation_latency: "Milliseconds from a transaction's making to its sync here",
        commit_propagation_latency: "Milliseconds from a transaction's making to its commit at a learner",
        fsynctime: "Milliseconds of the log's syncs",
        snapshottime: "Milliseconds of snapshots",
        restore_time: "Milliseconds of receiving and reading a snapshot to restore",
        unavailable_time: "Milliseconds without a leader",
        leader_unavailable_time: "Milliseconds without a leader until this member led",
        quorum_ack_latency: "Milliseconds from a transaction's making to its commit, as the leader",
        sync_processor_batch_size: "Transactions that were synced together",
        sync_processor_queue_flush_time_ms: "Milliseconds of writing and syncing such a batch",
        dbinittime: "Milliseconds of reading the disk at the start",
        startup_txns_loaded: "Transactions read from the log at the start",
        node_created_watch_count: "Events sent for a created znode",
        node_deleted_watch_count: "Events sent for a deleted znode",
        node_changed_watch_count: "Events sent for a changed znode",
        node_children_watch_count: "Events sent for a znode whose children changed",
        connection_token_deficit: "Tokens of connections that are taken",
        request_throttle_queue_time_ms: "Milliseconds that requests waited for others",
        election_time: "Milliseconds from looking for a leader to having one",
        startup_snap_load_time: "Milliseconds of reading a snapshot at the start",
        startup_txns_load_time: "Milliseconds of reading the log at the start",
    }
    namespaces {
        read_per_namespace: "Bytes that clients read below the first part of a path",
        write_per_namespace: "Bytes that clients write below the first part of a path",
    }
}

impl Metrics {
    /// Reads were answered.
    pub(crate) fn read(&self, count: u64, milliseconds: u64) {
        self.readlatency.observe_many(count, milliseconds as f64);
        self.latency.add(count, milliseconds);
    }

    /// A write was answered.
    pub(crate) fn wrote(&self, milliseconds: u64) {
        self.updatelatency.observe(milliseconds as f64);
        self.latency.add(1, milliseconds);
    }
}

/// Least, greatest and mean of times in milliseconds.
#[derive(Default)]
pub(crate) struct Latency {
    count: AtomicU64,
    sum: AtomicU64,
    greatest: AtomicU64,
    /// One more than the least, 0 for none.
    least: AtomicU64,
}

impl Latency {
    fn add(&self, count: u64, milliseconds: u64) {
        self.count.fetch_add(count, Ordering::Relaxed);
        self.sum.fetch_add(count * milliseconds, Ordering::Relaxed);
        if milliseconds > self.greatest.load(Ordering::Relaxed) {
            self.greatest.fetch_max(milliseconds, Ordering::Relaxed);
        }
        let least = self.least.load(Ordering::Relaxed);
        if least == 0 || milliseconds + 1 < least {
            self.least.store(milliseconds + 1, Ordering::Relaxed);
        }
    }

    /// Least, mean and greatest.
    pub(crate) fn summary(&self) -> (u64, f64, u64) {
        let count = self.count.load(Ordering::Relaxed);
        let sum = self.sum.load(Ordering::Relaxed);
        let mean = if count == 0 {
            0.0
        } else {
            sum as f64 / count as f64
        };
        (
            self.least.load(Ordering::Relaxed).saturating_sub(1),
            mean,
            self.greatest.load(Ordering::Relaxed),
        )
    }

    /// Forgets all.
    pub(crate) fn reset(&self) {
        for value in [&self.count, &self.sum, &self.greatest, &self.least] {
            value.store(0, Ordering::Relaxed);
        }
    }
}

/// Last, least and greatest of sizes in bytes.
pub(crate) struct Sizes([AtomicI64; 3]);

impl Default for Sizes {
    fn default() -> Self {
        Self([const { AtomicI64::new(-1) }; 3])
    }
}

impl Sizes {
    /// Adds a size.
    pub(crate) fn add(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let [last, least, greatest] = &self.0;
        last.store(bytes, Ordering::Relaxed);
        // Two that race may lose one extreme, until the next one like it.
        let so_far = least.load(Ordering::Relaxed);
        if so_far < 0 || bytes < so_far {
            least.store(bytes, Ordering::Relaxed);
        }
        if bytes > greatest.load(Ordering::Relaxed) {
            greatest.fetch_max(bytes, Ordering::Relaxed);
        }
    }

    /// Last, least, greatest; -1 each before the first.
    pub(crate) fn read(&self) -> [i64; 3] {
        [0, 1, 2].map(|at: usize| self.0[at].load(Ordering::Relaxed))
    }

    /// Forgets all.
    pub(crate) fn reset(&self) {
        for size in &self.0 {
            size.store(-1, Ordering::Relaxed);
        }
    }
}

/// What one connection counts.
pub(crate) struct ConnectionCounters {
    /// When it was made, milliseconds since 1970.
    pub(crate) established: i64,
    /// Its session, 0 for none.
    pub(crate) session: AtomicI64,
    /// The session's timeout, milliseconds.
    pub(crate) timeout: AtomicI32,
    /// Requests received.
    pub(crate) received: AtomicU64,
    /// Replies and events sent.
    pub(crate) sent: AtomicU64,
    /// The last request's number.
    pub(crate) last_xid: AtomicI32,
    /// The last request's operation, 0 for none.
    pub(crate) last_op: AtomicI32,
    /// Requests that wait for their answer.
    pub(crate) queued: AtomicUsize,
    /// Of its answers.
    pub(crate) latency: Latency,
    /// The last answer's zxid.
    pub(crate) last_zxid: AtomicU64,
    /// When that was, in the member's milliseconds, and how long it took.
    pub(crate) last_response: AtomicU64,
    pub(crate) last_latency: AtomicU64,
}

impl ConnectionCounters {
    pub(crate) fn new(established: i64) -> Self {
        Self {
            established,
            session: AtomicI64::default(),
            timeout: AtomicI32::default(),
            received: AtomicU64::default(),
            sent: AtomicU64::default(),
            last_xid: AtomicI32::new(-1),
            last_op: AtomicI32::default(),
            queued: AtomicUsize::default(),
            latency: Latency::default(),
            last_zxid: AtomicU64::default(),
            last_response: AtomicU64::default(),
            last_latency: AtomicU64::default(),
        }
    }

    /// Forgets what it counted.
    pub(crate) fn reset(&self) {
        self.received.store(0, Ordering::Relaxed);
        self.sent.store(0, Ordering::Relaxed);
        self.last_op.store(0, Ordering::Relaxed);
        self.last_xid.store(-1, Ordering::Relaxed);
        self.last_zxid.store(0, Ordering::Relaxed);
        self.last_response.store(0, Ordering::Relaxed);
        self.last_latency.store(0, Ordering::Relaxed);
        self.latency.reset();
    }

    /// A request was answered at `now`, in the member's milliseconds.
    pub(crate) fn answered(&self, zxid: Zxid, now: u64, milliseconds: u64) {
        self.last_zxid.store(zxid.0, Ordering::Relaxed);
        self.last_response.store(now, Ordering::Relaxed);
        self.last_latency.store(milliseconds, Ordering::Relaxed);
        self.latency.add(1, milliseconds);
    }

    pub(crate) fn connected(&self, session: SessionId, timeout: i32) {
        self.session.store(session.0, Ordering::Relaxed);
        self.timeout.store(timeout, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, frames: u64) {
        self.received.fetch_add(frames, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, frames: u64) {
        self.sent.fetch_add(frames, Ordering::Relaxed);
    }

    pub(crate) fn asked(&self, xid: i32, op: i32) {
        self.last_xid.store(xid, Ordering::Relaxed);
        self.last_op.store(op, Ordering::Relaxed);
    }
}
