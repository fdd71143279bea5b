//! Discovery: an epoch above all that a quorum has promised, and the proof that nobody in the
//! quorum knows more than this member.

use bytes::Bytes;
use wire::quorum::{Capabilities, LearnerInfo, PROTOCOL_VERSION, Packet, decode_ack_epoch, packet};
use wire::{Reader, Record};

use super::link::Stage;
use super::{Leader, Leave, Progress, Refusal};
use crate::core::{Core, EPOCH_MAX};
use crate::{Effect, LinkId};

impl Leader {
    /// FOLLOWERINFO or OBSERVERINFO.
    pub(super) fn on_introduction(
        &mut self,
        core: &mut Core,
        id: LinkId,
        packet: &Packet,
    ) -> Result<(), Refusal> {
        let observer = match packet.kind {
            packet::FOLLOWER_INFO => false,
            packet::OBSERVER_INFO => true,
            _ => return Err("did not introduce itself"),
        };
        let data = packet.data.clone().unwrap_or_default();
        let mut reader = Reader::new(&data);
        let info: LearnerInfo = reader.read().map_err(|_| "introduction is malformed")?;
        let capabilities = Capabilities::decode(&reader.rest());
        if info.protocol_version < PROTOCOL_VERSION {
            return Err("speaks a protocol from before ZooKeeper 3.4");
        }
        if info.peer == core.me() {
            return Err("has this member's own id");
        }
        if let Some(theirs) = &capabilities
            && core.is_foreign(theirs)
        {
            return Err("belongs to another ensemble");
        }
        if info.config_version > core.config().version as i64 {
            return Err("has a newer configuration than the leader");
        }
        let accepted = packet.zxid.epoch();
        if accepted >= EPOCH_MAX {
            return Err("its accepted epoch is out of range");
        }
        self.replace_links_of(core, id, info.peer);
        if let Some(link) = self.links.get_mut(&id) {
            link.peer = info.peer;
            link.observer = observer;
            link.native = capabilities.is_some();
            link.stage = Stage::Introduced;
        }
        if let Some(peer) = core.peer(info.peer) {
            peer.capabilities = capabilities;
        }
        self.looking.remove(&info.peer);
        if self.progress == Progress::Gathering {
            self.epoch = self.epoch.max(accepted.next());
            if !observer {
                self.gathered.insert(info.peer);
            }
        } else {
            // Apache shuts such a voter out until the next election, whenever that is.
            if accepted > self.epoch && !observer && core.quorum().is_voter(info.peer) {
                core.outbid_by = core.outbid_by.max(accepted);
                self.outbid = true;
            }
            self.inform(core, id);
        }
        Ok(())
    }

    /// A member has one link: what an older one would still say is void.
    fn replace_links_of(&mut self, core: &mut Core, id: LinkId, peer: wire::PeerId) {
        // Apache's observers may be without an id, and share one.
        if core.peer(peer).is_none() {
            return;
        }
        let older: Vec<_> = self
            .links
            .iter()
            .filter(|(other, link)| {
                **other != id && link.peer == peer && link.stage != Stage::Silent
            })
            .map(|(other, _)| *other)
            .collect();
        for link in older {
            self.close(core, link, "replaced by a newer link");
        }
    }

    /// Fixes the epoch once a quorum waits for it.
    pub(super) fn choose_epoch(&mut self, core: &mut Core) -> Result<(), Leave> {
        let me = core.me();
        let waits = |peer| peer == me || self.gathered.contains(&peer);
        if !core.quorum().reached(waits) {
            return Ok(());
        }
        if self.epoch > EPOCH_MAX {
            return Err("no epoch is left");
        }
        core.accepted = self.epoch;
        core.emit(Effect::StoreAcceptedEpoch(self.epoch));
        self.promised.insert(me);
        self.set_progress(Progress::Promising);
        let waiting: Vec<_> = self
            .links
            .iter()
            .filter(|(_, link)| link.stage == Stage::Introduced)
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            self.inform(core, id);
        }
        Ok(())
    }

    /// LEADERINFO, once this member's own promise is durable.
    fn inform(&mut self, core: &mut Core, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let mut data = PROTOCOL_VERSION.to_bytes().to_vec();
        if link.native {
            core.capabilities().encode(&mut data);
        }
        let zxid = self.epoch.zxid();
        let packet = Packet::with(packet::LEADER_INFO, zxid, Bytes::from(data));
        link.stage = Stage::Informed;
        link.heard = self.beats;
        core.emit(Effect::SendWhenSynced {
            link: id,
            packets: vec![packet],
        });
    }

    /// ACKEPOCH.
    pub(super) fn on_promise(
        &mut self,
        core: &mut Core,
        id: LinkId,
        packet: &Packet,
    ) -> Result<(), Refusal> {
        if packet.kind != packet::ACK_EPOCH {
            return Err("did not answer LEADERINFO with ACKEPOCH");
        }
        let theirs = decode_ack_epoch(packet).map_err(|_| "ACKEPOCH is malformed")?;
        let last = packet.zxid;
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if self.progress == Progress::Promising
            && let Some(current) = theirs
        {
            if (current, last) > (core.current, self.initial) {
                return Err("knows more than this leader");
            }
            if !link.observer {
                self.promised.insert(link.peer);
            }
        }
        link.stage = Stage::Promised(last);
        if self.progress != Progress::Promising {
            self.synchronize(core, id);
        }
        Ok(())
    }

    /// Once a quorum has promised, this member's history is the newest: it takes the epoch and
    /// brings everyone else to it.
    pub(super) fn begin_synchronization(&mut self, core: &mut Core) {
        if !core.quorum().reached(|peer| self.promised.contains(&peer)) {
            return;
        }
        core.current = self.epoch;
        core.emit(Effect::StoreCurrentEpoch(self.epoch));
        let barrier = core.log.append(Vec::new());
        core.emit(barrier);
        let durable_at = core.log.mark();
        self.set_progress(Progress::Synchronizing { durable_at });
        let waiting: Vec<_> = self
            .links
            .iter()
            .filter(|(_, link)| matches!(link.stage, Stage::Promised(_)))
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            self.synchronize(core, id);
        }
    }
}
