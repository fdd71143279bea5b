//! What `/metrics` shows: the sidecar's own view, as numbers.

use api::sidecar::{ServerState, SidecarStatus};
use prometheus::{Encoder, IntGauge, Registry, TextEncoder};

/// The status in Prometheus' text format.
#[must_use]
pub fn text(status: &SidecarStatus) -> Vec<u8> {
    let mut shown = Vec::new();
    // Names and values are our own and writing to memory does not fail.
    if let Ok(registry) = gauges(status) {
        let _ = TextEncoder::new().encode(&registry.gather(), &mut shown);
    }
    shown
}

fn gauges(status: &SidecarStatus) -> prometheus::Result<Registry> {
    let registry = Registry::new_custom(Some("ferrokeeper_sidecar".into()), None)?;
    let show = |name: &str, help: &str, value: i64| {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(value);
        registry.register(Box::new(gauge))
    };
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    show("term", "Highest fencing term seen.", number(status.term.0))?;
    let running = matches!(status.server, ServerState::Running);
    show(
        "server_running",
        "1 while the server is connected and was started.",
        running.into(),
    )?;
    if let Some(server) = &status.status {
        show(
            "server_ready",
            "1 while the server serves in a quorum.",
            server.ready.into(),
        )?;
        show(
            "server_epoch",
            "Epoch that the server serves in.",
            server.epoch.into(),
        )?;
        show(
            "server_last_zxid",
            "Last zxid applied.",
            number(server.last_zxid),
        )?;
        show(
            "server_committed_zxid",
            "Last zxid known to be committed.",
            number(server.committed_zxid),
        )?;
        show(
            "server_sessions",
            "Sessions of the ensemble.",
            number(server.sessions),
        )?;
        show(
            "server_connections",
            "Client connections.",
            number(server.connections),
        )?;
    }
    Ok(registry)
}
