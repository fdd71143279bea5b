//! [`Zab`]: the state machine's outside, and its way between parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::config::EnsembleConfig;
use wire::election::{Notification, PeerState};
use wire::quorum::{Capabilities, Packet};
use wire::txn::Entry;
use wire::{PeerId, Zxid};

use crate::core::{Core, Rewrite};
use crate::election::{Election, Vote};
use crate::leader::{Leader, Progress};
use crate::learner::{Learner, Stage};
use crate::status::{Part, Phase, Status};
use crate::{Boot, Channel, Effect, Input, Instant, LinkId, Role, Settings};

/// How many links may wait for an election to end. Each is a learner that knows the outcome
/// earlier, so there are no more than members, and a few that reconnect.
const LOBBY_LINKS: usize = 1024;

/// The first pause of a member that a leader refused twice, milliseconds; it doubles each time.
const PAUSE_FIRST: u64 = 10;

/// The longest pause, milliseconds: how long Apache's learners wait between attempts.
const PAUSE_LONGEST: u64 = 1000;

/// One member's part in election and broadcast. Does no IO and reads no clock.
///
/// Feed it with [`Zab::handle`] and the commands of a leader or a learner; after each call carry
/// out what [`Zab::poll_effect`] yields until it yields nothing. Call `handle` with
/// [`Input::Tick`] when [`Zab::deadline`] has come.
#[derive(Debug)]
pub struct Zab {
    core: Core,
    state: State,
    /// Learners that came while this member was in an election, which it may win.
    lobby: BTreeMap<LinkId, Early>,
    /// How often in a row this member found a leader and was not brought up to date by it.
    in_vain: u32,
    /// No election before this.
    pause: Instant,
    now: Instant,
}

#[derive(Debug)]
enum State {
    /// The disk is rewriting the log for a leader that is gone, or leaders keep refusing this
    /// member and it asks less often.
    Waiting,
    Electing(Election),
    Learning(Box<Learner>),
    Leading(Box<Leader>),
}

#[derive(Debug)]
struct Early {
    until: Instant,
    packets: Vec<Packet>,
}

impl Zab {
    /// A member that starts; its first effects wait for [`Zab::poll_effect`].
    #[must_use]
    pub fn new(now: Instant, settings: Settings, boot: Boot) -> Self {
        let mut zab = Self {
            core: Core::new(settings, boot),
            state: State::Waiting,
            lobby: BTreeMap::new(),
            in_vain: 0,
            pause: now,
            now,
        };
        if zab.core.settings.standalone {
            let leader = Leader::standalone(&mut zab.core, now);
            zab.state = State::Leading(Box::new(leader));
        } else {
            zab.look(now);
            zab.advance(now);
        }
        zab
    }

    /// Takes in what has happened. `now` never goes back.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = now;
        let stays = match input {
            Input::Tick => self.on_tick(now),
            Input::Vote { from, notification } => self.on_vote(now, from, &notification),
            Input::Channel { peer, state } => {
                self.on_channel(peer, state);
                Ok(())
            }
            Input::LinkAccepted { link } => {
                self.on_accepted(now, link);
                Ok(())
            }
            Input::LinkDialed { link } => {
                self.on_dialed(link);
                Ok(())
            }
            Input::LinkClosed { link } => self.on_closed(now, link),
            Input::Packets { link, packets } => self.on_packets(link, packets),
            Input::Synced { mark } => {
                self.core.log.mark_synced(mark);
                Ok(())
            }
            Input::Truncated { last } => self.on_truncated(now, last),
            Input::SnapshotInstalled { link, zxid } => self.on_installed(now, link, zxid),
            Input::SnapshotDropped { link } => self.on_dropped(now, link),
            Input::SnapshotPassing { link } => {
                match &mut self.state {
                    State::Leading(leader) => leader.hear(link),
                    State::Learning(learner) => learner.hear(link),
                    State::Waiting | State::Electing(_) => {}
                }
                Ok(())
            }
            Input::LogRead { link, entries } => {
                if let State::Leading(leader) = &mut self.state {
                    leader.on_log_read(&mut self.core, link, entries.as_deref());
                }
                Ok(())
            }
            // What is delivered will be applied; nothing here waits for it.
            Input::Applied { .. } => Ok(()),
        };
        if let Err(reason) = stays {
            self.leave(now, reason);
        }
        self.advance(now);
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.core.poll_effect()
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        match &self.state {
            State::Waiting if self.pause > self.now => self.pause,
            State::Waiting => Instant(self.now.0 + self.core.settings.tick.max(1)),
            State::Electing(election) => {
                let lobby = self.lobby.values().map(|early| early.until).min();
                let election = election.deadline(&self.core);
                lobby.map_or(election, |until| until.min(election))
            }
            State::Learning(learner) => learner.deadline(),
            State::Leading(leader) => leader.deadline(&self.core),
        }
    }

    /// What this member is, as the last [`Effect::Role`] said; [`Role::Looking`] at first.
    #[must_use]
    pub fn role(&self) -> Role {
        self.core.role
    }

    /// The configuration in force here.
    #[must_use]
    pub fn config(&self) -> &EnsembleConfig {
        self.core.config()
    }

    /// The last entry known to be committed; [`Zxid::ZERO`] while nothing is known.
    #[must_use]
    pub fn committed(&self) -> Zxid {
        self.core.log.committed()
    }

    /// The last entry that is in the log or on its way there.
    #[must_use]
    pub fn last_logged(&self) -> Zxid {
        self.core.log.last()
    }

    /// The last entry that is durable here.
    #[must_use]
    pub fn synced(&self) -> Zxid {
        self.core.log.synced()
    }

    /// The last entry handed out by [`Effect::Deliver`], or applied by replay.
    #[must_use]
    pub fn delivered(&self) -> Zxid {
        self.core.log.delivered()
    }

    /// The zxid that the next proposal must have. `None` unless this member is
    /// [`Role::Leading`], and when the epoch's counter is used up: then nothing more can be
    /// proposed in this epoch, and the member gives up leading.
    #[must_use]
    pub fn next_zxid(&self) -> Option<Zxid> {
        match &self.state {
            State::Leading(leader) => leader.next_zxid(&self.core),
            _ => None,
        }
    }

    /// Leader only: logs these and sends them to all learners.
    ///
    /// # Panics
    /// If this member is not [`Role::Leading`], or the zxids are not dense from
    /// [`Zab::next_zxid`].
    pub fn propose(&mut self, now: Instant, entries: Vec<Arc<Entry>>) {
        let State::Leading(leader) = &mut self.state else {
            panic!("only a leader proposes");
        };
        assert!(
            leader.is_established(),
            "only an established leader proposes"
        );
        if !entries.is_empty() {
            leader.propose(&mut self.core, entries);
            self.advance(now);
        }
    }

    /// Leader only: sends a packet (REVALIDATE, SYNC) to a learner, in order with proposals and
    /// commits; nothing happens if the link is gone.
    pub fn send_to_learner(&mut self, link: LinkId, packet: Packet) {
        if let State::Leading(leader) = &mut self.state {
            leader.send_to_learner(&mut self.core, link, packet);
        }
    }

    /// Leader only: sends a packet (SYNC) to a learner behind the COMMIT of `zxid` and before the
    /// next one; nothing happens if the link is gone.
    pub fn send_to_learner_behind(&mut self, link: LinkId, zxid: Zxid, packet: Packet) {
        if let State::Leading(leader) = &mut self.state {
            leader.send_to_learner_behind(&mut self.core, link, zxid, packet);
        }
    }

    /// Leader only: drops a learner; nothing happens if the link is gone.
    pub fn close_learner(&mut self, link: LinkId, reason: &'static str) {
        if let State::Leading(leader) = &mut self.state {
            leader.close(&mut self.core, link, reason);
        }
    }

    /// Leader only: whether a quorum, this member included, has answered PINGs that were sent at
    /// `since` or later. Then nobody else had been elected by `since`, and every learner of that
    /// quorum has reported the sessions that it had heard from by then. Alone in its quorum a
    /// leader has always been heard.
    #[must_use]
    pub fn quorum_heard_since(&self, since: Instant) -> bool {
        match &self.state {
            State::Leading(leader) => leader.quorum_heard_since(&self.core, since),
            _ => false,
        }
    }

    /// Learner only: sends a packet (REQUEST, REVALIDATE, the answer to a PING) to the leader;
    /// nothing happens without one.
    pub fn send_to_leader(&mut self, packet: Packet) {
        if let State::Learning(learner) = &mut self.state {
            learner.send_to_leader(&mut self.core, packet);
        }
    }

    /// Gives up leading or following, as by a shutdown or a hand-over, and looks for a leader
    /// anew; nothing happens in an election, or without peers.
    pub fn resign(&mut self, now: Instant, reason: &'static str) {
        if !self.core.settings.standalone {
            self.leave(now, reason);
            self.advance(now);
        }
    }

    /// What there is to show.
    #[must_use]
    pub fn status(&self) -> Status {
        let core = &self.core;
        let mut status = Status {
            round: core.round,
            accepted_epoch: core.accepted,
            current_epoch: core.current,
            may_vote: core.may_vote,
            election_time: core.election_time,
            quorum_size: core.quorum().size(),
            ..Status::default()
        };
        match &self.state {
            State::Waiting | State::Electing(_) => {}
            State::Learning(learner) => {
                status.part = if learner.observer() {
                    Part::Observing
                } else {
                    Part::Following
                };
                status.phase = match learner.stage {
                    Stage::Dialing | Stage::Registering => Phase::Discovery,
                    Stage::Promised | Stage::Synchronizing | Stage::Acknowledged => {
                        Phase::Synchronization
                    }
                    Stage::Serving => Phase::Broadcast,
                };
                status.leader = Some(learner.leader());
            }
            State::Leading(leader) => {
                status.part = Part::Leading;
                status.phase = match leader.progress {
                    Progress::Gathering | Progress::Promising => Phase::Discovery,
                    Progress::Synchronizing { .. } => Phase::Synchronization,
                    Progress::Established => Phase::Broadcast,
                };
                status.leader = Some(core.me());
                leader.describe(core, &mut status);
            }
        }
        status
    }

    /// Leader only: the members that are synced, this one included, in the order of their ids.
    #[must_use]
    pub fn synced_members(&self) -> Vec<PeerId> {
        match &self.state {
            State::Leading(leader) => leader.synced_members(&self.core),
            State::Waiting | State::Electing(_) | State::Learning(_) => Vec::new(),
        }
    }

    fn on_tick(&mut self, now: Instant) -> Result<(), &'static str> {
        match &mut self.state {
            State::Waiting => {
                self.look(now);
                Ok(())
            }
            State::Electing(election) => {
                election.on_tick(&mut self.core, now);
                self.close_lobby(|early| early.until <= now, "no leader yet");
                Ok(())
            }
            State::Learning(learner) => learner.on_tick(&mut self.core, now),
            State::Leading(leader) => leader.on_tick(&mut self.core, now),
        }
    }

    fn on_vote(
        &mut self,
        now: Instant,
        from: PeerId,
        notification: &Notification,
    ) -> Result<(), &'static str> {
        let capabilities = Capabilities::decode(&notification.extension);
        let foreign = capabilities
            .as_ref()
            .is_some_and(|theirs| self.core.is_foreign(theirs));
        if foreign || from == self.core.me() || self.core.settings.standalone {
            return Ok(());
        }
        if let Some(peer) = self.core.peer(from) {
            peer.capabilities = capabilities;
        }
        let looking = notification.state == PeerState::Looking;
        match &mut self.state {
            State::Waiting => Ok(()),
            State::Electing(_) => {
                self.on_vote_in_election(now, from, notification);
                Ok(())
            }
            State::Learning(learner) if looking => {
                let part = if learner.observer() {
                    PeerState::Observing
                } else {
                    PeerState::Following
                };
                self.core.send_vote(from, part, learner.vote());
                learner.on_looking(&self.core, from, notification.round)
            }
            State::Leading(leader) if looking => {
                self.core.send_vote(from, PeerState::Leading, leader.vote());
                leader.on_looking(&self.core, from, notification.round)
            }
            State::Learning(_) | State::Leading(_) => Ok(()),
        }
    }

    fn on_vote_in_election(&mut self, now: Instant, from: PeerId, notification: &Notification) {
        if self.adopt_config(from, notification) {
            self.look(now);
        }
        let State::Electing(election) = &mut self.state else {
            return;
        };
        let started = election.started();
        if let Some(winner) = election.on_vote(&mut self.core, from, notification) {
            self.elected(now, started, winner);
        }
    }

    /// A member that missed changes of the configuration learns of them by votes, which carry the
    /// one in force. True if the members are other ones.
    fn adopt_config(&mut self, from: PeerId, notification: &Notification) -> bool {
        let Ok(text) = std::str::from_utf8(&notification.config) else {
            return false;
        };
        let Ok(config) = text.parse::<EnsembleConfig>() else {
            return false;
        };
        let known =
            self.core.config().members.contains_key(&from) || config.members.contains_key(&from);
        if !known
            || config.version <= self.core.config().version
            || config.voters().next().is_none()
        {
            return false;
        }
        let same = self.core.config().same_membership(&config);
        let mine = config.members.contains_key(&self.core.me());
        if self.core.config_committed(config.clone()) && mine {
            self.core.emit(Effect::ConfigCommitted(config));
        }
        !same
    }

    fn on_channel(&mut self, peer: PeerId, state: Channel) {
        if let Some(known) = self.core.peer(peer) {
            known.channel = Some(state);
        }
        if let State::Electing(election) = &self.state {
            election.on_channel(&mut self.core, peer, state);
        }
    }

    fn on_accepted(&mut self, now: Instant, link: LinkId) {
        match &mut self.state {
            State::Leading(leader) => leader.accept(&mut self.core, link),
            State::Electing(_) if self.lobby.len() < LOBBY_LINKS => {
                let settings = &self.core.settings;
                let early = Early {
                    until: Instant(now.0 + settings.finalize_wait + settings.tick),
                    packets: Vec::new(),
                };
                self.lobby.insert(link, early);
            }
            _ => self.core.emit(Effect::Close {
                link,
                reason: "this member does not lead",
            }),
        }
    }

    fn on_dialed(&mut self, link: LinkId) {
        if let State::Learning(learner) = &mut self.state
            && learner.link() == link
        {
            learner.on_dialed(&mut self.core);
        }
    }

    fn on_closed(&mut self, now: Instant, link: LinkId) -> Result<(), &'static str> {
        self.lobby.remove(&link);
        match &mut self.state {
            State::Learning(learner) if learner.link() == link => {
                learner.on_closed(&self.core, now)
            }
            State::Leading(leader) => leader.link_closed(&self.core, link),
            _ => Ok(()),
        }
    }

    fn on_packets(&mut self, link: LinkId, packets: Vec<Packet>) -> Result<(), &'static str> {
        match &mut self.state {
            State::Learning(learner) if learner.link() == link => {
                learner.on_packets(&mut self.core, packets)
            }
            State::Leading(leader) => {
                leader.on_packets(&mut self.core, link, packets);
                Ok(())
            }
            _ => {
                let Some(early) = self.lobby.get_mut(&link) else {
                    return Ok(());
                };
                early.packets.extend(packets);
                // A learner introduces itself and waits.
                if early.packets.len() > 1 {
                    self.lobby.remove(&link);
                    self.core.emit(Effect::Close {
                        link,
                        reason: "spoke out of turn",
                    });
                }
                Ok(())
            }
        }
    }

    fn on_truncated(&mut self, now: Instant, last: Zxid) -> Result<(), &'static str> {
        let Some(Rewrite::Truncate { to }) = self.core.rewrite.take() else {
            panic!("the log was cut unasked");
        };
        assert!(last <= to, "the log was to be cut behind {to}, not {last}");
        self.core.log.cut(last);
        self.core.log_was_cut();
        // A leader's first zxid stands for its initial history, whose last entry has an older
        // epoch. Otherwise something is missing that this member may have acknowledged.
        let reached = last == to || (to.counter() == 0 && last > Zxid::ZERO);
        if !reached {
            self.core.may_vote = false;
        }
        match &mut self.state {
            State::Learning(learner) if reached => learner.on_rewritten(&mut self.core),
            State::Learning(_) => Err("the log does not reach back to where the leader cuts it"),
            _ => {
                self.look(now);
                Ok(())
            }
        }
    }

    fn on_installed(&mut self, now: Instant, link: LinkId, zxid: Zxid) -> Result<(), &'static str> {
        let asked = self.core.rewrite.take();
        assert_eq!(asked, Some(Rewrite::Install { link }), "installed unasked");
        self.core.log.replace(zxid);
        self.core.log_was_cut();
        if let State::Learning(learner) = &mut self.state {
            return learner.on_rewritten(&mut self.core);
        }
        self.look(now);
        Ok(())
    }

    fn on_dropped(&mut self, now: Instant, link: LinkId) -> Result<(), &'static str> {
        let asked = self.core.rewrite.take();
        assert_eq!(asked, Some(Rewrite::Install { link }), "dropped unasked");
        if let State::Learning(_) = &self.state {
            return Err("the snapshot is lost");
        }
        self.look(now);
        Ok(())
    }

    /// Does what has become possible.
    fn advance(&mut self, now: Instant) {
        // An election may end at once, and a part that it leads to may do so too.
        for _ in 0..3 {
            let stays = match &mut self.state {
                State::Waiting => return,
                State::Electing(election) => {
                    let started = election.started();
                    let Some(winner) = election.advance(&mut self.core, now) else {
                        return;
                    };
                    self.elected(now, started, winner);
                    continue;
                }
                State::Learning(learner) => learner.advance(&mut self.core),
                State::Leading(leader) => leader.advance(&mut self.core),
            };
            match stays {
                Ok(()) => return,
                Err(reason) => self.leave(now, reason),
            }
        }
    }

    /// The election has a winner.
    fn elected(&mut self, now: Instant, started: Instant, winner: Vote) {
        self.core.election_time = Some(now.0 - started.0);
        if winner.leader != self.core.me() {
            self.close_lobby(|_| true, "this member does not lead");
            let learner = Learner::start(&mut self.core, now, winner);
            self.state = State::Learning(Box::new(learner));
            return;
        }
        let mut leader = Leader::start(&self.core, now, winner);
        for (link, early) in std::mem::take(&mut self.lobby) {
            leader.accept(&mut self.core, link);
            leader.on_packets(&mut self.core, link, early.packets);
        }
        self.state = State::Leading(Box::new(leader));
    }

    /// Ends the present part and looks for a leader.
    fn leave(&mut self, now: Instant, reason: &'static str) {
        match std::mem::replace(&mut self.state, State::Waiting) {
            State::Learning(learner) => {
                let served = learner.stage == Stage::Serving;
                learner.stop(&mut self.core, reason);
                self.back_off(now, served);
            }
            State::Leading(leader) => {
                leader.stop(&mut self.core, reason);
                self.back_off(now, true);
            }
            state @ (State::Waiting | State::Electing(_)) => {
                self.state = state;
                return;
            }
        }
        self.core.set_role(Role::Looking);
        self.look(now);
    }

    /// Keeps a member that leaders refuse from asking them without a pause. One refusal is usual:
    /// the leader may have been a moment late.
    fn back_off(&mut self, now: Instant, served: bool) {
        if served {
            self.in_vain = 0;
            return;
        }
        self.in_vain = self.in_vain.saturating_add(1);
        if self.in_vain > 1 {
            let doublings = (self.in_vain - 2).min(10);
            self.pause = Instant(now.0 + (PAUSE_FIRST << doublings).min(PAUSE_LONGEST));
        }
    }

    /// Begins an election, unless the disk has to finish something first or this member pauses.
    fn look(&mut self, now: Instant) {
        self.state = if self.core.rewrite.is_some() || now < self.pause {
            State::Waiting
        } else {
            State::Electing(Election::start(&mut self.core, now))
        };
    }

    fn close_lobby(&mut self, which: impl Fn(&Early) -> bool, reason: &'static str) {
        let core = &mut self.core;
        self.lobby.retain(|link, early| {
            let goes = which(early);
            if goes {
                core.emit(Effect::Close {
                    link: *link,
                    reason,
                });
            }
            !goes
        });
    }
}

#[cfg(test)]
impl Zab {
    /// Pretends that a leader has proposed and committed everything through `zxid`.
    pub(crate) fn skip_to(&mut self, zxid: Zxid) {
        let State::Leading(leader) = &mut self.state else {
            panic!("only a leader proposes");
        };
        self.core.log.replace(zxid);
        leader.skip_to(&mut self.core, zxid);
    }
}
