//! A learner's way from ACKEPOCH to the broadcast.

use bytes::Bytes;
use wire::config::EnsembleConfig;
use wire::quorum::{Packet, packet};
use wire::{PeerId, Record, Zxid};

use super::{Learner, Leave, Stage, decode};
use crate::Effect;
use crate::core::{Core, Rewrite, changed_config};

impl Learner {
    /// DIFF, TRUNC or SNAP.
    pub(super) fn on_choice(&mut self, core: &mut Core, packet: &Packet) -> Result<(), Leave> {
        let zxid = packet.zxid;
        let keeps = zxid >= core.log.committed();
        match packet.kind {
            packet::DIFF => self.begin_history(core),
            packet::TRUNC | packet::SNAP if !keeps => {
                return Err("the leader does not know what is committed");
            }
            packet::TRUNC if zxid >= core.log.last() => self.begin_history(core),
            packet::TRUNC => {
                core.rewrite = Some(Rewrite::Truncate { to: zxid });
                core.emit(Effect::Truncate { to: zxid });
            }
            packet::SNAP if zxid.epoch() > self.epoch => {
                return Err("a snapshot of a later epoch than the leader's");
            }
            packet::SNAP => {
                let link = self.link;
                core.rewrite = Some(Rewrite::Install { link });
                core.emit(Effect::InstallSnapshot { link, zxid });
            }
            packet::PING => {}
            _ => return Err("the leader sent neither DIFF, TRUNC nor SNAP"),
        }
        Ok(())
    }

    fn begin_history(&mut self, core: &Core) {
        self.base = core.log.last();
        self.claimed = self.base;
        self.stage = Stage::Synchronizing;
    }

    /// The disk has rewritten the log, and what came meanwhile can be read.
    pub(crate) fn on_rewritten(&mut self, core: &mut Core) -> Result<(), Leave> {
        self.begin_history(core);
        self.held_bytes = 0;
        let held = std::mem::take(&mut self.held);
        self.on_packets(core, held)
    }

    /// What comes between the choice and NEWLEADER.
    pub(super) fn on_history(&mut self, core: &mut Core, packet: &Packet) -> Result<(), Leave> {
        match packet.kind {
            packet::PROPOSAL => self.on_proposal(core, packet.zxid, packet.data.clone()),
            packet::COMMIT | packet::COMMIT_AND_ACTIVATE => self.on_claim(core, packet.zxid),
            packet::INFORM => {
                self.on_proposal(core, packet.zxid, packet.data.clone())?;
                self.on_claim(core, packet.zxid)
            }
            packet::INFORM_AND_ACTIVATE => {
                let (_, data) = split_designated(packet)?;
                self.on_proposal(core, packet.zxid, Some(data))?;
                self.on_claim(core, packet.zxid)
            }
            packet::NEW_LEADER => self.on_new_leader(core, packet),
            packet::UP_TO_DATE => Err("UPTODATE came before NEWLEADER"),
            _ => Ok(()),
        }
    }

    /// An entry to log. Before UPTODATE the leader may repeat what a snapshot has.
    fn on_proposal(
        &mut self,
        core: &mut Core,
        zxid: Zxid,
        data: Option<Bytes>,
    ) -> Result<(), Leave> {
        let last = self.last(core);
        if zxid <= self.base && self.stage != Stage::Serving {
            return Ok(());
        }
        if !zxid.follows(last) {
            return Err("a proposal does not follow the one before");
        }
        if zxid.epoch() > self.epoch {
            return Err("a proposal of a later epoch than the leader's");
        }
        let entry = decode(zxid, data)?;
        if let Some(config) = changed_config(&entry) {
            core.config_proposed(config);
        }
        self.batch.push(entry);
        if !self.observer {
            self.acks.push(Packet::bare(packet::ACK, zxid));
        }
        Ok(())
    }

    /// A commit that the leader claims; nothing is delivered before UPTODATE.
    fn on_claim(&mut self, core: &Core, zxid: Zxid) -> Result<(), Leave> {
        if zxid > self.last(core).max(self.base) {
            return Err("a commit of what was not proposed");
        }
        self.claimed = self.claimed.max(zxid);
        // What is committed before NEWLEADER is acknowledged with it.
        if self.stage == Stage::Synchronizing {
            self.acks.retain(|ack| ack.zxid > zxid);
        }
        Ok(())
    }

    /// NEWLEADER: the history is durable before the epoch is taken, and that before the answer.
    fn on_new_leader(&mut self, core: &mut Core, packet: &Packet) -> Result<(), Leave> {
        if packet.zxid != self.epoch.zxid() {
            return Err("NEWLEADER names another epoch than LEADERINFO");
        }
        let text = packet.data.as_deref().unwrap_or_default();
        let text = std::str::from_utf8(text).ok();
        self.config = text.and_then(|text| text.parse::<EnsembleConfig>().ok());
        self.append(core);
        if core.current != self.epoch {
            core.current = self.epoch;
            core.emit(Effect::StoreCurrentEpoch(self.epoch));
        }
        self.stage = Stage::Acknowledged;
        core.emit(Effect::SendWhenSynced {
            link: self.link,
            packets: vec![Packet::bare(packet::ACK, self.epoch.zxid())],
        });
        Ok(())
    }

    /// What comes after NEWLEADER.
    pub(super) fn on_broadcast(&mut self, core: &mut Core, packet: Packet) -> Result<(), Leave> {
        let serving = self.stage == Stage::Serving;
        match packet.kind {
            packet::PROPOSAL => self.on_proposal(core, packet.zxid, packet.data),
            packet::COMMIT => self.on_claim(core, packet.zxid),
            packet::COMMIT_AND_ACTIVATE => {
                let (designated, _) = split_designated(&packet)?;
                self.on_claim(core, packet.zxid)?;
                self.activate(core, packet.zxid, designated)
            }
            packet::INFORM => {
                self.on_proposal(core, packet.zxid, packet.data)?;
                self.on_claim(core, packet.zxid)
            }
            packet::INFORM_AND_ACTIVATE => {
                let (designated, data) = split_designated(&packet)?;
                self.on_proposal(core, packet.zxid, Some(data))?;
                self.on_claim(core, packet.zxid)?;
                self.activate(core, packet.zxid, designated)
            }
            packet::UP_TO_DATE if !serving => {
                self.on_up_to_date();
                Ok(())
            }
            packet::UP_TO_DATE | packet::NEW_LEADER => Err("the leader repeats itself"),
            packet::PING => {
                self.on_ping(core, packet);
                Ok(())
            }
            packet::REVALIDATE | packet::SYNC if serving => {
                self.settle(core);
                let committed = core.log.committed();
                core.emit(Effect::FromLeader { packet, committed });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// UPTODATE: what was claimed is true.
    fn on_up_to_date(&mut self) {
        self.stage = Stage::Serving;
        self.vote.epoch = i64::from(self.epoch.0);
        let again = Packet::bare(packet::ACK, self.epoch.zxid());
        self.acks.insert(0, again);
        self.goal = self.claimed;
    }

    /// Apache's leaders drop a learner that speaks between ACKEPOCH and the ACK of NEWLEADER, and
    /// its learners ignore pings before UPTODATE.
    fn on_ping(&mut self, core: &mut Core, packet: Packet) {
        if self.stage != Stage::Serving {
            return;
        }
        if self.announced {
            self.settle(core);
            let reached = packet.zxid;
            let committed = core.log.committed();
            core.emit(Effect::FromLeader { packet, committed });
            if !core.may_vote && self.vote_from.is_none() && core.quorum().is_voter(core.me()) {
                let begun = reached.counter() == 0;
                self.vote_from = Some(if begun { Zxid::ZERO } else { reached });
            }
        } else {
            let answer = Packet::with(packet::PING, packet.zxid, Bytes::new());
            self.send(core, answer);
        }
    }

    /// A change of the configuration is in force.
    fn activate(&mut self, core: &mut Core, zxid: Zxid, designated: PeerId) -> Result<(), Leave> {
        let mut config = core.newest_config().clone();
        if config.version <= core.config().version || config.version > zxid.0 {
            return Ok(());
        }
        config.version = zxid.0;
        if self.stage == Stage::Serving {
            self.settle(core);
            if core.config_committed(config.clone()) {
                core.emit(Effect::ConfigCommitted(config));
            }
        } else {
            self.config = Some(config);
            return Ok(());
        }
        if self.observer != core.observes() {
            return Err("the new configuration gives this member another part");
        }
        if designated != self.leader {
            return Err("the new configuration has another leader");
        }
        Ok(())
    }
}

/// COMMITANDACTIVATE's and INFORMANDACTIVATE's data: who leads from now on, and what follows.
fn split_designated(packet: &Packet) -> Result<(PeerId, Bytes), Leave> {
    let data = packet.data.clone().unwrap_or_default();
    let peer = PeerId::from_bytes(&data).map_err(|_| "an activation without a leader")?;
    Ok((peer, data.slice(8..)))
}
