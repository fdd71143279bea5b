//! One zxid names one transaction, with one transaction before it, on every member, ever: also
//! for what was never committed, since a leader's epoch is its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wire::txn::Entry;
use wire::{SessionId, Zxid};

use super::{Verdict, Violation, violated};

/// Every transaction that any member ever logged.
#[derive(Debug, Default)]
pub(crate) struct History {
    entries: BTreeMap<Zxid, Known>,
    /// The greatest zxid that any member has applied after it was committed.
    last_applied: Zxid,
    applied: BTreeSet<Zxid>,
}

#[derive(Debug)]
struct Known {
    entry: Arc<Entry>,
    after: Zxid,
    is_synced: bool,
}

impl History {
    pub(super) fn logged(&mut self, after: Zxid, entries: &[Arc<Entry>]) -> Verdict {
        let mut after = after;
        for entry in entries {
            let zxid = entry.zxid();
            let known = self.entries.entry(zxid).or_insert_with(|| Known {
                entry: Arc::clone(entry),
                after,
                is_synced: false,
            });
            if known.entry.bytes() != entry.bytes() {
                let other = &known.entry;
                return violated("agreement", format!("{zxid} is {other:?} and {entry:?}"));
            }
            if known.after != after {
                let other = known.after;
                return violated("agreement", format!("{zxid} follows {other} and {after}"));
            }
            after = zxid;
        }
        Ok(())
    }

    /// Everything in some member's log up to here is durable there.
    pub(super) fn synced(&mut self, through: Zxid) {
        let mut at = through;
        while let Some(known) = self.entries.get_mut(&at)
            && !known.is_synced
        {
            known.is_synced = true;
            at = known.after;
        }
    }

    /// True for the first member that applies it.
    pub(super) fn applied(&mut self, zxid: Zxid) -> bool {
        self.last_applied = self.last_applied.max(zxid);
        self.applied.insert(zxid)
    }

    /// How many transactions some member has applied.
    pub(crate) fn applied_count(&self) -> usize {
        self.applied.len()
    }

    pub(super) const fn last_applied(&self) -> Zxid {
        self.last_applied
    }

    pub(super) fn answered(&self, zxid: Zxid, session: SessionId, cxid: i32) -> Verdict {
        let header = self.entries.get(&zxid).map(|known| known.entry.header());
        match header {
            Some(header) if header.client_id == session && header.cxid == cxid => Ok(()),
            _ => violated(
                "agreement",
                format!("{session} was answered request {cxid} with {zxid}, which is {header:?}"),
            ),
        }
    }

    /// Whether the history that ends with `last` has `zxid`.
    pub(super) fn contains(&self, last: Zxid, zxid: Zxid) -> bool {
        let mut at = last;
        while at > zxid {
            match self.entries.get(&at) {
                Some(known) => at = known.after,
                None => return false,
            }
        }
        at == zxid
    }

    /// The history that ends with `last`, oldest first.
    pub(super) fn chain(&self, last: Zxid) -> Result<Vec<&Arc<Entry>>, Violation> {
        let mut chain = Vec::new();
        let mut at = last;
        while at != Zxid::ZERO {
            let Some(known) = self.entries.get(&at) else {
                violated("agreement", format!("nobody ever logged {at}"))?;
                break;
            };
            chain.push(&known.entry);
            at = known.after;
        }
        chain.reverse();
        Ok(chain)
    }

    /// Transactions that were durable on some member and are not in the history that ends with
    /// `last`.
    pub(crate) fn discarded(&self, last: Zxid) -> usize {
        let kept = self.chain(last).map_or(0, |chain| {
            chain
                .iter()
                .filter(|entry| {
                    self.entries
                        .get(&entry.zxid())
                        .is_some_and(|known| known.is_synced)
                })
                .count()
        });
        let synced = self.entries.values().filter(|known| known.is_synced);
        synced.count() - kept
    }

    pub(crate) fn len_through(&self, last: Zxid) -> usize {
        self.chain(last).map_or(0, |chain| chain.len())
    }
}
