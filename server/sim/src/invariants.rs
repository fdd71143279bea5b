//! What must hold, one file per property.

mod agreement;
mod bounds;
mod durability;
mod epochs;
mod order;
mod sessions;
mod state;

use std::fmt;
use std::sync::Arc;

use wire::txn::Entry;
use wire::{Epoch, PeerId, SessionId, Zxid};

pub(crate) use self::agreement::History;
pub(crate) use self::bounds::Bounds;
use self::durability::Durability;
use self::epochs::Epochs;
pub(crate) use self::order::ClientOrder;
use self::state::States;

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The property: its file's name.
    pub property: &'static str,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.detail)
    }
}

pub(crate) type Verdict = Result<(), Violation>;

pub(crate) fn violated(property: &'static str, detail: impl fmt::Display) -> Verdict {
    Err(Violation {
        property,
        detail: detail.to_string(),
    })
}

/// Sees all that members do, and knows what they promised.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    history: History,
    durability: Durability,
    epochs: Epochs,
    states: States,
}

impl Oracle {
    /// A member puts entries behind `after` into its log.
    pub(crate) fn logged(&mut self, after: Zxid, entries: &[Arc<Entry>]) -> Verdict {
        self.history.logged(after, entries)
    }

    /// A member's log is durable up to here.
    pub(crate) fn synced(&mut self, through: Zxid) {
        self.history.synced(through);
    }

    /// A member has applied `entry` behind `after`; `digest` is its tree's.
    pub(crate) fn applied(&mut self, after: Zxid, entry: &Arc<Entry>, digest: u64) -> Verdict {
        self.history.logged(after, std::slice::from_ref(entry))?;
        // Who reads there sees it, so it is as good as acknowledged.
        if self.history.applied(entry.zxid()) {
            self.durability.shown(&self.history, entry.zxid())?;
        }
        self.states.at(entry.zxid(), digest)
    }

    /// A member's tree is a snapshot's.
    pub(crate) fn installed(&mut self, zxid: Zxid, digest: u64) -> Verdict {
        self.states.at(zxid, digest)
    }

    /// A client was told that its request became this transaction.
    pub(crate) fn answered(&self, zxid: Zxid, session: SessionId, cxid: i32) -> Verdict {
        self.history.answered(zxid, session, cxid)
    }

    /// A member leads. True if its history's end was applied by nobody before.
    pub(crate) fn leads(
        &mut self,
        peer: PeerId,
        epoch: Epoch,
        last: Zxid,
    ) -> Result<bool, Violation> {
        self.epochs.leads(peer, epoch)?;
        self.durability.leads(&self.history, epoch, last)?;
        Ok(last > self.history.last_applied())
    }

    /// A member stores its epochs.
    pub(crate) fn epochs(&mut self, peer: PeerId, accepted: Epoch, current: Epoch) -> Verdict {
        self.epochs.stored(peer, accepted, current)
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// All members have come to rest with the history that ends here.
    pub(crate) fn finish(&self, last: Zxid, trees: &[(PeerId, &tree::Tree)]) -> Verdict {
        let chain = self.history.chain(last)?;
        self.durability.finish(&chain)?;
        sessions::check(&chain)?;
        state::finish(&chain, trees)
    }
}
