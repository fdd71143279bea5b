//! Broadcast: proposals out, acknowledgements in, commits in order.

use std::sync::Arc;

use wire::config::EnsembleConfig;
use wire::quorum::{Packet, packet};
use wire::txn::Entry;
use wire::{PeerId, Record, Zxid};

use super::link::Stage;
use super::synchronization::proposal;
use super::{Leader, Leave, Refusal};
use crate::core::{Core, changed_config};
use crate::status::ProposalSizes;
use crate::{Effect, LinkId};

impl Leader {
    /// The zxid that the next proposal must have.
    pub(crate) fn next_zxid(&self, core: &Core) -> Option<Zxid> {
        if !self.is_established() {
            return None;
        }
        if core.settings.standalone {
            return Some(Zxid(self.last_proposed.0 + 1));
        }
        // Apache never proposes the last counter of an epoch.
        self.last_proposed
            .next()
            .filter(|next| next.counter() != u32::MAX)
    }

    /// Logs entries and sends them to all learners.
    pub(crate) fn propose(&mut self, core: &mut Core, entries: Vec<Arc<Entry>>) {
        for entry in &entries {
            let next = self.next_zxid(core);
            assert_eq!(Some(entry.zxid()), next, "a proposal out of order");
            self.last_proposed = entry.zxid();
            self.count_size(entry.bytes().len());
            if let Some(config) = changed_config(entry) {
                core.config_proposed(config.clone());
                self.change = Some((entry.zxid(), config));
            }
        }
        let beats = self.beats;
        let append = core.log.append(entries);
        let Effect::Append { entries, .. } = &append else {
            return;
        };
        for link in self.links.values_mut() {
            if link.forwards() && !link.observer {
                for entry in entries {
                    link.out.push(proposal(entry));
                    link.proposed(entry.zxid(), beats);
                }
            }
        }
        core.emit(append);
        self.flush(core);
    }

    fn count_size(&mut self, size: usize) {
        let sizes = self.sizes.get_or_insert(ProposalSizes {
            last: size,
            min: size,
            max: size,
        });
        sizes.last = size;
        sizes.min = sizes.min.min(size);
        sizes.max = sizes.max.max(size);
    }

    /// What a learner says once its disk has the history.
    pub(super) fn on_broadcast_packet(
        &mut self,
        core: &mut Core,
        id: LinkId,
        packet: Packet,
    ) -> Result<(), Refusal> {
        let beats = self.beats;
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if packet.kind == packet::PING {
            link.ping_answered();
        }
        match packet.kind {
            // The second ACK of NEWLEADER, after UPTODATE, says nothing new.
            packet::ACK if packet.zxid.counter() == 0 => Ok(()),
            packet::ACK => link
                .acknowledged(packet.zxid, beats)
                .ok_or("acknowledged what was not proposed"),
            packet::PING if packet.data.as_ref().is_none_or(|data| data.is_empty()) => Ok(()),
            packet::PING | packet::REQUEST | packet::REVALIDATE => {
                if link.stage != Stage::Synced {
                    return Err("asked before it was synced");
                }
                let peer = link.peer;
                core.emit(Effect::FromLearner {
                    link: id,
                    peer,
                    packet,
                });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Queues a packet for a learner, behind what was queued before.
    pub(crate) fn send_to_learner(&mut self, core: &mut Core, id: LinkId, packet: Packet) {
        if let Some(link) = self.links.get_mut(&id)
            && link.stage == Stage::Synced
        {
            link.out.push(packet);
            super::send(core, id, link);
        }
    }

    /// Queues a packet for a learner, behind the COMMIT of this zxid.
    pub(crate) fn send_to_learner_behind(
        &mut self,
        core: &mut Core,
        id: LinkId,
        zxid: Zxid,
        packet: Packet,
    ) {
        if zxid <= core.log.committed() {
            self.send_to_learner(core, id, packet);
        } else if let Some(link) = self.links.get_mut(&id)
            && link.stage == Stage::Synced
        {
            link.behind.push_back((zxid, packet));
        }
    }

    /// Commits what a quorum has on disk, in order.
    pub(super) fn commit(&mut self, core: &mut Core) -> Result<(), Leave> {
        while let Some(through) = self.committable(core) {
            let from = core.log.committed();
            self.announce(core, from, through);
            core.log.commit(through);
            if let Some((zxid, config)) = self.change.take_if(|(zxid, _)| *zxid == through) {
                self.activate(core, zxid, config)?;
            }
        }
        // Learners first: applying takes its time.
        self.flush(core);
        core.deliver();
        let outstanding = core.log.committed().max(self.initial) < core.log.last();
        if !outstanding && self.next_zxid(core).is_none() {
            return Err("the epoch's counter is used up");
        }
        Ok(())
    }

    /// The greatest zxid above the last commit that can be committed now; a change of the
    /// configuration ends what is committed at once, since other quorums count before and behind
    /// it.
    fn committable(&self, core: &Core) -> Option<Zxid> {
        let last = match &self.change {
            Some((zxid, _)) => *zxid,
            None => core.log.last(),
        };
        let mut acked: Vec<Zxid> = self
            .links
            .values()
            .filter(|link| link.has_history() && !link.observer)
            .map(|link| link.acked)
            .chain([core.log.synced()])
            .map(|zxid| zxid.min(last))
            .filter(|zxid| *zxid > core.log.committed())
            .collect();
        acked.sort_unstable();
        acked
            .into_iter()
            .rev()
            .find(|zxid| self.has_acked(core, *zxid))
    }

    fn has_acked(&self, core: &Core, zxid: Zxid) -> bool {
        let me = core.me();
        core.settings.standalone && core.log.synced() >= zxid
            || core.quorum().reached(|peer| {
                if peer == me {
                    core.log.synced() >= zxid
                } else {
                    self.voter_link(peer).is_some_and(|link| link.acked >= zxid)
                }
            })
    }

    /// One COMMIT, or to observers one INFORM, for each zxid.
    fn announce(&mut self, core: &Core, from: Zxid, through: Zxid) {
        let designated = self.designated(core).to_bytes();
        let changed = self.change.as_ref().map(|(zxid, _)| *zxid);
        for link in self.links.values_mut().filter(|link| link.forwards()) {
            for entry in core.log.window.range(from, through) {
                let zxid = entry.zxid();
                let changes = changed == Some(zxid);
                link.out.push(match (link.observer, changes) {
                    (false, false) => Packet::bare(packet::COMMIT, zxid),
                    (false, true) => {
                        Packet::with(packet::COMMIT_AND_ACTIVATE, zxid, designated.clone())
                    }
                    (true, false) => Packet::with(packet::INFORM, zxid, entry.bytes().clone()),
                    (true, true) => {
                        let data = [&designated[..], &entry.bytes()[..]].concat();
                        Packet::with(packet::INFORM_AND_ACTIVATE, zxid, data.into())
                    }
                });
                link.release(zxid);
            }
        }
    }

    /// Who leads under a configuration that is about to be in force: this member, or, if it has
    /// no vote there, the voter that has acknowledged most.
    fn designated(&self, core: &Core) -> PeerId {
        let Some((_, config)) = &self.change else {
            return core.me();
        };
        if config.is_voter(core.me()) {
            return core.me();
        }
        let best = config
            .voters()
            .filter_map(|id| self.voter_link(id).map(|link| (link.acked, id)))
            .max();
        best.map_or_else(|| core.me(), |(_, id)| id)
    }

    fn activate(
        &mut self,
        core: &mut Core,
        zxid: Zxid,
        mut config: EnsembleConfig,
    ) -> Result<(), Leave> {
        config.version = config.version.max(zxid.0);
        self.flush(core);
        core.deliver();
        if core.config_committed(config.clone()) {
            core.emit(Effect::ConfigCommitted(config));
        }
        if core.quorum().may_lead(core.me()) {
            return Ok(());
        }
        Err("the new configuration gives this member no vote")
    }
}
