//! What `ephemeralOwner` says: a session, or the kind of a znode that goes by itself.

use wire::SessionId;

use crate::Options;

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
    /// Reads `ephemeralOwner`. Without extended types, TTL is a session like any other; while
    /// 3.5.3 is emulated, all that is negative is TTL, as that version wrote it.
    pub(crate) const fn of(raw: i64, options: &Options) -> Self {
        let is_extended = raw & EXTENDED == EXTENDED && raw & FEATURE == 0;
        if raw == 0 {
            Self::Nobody
        } else if raw == CONTAINER {
            Self::Container
        } else if options.extended_types && (is_extended || options.emulate_353 && raw < 0) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_is_told_from_sessions_as_the_options_say() {
        let (ttl, of_353, session) = (0xff << 56 | 5000, i64::MIN | 5000, 0x7f << 56 | 1);
        let read = |extended_types, emulate_353| {
            let options = Options {
                extended_types,
                emulate_353,
                ..Options::default()
            };
            [ttl, of_353, session].map(|raw| Owner::of(raw, &options))
        };
        let id = |raw| Owner::Session(SessionId(raw));
        assert_eq!(read(false, true), [id(ttl), id(of_353), id(session)]);
        let now = Owner::Ttl(5000);
        assert_eq!(read(true, false), [now, id(of_353), id(session)]);
        assert_eq!(read(true, true), [now, now, id(session)]);
        let container = Owner::of(i64::MIN, &Options::default());
        assert_eq!(container, Owner::Container);
    }
}
