//! `mntr`: the registry's metrics, a line each.

use std::fmt::Write as _;

use prometheus::proto::MetricType;

use super::texts::{VERSION, mode};
use crate::shared::Shared;

pub(super) fn mntr(shared: &Shared) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "zk_version\t{VERSION}");
    let _ = writeln!(out, "zk_server_state\t{}", mode(shared));
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
    out
}
