//! Synchronisation: a learner gets the history, then NEWLEADER.

use std::sync::Arc;

use bytes::Bytes;
use wire::Zxid;
use wire::config::EnsembleConfig;
use wire::quorum::{Packet, packet};
use wire::txn::Entry;

use super::choice::{Plan, choose};
use super::link::Stage;
use super::{Leader, Leave, Progress, Refusal, send};
use crate::core::Core;
use crate::{Effect, LinkId, Role};

impl Leader {
    /// The first configuration gets its version from the epoch in which it is first in force,
    /// where the membership can change at all: Apache leaves it at 0 without `reconfigEnabled`,
    /// and refuses a learner whose version is above its own.
    fn number(&self, core: &Core, config: &mut EnsembleConfig) {
        if config.version == 0 && core.settings.reconfig {
            config.version = self.epoch.zxid().0;
        }
    }

    /// Where the history ends that a learner gets as committed.
    fn history_end(&self, core: &Core) -> Zxid {
        if self.is_established() {
            core.log.committed()
        } else {
            self.initial
        }
    }

    /// Brings a learner that has promised up to date.
    pub(super) fn synchronize(&mut self, core: &mut Core, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let Stage::Promised(theirs) = link.stage else {
            return;
        };
        link.heard = self.beats;
        let through = self.history_end(core);
        match choose(&core.log, through, theirs) {
            Plan::Diff => self.send_diff(core, id, theirs, through, &[]),
            Plan::Trunc(to) => {
                self.synchronizations.trunc += 1;
                let cut = Packet::bare(packet::TRUNC, to);
                self.send_history(core, id, Some(cut), to, &[]);
            }
            Plan::Read => self.read_log(core, id, theirs, through),
            Plan::Snap => self.send_snapshot(core, id),
        }
    }

    fn read_log(&mut self, core: &mut Core, id: LinkId, after: Zxid, through: Zxid) {
        let limit = core.settings.disk_sync_bytes;
        if limit == 0 || after.counter() == 0 {
            self.send_snapshot(core, id);
            return;
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.stage = Stage::Reading { after, through };
        }
        core.emit(Effect::ReadLog {
            link: id,
            after,
            through,
            limit,
        });
    }

    /// What the disk had for a learner.
    pub(crate) fn on_log_read(
        &mut self,
        core: &mut Core,
        id: LinkId,
        entries: Option<&[Arc<Entry>]>,
    ) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let Stage::Reading { after, through } = link.stage else {
            return;
        };
        link.heard = self.beats;
        // The window has moved on meanwhile; it must still join what was read.
        let joins = through >= core.log.window.floor();
        match entries {
            Some(entries) if joins && is_chain(after, through, entries) => {
                self.send_diff(core, id, after, through, entries);
            }
            _ => self.send_snapshot(core, id),
        }
    }

    /// The entries behind `after`: those read from the disk, then those in memory.
    fn send_diff(
        &mut self,
        core: &mut Core,
        id: LinkId,
        after: Zxid,
        through: Zxid,
        read: &[Arc<Entry>],
    ) {
        self.synchronizations.diff += 1;
        let diff = Packet::bare(packet::DIFF, self.history_end(core));
        let after = if read.is_empty() { after } else { through };
        self.send_history(core, id, Some(diff), after, read);
    }

    fn send_snapshot(&mut self, core: &mut Core, id: LinkId) {
        self.synchronizations.snap += 1;
        let zxid = core.log.delivered();
        if let Some(link) = self.links.get_mut(&id) {
            send(core, id, link);
        }
        core.emit(Effect::StreamSnapshot { link: id, zxid });
        self.send_history(core, id, None, zxid, &[]);
    }

    /// `first`, then the history: `read` and what is in memory behind `after`, as PROPOSAL and
    /// COMMIT each, since Apache's learners acknowledge NEWLEADER without logging bare proposals;
    /// then what is proposed and not committed; then NEWLEADER. From here on the learner gets
    /// everything that comes.
    fn send_history(
        &mut self,
        core: &mut Core,
        id: LinkId,
        first: Option<Packet>,
        after: Zxid,
        read: &[Arc<Entry>],
    ) {
        let through = self.history_end(core);
        let established = self.is_established();
        // A change under way comes as a proposal; what a new leader brings is decided with it.
        let mut config = match established {
            true => core.config().clone(),
            false => core.newest_config().clone(),
        };
        self.number(core, &mut config);
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.out.extend(first);
        for entry in read.iter().chain(core.log.window.range(after, through)) {
            link.out.push(proposal(entry));
            link.out.push(Packet::bare(packet::COMMIT, entry.zxid()));
        }
        if established && !link.observer {
            for entry in core.log.window.range(through, Zxid(u64::MAX)) {
                link.out.push(proposal(entry));
                link.proposed(entry.zxid(), self.beats);
            }
        }
        let text = Bytes::from(config.to_string());
        link.out
            .push(Packet::with(packet::NEW_LEADER, self.epoch.zxid(), text));
        link.stage = Stage::Synchronizing;
    }

    /// The ACK of NEWLEADER.
    pub(super) fn on_history_acknowledged(
        &mut self,
        _core: &mut Core,
        id: LinkId,
        packet: &Packet,
    ) -> Result<(), Refusal> {
        if packet.kind != packet::ACK {
            return Err("did not answer NEWLEADER with ACK");
        }
        if packet.zxid != self.epoch.zxid() {
            return Err("acknowledged another epoch's NEWLEADER");
        }
        let established = self.is_established();
        if let Some(link) = self.links.get_mut(&id) {
            link.stage = Stage::Acknowledged;
            link.begin_waiting(self.beats);
            if established {
                link.stage = Stage::Synced;
                link.out.push(up_to_date());
            }
        }
        Ok(())
    }

    /// Leads once a quorum, this member included, has the history on disk.
    pub(super) fn establish(&mut self, core: &mut Core, durable_at: u64) -> Result<(), Leave> {
        let me = core.me();
        let has = |peer| peer == me || self.voter_link(peer).is_some();
        if !core.log.is_durable(durable_at) || !core.quorum().reached(has) {
            return Ok(());
        }
        core.log.commit(self.initial);
        self.last_proposed = self.epoch.zxid();
        self.vote.epoch = i64::from(self.epoch.0);
        self.set_progress(Progress::Established);
        core.deliver();
        core.set_role(Role::Leading {
            epoch: self.epoch,
            last: self.initial,
        });
        let mut config = core.newest_config().clone();
        self.number(core, &mut config);
        if core.config_committed(config.clone()) {
            core.emit(Effect::ConfigCommitted(config));
        }
        for link in self.links.values_mut() {
            if link.stage == Stage::Acknowledged {
                link.stage = Stage::Synced;
                link.heard = self.beats;
                link.out.push(up_to_date());
            }
        }
        if !core.quorum().may_lead(me) {
            return Err("the configuration gives this member no vote");
        }
        Ok(())
    }
}

/// Whether `entries` lead from `after` to `through` without a hole.
fn is_chain(after: Zxid, through: Zxid, entries: &[Arc<Entry>]) -> bool {
    let mut last = after;
    for entry in entries {
        if !entry.zxid().follows(last) {
            return false;
        }
        last = entry.zxid();
    }
    last == through
}

pub(super) fn proposal(entry: &Entry) -> Packet {
    Packet::with(packet::PROPOSAL, entry.zxid(), entry.bytes().clone())
}

fn up_to_date() -> Packet {
    Packet::bare(packet::UP_TO_DATE, Zxid::NONE)
}
