//! Amounts with what Apache tells of them: count, sum, least, greatest, mean, quantiles.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType, Quantile, Summary as Sample};

/// Quantiles tell of the last one to two of these.
const WINDOW: Duration = Duration::from_secs(300);
/// Parts of one that amounts are kept to.
const PARTS: f64 = 1000.0;
/// Greatest power of two of parts told apart: twelve days in milliseconds.
const TOP: usize = 40;
/// Buckets between two powers of two: a quantile is off by a sixteenth at most.
const STEPS: usize = 8;
const BUCKETS: usize = (TOP - 1) * STEPS;
/// What `/metrics` shows, as Apache's.
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// Amounts observed. Copies are the same summary.
#[derive(Clone)]
pub(crate) struct Summary {
    inner: Arc<Inner>,
}

struct Inner {
    name: &'static str,
    help: &'static str,
    description: Desc,
    count: AtomicU64,
    /// Parts, as are the next two.
    sum: AtomicU64,
    greatest: AtomicU64,
    least: AtomicU64,
    windows: [Window; 2],
    /// Which window takes what comes.
    current: AtomicUsize,
    turned: Mutex<Instant>,
}

struct Window([AtomicU64; BUCKETS]);

impl Window {
    fn new() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

/// All that was observed since the start, and the quantiles of late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

impl Reading {
    /// 0 for nothing.
    pub(crate) fn mean(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum / self.count as f64
        }
    }
}

impl Summary {
    pub(super) fn new(name: &'static str, help: &'static str) -> Result<Self, prometheus::Error> {
        let description = Desc::new(
            name.to_owned(),
            help.to_owned(),
            Vec::new(),
            Default::default(),
        )?;
        Ok(Self {
            inner: Arc::new(Inner {
                name,
                help,
                description,
                count: AtomicU64::new(0),
                sum: AtomicU64::new(0),
                greatest: AtomicU64::new(0),
                least: AtomicU64::new(u64::MAX),
                windows: [Window::new(), Window::new()],
                current: AtomicUsize::new(0),
                turned: Mutex::new(Instant::now()),
            }),
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.inner.name
    }

    /// Forgets all.
    pub(crate) fn reset(&self) {
        let inner = &*self.inner;
        for value in [&inner.count, &inner.sum, &inner.greatest] {
            value.store(0, Ordering::Relaxed);
        }
        inner.least.store(u64::MAX, Ordering::Relaxed);
        for count in inner.windows.iter().flat_map(|window| &window.0) {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// Adds an amount of 0 or more.
    pub(crate) fn observe(&self, amount: f64) {
        self.observe_many(1, amount);
    }

    /// Adds the same amount several times.
    pub(crate) fn observe_many(&self, times: u64, amount: f64) {
        let inner = &*self.inner;
        let parts = (amount * PARTS) as u64;
        inner.count.fetch_add(times, Ordering::Relaxed);
        inner
            .sum
            .fetch_add(parts.saturating_mul(times), Ordering::Relaxed);
        if parts > inner.greatest.load(Ordering::Relaxed) {
            inner.greatest.fetch_max(parts, Ordering::Relaxed);
        }
        if parts < inner.least.load(Ordering::Relaxed) {
            inner.least.fetch_min(parts, Ordering::Relaxed);
        }
        let window = &inner.windows[inner.current.load(Ordering::Relaxed)];
        window.0[bucket(parts)].fetch_add(times, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Reading {
        let inner = &*self.inner;
        let amount = |parts: &AtomicU64| parts.load(Ordering::Relaxed) as f64 / PARTS;
        let count = inner.count.load(Ordering::Relaxed);
        Reading {
            count,
            sum: amount(&inner.sum),
            least: if count == 0 {
                0.0
            } else {
                amount(&inner.least)
            },
            greatest: amount(&inner.greatest),
        }
    }

    /// The amounts below which these shares of the latest observations are; `None` without any.
    pub(crate) fn quantiles<const N: usize>(&self, shares: [f64; N]) -> [Option<f64>; N] {
        let counts: Vec<u64> = (0..BUCKETS)
            .map(|at| {
                let count = |window: &Window| window.0[at].load(Ordering::Relaxed);
                self.inner.windows.iter().map(count).sum()
            })
            .collect();
        let all: u64 = counts.iter().sum();
        let least = self.inner.least.load(Ordering::Relaxed);
        let greatest = self.inner.greatest.load(Ordering::Relaxed);
        shares.map(|share| {
            let rank = ((all as f64 * share).ceil() as u64).max(1);
            let mut below = 0;
            let at = counts.iter().position(|count| {
                below += count;
                below >= rank
            })?;
            Some(middle(at).max(least).min(greatest) as f64 / PARTS)
        })
    }

    /// Forgets what is too old for quantiles. Asked before they are read.
    fn turn(&self, now: Instant) {
        let mut turned = self.inner.turned.lock();
        if now.saturating_duration_since(*turned) < WINDOW {
            return;
        }
        *turned = now;
        let next = 1 - self.inner.current.load(Ordering::Relaxed);
        for count in &self.inner.windows[next].0 {
            count.store(0, Ordering::Relaxed);
        }
        self.inner.current.store(next, Ordering::Relaxed);
    }
}

/// Below [`STEPS`] each number has its own; above, each power of two has [`STEPS`].
fn bucket(parts: u64) -> usize {
    let Some(power) = parts.checked_ilog2().filter(|power| *power >= 3) else {
        return parts as usize;
    };
    let step = (parts >> (power - 3)) as usize % STEPS;
    ((power as usize - 2) * STEPS + step).min(BUCKETS - 1)
}

fn middle(bucket: usize) -> u64 {
    let (row, step) = ((bucket / STEPS) as u32, (bucket % STEPS) as u64);
    match row.checked_sub(1) {
        None => step,
        Some(shift) => ((STEPS as u64 + step) << shift) + ((1 << shift) / 2),
    }
}

impl Collector for Summary {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.inner.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.turn(Instant::now());
        let reading = self.read();
        let values = self.quantiles(QUANTILES);
        let quantiles = QUANTILES.into_iter().zip(values).map(|(share, value)| {
            let mut quantile = Quantile::default();
            quantile.set_quantile(share);
            quantile.set_value(value.unwrap_or(f64::NAN));
            quantile
        });
        let mut sample = Sample::default();
        sample.set_sample_count(reading.count);
        sample.set_sample_sum(reading.sum);
        sample.set_quantile(quantiles.collect());
        let mut metric = Metric::default();
        metric.set_summary(sample);
        let mut family = MetricFamily::default();
        family.set_name(self.inner.name.to_owned());
        family.set_help(self.inner.help.to_owned());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(vec![metric]);
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary::new("some_time", "Some time").unwrap()
    }

    #[test]
    fn nothing_observed_is_zero_and_has_no_quantiles() {
        let summary = summary();
        let expected = Reading {
            count: 0,
            sum: 0.0,
            least: 0.0,
            greatest: 0.0,
        };
        assert_eq!(summary.read(), expected);
        assert_eq!(summary.quantiles([0.5]), [None]);
    }

    #[test]
    fn quantiles_are_off_by_a_sixteenth_at_most() {
        let summary = summary();
        for n in 1..=1000 {
            summary.observe(f64::from(n));
        }
        let shares = [0.001, 0.5, 0.95, 0.99, 0.999, 1.0];
        for (share, value) in shares.into_iter().zip(summary.quantiles(shares)) {
            let exact = share * 1000.0;
            let value = value.unwrap();
            assert!((value - exact).abs() <= exact / 16.0, "{share}: {value}");
        }
        let reading = summary.read();
        assert_eq!((reading.least, reading.greatest), (1.0, 1000.0));
        assert_eq!((reading.sum, reading.mean()), (500_500.0, 500.5));
    }

    #[test]
    fn each_bucket_holds_its_middle_and_any_amount_has_a_bucket() {
        for at in 0..BUCKETS {
            assert_eq!(bucket(middle(at)), at);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_forget_after_two_windows() {
        let summary = summary();
        summary.observe(1000.0);
        let start = Instant::now();
        summary.turn(start + WINDOW);
        summary.observe(1.0);
        assert_eq!(
            summary.quantiles([0.5, 1.0]).map(|v| v.unwrap() > 100.0),
            [false, true]
        );
        summary.turn(start + WINDOW * 2);
        assert!(summary.quantiles([1.0])[0].unwrap() < 2.0);
        assert_eq!(summary.read().count, 2);
    }
}
