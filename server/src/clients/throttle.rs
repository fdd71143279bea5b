//! Requests that wait because much is under way already, and those that are refused for it.
//!
//! A connection whose requests must wait keeps them in its decoder, and is not read: what waits is
//! no more than one client has sent before the socket's buffers were full.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::clients::connection::{Connection, Phase};

/// Requests of one connection that wait.
pub(super) struct Held {
    /// Since when, in the member's milliseconds.
    since: u64,
    /// When others may have been answered.
    look: Pin<Box<Sleep>>,
}

impl Connection {
    /// Whether what has come must wait: then it does from now on.
    pub(super) fn must_wait(&mut self) -> bool {
        let throttle = &self.shared.config.limits.throttle;
        let most = throttle.requests;
        if most == 0 || self.phase != Phase::Serving || !self.decoder.is_due() {
            return false;
        }
        let all = self.shared.requests.load(Relaxed) + self.exchange.len();
        if all.saturating_sub(self.counted) < most {
            return false;
        }
        if self.held.is_none() {
            self.shared.metrics.request_throttle_wait_count.inc();
            let stall = Duration::from_millis(throttle.stall);
            self.held = Some(Held {
                since: self.shared.clock.millis(),
                look: Box::pin(tokio::time::sleep(stall)),
            });
        }
        true
    }

    /// Takes requests that have waited long enough for others. What waited too long is refused.
    /// `true` if something was taken.
    pub(super) fn take_held(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(held) = self.held.take() else {
            return false;
        };
        if self.must_wait() {
            self.held = Some(held);
            return false;
        }
        let waited = self.shared.clock.millis().saturating_sub(held.since);
        let metrics = &self.shared.metrics;
        metrics
            .request_throttle_queue_time_ms
            .observe(waited as f64);
        let patience = self.shared.config.limits.throttle.wait;
        self.is_late = patience > 0 && waited > patience;
        let writes = self.take_frames(out);
        self.is_late = false;
        if let Some(again) = &mut self.held {
            again.since = held.since;
        }
        self.hand_over(writes);
        true
    }

    /// Whether it is time to look again whether requests must wait.
    pub(super) fn may_look(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(held) = &mut self.held else {
            return false;
        };
        if held.look.as_mut().poll(cx) == Poll::Pending {
            return false;
        }
        let stall = Duration::from_millis(self.shared.config.limits.throttle.stall);
        held.look.as_mut().reset(Instant::now() + stall);
        self.shared.metrics.request_throttle_wait_count.inc();
        true
    }

    /// Whether this many bytes make a large request too many. `true` closes the connection.
    pub(super) fn is_too_large(&mut self, length: usize) -> bool {
        let throttle = &self.shared.config.limits.throttle;
        let is_large = throttle.large_from.is_some_and(|from| length > from);
        if !is_large || self.shared.large.load(Relaxed) + length <= throttle.large_bytes {
            return false;
        }
        self.shared.metrics.large_requests_rejected.inc();
        tracing::info!(
            peer = %self.mailbox.peer,
            length,
            "client closed: largeRequestMaxBytes are under way already"
        );
        self.close();
        true
    }

    /// A write of this size is under way.
    pub(super) fn under_way(&self, size: usize) {
        if self.is_large(size) {
            self.shared.large.fetch_add(size, Relaxed);
        }
    }

    /// A write of this size is not under way any more.
    pub(super) fn over(&self, size: usize) {
        self.shared.outstanding.fetch_sub(size, Relaxed);
        if self.is_large(size) {
            self.shared.large.fetch_sub(size, Relaxed);
        }
    }

    fn is_large(&self, size: usize) -> bool {
        let from = self.shared.config.limits.throttle.large_from;
        from.is_some_and(|from| size > from)
    }

    /// Tells the rest of the member how many requests of this connection are under way.
    pub(super) fn count_under_way(&mut self, queued: usize) {
        let requests = &self.shared.requests;
        if queued > self.counted {
            requests.fetch_add(queued - self.counted, Relaxed);
        } else {
            requests.fetch_sub(self.counted - queued, Relaxed);
        }
        self.counted = queued;
        self.mailbox.counters.queued.store(queued, Relaxed);
    }
}
