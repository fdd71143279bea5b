//! The member's two clocks.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use member::Now;

/// Reads both clocks. Copies agree with each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    told: Option<&'static AtomicU64>,
}

/// The wall clock of a told clock at its zero: in 2023.
const TOLD_WALL: i64 = 1_700_000_000_000;

impl Clock {
    /// Starts at zero.
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
            told: None,
        }
    }

    /// Both show what somebody writes there, in milliseconds.
    #[cfg(any(test, feature = "rehearsal"))]
    pub(crate) fn told(millis: &'static AtomicU64) -> Self {
        Self {
            start: Instant::now(),
            told: Some(millis),
        }
    }

    /// Both clocks.
    pub(crate) fn now(self) -> Now {
        let millis = self.millis();
        Now {
            monotonic: member::Instant(millis),
            wall: match self.told {
                None => wall(),
                Some(_) => TOLD_WALL.saturating_add_unsigned(millis),
            },
        }
    }

    /// Milliseconds since the member started.
    pub(crate) fn millis(self) -> u64 {
        match self.told {
            None => self.start.elapsed().as_millis() as u64,
            Some(millis) => millis.load(Relaxed),
        }
    }

    /// The operating system's form of a time.
    pub(crate) fn instant(self, at: member::Instant) -> Instant {
        self.start + Duration::from_millis(at.0)
    }
}

/// Milliseconds since 1970; 0 for a clock set before that.
pub(crate) fn wall() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
