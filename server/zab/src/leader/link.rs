//! A learner, seen from the leader.

use std::collections::VecDeque;

use wire::quorum::{Packet, packet};
use wire::{PeerId, Zxid};

use crate::Instant;

/// How far a learner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has not said who it is.
    Silent,
    /// It waits for the epoch.
    Introduced,
    /// It knows the epoch.
    Informed,
    /// It has promised the epoch; its log ends here. It waits for a quorum of promises.
    Promised(Zxid),
    /// What it misses is being read from the disk.
    Reading {
        /// The end of its log.
        after: Zxid,
        /// The end of what is read.
        through: Zxid,
    },
    /// It was sent the history, and from now on gets every proposal and commit.
    Synchronizing,
    /// It has the history on its disk.
    Acknowledged,
    /// It serves.
    Synced,
}

/// A learner's link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) stage: Stage,
    /// Meaningless while [`Stage::Silent`].
    pub(crate) peer: PeerId,
    pub(crate) observer: bool,
    /// It reads what only members of ours read.
    pub(crate) native: bool,
    /// The beat in which it was last heard.
    pub(crate) heard: u64,
    /// It has everything through here on its disk, of what was proposed on this link.
    pub(crate) acked: Zxid,
    /// A proposal that it has not acknowledged, and the beat since when it is waited for.
    owed: Option<(Zxid, u64)>,
    /// The last proposal sent.
    sent: Zxid,
    /// When the pings that it has not answered were sent, in order. Those from before UPTODATE
    /// are not answered and not counted.
    pings: VecDeque<Instant>,
    /// When the last ping that it answered was sent.
    answered: Option<Instant>,
    /// To be sent when the input has been worked off.
    pub(crate) out: Vec<Packet>,
    /// To be sent behind the COMMIT of a zxid, in order.
    pub(crate) behind: VecDeque<(Zxid, Packet)>,
}

impl Link {
    pub(crate) fn new(beat: u64) -> Self {
        Self {
            stage: Stage::Silent,
            peer: PeerId(0),
            observer: false,
            native: false,
            heard: beat,
            acked: Zxid::ZERO,
            owed: None,
            sent: Zxid::ZERO,
            pings: VecDeque::new(),
            answered: None,
            out: Vec::new(),
            behind: VecDeque::new(),
        }
    }

    /// Whether it gets proposals and commits.
    pub(crate) fn forwards(&self) -> bool {
        matches!(
            self.stage,
            Stage::Synchronizing | Stage::Acknowledged | Stage::Synced
        )
    }

    /// Whether its disk has the leader's initial history.
    pub(crate) fn has_history(&self) -> bool {
        matches!(self.stage, Stage::Acknowledged | Stage::Synced)
    }

    /// What waited for the COMMIT of this zxid goes out.
    pub(crate) fn release(&mut self, committed: Zxid) {
        while let Some((zxid, packet)) = self.behind.pop_front() {
            if zxid > committed {
                self.behind.push_front((zxid, packet));
                return;
            }
            self.out.push(packet);
        }
    }

    /// A ping goes out.
    pub(crate) fn ping(&mut self, last_proposed: Zxid, now: Instant) {
        if self.stage == Stage::Synced {
            self.pings.push_back(now);
        }
        self.out.push(Packet::bare(packet::PING, last_proposed));
    }

    /// A ping is answered.
    pub(crate) fn ping_answered(&mut self) {
        if let Some(sent) = self.pings.pop_front() {
            self.answered = Some(sent);
        }
    }

    /// When the last ping that was answered was sent.
    pub(crate) fn answered_ping(&self) -> Option<Instant> {
        self.answered
    }

    /// A proposal goes out.
    pub(crate) fn proposed(&mut self, zxid: Zxid, beat: u64) {
        self.sent = zxid;
        self.owed.get_or_insert((zxid, beat));
    }

    /// An acknowledgement came in; `None` if it is for what was not proposed here.
    pub(crate) fn acknowledged(&mut self, zxid: Zxid, beat: u64) -> Option<()> {
        if zxid > self.sent {
            return None;
        }
        self.acked = self.acked.max(zxid);
        if self.owed.is_some_and(|(owed, _)| owed <= zxid) {
            self.owed = (self.sent > zxid).then_some((self.sent, beat));
        }
        Some(())
    }

    /// Waiting for acknowledgements begins now: before, the learner had the history to log.
    pub(crate) fn begin_waiting(&mut self, beat: u64) {
        self.owed = self.owed.map(|(zxid, _)| (zxid, beat));
    }

    /// Since which beat a proposal waits for its acknowledgement.
    pub(crate) fn waiting_since(&self) -> Option<u64> {
        self.owed.map(|(_, beat)| beat)
    }
}
