//! `mntr`: the registry's metrics, a line for each number.

use std::fmt::Write as _;

use prometheus::proto::MetricType;

use super::gauges::rounded;
use super::texts::{VERSION, mode};
use crate::metrics::Summary;
use crate::shared::Shared;

pub(super) fn mntr(shared: &Shared) -> String {
    let mut out = format!(
        "zk_version\t{}\nzk_server_state\t{}\n",
        *VERSION,
        mode(shared)
    );
    if !shared.config.standalone
        && let Some(status) = &*shared.status.read()
    {
        let _ = writeln!(out, "zk_peer_state\t{}", status.zab.peer_state());
    }
    for family in shared.metrics.registry.gather() {
        for metric in family.get_metric() {
            let value = match family.get_field_type() {
                MetricType::COUNTER => metric.get_counter().get_value(),
                MetricType::GAUGE => metric.get_gauge().get_value(),
                _ => continue,
            };
            let name = family.name();
            // Apache's other numbers are whole.
            let _ = if name == "avg_latency" {
                writeln!(out, "zk_{name}\t{value:?}")
            } else {
                writeln!(out, "zk_{name}\t{value}")
            };
        }
    }
    for summary in shared.metrics.summaries() {
        summarize(summary, &mut out);
    }
    out
}

/// Only the mean is not whole, as Apache's.
fn summarize(summary: &Summary, out: &mut String) {
    let name = summary.name();
    let reading = summary.read();
    let _ = writeln!(out, "zk_avg_{name}\t{:?}", rounded(reading.mean()));
    let whole = [
        ("min", reading.least),
        ("max", reading.greatest),
        ("cnt", reading.count as f64),
        ("sum", reading.sum),
    ];
    let shares = summary.quantiles([0.5, 0.95, 0.99, 0.999]);
    let quantiles = ["p50", "p95", "p99", "p999"].into_iter().zip(shares);
    let quantiles = quantiles.map(|(key, value)| (key, value.unwrap_or(0.0)));
    for (key, value) in whole.into_iter().chain(quantiles) {
        let _ = writeln!(out, "zk_{key}_{name}\t{}", value.round());
    }
}
