//! What the operator measures of itself, and what is too lively for a status.

use std::collections::BTreeSet;

use api::{ConditionStatus, MemberId};
use parking_lot::Mutex;
use plan::{Observed, Plan};
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

/// The metrics of an operator's process.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// 1 while this process holds the Lease.
    pub leading: IntGauge,
    /// Watches of the API server that broke or could not begin.
    pub broken_watches: IntCounter,
    ensembles: IntGauge,
    duration: Histogram,
    passes: IntCounterVec,
    steps: IntCounterVec,
    conditions: IntGaugeVec,
    term: IntGaugeVec,
    zxid: IntGaugeVec,
    ready: IntGaugeVec,
    leader: IntGaugeVec,
}

/// The metrics of one ensemble, which end with this value.
#[derive(Debug)]
pub struct EnsembleMetrics {
    all: Metrics,
    namespace: String,
    name: String,
    shown: Mutex<Shown>,
}

/// Label values that have been used.
#[derive(Debug, Default)]
struct Shown {
    members: BTreeSet<MemberId>,
    conditions: BTreeSet<String>,
    outcomes: BTreeSet<&'static str>,
    steps: BTreeSet<String>,
}

/// Labels of everything about one ensemble.
const ENSEMBLE: [&str; 2] = ["namespace", "name"];

impl Metrics {
    /// In a registry of their own.
    ///
    /// # Errors
    /// Never: the names are our own.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("ferrokeeper_operator".into()), None)?;
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let gauges = |name: &str, help: &str, of: &[&str]| {
            let labels = [&ENSEMBLE, of].concat();
            let gauges = IntGaugeVec::new(Opts::new(name, help), &labels)?;
            registry.register(Box::new(gauges.clone()))?;
            Ok::<_, prometheus::Error>(gauges)
        };
        let counters = |name: &str, help: &str, of: &str| {
            let labels = [ENSEMBLE[0], ENSEMBLE[1], of];
            let counters = IntCounterVec::new(Opts::new(name, help), &labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let duration = HistogramOpts::new("pass_seconds", "How long a pass takes.");
        let metrics = Self {
            leading: gauge("leading", "1 while this process holds the Lease.")?,
            broken_watches: IntCounter::new("broken_watches_total", "Watches that broke.")?,
            ensembles: gauge("ensembles", "Ensembles that are reconciled.")?,
            duration: Histogram::with_opts(duration)?,
            passes: counters("passes_total", "Passes, by how they ended.", "outcome")?,
            steps: counters("steps_total", "Steps begun.", "step")?,
            conditions: gauges("condition", "1 if it holds, 0 if not.", &["condition"])?,
            term: gauges("term", "The fencing term orders are given under.", &[])?,
            zxid: gauges("member_zxid", "Last zxid applied.", &["member"])?,
            ready: gauges("member_ready", "1 if it serves.", &["member"])?,
            leader: gauges("member_leads", "1 if it leads the ensemble.", &["member"])?,
            registry: registry.clone(),
        };
        registry.register(Box::new(metrics.broken_watches.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        Ok(metrics)
    }

    /// Those of one ensemble.
    #[must_use]
    pub fn ensemble(&self, namespace: &str, name: &str) -> EnsembleMetrics {
        self.ensembles.inc();
        EnsembleMetrics {
            all: self.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            shown: Mutex::default(),
        }
    }

    /// Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let mut shown = Vec::new();
        // Writing to memory does not fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut shown);
        shown
    }
}

impl EnsembleMetrics {
    fn labels<'a>(&'a self, of: &'a str) -> [&'a str; 3] {
        [&self.namespace, &self.name, of]
    }

    pub(crate) fn passed(&self, outcome: &'static str, seconds: f64) {
        self.shown.lock().outcomes.insert(outcome);
        self.all
            .passes
            .with_label_values(&self.labels(outcome))
            .inc();
        self.all.duration.observe(seconds);
    }

    pub(crate) fn report(&self, observed: &Observed, planned: &Plan) {
        let mut shown = self.shown.lock();
        self.report_members(&mut shown, observed, planned);
        for condition in &planned.status.conditions {
            let holds = match condition.status {
                ConditionStatus::True => 1,
                ConditionStatus::False => 0,
                ConditionStatus::Unknown => -1,
            };
            let name = format!("{:?}", condition.type_);
            let labels = self.labels(&name);
            self.all.conditions.with_label_values(&labels).set(holds);
            shown.conditions.insert(name);
        }
        let term = i64::try_from(planned.status.term.0).unwrap_or(i64::MAX);
        self.all
            .term
            .with_label_values(&self.labels("")[..2])
            .set(term);
        if let Some(step) = &planned.step {
            let step = format!("{step:?}");
            // The variant's name: what is in it would make a label of each member.
            let end = step.find(|c: char| !c.is_alphanumeric());
            let step = &step[..end.unwrap_or(step.len())];
            self.all.steps.with_label_values(&self.labels(step)).inc();
            shown.steps.insert(step.to_owned());
        }
    }

    fn report_members(&self, shown: &mut Shown, observed: &Observed, planned: &Plan) {
        let serving = observed.members.keys().filter_map(|member| {
            let serving = observed.serving(*member)?;
            Some((*member, serving))
        });
        let mut present = BTreeSet::new();
        for (member, serving) in serving {
            let label = member.to_string();
            let labels = self.labels(&label);
            let zxid = i64::try_from(serving.last_zxid).unwrap_or(i64::MAX);
            self.all.zxid.with_label_values(&labels).set(zxid);
            let ready = serving.ready.into();
            self.all.ready.with_label_values(&labels).set(ready);
            let leads = planned.status.leader == Some(member);
            self.all.leader.with_label_values(&labels).set(leads.into());
            present.insert(member);
        }
        // What a member said that is silent now would pass for the present.
        for member in std::mem::replace(&mut shown.members, present) {
            if !shown.members.contains(&member) {
                self.forget_member(member);
            }
        }
    }

    /// Nothing is left to remove where nothing was shown.
    fn forget_member(&self, member: MemberId) {
        let label = member.to_string();
        for gauges in [&self.all.zxid, &self.all.ready, &self.all.leader] {
            let _ = gauges.remove_label_values(&self.labels(&label));
        }
    }
}

impl Drop for EnsembleMetrics {
    fn drop(&mut self) {
        let shown = std::mem::take(&mut *self.shown.lock());
        for member in shown.members {
            self.forget_member(member);
        }
        for condition in &shown.conditions {
            let labels = self.labels(condition);
            let _ = self.all.conditions.remove_label_values(&labels);
        }
        for outcome in shown.outcomes {
            let _ = self.all.passes.remove_label_values(&self.labels(outcome));
        }
        for step in &shown.steps {
            let _ = self.all.steps.remove_label_values(&self.labels(step));
        }
        let _ = self.all.term.remove_label_values(&self.labels("")[..2]);
        self.all.ensembles.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_an_ensemble_ends_with_it() {
        let metrics = Metrics::new().expect("our own names");
        let text = || String::from_utf8(metrics.text()).expect("text");
        let ensemble = metrics.ensemble("ns", "demo");
        ensemble.passed("done", 0.1);
        let other = metrics.ensemble("ns", "other");
        other.passed("done", 0.1);
        let line = |name: &str| {
            format!(
                "ferrokeeper_operator_passes_total{{name=\"{name}\",namespace=\"ns\",outcome=\"done\"}} 1\n"
            )
        };
        let shown = text();
        assert!(shown.contains(&line("demo")), "{shown}");
        assert!(shown.contains("ferrokeeper_operator_ensembles 2\n"));
        drop(ensemble);
        let shown = text();
        assert!(!shown.contains("demo"), "{shown}");
        assert!(shown.contains(&line("other")), "{shown}");
        assert!(shown.contains("ferrokeeper_operator_ensembles 1\n"));
    }
}
