//! The numbers that everything else is named by.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::jute::{DecodeError, Reader, Record};

/// A transaction's place in the total order: the leader's epoch in the high 32 bits, a counter
/// within the epoch in the low 32. Zero is "nothing yet".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Zxid(pub u64);

impl Zxid {
    /// Before the first transaction.
    pub const ZERO: Self = Self(0);
    /// What Apache writes where no zxid applies (-1).
    pub const NONE: Self = Self(u64::MAX);

    /// The zxid with this epoch and counter.
    #[must_use]
    pub const fn new(epoch: Epoch, counter: u32) -> Self {
        Self((epoch.0 as u64) << 32 | counter as u64)
    }

    /// The epoch that this transaction was proposed in.
    #[must_use]
    pub const fn epoch(self) -> Epoch {
        Epoch((self.0 >> 32) as u32)
    }

    /// The place within the epoch, 0 for the epoch's beginning (NEWLEADER).
    #[must_use]
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The zxid that follows in the same epoch, `None` when the counter is used up.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        if self.counter() == u32::MAX {
            None
        } else {
            Some(Self(self.0 + 1))
        }
    }

    /// Whether `self` may directly follow `previous` in a log: the next counter of the same
    /// epoch, or the first of a later one.
    #[must_use]
    pub const fn follows(self, previous: Self) -> bool {
        self.0 == previous.0.wrapping_add(1)
            || (self.epoch().0 > previous.epoch().0 && self.counter() <= 1)
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A leader's term of office; grows with each election that ends in a leader.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// `epoch << 32`: the zxid that names the epoch itself (LEADERINFO, NEWLEADER).
    #[must_use]
    pub const fn zxid(self) -> Zxid {
        Zxid::new(self, 0)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A member's id: the number in `myid` and in `server.N`.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
pub struct PeerId(pub i64);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A client session. The high byte is the id of the member that made it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct SessionId(pub i64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

macro_rules! jute_as {
    ($($type:ident as $raw:ty),*) => {$(
        impl Record for $type {
            const LEAST: usize = <$raw>::LEAST;
            fn encode(&self, out: &mut Vec<u8>) {
                (self.0 as $raw).encode(out);
            }
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self(<$raw>::decode(reader)? as _))
            }
        }
    )*};
}
jute_as!(Zxid as i64, Epoch as i32, PeerId as i64, SessionId as i64);
