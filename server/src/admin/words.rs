//! Four-letter words on the client port.

use std::fmt::Write as _;

use crate::shared::{Serving, Shared};

/// The answer to a word, `None` if these four bytes are none.
pub(crate) fn answer(word: [u8; 4], shared: &Shared) -> Option<Vec<u8>> {
    let word = str::from_utf8(&word).ok()?;
    let answer: fn(&Shared) -> String = match word {
        "ruok" => |_| "imok".to_owned(),
        "srvr" => srvr,
        "mntr" => mntr,
        "srst" => |shared| {
            shared.metrics.latency.reset();
            shared.metrics.packets_received.reset();
            shared.metrics.packets_sent.reset();
            "Server stats reset.\n".to_owned()
        },
        "isro" => |_| "rw".to_owned(),
        _ => return None,
    };
    if !shared.config.access.words.allow(word) {
        let refusal = format!("{word} is not executed because it is not in the whitelist.\n");
        return Some(refusal.into_bytes());
    }
    if word != "ruok" && shared.serving() != Serving::Yes {
        return Some(b"This ZooKeeper instance is not currently serving requests\n".to_vec());
    }
    Some(answer(shared).into_bytes())
}

fn mode(shared: &Shared) -> &'static str {
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

fn srvr(shared: &Shared) -> String {
    let (least, mean, greatest) = shared.metrics.latency.summary();
    let mut out = String::new();
    let _ = write!(
        out,
        "Zookeeper version: {}\nLatency min/avg/max: {least}/{mean:.4}/{greatest}\n\
         Received: {}\nSent: {}\nConnections: {}\nOutstanding: {}\nZxid: {}\nMode: {}\n\
         Node count: {}\n",
        VERSION,
        shared.metrics.packets_received.get(),
        shared.metrics.packets_sent.get(),
        shared.connections.lock().len(),
        shared.inbox.len(),
        shared.applied(),
        mode(shared),
        shared.tree.read().znode_count(),
    );
    out
}

/// Tools read the number before the dash.
const VERSION: &str = concat!("3.9.5-ferrokeeper-", env!("CARGO_PKG_VERSION"));

fn mntr(shared: &Shared) -> String {
    let (least, mean, greatest) = shared.metrics.latency.summary();
    let tree = shared.tree.read();
    let rows = [
        ("version", VERSION.to_owned()),
        ("server_state", mode(shared).to_owned()),
        ("znode_count", tree.znode_count().to_string()),
        ("ephemerals_count", tree.ephemerals_count().to_string()),
        ("min_latency", least.to_string()),
        ("avg_latency", format!("{mean:.4}")),
        ("max_latency", greatest.to_string()),
    ];
    let mut out = String::new();
    for (key, value) in rows {
        let _ = writeln!(out, "zk_{key}\t{value}");
    }
    for family in shared.metrics.registry.gather() {
        for metric in family.get_metric() {
            if family.get_field_type() == prometheus::proto::MetricType::COUNTER {
                let value = metric.get_counter().get_value();
                let _ = writeln!(out, "zk_{}\t{value}", family.name());
            }
        }
    }
    out
}
