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

#[cfg(test)]
mod tests {
    use super::Plan::{Diff, Read, Snap, Trunc};
    use super::*;
    use crate::Effect;
    use crate::tests::world::{entry, z};
    use crate::window::Limits;

    const LIMITS: Limits = Limits {
        entries: 100,
        bytes: 1 << 20,
    };

    /// A log with these entries in memory, the first `delivered` of them delivered; what precedes
    /// the first is only on disk.
    fn log(entries: &[Zxid], delivered: usize) -> Log {
        let recent: Vec<_> = entries.iter().map(|zxid| entry(*zxid, 0)).collect();
        let (old, new) = recent.split_at(delivered);
        let last = old.last().map_or(Zxid::ZERO, |e| e.zxid());
        let mut log = Log::new(LIMITS, last, old);
        let append = log.append(new.to_vec());
        assert!(matches!(append, Effect::Append { .. }));
        log
    }

    fn check(log: &Log, through: Zxid, table: &[(Zxid, Plan, &str)]) {
        for (theirs, expected, why) in table {
            assert_eq!(choose(log, through, *theirs), *expected, "{theirs}: {why}");
        }
    }

    #[test]
    fn a_learner_is_served_by_what_it_has() {
        let entries = [z(2, 3), z(2, 4), z(3, 1), z(5, 1), z(5, 2)];
        let log = log(&entries, 5);
        let through = z(5, 2);
        check(
            &log,
            through,
            &[
                (z(5, 2), Diff, "it misses nothing"),
                (z(5, 1), Diff, "it misses the last"),
                (z(2, 3), Diff, "the first in memory is enough"),
                (z(2, 2), Read, "its next is on disk, perhaps"),
                (z(1, 9), Read, "an older epoch"),
                (Zxid::ZERO, Snap, "it has nothing"),
                (z(5, 3), Trunc(z(5, 2)), "one too many, of this epoch"),
                (z(6, 1), Trunc(z(5, 2)), "one too many, of a later epoch"),
                (
                    z(3, 2),
                    Trunc(z(3, 1)),
                    "its leader of epoch 3 was alone with it",
                ),
                (z(2, 9), Trunc(z(2, 4)), "so was that of epoch 2"),
                (z(4, 1), Snap, "nothing of its epoch is known here"),
                (z(5, 0), Diff, "the history that epoch 5 began with"),
                (z(4, 0), Diff, "that of epoch 4, in which nothing happened"),
                (z(6, 0), Diff, "that of an epoch after the last entry"),
            ],
        );
    }

    #[test]
    fn what_is_not_delivered_is_never_covered_by_a_snapshot() {
        let entries = [z(2, 3), z(2, 4), z(3, 1), z(5, 1)];
        let log = log(&entries, 1);
        check(
            &log,
            z(5, 1),
            &[
                (z(4, 1), Trunc(z(3, 1)), "it may have acknowledged 3.1"),
                (z(2, 4), Diff, "it misses two"),
                (z(2, 2), Read, "before what is in memory"),
            ],
        );
    }

    #[test]
    fn proposals_under_way_are_no_history() {
        let entries = [z(2, 3), z(2, 4), z(2, 5), z(2, 6)];
        let log = log(&entries, 2);
        check(
            &log,
            z(2, 4),
            &[
                (z(2, 4), Diff, "it has all that is committed"),
                (z(2, 5), Trunc(z(2, 4)), "it gets the proposal again"),
                (z(2, 9), Trunc(z(2, 4)), "another leader's tail"),
            ],
        );
    }

    #[test]
    fn a_log_is_cut_at_entries_only() {
        let mut log = Log::new(LIMITS, z(4, 0), &[]);
        check(
            &log,
            z(4, 0),
            &[
                (z(4, 0), Diff, "both have the snapshot"),
                (z(4, 1), Snap, "its log need not contain 4.0"),
                (z(3, 7), Read, "older than the snapshot"),
            ],
        );
        log.append(vec![entry(z(4, 1), 0)]);
        check(&log, z(4, 1), &[(z(4, 2), Trunc(z(4, 1)), "an entry")]);
    }

    #[test]
    fn new_members_agree_on_nothing() {
        let log = log(&[], 0);
        check(&log, Zxid::ZERO, &[(Zxid::ZERO, Diff, "both are new")]);
    }
}
