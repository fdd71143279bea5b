//! `mntr`: the registry's metrics, a line for each number.

use std::fmt::Write as _;

use prometheus::proto::MetricType;

use super::gauges::rounded;
use super::http::is_gauge;
use super::texts::{VERSION, mode};
use crate::metrics::Summary;
use crate::shared::{Serving, Shared};

pub(super) fn mntr(shared: &Shared) -> String {
    let mut out = String::new();
    for (name, value) in values(shared) {
        let _ = writeln!(out, "zk_{name}\t{value}");
    }
    out
}

/// All that there is to monitor, by name.
pub(super) fn values(shared: &Shared) -> Vec<(String, String)> {
    let mut values = vec![
        ("version".to_owned(), VERSION.clone()),
        ("server_state".to_owned(), mode(shared).to_owned()),
    ];
    // One that only reads is no part of a quorum.
    if !shared.config.standalone
        && shared.serving() != Serving::ReadOnly
        && let Some(status) = &*shared.status.read()
    {
        values.push(("peer_state".to_owned(), status.zab.peer_state()));
    }
    // Gauges first, as Apache's: scripts for Nagios read no more than 2048 bytes.
    let mut families = shared.metrics.registry.gather();
    families.sort_by_key(|family| !is_gauge(family));
    for family in families {
        for metric in family.get_metric() {
            let value = match family.get_field_type() {
                MetricType::COUNTER => metric.get_counter().get_value(),
                MetricType::GAUGE => metric.get_gauge().get_value(),
                _ => continue,
            };
            let labels = metric.get_label().iter();
            let keys: String = labels.map(|label| format!("{}_", label.value())).collect();
            let name = format!("{keys}{}", family.name());
            // Apache's other numbers are whole.
            let is_share = matches!(&*name, "avg_latency" | "connection_drop_probability");
            let value = if is_share {
                format!("{value:?}")
            } else {
                value.to_string()
            };
            values.push((name, value));
        }
    }
    for summary in shared.metrics.summaries() {
        summarize(summary.name(), summary, &mut values);
        quantiles(summary, &mut values);
    }
    for sizes in shared.metrics.namespaces() {
        for (namespace, summary) in sizes.summaries() {
            let name = format!("{namespace}_{}", sizes.name());
            summarize(&name, &summary, &mut values);
        }
    }
    values
}

/// Only the mean is not whole, as Apache's.
fn summarize(name: &str, summary: &Summary, out: &mut Vec<(String, String)>) {
    let reading = summary.read();
    let mean = format!("{:?}", rounded(reading.mean()));
    out.push((format!("avg_{name}"), mean));
    let whole = [
        ("min", reading.least),
        ("max", reading.greatest),
        ("cnt", reading.count as f64),
        ("sum", reading.sum),
    ];
    for (key, value) in whole {
        out.push((format!("{key}_{name}"), value.round().to_string()));
    }
}

fn quantiles(summary: &Summary, out: &mut Vec<(String, String)>) {
    let name = summary.name();
    let shares = summary.quantiles([0.5, 0.95, 0.99, 0.999]);
    for (key, value) in ["p50", "p95", "p99", "p999"].into_iter().zip(shares) {
        let value = value.unwrap_or(0.0).round();
        out.push((format!("{key}_{name}"), value.to_string()));
    }
}
