//! What the operator measures of itself, and what is too lively for a status.

use plan::{Observed, Plan};
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The operator's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    passes: IntCounterVec,
    duration: Histogram,
    steps: IntCounterVec,
    zxid: IntGaugeVec,
    ready: IntGaugeVec,
}

impl Metrics {
    /// In a registry of their own.
    ///
    /// # Errors
    /// Never: the names are our own.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("ferrokeeper_operator".into()), None)?;
        let metrics = Self {
            passes: IntCounterVec::new(Opts::new("passes_total", "Passes."), &["outcome"])?,
            duration: Histogram::with_opts(HistogramOpts::new(
                "pass_seconds",
                "How long a pass takes.",
            ))?,
            steps: IntCounterVec::new(Opts::new("steps_total", "Steps begun."), &["step"])?,
            zxid: IntGaugeVec::new(Opts::new("member_zxid", "Last zxid applied."), &["member"])?,
            ready: IntGaugeVec::new(Opts::new("member_ready", "1 if it serves."), &["member"])?,
            registry,
        };
        metrics
            .registry
            .register(Box::new(metrics.passes.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.duration.clone()))?;
        metrics.registry.register(Box::new(metrics.steps.clone()))?;
        metrics.registry.register(Box::new(metrics.zxid.clone()))?;
        metrics.registry.register(Box::new(metrics.ready.clone()))?;
        Ok(metrics)
    }

    /// Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let mut shown = Vec::new();
        // Writing to memory does not fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut shown);
        shown
    }

    pub(crate) fn passed(&self, outcome: &str, seconds: f64) {
        self.passes.with_label_values(&[outcome]).inc();
        self.duration.observe(seconds);
    }

    pub(crate) fn report(&self, observed: &Observed, planned: &Plan) {
        self.zxid.reset();
        self.ready.reset();
        for member in observed.members.keys() {
            let Some(serving) = observed.serving(*member) else {
                continue;
            };
            let label = member.to_string();
            let zxid = i64::try_from(serving.last_zxid).unwrap_or(i64::MAX);
            self.zxid.with_label_values(&[&label]).set(zxid);
            self.ready
                .with_label_values(&[&label])
                .set(serving.ready.into());
        }
        if let Some(step) = &planned.step {
            let step = format!("{step:?}");
            // The variant's name: what is in it would make a label of each member.
            let name = step
                .split(|c: char| !c.is_alphanumeric())
                .next()
                .unwrap_or_default();
            self.steps.with_label_values(&[name]).inc();
        }
    }
}
