//! Following and observing: from the dial to the leader's last commit.

mod synchronization;

use std::sync::Arc;

use bytes::Bytes;
use wire::config::EnsembleConfig;
use wire::quorum::{ALREADY_ACCEPTED, Capabilities, LearnerInfo, PROTOCOL_VERSION, Packet, packet};
use wire::txn::Entry;
use wire::{Epoch, PeerId, Record, Zxid};

use crate::core::{Core, EPOCH_MAX};
use crate::election::Vote;
use crate::{Channel, Effect, Instant, LinkId, Role};

/// Why a learner leaves its leader.
pub(crate) type Leave = &'static str;

/// Milliseconds between attempts to reach a leader, which may end its election later than this
/// member; Apache's members try as often, at 100 ms.
const RETRIES: [u64; 6] = [20, 40, 80, 160, 320, 400];

/// Most bytes that may come while the disk rewrites the log; a learner that gets more leaves and
/// is brought up to date again when the disk has finished.
const HELD_BYTES: usize = 64 << 20;

/// How far a learner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Connecting, or waiting to try again.
    Dialing,
    /// FOLLOWERINFO or OBSERVERINFO is sent.
    Registering,
    /// ACKEPOCH is sent.
    Promised,
    /// DIFF, TRUNC or SNAP has come: the history follows.
    Synchronizing,
    /// NEWLEADER is acknowledged.
    Acknowledged,
    /// UPTODATE has come.
    Serving,
}

/// What a learner knows of its leader; dropped whole when it leaves.
#[derive(Debug)]
pub(crate) struct Learner {
    pub(crate) stage: Stage,
    leader: PeerId,
    link: LinkId,
    vote: Vote,
    epoch: Epoch,
    observer: bool,
    attempts: usize,
    retry_at: Option<Instant>,
    /// The link is gone, not only to be closed.
    gone: bool,
    /// What came while the disk was rewriting the log.
    held: Vec<Packet>,
    held_bytes: usize,
    /// Received, to be appended when the input has been worked off.
    batch: Vec<Arc<Entry>>,
    /// Acknowledgements to be sent when the batch is durable.
    acks: Vec<Packet>,
    /// The log's end when the history began to come, or the snapshot's zxid: what comes again up
    /// to here is known.
    base: Zxid,
    /// The leader says that everything up to here is committed.
    claimed: Zxid,
    /// NEWLEADER's configuration.
    config: Option<EnsembleConfig>,
    /// Delivered when the part is announced.
    goal: Zxid,
    announced: bool,
    /// A member that must not vote may do so once it has everything up to here: all that it can
    /// have acknowledged before it lost it.
    vote_from: Option<Zxid>,
    beats: u64,
    next_beat: Instant,
    heard: u64,
}

impl Learner {
    /// Turns to a leader.
    pub(crate) fn start(core: &mut Core, now: Instant, vote: Vote) -> Self {
        let mut learner = Self {
            stage: Stage::Dialing,
            leader: vote.leader,
            link: LinkId(0),
            vote,
            epoch: Epoch(0),
            observer: core.observes(),
            attempts: 0,
            retry_at: None,
            gone: false,
            held: Vec::new(),
            held_bytes: 0,
            batch: Vec::new(),
            acks: Vec::new(),
            base: Zxid::ZERO,
            claimed: Zxid::ZERO,
            config: None,
            goal: Zxid::ZERO,
            announced: false,
            vote_from: None,
            beats: 0,
            next_beat: Instant(now.0 + core.beat()),
            heard: 0,
        };
        learner.dial(core);
        learner
    }

    fn dial(&mut self, core: &mut Core) {
        self.link = core.new_link();
        self.retry_at = None;
        self.gone = false;
        self.attempts += 1;
        let leader = core
            .newest_config()
            .members
            .get(&self.leader)
            .or_else(|| core.config().members.get(&self.leader));
        let addresses = leader.map(|member| member.addresses.clone());
        core.emit(Effect::Dial {
            link: self.link,
            peer: self.leader,
            addresses: addresses.unwrap_or_default(),
        });
    }

    pub(crate) fn link(&self) -> LinkId {
        self.link
    }

    pub(crate) fn leader(&self) -> PeerId {
        self.leader
    }

    pub(crate) fn observer(&self) -> bool {
        self.observer
    }

    /// The vote that this member stands for.
    pub(crate) fn vote(&self) -> Vote {
        self.vote
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.retry_at
            .map_or(self.next_beat, |at| at.min(self.next_beat))
    }

    /// Leaves the leader.
    pub(crate) fn stop(mut self, core: &mut Core, reason: Leave) {
        self.append(core);
        if !self.gone {
            core.emit(Effect::Close {
                link: self.link,
                reason,
            });
        }
    }

    /// The dial succeeded.
    pub(crate) fn on_dialed(&mut self, core: &mut Core) {
        if self.stage != Stage::Dialing || self.gone {
            return;
        }
        self.stage = Stage::Registering;
        self.heard = self.beats;
        let kind = if self.observer {
            packet::OBSERVER_INFO
        } else {
            packet::FOLLOWER_INFO
        };
        let info = LearnerInfo {
            peer: self.name(core),
            protocol_version: PROTOCOL_VERSION,
            config_version: core.config().version as i64,
        };
        let mut data = info.to_bytes().to_vec();
        core.capabilities().encode(&mut data);
        self.send(core, Packet::with(kind, core.accepted.zxid(), data.into()));
    }

    /// By which id a member registers. Apache's leaders count a voter's id whatever it registers
    /// as, so a voter that must not vote takes an id that no voter has.
    fn name(&self, core: &Core) -> PeerId {
        let me = core.me();
        let leader = core.peers.get(&self.leader);
        let native = leader.is_some_and(|peer| peer.capabilities.is_some());
        if core.may_vote || native || !core.quorum().is_voter(me) {
            me
        } else {
            PeerId(i64::MIN.saturating_add(me.0.max(0)))
        }
    }

    /// The link is gone, or the dial failed.
    pub(crate) fn on_closed(&mut self, core: &Core, now: Instant) -> Result<(), Leave> {
        self.gone = true;
        let channel = core.peers.get(&self.leader).and_then(|peer| peer.channel);
        let gone = matches!(channel, Some(Channel::Closed | Channel::Refused));
        match RETRIES.get(self.attempts - 1) {
            Some(_) if gone && self.attempts > 1 => Err("the leader is gone"),
            Some(wait) if self.stage == Stage::Dialing => {
                self.retry_at = Some(Instant(now.0 + wait));
                Ok(())
            }
            Some(_) => Err("the leader's link closed"),
            None => Err("the leader cannot be reached"),
        }
    }

    /// The leader is not silent, though it says nothing.
    pub(crate) fn hear(&mut self, link: LinkId) {
        if link == self.link {
            self.heard = self.beats;
        }
    }

    /// Takes in what the leader says.
    pub(crate) fn on_packets(
        &mut self,
        core: &mut Core,
        packets: Vec<Packet>,
    ) -> Result<(), Leave> {
        self.heard = self.beats;
        for packet in packets {
            if core.rewrite.is_some() {
                self.held_bytes += packet.data.as_ref().map_or(0, Bytes::len) + size_of::<Packet>();
                if self.held_bytes > HELD_BYTES {
                    return Err("too much came while the log was rewritten");
                }
                self.held.push(packet);
            } else {
                self.on_packet(core, packet)?;
            }
        }
        Ok(())
    }

    fn on_packet(&mut self, core: &mut Core, packet: Packet) -> Result<(), Leave> {
        match self.stage {
            Stage::Dialing => Err("the leader spoke before it was asked"),
            Stage::Registering => self.on_leader_info(core, &packet),
            Stage::Promised => self.on_choice(core, &packet),
            Stage::Synchronizing => self.on_history(core, &packet),
            Stage::Acknowledged | Stage::Serving => self.on_broadcast(core, packet),
        }
    }

    /// LEADERINFO: a promise is durable before it is given.
    fn on_leader_info(&mut self, core: &mut Core, packet: &Packet) -> Result<(), Leave> {
        if packet.kind != packet::LEADER_INFO {
            return Err("the leader did not answer with LEADERINFO");
        }
        let data = packet.data.clone().unwrap_or_default();
        if let Some(theirs) = data.get(4..).and_then(Capabilities::decode)
            && core.is_foreign(&theirs)
        {
            return Err("the leader belongs to another ensemble");
        }
        let epoch = packet.zxid.epoch();
        if packet.zxid.counter() != 0 || epoch > EPOCH_MAX {
            return Err("LEADERINFO names no epoch");
        }
        if epoch < core.accepted {
            return Err("a newer epoch than the leader's is promised");
        }
        let mut answer = core.current.0 as i32;
        if epoch == core.accepted || !core.may_vote {
            answer = ALREADY_ACCEPTED;
        }
        if epoch > core.accepted {
            core.accepted = epoch;
            core.emit(Effect::StoreAcceptedEpoch(epoch));
        }
        self.epoch = epoch;
        self.stage = Stage::Promised;
        let packet = Packet::with(packet::ACK_EPOCH, core.log.last(), answer.to_bytes());
        core.emit(Effect::SendWhenSynced {
            link: self.link,
            packets: vec![packet],
        });
        Ok(())
    }

    /// Does what has become possible after an input.
    pub(crate) fn advance(&mut self, core: &mut Core) -> Result<(), Leave> {
        self.settle(core);
        if self.stage != Stage::Serving {
            return Ok(());
        }
        if !self.announced && core.log.delivered() >= self.goal {
            self.announce(core);
            if self.observer != core.observes() {
                return Err("the configuration gives this member another part");
            }
        }
        if let Some(from) = self.vote_from
            && core.log.synced() >= from
        {
            core.may_vote = true;
            return Err("caught up: comes back with its vote");
        }
        Ok(())
    }

    /// Logs what was received, then delivers what can be.
    fn settle(&mut self, core: &mut Core) {
        self.append(core);
        if self.stage == Stage::Serving {
            core.log.commit(self.claimed.min(core.log.last()));
            core.deliver();
        }
    }

    /// Logs what was received, and acknowledges it once it is durable.
    fn append(&mut self, core: &mut Core) {
        if !self.batch.is_empty() {
            let append = core.log.append(std::mem::take(&mut self.batch));
            core.emit(append);
        }
        if self.stage == Stage::Serving && !self.acks.is_empty() {
            let packets = std::mem::take(&mut self.acks);
            core.emit(Effect::SendWhenSynced {
                link: self.link,
                packets,
            });
        }
    }

    fn announce(&mut self, core: &mut Core) {
        self.announced = true;
        let (leader, epoch, link) = (self.leader, self.epoch, self.link);
        core.set_role(if self.observer {
            Role::Observing {
                leader,
                epoch,
                link,
            }
        } else {
            Role::Following {
                leader,
                epoch,
                link,
            }
        });
        if let Some(config) = self.config.take()
            && core.config_committed(config.clone())
        {
            core.emit(Effect::ConfigCommitted(config));
        }
    }

    /// The last entry that is logged or about to be.
    fn last(&self, core: &Core) -> Zxid {
        let last = self.batch.last().map(|entry| entry.zxid());
        last.unwrap_or_else(|| core.log.last())
    }

    fn send(&self, core: &mut Core, packet: Packet) {
        core.emit(Effect::Send {
            link: self.link,
            packets: vec![packet],
        });
    }

    /// Sends a packet to the leader once this member's part is known; before, there is nobody who
    /// could want to.
    pub(crate) fn send_to_leader(&mut self, core: &mut Core, packet: Packet) {
        if self.announced {
            self.send(core, packet);
        }
    }

    /// Counts time; a reason if it is up.
    pub(crate) fn on_tick(&mut self, core: &mut Core, now: Instant) -> Result<(), Leave> {
        if self.retry_at.is_some_and(|at| now >= at) {
            self.dial(core);
        }
        if now < self.next_beat {
            return Ok(());
        }
        self.beats += 1;
        self.next_beat = Instant(now.0 + core.beat());
        let limit = match self.stage {
            Stage::Serving => core.settings.sync_limit,
            _ => core.settings.init_limit,
        };
        // While the disk rewrites the log it is not the leader who is late.
        if core.rewrite.is_some() {
            self.heard = self.beats;
        }
        if self.beats - self.heard > Core::beats(limit) {
            return Err("the leader is silent");
        }
        Ok(())
    }

    /// A peer looks for a leader in a newer round; if it is this member's leader, it is none.
    pub(crate) fn on_looking(&self, core: &Core, peer: PeerId, round: i64) -> Result<(), Leave> {
        if peer == self.leader && round > core.round {
            return Err("the leader looks for a leader itself");
        }
        Ok(())
    }
}

/// An entry from a PROPOSAL's or an INFORM's bytes.
fn decode(zxid: Zxid, data: Option<Bytes>) -> Result<Arc<Entry>, Leave> {
    let bytes = data.ok_or("a proposal without a transaction")?;
    let entry = Entry::decode(bytes).map_err(|_| "a transaction that cannot be read")?;
    if entry.zxid() != zxid {
        return Err("a proposal names another zxid than its transaction");
    }
    Ok(Arc::new(entry))
}
