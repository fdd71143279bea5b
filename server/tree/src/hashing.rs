//! Hashing keyed by a seed, so that a client cannot choose names that collide.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::FixedState;

#[derive(Clone, Debug)]
pub(crate) struct Hashing(FixedState);

impl Hashing {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(FixedState::with_seed(seed))
    }

    /// Of bytes below something that has a number.
    pub(crate) fn within(&self, number: u32, bytes: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write_u32(number);
        hasher.write(bytes);
        hasher.finish()
    }

    /// Of any value.
    pub(crate) fn of<T: std::hash::Hash + ?Sized>(&self, value: &T) -> u64 {
        self.0.hash_one(value)
    }
}
