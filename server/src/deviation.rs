//! Mistakes that a test switches on, to see that comparing with Apache finds them.
//!
//! They exist only with the feature `deviations`, which no release has; then
//! `FERROKEEPER_DEVIATION` names the one that is made, by its number.

/// A small mistake, each about something that goes wrong seldom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deviation {
    /// `exists` tells of znodes that the client may not read.
    ExistsUnread = 1,
    /// Removing a watch that was never set succeeds.
    RemovesAnyWatch = 2,
    /// A client that sets its watches again is not told of znodes that are gone.
    ForgetsDeletions = 3,
    /// Who watches children at the third level is not told.
    MissesGrandchildren = 4,
    /// The answer to a version that does not hold has the zxid of the one before.
    LateErrors = 5,
}

impl Deviation {
    /// Whether the mistake is made.
    #[cfg(not(feature = "deviations"))]
    pub(crate) const fn is_made(self) -> bool {
        false
    }

    /// Whether the mistake is made.
    #[cfg(feature = "deviations")]
    pub(crate) fn is_made(self) -> bool {
        use std::sync::LazyLock;
        static MADE: LazyLock<Option<u8>> =
            LazyLock::new(|| std::env::var("FERROKEEPER_DEVIATION").ok()?.parse().ok());
        *MADE == Some(self as u8)
    }
}
