//! What a client was told or could read, since a member applied it, is in every later leader's
//! history, and in the end in every tree.

use std::collections::BTreeSet;
use std::sync::Arc;

use wire::txn::Entry;
use wire::{Epoch, Zxid};

use super::{History, Verdict, violated};

#[derive(Debug, Default)]
pub(super) struct Durability {
    shown: BTreeSet<Zxid>,
    /// Leaders with the history that they began with.
    leaders: Vec<(Epoch, Zxid)>,
}

impl Durability {
    pub(super) fn shown(&mut self, history: &History, zxid: Zxid) -> Verdict {
        self.shown.insert(zxid);
        for (epoch, last) in &self.leaders {
            if *epoch > zxid.epoch() && !history.contains(*last, zxid) {
                return violated(
                    "durability",
                    format!("{zxid} was applied, but epoch {epoch} began with {last}"),
                );
            }
        }
        Ok(())
    }

    pub(super) fn leads(&mut self, history: &History, epoch: Epoch, last: Zxid) -> Verdict {
        self.leaders.push((epoch, last));
        // Of what was applied before, the newest carries the older ones: each was checked
        // against the leaders between, and the chain of predecessors is one.
        let newest = self.shown.range(..epoch.zxid()).next_back();
        match newest {
            Some(zxid) if !history.contains(last, *zxid) => violated(
                "durability",
                format!("{zxid} was applied, but epoch {epoch} begins with {last}"),
            ),
            _ => Ok(()),
        }
    }

    pub(super) fn finish(&self, chain: &[&Arc<Entry>]) -> Verdict {
        let kept: BTreeSet<Zxid> = chain.iter().map(|entry| entry.zxid()).collect();
        match self.shown.difference(&kept).next() {
            Some(zxid) => violated("durability", format!("{zxid} was applied and is lost")),
            None => Ok(()),
        }
    }
}
