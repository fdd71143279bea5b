//! Fast Leader Election: who should lead.
//!
//! An election only suggests; discovery decides. So it may end early where nobody is left to wait
//! for, and a wrong suggestion costs time, never data.

use std::collections::{BTreeMap, BTreeSet};

use wire::election::{Notification, PeerState};
use wire::{PeerId, Zxid};

use crate::core::Core;
use crate::quorum::Quorum;
use crate::{Channel, Instant};

/// How long to wait for a better vote when each silent voter's channel is closed: enough for one
/// that closed on the way to a new connection.
const SILENT_WAIT: u64 = 10;

/// Greatest round that is believed, so that there is always a next one.
const ROUND_MAX: i64 = i64::MAX / 2;

/// How many peers without a vote are answered between two repetitions of the vote; ids come from
/// the network.
const ANSWERED_MAX: usize = 1024;

/// A candidate, ordered as votes are: by epoch, then zxid, then id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Vote {
    /// The candidate's current epoch.
    pub(crate) epoch: i64,
    /// The candidate's last logged zxid, signed as Apache compares it.
    pub(crate) zxid: i64,
    pub(crate) leader: PeerId,
}

impl Vote {
    /// What Apache's members without a vote send.
    pub(crate) const NONE: Self = Self {
        epoch: i64::MIN,
        zxid: i64::MIN,
        leader: PeerId(i64::MIN),
    };

    fn of(notification: &Notification) -> Self {
        Self {
            epoch: notification.epoch,
            zxid: notification.zxid.0 as i64,
            leader: notification.leader,
        }
    }
}

/// What a voter said last.
#[derive(Clone, Copy, Debug)]
struct Ballot {
    state: PeerState,
    round: i64,
    vote: Vote,
}

/// One member's view of one election.
#[derive(Debug)]
pub(crate) struct Election {
    started: Instant,
    /// This member's own candidacy; `None` without a vote.
    own: Option<Vote>,
    /// The best candidate so far.
    proposal: Option<Vote>,
    /// Votes of this round, of members that look for a leader as well as of those that found one
    /// in it.
    votes: BTreeMap<PeerId, Ballot>,
    /// Votes of members that have a leader, whatever their round.
    outside: BTreeMap<PeerId, Ballot>,
    /// Since when a quorum agrees with the proposal.
    agreed: Option<Instant>,
    /// Peers without a vote that know the proposal.
    answered: BTreeSet<PeerId>,
    resend_at: Instant,
    interval: u64,
}

impl Election {
    /// Opens a new round and tells all voters.
    pub(crate) fn start(core: &mut Core, now: Instant) -> Self {
        core.round += 1;
        let own = Self::candidacy(core);
        let interval = core.settings.notification_interval.0.max(1);
        let mut election = Self {
            started: now,
            own,
            proposal: own,
            votes: BTreeMap::new(),
            outside: BTreeMap::new(),
            agreed: None,
            answered: BTreeSet::new(),
            resend_at: Instant(now.0 + interval),
            interval,
        };
        election.tell_all(core);
        election
    }

    fn candidacy(core: &Core) -> Option<Vote> {
        core.votes().then(|| Vote {
            epoch: i64::from(core.current.0),
            zxid: core.log.last().0 as i64,
            leader: core.me(),
        })
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// When something is to be done though nothing is heard.
    pub(crate) fn deadline(&self, core: &Core) -> Instant {
        match self.agreed {
            Some(since) => self.resend_at.min(self.closing(core, since)),
            None => self.resend_at,
        }
    }

    /// The vote to show a peer.
    fn vote(&self) -> Vote {
        match self.own {
            Some(_) => self.proposal.unwrap_or(Vote::NONE),
            None => Vote::NONE,
        }
    }

    fn tell(&self, core: &mut Core, peer: PeerId) {
        core.send_vote(peer, PeerState::Looking, self.vote());
    }

    fn tell_all(&mut self, core: &mut Core) {
        self.answered.clear();
        for peer in core.quorum().voters() {
            if peer != core.me() {
                self.tell(core, peer);
            }
        }
    }

    /// Tells a peer without a vote, which is not told otherwise; once, until there is news, since
    /// it may think the same of this member.
    fn answer(&mut self, core: &mut Core, peer: PeerId) {
        let room = self.answered.len() < ANSWERED_MAX;
        if self.own.is_some() && room && self.answered.insert(peer) {
            self.tell(core, peer);
        }
    }

    /// A channel opened: what was sent before may be lost.
    pub(crate) fn on_channel(&self, core: &mut Core, peer: PeerId, state: Channel) {
        if state == Channel::Open && core.quorum().is_voter(peer) {
            self.tell(core, peer);
        }
    }

    /// Takes in a vote.
    pub(crate) fn on_vote(
        &mut self,
        core: &mut Core,
        from: PeerId,
        notification: &Notification,
    ) -> Option<Vote> {
        let round = notification.round;
        let looking = notification.state == PeerState::Looking;
        if !core.quorum().is_voter(from) {
            if looking {
                self.answer(core, from);
            }
            return None;
        }
        let vote = Vote::of(notification);
        let counts = (0..=ROUND_MAX).contains(&round)
            && core.quorum().is_voter(vote.leader)
            && notification.zxid != Zxid::NONE;
        match notification.state {
            PeerState::Looking => {
                self.outside.remove(&from);
                if vote.leader == Vote::NONE.leader {
                    self.answer(core, from);
                } else if round < core.round {
                    if self.own.is_some() {
                        self.tell(core, from);
                    }
                } else if counts {
                    self.on_looking(core, from, round, vote);
                }
                None
            }
            PeerState::Observing => None,
            state if counts => {
                let ballot = Ballot { state, round, vote };
                self.on_settled(core, from, ballot)
            }
            _ => None,
        }
    }

    /// A voter that looks for a leader, in this round or a later one.
    fn on_looking(&mut self, core: &mut Core, from: PeerId, round: i64, vote: Vote) {
        if vote.leader == core.me() && Some(vote) != self.own {
            self.outdated(core, round);
            return;
        }
        let may_lead = core.quorum().may_lead(vote.leader);
        if round > core.round {
            core.round = round;
            self.votes.clear();
            self.agreed = None;
            let best = if may_lead {
                self.own.max(Some(vote))
            } else {
                self.own
            };
            self.proposal = best;
            self.tell_all(core);
        } else if may_lead && Some(vote) > self.proposal {
            self.proposal = Some(vote);
            self.agreed = None;
            self.tell_all(core);
        } else if Some(vote) != self.proposal {
            self.tell(core, from);
        }
        let state = PeerState::Looking;
        self.votes.insert(from, Ballot { state, round, vote });
    }

    /// Someone votes for what this member was before it restarted or had its log cut: only a
    /// newer round makes such a vote go away.
    fn outdated(&mut self, core: &mut Core, round: i64) {
        if self.own.is_some() {
            core.round = round + 1;
            self.votes.clear();
            self.agreed = None;
            self.proposal = self.own;
            self.tell_all(core);
        }
    }

    /// A voter that has a leader. The leader to join, if enough voters have it and it says so
    /// itself.
    fn on_settled(&mut self, core: &mut Core, from: PeerId, ballot: Ballot) -> Option<Vote> {
        if ballot.round == core.round {
            self.votes.insert(from, ballot);
            let quorum = core.quorum();
            let found = agree(quorum, &self.votes, |other| {
                same_leader(&ballot, other, ballot.round)
            });
            if found && confirmed(core, &self.votes, &ballot) {
                return Some(ballot.vote);
            }
        }
        self.outside.insert(from, ballot);
        let found = agree(core.quorum(), &self.outside, |other| {
            same_leader(&ballot, other, ballot.round)
        });
        if found && confirmed(core, &self.outside, &ballot) {
            core.round = ballot.round;
            return Some(ballot.vote);
        }
        None
    }

    /// Looks at the votes and the clock. The winner, if it is time to end.
    pub(crate) fn advance(&mut self, core: &mut Core, now: Instant) -> Option<Vote> {
        let proposal = self.proposal?;
        let agrees = |peer: PeerId| self.agrees(core, peer, proposal);
        if !core.quorum().reached(agrees) {
            self.agreed = None;
            return None;
        }
        let since = *self.agreed.get_or_insert(now);
        (now >= self.closing(core, since)).then_some(proposal)
    }

    /// Repeats the vote when nothing has come of it.
    pub(crate) fn on_tick(&mut self, core: &mut Core, now: Instant) {
        if now >= self.resend_at {
            self.interval = (self.interval * 2).min(core.settings.notification_interval.1.max(1));
            self.resend_at = Instant(now.0 + self.interval);
            self.tell_all(core);
        }
    }

    /// Whether this voter is known to be for `proposal`, in this round.
    fn agrees(&self, core: &Core, peer: PeerId, proposal: Vote) -> bool {
        if peer == core.me() {
            return self.own.is_some();
        }
        let ballot = self.votes.get(&peer);
        ballot.is_some_and(|ballot| ballot.vote == proposal && ballot.round == core.round)
    }

    /// When an election that a quorum agrees on since `since` ends: at once if no voter is left
    /// to hear from, soon if those that are left are gone, otherwise after the usual wait.
    fn closing(&self, core: &Core, since: Instant) -> Instant {
        let Some(proposal) = self.proposal else {
            return since;
        };
        let mut wait = 0;
        for voter in core.quorum().voters() {
            if self.agrees(core, voter, proposal) {
                continue;
            }
            let channel = core.peers.get(&voter).and_then(|peer| peer.channel);
            let gone = matches!(channel, Some(Channel::Closed | Channel::Refused));
            let own = voter == core.me();
            wait = wait.max(if gone || own {
                SILENT_WAIT.min(core.settings.finalize_wait)
            } else {
                core.settings.finalize_wait
            });
        }
        Instant(since.0 + wait)
    }
}

fn agree(
    quorum: &Quorum,
    ballots: &BTreeMap<PeerId, Ballot>,
    same: impl Fn(&Ballot) -> bool,
) -> bool {
    quorum.reached(|peer| ballots.get(&peer).is_some_and(&same))
}

/// Votes of members that have a leader are compared by leader and epoch only, since the rest may
/// have changed since their election; a vote from inside this round must be the same in all.
fn same_leader(ballot: &Ballot, other: &Ballot, round: i64) -> bool {
    if other.state == PeerState::Looking {
        other.vote == ballot.vote && other.round == round
    } else {
        other.vote.leader == ballot.vote.leader && other.vote.epoch == ballot.vote.epoch
    }
}

/// Whether the leader itself says that it leads; this member leads only by its own round.
fn confirmed(core: &Core, ballots: &BTreeMap<PeerId, Ballot>, ballot: &Ballot) -> bool {
    if ballot.vote.leader == core.me() {
        return ballot.round == core.round && core.votes();
    }
    ballots
        .get(&ballot.vote.leader)
        .is_some_and(|leader| leader.state == PeerState::Leading)
}
