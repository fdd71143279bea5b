//! What a member counts, by the names that Apache gives it.

use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};

use prometheus::{Histogram, HistogramOpts, IntCounter, Registry};
use wire::SessionId;

macro_rules! metrics {
    (
        counters { $( $counter:ident: $counter_help:literal, )* }
        times { $( $time:ident: $time_help:literal, )* }
    ) => {
        /// Counters and times of one member. Gauges are read where they are shown.
        pub(crate) struct Metrics {
            /// All of them, for `/metrics`.
            pub(crate) registry: Registry,
            /// All requests, for `srvr` and its kin.
            pub(crate) latency: Latency,
            $( pub(crate) $counter: IntCounter, )*
            $( pub(crate) $time: Histogram, )*
        }

        impl Metrics {
            pub(crate) fn new() -> Result<Self, prometheus::Error> {
                let registry = Registry::new();
                $(
                    let $counter = IntCounter::new(stringify!($counter), $counter_help)?;
                    registry.register(Box::new($counter.clone()))?;
                )*
                $(
                    let options = HistogramOpts::new(stringify!($time), $time_help)
                        .buckets(MILLISECONDS.to_vec());
                    let $time = Histogram::with_opts(options)?;
                    registry.register(Box::new($time.clone()))?;
                )*
                Ok(Self {
                    registry,
                    latency: Latency::default(),
                    $( $counter, )*
                    $( $time, )*
                })
            }
        }
    };
}

/// Bounds of the times' buckets.
const MILLISECONDS: [f64; 13] = [
    0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5,
];

metrics! {
    counters {
        packets_received: "Requests received from clients",
        packets_sent: "Replies and events sent to clients",
        connection_request_count: "Connect requests received",
        connection_rejected: "Connections refused for being too many",
        connection_drop_count: "Connections closed by this member",
        connection_revalidate_count: "Sessions that clients went on with",
        cnxn_closed_without_zk_server_running: "Connections closed while not serving",
        auth_failed_count: "Credentials refused",
        commit_count: "Transactions applied",
        digest_mismatches_count: "Transactions after which the tree is not the leader's",
        snap_count: "Snapshots sent to learners",
        looking_count: "Elections that this member took part in",
        node_created_watch_count: "Events sent for created znodes",
        node_deleted_watch_count: "Events sent for deleted znodes",
        node_changed_watch_count: "Events sent for changed znodes",
        node_children_watch_count: "Events sent for changed children",
    }
    times {
        readlatency: "Milliseconds from a read's arrival to its answer",
        updatelatency: "Milliseconds from a write's arrival to its answer",
        fsynctime: "Milliseconds of the log's syncs",
        snapshottime: "Milliseconds of snapshots",
        election_time: "Milliseconds from looking for a leader to having one",
    }
}

impl Metrics {
    /// A read was answered.
    pub(crate) fn read(&self, milliseconds: u64) {
        self.readlatency.observe(milliseconds as f64);
        self.latency.add(milliseconds);
    }

    /// A write was answered.
    pub(crate) fn wrote(&self, milliseconds: u64) {
        self.updatelatency.observe(milliseconds as f64);
        self.latency.add(milliseconds);
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
    fn add(&self, milliseconds: u64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(milliseconds, Ordering::Relaxed);
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

/// What one connection counts.
#[derive(Default)]
pub(crate) struct ConnectionCounters {
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
    /// The last request's operation.
    pub(crate) last_op: AtomicI32,
}

impl ConnectionCounters {
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
