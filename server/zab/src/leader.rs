//! Leading: agreeing on an epoch, bringing learners up to date, proposing and committing.

mod broadcast;
pub(crate) mod choice;
mod discovery;
mod link;
mod synchronization;

use std::collections::{BTreeMap, BTreeSet};

use wire::config::EnsembleConfig;
use wire::quorum::Packet;
use wire::{Epoch, PeerId, Zxid};

use self::link::{Link, Stage};
use crate::core::Core;
use crate::election::Vote;
use crate::status::{ProposalSizes, Status, Synchronizations};
use crate::{Effect, Instant, LinkId, Role};

/// Why a member stops leading.
pub(crate) type Leave = &'static str;

/// Why a link is closed.
type Refusal = &'static str;

/// How far the leader is as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Waits for a quorum of learners to choose an epoch above all that they have promised.
    Gathering,
    /// Waits for a quorum of promises.
    Promising,
    /// Waits until a quorum has the history; this member's own part is durable at this mark.
    Synchronizing {
        /// The mark.
        durable_at: u64,
    },
    /// Leads.
    Established,
}

/// What a leader knows; dropped whole when it stops.
#[derive(Debug)]
pub(crate) struct Leader {
    pub(crate) progress: Progress,
    epoch: Epoch,
    vote: Vote,
    links: BTreeMap<LinkId, Link>,
    /// Voters that wait for an epoch.
    gathered: BTreeSet<PeerId>,
    /// Voters that promised the epoch, on whatever link.
    promised: BTreeSet<PeerId>,
    /// Voters that look for a leader in a later round.
    looking: BTreeSet<PeerId>,
    /// The log's end when this member began: the history that it brings along.
    initial: Zxid,
    last_proposed: Zxid,
    /// A change of the configuration that is proposed and not committed.
    change: Option<(Zxid, EnsembleConfig)>,
    /// A voter has promised a later epoch, to a leader that did not come to lead, and cannot
    /// follow in this one.
    outbid: bool,
    began: Instant,
    beats: u64,
    next_beat: Instant,
    /// When the present progress began.
    progress_since: u64,
    sizes: Option<ProposalSizes>,
    synchronizations: Synchronizations,
}

impl Leader {
    /// Begins to lead, with the learners that came early.
    pub(crate) fn start(core: &Core, now: Instant, vote: Vote) -> Self {
        Self {
            progress: Progress::Gathering,
            epoch: core.accepted.max(core.outbid_by).next(),
            vote,
            links: BTreeMap::new(),
            gathered: BTreeSet::new(),
            promised: BTreeSet::new(),
            looking: BTreeSet::new(),
            initial: core.log.last(),
            last_proposed: core.log.last(),
            change: None,
            outbid: false,
            began: now,
            beats: 0,
            next_beat: Instant(now.0 + core.beat()),
            progress_since: 0,
            sizes: None,
            synchronizations: Synchronizations::default(),
        }
    }

    /// A server without peers: leads at once, where its log ends.
    pub(crate) fn standalone(core: &mut Core, now: Instant) -> Self {
        let vote = Vote {
            epoch: i64::from(core.current.0),
            zxid: core.log.last().0 as i64,
            leader: core.me(),
        };
        let mut leader = Self::start(core, now, vote);
        let last = core.log.last();
        leader.progress = Progress::Established;
        leader.epoch = last.epoch();
        core.log.commit(last);
        core.set_role(Role::Leading {
            epoch: leader.epoch,
            last,
        });
        leader
    }

    pub(crate) fn deadline(&self, core: &Core) -> Instant {
        match core.settings.max_wait_for_epoch {
            Some(limit) if self.progress == Progress::Gathering => {
                let limit = Instant(self.began.0.saturating_add(limit));
                limit.min(self.next_beat)
            }
            _ => self.next_beat,
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        self.progress == Progress::Established
    }

    pub(crate) fn accept(&mut self, core: &mut Core, link: LinkId) {
        if core.settings.standalone {
            let reason = "this server is alone by configuration";
            core.emit(Effect::Close { link, reason });
        } else {
            self.links.insert(link, Link::new(self.beats));
        }
    }

    /// A link is gone.
    pub(crate) fn link_closed(&mut self, core: &Core, link: LinkId) -> Result<(), Leave> {
        self.links.remove(&link);
        self.keeps_quorum(core)
    }

    fn keeps_quorum(&self, core: &Core) -> Result<(), Leave> {
        if self.is_established() && !self.has_quorum(core) {
            return Err("a quorum of followers is no longer there");
        }
        Ok(())
    }

    /// Closes a link; nothing happens if it is gone.
    pub(crate) fn close(&mut self, core: &mut Core, link: LinkId, reason: Refusal) {
        if let Some(mut gone) = self.links.remove(&link) {
            send(core, link, &mut gone);
            core.emit(Effect::Close { link, reason });
        }
    }

    /// Stops leading.
    pub(crate) fn stop(mut self, core: &mut Core, reason: Leave) {
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.close(core, link, reason);
        }
    }

    /// A learner is not silent, though it says nothing.
    pub(crate) fn hear(&mut self, link: LinkId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.heard = self.beats;
        }
    }

    /// Takes in what a learner says.
    pub(crate) fn on_packets(&mut self, core: &mut Core, link: LinkId, packets: Vec<Packet>) {
        for packet in packets {
            if !self.links.contains_key(&link) {
                return;
            }
            if let Err(reason) = self.on_packet(core, link, packet) {
                self.close(core, link, reason);
            }
        }
    }

    fn on_packet(&mut self, core: &mut Core, id: LinkId, packet: Packet) -> Result<(), Refusal> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        link.heard = self.beats;
        match link.stage {
            Stage::Silent => self.on_introduction(core, id, &packet),
            Stage::Informed => self.on_promise(core, id, &packet),
            Stage::Introduced | Stage::Promised(_) | Stage::Reading { .. } => {
                Err("spoke out of turn")
            }
            Stage::Synchronizing => self.on_history_acknowledged(core, id, &packet),
            Stage::Acknowledged | Stage::Synced => self.on_broadcast_packet(core, id, packet),
        }
    }

    /// Does what has become possible; a reason if this member cannot lead any more.
    pub(crate) fn advance(&mut self, core: &mut Core) -> Result<(), Leave> {
        if self.progress == Progress::Gathering {
            self.choose_epoch(core)?;
        }
        if self.progress == Progress::Promising {
            self.begin_synchronization(core);
        }
        if let Progress::Synchronizing { durable_at } = self.progress {
            self.establish(core, durable_at)?;
        }
        if self.is_established() {
            self.commit(core)?;
            self.keeps_quorum(core)?;
            if self.outbid {
                return Err("a voter has promised a later epoch than this leader's");
            }
        }
        self.flush(core);
        Ok(())
    }

    /// Sends what has been gathered for each learner.
    pub(crate) fn flush(&mut self, core: &mut Core) {
        for (id, link) in &mut self.links {
            send(core, *id, link);
        }
    }

    fn set_progress(&mut self, progress: Progress) {
        self.progress = progress;
        self.progress_since = self.beats;
    }

    /// Counts time; a reason if it is up.
    pub(crate) fn on_tick(&mut self, core: &mut Core, now: Instant) -> Result<(), Leave> {
        if self.progress == Progress::Gathering
            && let Some(limit) = core.settings.max_wait_for_epoch
            && now.0 >= self.began.0.saturating_add(limit)
        {
            return Err("voters went to another leader");
        }
        if now < self.next_beat {
            return Ok(());
        }
        self.beats += 1;
        self.next_beat = Instant(now.0 + core.beat());
        if core.settings.standalone {
            return Ok(());
        }
        let init = Core::beats(core.settings.init_limit);
        if !self.is_established() && self.beats - self.progress_since > init {
            return Err("a quorum of followers did not come in time");
        }
        self.drop_silent(core);
        self.ping(now);
        self.keeps_quorum(core)
    }

    fn drop_silent(&mut self, core: &mut Core) {
        let init = Core::beats(core.settings.init_limit);
        let sync = Core::beats(core.settings.sync_limit);
        let mut late = Vec::new();
        for (id, link) in &self.links {
            let silent = self.beats - link.heard;
            let waiting = link.waiting_since().map_or(0, |since| self.beats - since);
            match link.stage {
                Stage::Synced if silent > sync => late.push((*id, "silent for syncLimit")),
                Stage::Synced if waiting > sync => {
                    late.push((*id, "has not acknowledged a proposal for syncLimit"));
                }
                Stage::Synced => {}
                // These wait for this member, which has its own limit.
                Stage::Introduced | Stage::Promised(_) | Stage::Acknowledged => {}
                _ if silent > init => late.push((*id, "silent for initLimit")),
                _ => {}
            }
        }
        for (id, reason) in late {
            self.close(core, id, reason);
        }
    }

    fn ping(&mut self, now: Instant) {
        for link in self.links.values_mut().filter(|link| link.forwards()) {
            link.ping(self.last_proposed, now);
        }
    }

    /// Whether a quorum has answered pings sent at `since` or later.
    pub(crate) fn quorum_heard_since(&self, core: &Core, since: Instant) -> bool {
        let answered = |peer| {
            let link = self.voter_link(peer);
            link.is_some_and(|link| link.answered_ping() >= Some(since))
        };
        let me = core.me();
        core.settings.standalone || core.quorum().reached(|peer| peer == me || answered(peer))
    }

    /// Whether the learners that have the history and answer are, with this member, a quorum.
    fn has_quorum(&self, core: &Core) -> bool {
        core.settings.standalone
            || core
                .quorum()
                .reached(|peer| peer == core.me() || self.voter_link(peer).is_some())
    }

    /// The link by which a voter takes part.
    fn voter_link(&self, peer: PeerId) -> Option<&Link> {
        self.links
            .values()
            .find(|link| link.peer == peer && !link.observer && link.has_history())
    }

    /// A peer looks for a leader. If too many do, nobody is left to lead.
    pub(crate) fn on_looking(
        &mut self,
        core: &Core,
        peer: PeerId,
        round: i64,
    ) -> Result<(), Leave> {
        if self.is_established() || round <= core.round || !core.quorum().is_voter(peer) {
            return Ok(());
        }
        self.looking.insert(peer);
        let left = |voter| voter == core.me() || !self.looking.contains(&voter);
        if core.quorum().reached(left) {
            return Ok(());
        }
        Err("too few voters are left to follow")
    }

    /// The vote that this member stands for.
    pub(crate) fn vote(&self) -> Vote {
        self.vote
    }

    /// Those that are synced, this member included, in the order of their ids.
    pub(crate) fn synced_members(&self, core: &Core) -> Vec<PeerId> {
        if self.progress != Progress::Established {
            return Vec::new();
        }
        let synced = self.links.values().filter(|l| l.stage == Stage::Synced);
        let mut members: Vec<PeerId> = synced.map(|link| link.peer).collect();
        members.push(core.me());
        members.sort_unstable();
        members.dedup();
        members
    }

    /// What there is to show.
    pub(crate) fn describe(&self, core: &Core, status: &mut Status) {
        status.learners = self.links.len();
        for link in self.links.values().filter(|l| l.stage == Stage::Synced) {
            if link.observer {
                status.synced_observers += 1;
            } else if core.quorum().is_voter(link.peer) {
                status.synced_followers += 1;
            } else {
                status.synced_non_voting += 1;
            }
        }
        let committed = core.log.committed().max(self.initial);
        let outstanding = core.log.window.range(committed, Zxid(u64::MAX));
        status.outstanding = outstanding.count();
        status.last_proposed = self.last_proposed;
        status.proposal_sizes = self.sizes;
        status.synchronizations = self.synchronizations;
    }
}

fn send(core: &mut Core, id: LinkId, link: &mut Link) {
    if !link.out.is_empty() {
        let packets = std::mem::take(&mut link.out);
        core.emit(Effect::Send { link: id, packets });
    }
}

#[cfg(test)]
impl Leader {
    pub(crate) fn skip_to(&mut self, core: &mut Core, zxid: Zxid) {
        core.log.commit(zxid);
        let barrier = core.log.append(Vec::new());
        core.emit(barrier);
        self.last_proposed = zxid;
    }
}
