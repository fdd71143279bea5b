//! What a member shows of itself.

use wire::{Epoch, PeerId, Zxid};

/// How far a member is on its way from an election to serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Phase {
    /// In an election.
    #[default]
    Election,
    /// Agreeing on an epoch.
    Discovery,
    /// Bringing histories together.
    Synchronization,
    /// Serving.
    Broadcast,
}

impl Phase {
    /// Apache's name for it, as in `mntr`'s `peer_state`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Election => "election",
            Self::Discovery => "discovery",
            Self::Synchronization => "synchronization",
            Self::Broadcast => "broadcast",
        }
    }
}

/// What part a member plays, synced or not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Part {
    /// Without a leader.
    #[default]
    Looking,
    /// Follows, as a voter or without a vote.
    Following,
    /// Observes.
    Observing,
    /// Leads, or tries to.
    Leading,
}

impl Part {
    /// Apache's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Looking => "looking",
            Self::Following => "following",
            Self::Observing => "observing",
            Self::Leading => "leading",
        }
    }
}

/// Bytes of the proposals that a leader made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposalSizes {
    /// The last one's.
    pub last: usize,
    /// The smallest one's.
    pub min: usize,
    /// The greatest one's.
    pub max: usize,
}

/// How learners have been brought up to date since the member started to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Synchronizations {
    /// By what they missed.
    pub diff: u64,
    /// By cutting what they had too much.
    pub trunc: u64,
    /// By a snapshot.
    pub snap: u64,
}

/// What a member shows of itself, for metrics and four-letter words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Status {
    /// Its part.
    pub part: Part,
    /// How far it is in it.
    pub phase: Phase,
    /// Who leads, as far as this member knows.
    pub leader: Option<PeerId>,
    /// The election's round.
    pub round: i64,
    /// Greatest epoch promised.
    pub accepted_epoch: Epoch,
    /// Epoch of the last leader followed to the end of discovery.
    pub current_epoch: Epoch,
    /// Whether this member may vote now.
    pub may_vote: bool,
    /// How long the last finished election took, milliseconds.
    pub election_time: Option<u64>,
    /// Members that make a quorum, as a count: the smallest number of voters that suffices.
    pub quorum_size: usize,
    /// Leader only: links of learners, synced or not.
    pub learners: usize,
    /// Leader only: voters that are synced, this member not counted.
    pub synced_followers: usize,
    /// Leader only: synced followers without a vote.
    pub synced_non_voting: usize,
    /// Leader only: synced observers.
    pub synced_observers: usize,
    /// Leader only: proposals not committed yet.
    pub outstanding: usize,
    /// Leader only: the last zxid proposed.
    pub last_proposed: Zxid,
    /// Leader only, once it has proposed.
    pub proposal_sizes: Option<ProposalSizes>,
    /// Leader only.
    pub synchronizations: Synchronizations,
}

impl Status {
    /// Part and phase in Apache's words, as `leading - broadcast`.
    #[must_use]
    pub fn peer_state(&self) -> String {
        match self.part {
            Part::Looking => self.part.name().to_owned(),
            part => format!("{} - {}", part.name(), self.phase.name()),
        }
    }
}
