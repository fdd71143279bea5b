//! How a learner is brought up to date.

use wire::Zxid;

use crate::log::Log;

/// What a learner gets, given the last zxid of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Its log is a prefix of the history: what it misses, from memory.
    Diff,
    /// Its log ends with what is not in the history: it cuts its log behind this entry, then gets
    /// what it misses.
    Trunc(Zxid),
    /// Its log ends before what is in memory: what it misses is read from the disk, if it is
    /// there.
    Read,
    /// The whole tree.
    Snap,
}

/// Chooses for a learner whose log ends with `theirs`. The history is what is in the log through
/// `through`: committed, or a new leader's whole log.
///
/// A snapshot shows what is delivered, so it is chosen only where the learner cannot have
/// acknowledged anything of the history beyond that: between installing it and getting the rest,
/// a learner may crash.
pub(crate) fn choose(log: &Log, through: Zxid, theirs: Zxid) -> Plan {
    let floor = log.window.floor();
    if theirs == through {
        return Plan::Diff;
    }
    if theirs == Zxid::ZERO && log.delivered() > Zxid::ZERO {
        return Plan::Snap;
    }
    if theirs < floor {
        return Plan::Read;
    }
    let shared = log.window.at_or_below(theirs.min(through));
    // A leader's first zxid names its initial history, which is what a leader of a later epoch
    // has before its first entry of that epoch.
    if shared == theirs || theirs.counter() == 0 {
        return Plan::Diff;
    }
    // Only an entry can be cut at: Apache's members keep one entry too many otherwise.
    let can_cut = log.window.is_entry(shared);
    let beyond = theirs > through;
    let same_epoch = shared.epoch() == theirs.epoch();
    if can_cut && (beyond || same_epoch || log.delivered() < shared) {
        Plan::Trunc(shared)
    } else {
        Plan::Snap
    }
}
