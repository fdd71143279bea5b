//! What was measured, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Work;

/// One measurement.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was done.
    pub work: Work,
    /// For how long.
    pub elapsed: Duration,
    /// Each answer's latency, microseconds.
    pub latencies: Histogram<u64>,
}

#[derive(Serialize)]
struct Line {
    work: &'static str,
    per_second: u64,
    p50_us: u64,
    p99_us: u64,
    p999_us: u64,
    max_us: u64,
}

impl Measured {
    /// Answers per second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// As one JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        let at = |quantile| self.latencies.value_at_quantile(quantile);
        let line = Line {
            work: self.work.name(),
            per_second: self.per_second() as u64,
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: self.latencies.max(),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }
}

/// A table of measurements, a line each.
#[must_use]
pub fn table(measured: &[Measured]) -> String {
    let mut text = format!(
        "{:<8} {:>12} {:>10} {:>10} {:>10} {:>10}\n",
        "work", "per second", "p50 ms", "p99 ms", "p99.9 ms", "max ms"
    );
    for one in measured {
        let at = |quantile| one.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        let _ = writeln!(
            text,
            "{:<8} {:>12.0} {:>10.2} {:>10.2} {:>10.2} {:>10.2}",
            one.work.name(),
            one.per_second(),
            at(0.5),
            at(0.99),
            at(0.999),
            one.latencies.max() as f64 / 1000.0
        );
    }
    text
}
