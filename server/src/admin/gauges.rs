//! What a member is at this moment, as numbers: gauges of the registry, read when it is asked.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use member::Status;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};
use tree::Tree;

use super::texts::mode;
use crate::clients::mailbox::Mailbox;
use crate::shared::Shared;

/// All that gauges are read from, read once for all of them.
struct Now {
    latency: (u64, f64, u64),
    connections: usize,
    drop_chance: f64,
    outstanding: usize,
    /// Last, least and greatest.
    responses: [i64; 3],
    watches: u64,
    znodes: u64,
    ephemerals: u64,
    sessions: u64,
    local_sessions: usize,
    data_size: u64,
    voters: usize,
    uptime: u64,
    /// Since when it leads, milliseconds, and what it shows of that.
    leading: Option<(u64, Status)>,
    standalone: bool,
    /// Whether it follows, with or without a vote.
    follows: bool,
    /// Of each first part of a path that has quotas: the sums of limits and usage, in the order
    /// of [`QUOTAS`].
    quotas: BTreeMap<String, [i64; 4]>,
}

impl Now {
    fn read(shared: &Shared) -> Self {
        let status = *shared.status.read();
        let uptime = shared.clock.millis();
        let leading = shared.leading_since().zip(status);
        let outstanding = outstanding(shared);
        let tree = shared.tree.read();
        Self {
            latency: shared.metrics.latency.summary(),
            connections: shared.connections.lock().len(),
            drop_chance: shared.admission.drop_chance(),
            outstanding,
            responses: shared.metrics.responses.read(),
            watches: shared.watches.lock().len(),
            znodes: tree.znode_count(),
            ephemerals: tree.ephemerals_count(),
            sessions: tree.session_count(),
            local_sessions: status.map_or(0, |status| status.local_sessions),
            data_size: tree.approximate_data_size(),
            voters: shared.ensemble.read().voters().count(),
            uptime,
            leading: leading.map(|(since, status)| (uptime.saturating_sub(since), status)),
            standalone: shared.config.standalone,
            follows: mode(shared) == "follower",
            quotas: quotas(&tree),
        }
    }

    /// A number that only the leader of an ensemble has.
    fn led(&self, number: impl FnOnce(&Status) -> usize) -> Option<f64> {
        let (_, status) = self.leading.as_ref().filter(|_| !self.standalone)?;
        Some(number(status) as f64)
    }

    /// The size of proposals, -1 before the first one.
    fn size(&self, which: impl FnOnce(zab::ProposalSizes) -> usize) -> Option<f64> {
        let (_, status) = self.leading.as_ref().filter(|_| !self.standalone)?;
        let size = status.zab.proposal_sizes.map(which);
        Some(size.map_or(-1.0, |size| size as f64))
    }
}

/// A limit that is enforced counts more than one that is advice.
fn quotas(tree: &Tree) -> BTreeMap<String, [i64; 4]> {
    let limit = |hard: i64, soft: i64| if hard > -1 { hard } else { soft };
    let mut all: BTreeMap<String, [i64; 4]> = BTreeMap::new();
    for quota in tree.quotas() {
        let namespace = quota.path.split('/').nth(1).unwrap_or_default();
        let (hard, soft) = (quota.hard, quota.soft);
        let values = [
            limit(hard.count, soft.count),
            limit(hard.bytes, soft.bytes),
            quota.used.count,
            quota.used.bytes,
        ];
        let sums = all.entry(namespace.to_owned()).or_default();
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = sum.saturating_add(value);
        }
    }
    all
}

/// Names of what is told of each quota, and what they say.
const QUOTAS: [(&str, &str); 4] = [
    (
        "quota_count_limit_per_namespace",
        "Znodes allowed by a quota",
    ),
    (
        "quota_bytes_limit_per_namespace",
        "Bytes allowed by a quota",
    ),
    ("quota_count_usage_per_namespace", "Znodes under a quota"),
    ("quota_bytes_usage_per_namespace", "Bytes under a quota"),
];
/// The label that says which quota.
const KEY: &str = "key";

/// Requests of all clients that wait for their answer.
pub(crate) fn outstanding(shared: &Shared) -> usize {
    let connections = shared.connections.lock();
    let queued = |mailbox: &Arc<Mailbox>| mailbox.counters.queued.load(Ordering::Relaxed);
    connections.values().map(queued).sum()
}

/// To four digits, as Apache.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

/// A name, what it says, and how it is read; `None` where it has no meaning.
type Row = (&'static str, &'static str, fn(&Now) -> Option<f64>);

/// Apache's names.
const GAUGES: &[Row] = &[
    (
        "avg_latency",
        "Milliseconds from request to answer",
        |now| Some(rounded(now.latency.1)),
    ),
    ("min_latency", "Least of the latencies", |now| {
        Some(now.latency.0 as f64)
    }),
    ("max_latency", "Greatest of the latencies", |now| {
        Some(now.latency.2 as f64)
    }),
    (
        "connection_drop_probability",
        "Chance of a connection to be refused at random",
        |now| Some(now.drop_chance),
    ),
    ("num_alive_connections", "Client connections", |now| {
        Some(now.connections as f64)
    }),
    ("outstanding_requests", "Requests under way", |now| {
        Some(now.outstanding as f64)
    }),
    (
        "last_client_response_size",
        "Bytes of the last answer",
        |now| Some(now.responses[0] as f64),
    ),
    (
        "min_client_response_size",
        "Bytes of the smallest answer",
        |now| Some(now.responses[1] as f64),
    ),
    (
        "max_client_response_size",
        "Bytes of the greatest answer",
        |now| Some(now.responses[2] as f64),
    ),
    ("uptime", "Milliseconds since the start", |now| {
        Some(now.uptime as f64)
    }),
    ("znode_count", "Znodes", |now| Some(now.znodes as f64)),
    ("watch_count", "Watches", |now| Some(now.watches as f64)),
    ("ephemerals_count", "Ephemeral znodes", |now| {
        Some(now.ephemerals as f64)
    }),
    ("approximate_data_size", "Bytes of paths and data", |now| {
        Some(now.data_size as f64)
    }),
    ("global_sessions", "Sessions of the ensemble", |now| {
        Some(now.sessions as f64)
    }),
    ("local_sessions", "Sessions of this member only", |now| {
        Some(now.local_sessions as f64)
    }),
    (
        "open_file_descriptor_count",
        "Open files and sockets",
        |_| open_files(),
    ),
    (
        "max_file_descriptor_count",
        "Files and sockets that may be open",
        |_| max_files(),
    ),
    ("quorum_size", "Voters", |now| {
        (!now.standalone).then_some(now.voters as f64)
    }),
    (
        "learners",
        "Members connected to this leader, synced or not",
        |now| now.led(|status| status.zab.learners),
    ),
    ("synced_followers", "Voters synced to this leader", |now| {
        now.led(|status| status.zab.synced_followers)
    }),
    (
        "synced_non_voting_followers",
        "Followers without a vote synced to this leader",
        |now| now.led(|status| status.zab.synced_non_voting),
    ),
    (
        "synced_observers",
        "Observers synced to this leader",
        |now| {
            // A follower has none.
            let led = now.led(|status| status.zab.synced_observers);
            led.or_else(|| now.follows.then_some(0.0))
        },
    ),
    ("pending_syncs", "Syncs that are not done", |now| {
        now.led(|status| status.pending_syncs)
    }),
    (
        "leader_uptime",
        "Milliseconds since this member leads",
        |now| {
            let (since, _) = now.leading.as_ref().filter(|_| !now.standalone)?;
            Some(*since as f64)
        },
    ),
    ("last_proposal_size", "Bytes of the last proposal", |now| {
        now.size(|sizes| sizes.last)
    }),
    (
        "min_proposal_size",
        "Bytes of the smallest proposal",
        |now| now.size(|sizes| sizes.min),
    ),
    (
        "max_proposal_size",
        "Bytes of the greatest proposal",
        |now| now.size(|sizes| sizes.max),
    ),
];

fn open_files() -> Option<f64> {
    // One is the folder itself, open to be read.
    let files = std::fs::read_dir("/dev/fd").ok()?.count();
    Some(files.saturating_sub(1) as f64)
}

fn max_files() -> Option<f64> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.map(|files| files as f64)
}

fn gauges(name: &str, help: &str, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(MetricType::GAUGE);
    family.set_metric(metrics);
    family
}

/// The gauges of one member.
pub(crate) struct Gauges {
    shared: Weak<Shared>,
    descriptions: Vec<Desc>,
}

impl Gauges {
    /// Of this member, for its registry.
    ///
    /// # Errors
    /// If a name is none.
    pub(crate) fn of(shared: &Arc<Shared>) -> Result<Self, prometheus::Error> {
        let describe = |&(name, help, _): &Row| {
            Desc::new(
                name.to_owned(),
                help.to_owned(),
                Vec::new(),
                Default::default(),
            )
        };
        let labelled = |&(name, help): &(&str, &str)| {
            Desc::new(
                name.to_owned(),
                help.to_owned(),
                vec![KEY.to_owned()],
                Default::default(),
            )
        };
        let descriptions = GAUGES.iter().map(describe);
        let descriptions = descriptions.chain(QUOTAS.iter().map(labelled));
        Ok(Self {
            shared: Arc::downgrade(shared),
            descriptions: descriptions.collect::<Result<_, _>>()?,
        })
    }
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(shared) = self.shared.upgrade() else {
            return Vec::new();
        };
        let now = Now::read(&shared);
        let family = |&(name, help, read): &Row| {
            let mut gauge = Gauge::default();
            gauge.set_value(read(&now)?);
            Some(gauges(name, help, vec![Metric::from_gauge(gauge)]))
        };
        let mut families: Vec<MetricFamily> = GAUGES.iter().filter_map(family).collect();
        for (at, (name, help)) in QUOTAS.into_iter().enumerate() {
            let metrics = now.quotas.iter().map(|(namespace, values)| {
                let mut gauge = Gauge::default();
                gauge.set_value(values[at] as f64);
                let mut label = LabelPair::default();
                label.set_name(KEY.to_owned());
                label.set_value(namespace.clone());
                let mut metric = Metric::from_gauge(gauge);
                metric.set_label(vec![label]);
                metric
            });
            let metrics: Vec<Metric> = metrics.collect();
            if !metrics.is_empty() {
                families.push(gauges(name, help, metrics));
            }
        }
        families
    }
}
