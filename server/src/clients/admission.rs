//! How fast clients are let in: tokens that connections take and time gives back, and while they
//! are short, a growing chance of being turned away at random, so that not all come back at once.

use parking_lot::Mutex;

use crate::config::Connecting;

/// Lets clients in, or not. Times are the member's milliseconds.
pub(crate) struct Admission {
    settings: Connecting,
    capacity: u64,
    fill: u64,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    tokens: u64,
    filled: u64,
    /// Chance of being turned away whatever the tokens.
    chance: f64,
    frozen: u64,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// A new session of the ensemble.
    New,
    /// A new session of this member alone.
    Local,
    /// To go on with a session.
    Renewed,
}

impl Admission {
    /// Where sessions have weights, the settings are in terms of new ones.
    pub(crate) fn new(settings: Connecting) -> Self {
        let unit = settings.weights.map_or(1, |(new, _, _)| new);
        let capacity = u64::from(settings.tokens) * u64::from(unit);
        Self {
            capacity,
            fill: u64::from(settings.fill_count) * u64::from(unit),
            settings,
            bucket: Mutex::new(Bucket {
                tokens: capacity,
                filled: 0,
                chance: 0.0,
                frozen: 0,
            }),
        }
    }

    /// Whether one more comes in; `dice` is from 0 to below 1.
    pub(crate) fn admits(&self, visit: Visit, now: u64, dice: impl FnOnce() -> f64) -> bool {
        if self.capacity == 0 {
            return true;
        }
        let mut bucket = self.bucket.lock();
        let since = now.saturating_sub(bucket.filled);
        if since > self.settings.fill_time {
            let more = since.saturating_mul(self.fill) / self.settings.fill_time;
            bucket.tokens = bucket.tokens.saturating_add(more).min(self.capacity);
            bucket.filled = now;
        }
        if let Ok(freeze) = u64::try_from(self.settings.freeze_time) {
            self.adapt(&mut bucket, now, freeze);
            if dice() < bucket.chance {
                return false;
            }
        }
        let need = u64::from(match (self.settings.weights, visit) {
            (None, _) => 1,
            (Some((new, _, _)), Visit::New) => new,
            (Some((_, _, local)), Visit::Local) => local,
            (Some((_, renewed, _)), Visit::Renewed) => renewed,
        });
        let left = bucket.tokens.checked_sub(need);
        bucket.tokens = left.unwrap_or(bucket.tokens);
        left.is_some()
    }

    fn adapt(&self, bucket: &mut Bucket, now: u64, freeze: u64) {
        if now.saturating_sub(bucket.frozen) <= freeze {
            return;
        }
        bucket.frozen = now;
        let calm = (self.capacity as f64 * self.settings.decrease_ratio).round() as u64;
        if bucket.tokens == 0 {
            bucket.chance = (bucket.chance + self.settings.drop_increase).min(1.0);
        } else if self.capacity - bucket.tokens <= calm {
            bucket.chance = (bucket.chance - self.settings.drop_decrease).max(0.0);
        }
    }

    /// Tokens that are taken.
    pub(crate) fn deficit(&self) -> u64 {
        self.capacity - self.bucket.lock().tokens
    }

    /// Chance of being turned away at random.
    pub(crate) fn drop_chance(&self) -> f64 {
        self.bucket.lock().chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(tokens: u32) -> Connecting {
        Connecting {
            tokens,
            fill_time: 100,
            fill_count: 1,
            freeze_time: -1,
            drop_increase: 0.5,
            drop_decrease: 0.25,
            decrease_ratio: 0.0,
            weights: None,
        }
    }

    fn count(admission: &Admission, now: u64, visit: Visit) -> usize {
        (0..10)
            .filter(|_| admission.admits(visit, now, || 0.9))
            .count()
    }

    #[test]
    fn tokens_are_taken_and_come_back_with_time() {
        let admission = Admission::new(settings(3));
        assert_eq!(count(&admission, 1, Visit::New), 3);
        assert_eq!(count(&admission, 100, Visit::New), 0);
        assert_eq!(count(&admission, 201, Visit::New), 2);
        assert_eq!(admission.deficit(), 3);
        assert_eq!(count(&admission, 1_000_000, Visit::New), 3);
    }

    #[test]
    fn without_tokens_everyone_comes_in() {
        assert_eq!(count(&Admission::new(settings(0)), 1, Visit::New), 10);
    }

    #[test]
    fn a_renewed_session_costs_less_than_a_new_one_and_a_local_one_least() {
        let weighted = Connecting {
            weights: Some((3, 2, 1)),
            ..settings(2)
        };
        assert_eq!(count(&Admission::new(weighted.clone()), 1, Visit::New), 2);
        assert_eq!(
            count(&Admission::new(weighted.clone()), 1, Visit::Renewed),
            3
        );
        assert_eq!(count(&Admission::new(weighted), 1, Visit::Local), 6);
    }

    #[test]
    fn the_chance_grows_while_nothing_is_left_and_falls_when_all_is_back() {
        let admission = Admission::new(Connecting {
            freeze_time: 10,
            ..settings(1)
        });
        let chance = |now| {
            admission.admits(Visit::New, now, || 0.99);
            admission.drop_chance()
        };
        assert_eq!(
            [chance(1), chance(20), chance(31), chance(42)],
            [0.0, 0.5, 1.0, 1.0]
        );
        assert_eq!([chance(500), chance(501), chance(1000)], [0.75, 0.75, 0.5]);
    }
}
