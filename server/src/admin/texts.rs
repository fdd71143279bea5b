//! The texts of four-letter words, as Apache writes them: tools parse them.

use std::fmt::Write as _;

use super::gauges;
use crate::shared::{Serving, Shared};

/// Tools read the number before the dash.
pub(super) const VERSION: &str = concat!("3.9.5-ferrokeeper-", env!("CARGO_PKG_VERSION"));

/// What a member is, in Apache's words.
pub(super) fn mode(shared: &Shared) -> &'static str {
    if shared.config.standalone {
        return "standalone";
    }
    match shared.status.read().as_ref().map(|status| status.role) {
        Some(member::Role::Leading { .. }) => "leader",
        Some(member::Role::Following { .. }) => "follower",
        Some(member::Role::Observing { .. }) => "observer",
        Some(member::Role::Looking) | None => "looking",
    }
}

pub(super) fn isro(shared: &Shared) -> String {
    match shared.serving() {
        Serving::Yes => "rw".to_owned(),
        Serving::Holding | Serving::No => "null".to_owned(),
    }
}

pub(super) fn srst(shared: &Shared) -> String {
    shared.metrics.latency.reset();
    shared.metrics.packets_received.reset();
    shared.metrics.packets_sent.reset();
    "Server stats reset.\n".to_owned()
}

pub(super) fn srvr(shared: &Shared) -> String {
    let mut out = format!("Zookeeper version: {VERSION}\n");
    statistics(shared, &mut out);
    out
}

fn statistics(shared: &Shared, out: &mut String) {
    let (least, mean, greatest) = shared.metrics.latency.summary();
    let mode = mode(shared);
    let _ = write!(
        out,
        "Latency min/avg/max: {least}/{:?}/{greatest}\nReceived: {}\nSent: {}\n\
         Connections: {}\nOutstanding: {}\nZxid: {}\nMode: {mode}\nNode count: {}\n",
        (mean * 1e4).round() / 1e4,
        shared.metrics.packets_received.get(),
        shared.metrics.packets_sent.get(),
        shared.connections.lock().len(),
        gauges::outstanding(shared),
        shared.applied(),
        shared.tree.read().znode_count(),
    );
    if mode == "leader" {
        let sizes = shared
            .status
            .read()
            .and_then(|status| status.zab.proposal_sizes);
        let _ = match sizes {
            Some(sizes) => writeln!(
                out,
                "Proposal sizes last/min/max: {}/{}/{}",
                sizes.last, sizes.min, sizes.max
            ),
            None => writeln!(out, "Proposal sizes last/min/max: -1/-1/-1"),
        };
    }
}
