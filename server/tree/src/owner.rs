//! What `ephemeralOwner` says: a session, or the kind of a znode that goes by itself.

use wire::SessionId;

const CONTAINER: i64 = i64::MIN;
const EXTENDED: i64 = 0xff << 56;
/// Two bytes that tell extended kinds apart; zero is TTL.
const FEATURE: i64 = 0xffff << 40;
const MAX_TTL: i64 = (1 << 40) - 1;

/// Whom a znode goes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// It stays.
    Nobody,
    /// It goes with its session.
    Session(SessionId),
    /// It goes when its last child has gone.
    Container,
    /// It goes when it has no children and did not change for so many milliseconds.
    Ttl(i64),
}

impl Owner {
    /// Reads `ephemeralOwner`. Without extended types, TTL is a session like any other.
    pub(crate) const fn of(raw: i64, extended_types: bool) -> Self {
        if raw == 0 {
            Self::Nobody
        } else if raw == CONTAINER {
            Self::Container
        } else if extended_types && raw & EXTENDED == EXTENDED && raw & FEATURE == 0 {
            Self::Ttl(raw & MAX_TTL)
        } else {
            Self::Session(SessionId(raw))
        }
    }

    /// Writes `ephemeralOwner`.
    pub(crate) const fn raw(self) -> i64 {
        match self {
            Self::Nobody => 0,
            Self::Session(session) => session.0,
            Self::Container => CONTAINER,
            Self::Ttl(ttl) => EXTENDED | ttl & MAX_TTL,
        }
    }

    /// Whether a TTL of so many milliseconds can be kept.
    pub(crate) const fn is_ttl(ms: i64) -> bool {
        0 < ms && ms <= MAX_TTL
    }
}
