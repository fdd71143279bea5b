//! Epochs only grow on every member, `current <= accepted`, and an epoch has one leader.

use std::collections::BTreeMap;

use wire::{Epoch, PeerId};

use super::{Verdict, violated};

#[derive(Debug, Default)]
pub(super) struct Epochs {
    leaders: BTreeMap<Epoch, PeerId>,
    stored: BTreeMap<PeerId, (Epoch, Epoch)>,
}

impl Epochs {
    pub(super) fn leads(&mut self, peer: PeerId, epoch: Epoch) -> Verdict {
        match self.leaders.insert(epoch, peer) {
            Some(other) => violated("epochs", format!("{other} and {peer} lead in {epoch}")),
            None => Ok(()),
        }
    }

    pub(super) fn stored(&mut self, peer: PeerId, accepted: Epoch, current: Epoch) -> Verdict {
        let before = self.stored.insert(peer, (accepted, current));
        let (old_accepted, old_current) = before.unwrap_or_default();
        if accepted < old_accepted || current < old_current || current > accepted {
            return violated(
                "epochs",
                format!("{peer} goes from {before:?} to {accepted}, {current}"),
            );
        }
        Ok(())
    }
}
