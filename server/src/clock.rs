//! The member's two clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use member::Now;

/// Reads both clocks. Copies agree with each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts at zero.
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Both clocks.
    pub(crate) fn now(self) -> Now {
        Now {
            monotonic: member::Instant(self.start.elapsed().as_millis() as u64),
            wall: wall(),
        }
    }

    /// Milliseconds since the member started.
    pub(crate) fn millis(self) -> u64 {
        self.start.elapsed().as_millis() as u64
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
