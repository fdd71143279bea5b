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
    /// The greatest that Apache can count to: above it zxids are negative in Java.
    pub const MAX: Self = Self(i32::MAX as u32);

    /// The epoch after this one. There is none after `u32::MAX`, which no member reaches that
    /// refuses what its peers claim above [`Self::MAX`].
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
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

/// The id that would mark an ephemeral's owner as a container.
const CONTAINER_OWNER: SessionId = SessionId(i64::MIN);

/// What Apache mixes into the seed of passwords.
const PASSWORD_SALT: i64 = 0xB341_5C00;

impl SessionId {
    /// No session.
    pub const NONE: Self = Self(0);

    /// The first id that a member gives out when it starts at `now` (milliseconds): the member's
    /// id in the high byte, 40 bits of time, and a counter of 16 bits that [`Self::next`] lets
    /// run on into the time.
    #[must_use]
    pub const fn first(member: PeerId, now: i64) -> Self {
        let time = (((now as u64) << 24) >> 8) as i64;
        let first = Self(time | member.0 << 56);
        if first.0 == CONTAINER_OWNER.0 {
            first.next()
        } else {
            first
        }
    }

    /// The member that gave it out.
    #[must_use]
    pub const fn issuer(self) -> PeerId {
        PeerId((self.0 as u64 >> 56) as i64)
    }

    /// The id that is given out after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The password that goes with the id: what `java.util.Random` makes of it. It proves nothing
    /// to who knows the derivation, but a client that moves between members of both kinds must
    /// be recognised by both.
    #[must_use]
    pub fn password(self) -> [u8; 16] {
        const MULTIPLIER: u64 = 0x5_DEEC_E66D;
        const MASK: u64 = (1 << 48) - 1;
        let mut state = ((self.0 ^ PASSWORD_SALT) as u64 ^ MULTIPLIER) & MASK;
        let mut password = [0; 16];
        for word in password.chunks_exact_mut(4) {
            state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
            let mut bytes = ((state >> 16) as u32).to_be_bytes();
            // Lowest byte first, as Random.nextBytes gives them.
            bytes.reverse();
            word.copy_from_slice(&bytes);
        }
        password
    }
}

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
