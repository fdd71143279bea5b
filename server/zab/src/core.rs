//! What outlives a part: the log's shadow, epochs, configuration, what is known of peers.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use wire::config::{EnsembleConfig, MemberKind};
use wire::election::{Notification, PeerState};
use wire::quorum::{Capabilities, feature};
use wire::txn::{Entry, Txn, kind};
use wire::{Epoch, PeerId, Zxid};

use crate::election::Vote;
use crate::log::Log;
use crate::quorum::Quorum;
use crate::window::Limits;
use crate::{Boot, Channel, Effect, LinkId, Role, Settings};

/// Greatest epoch that is believed: Apache reads epochs as signed, and a peer that names a greater
/// one would leave no room for the ones after it.
pub(crate) const EPOCH_MAX: Epoch = Epoch(i32::MAX as u32);

/// The state that every part works on.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) accepted: Epoch,
    pub(crate) current: Epoch,
    /// The latest epoch that a voter is known to have promised to somebody else.
    pub(crate) outbid_by: Epoch,
    pub(crate) may_vote: bool,
    pub(crate) log: Log,
    /// In force.
    config: EnsembleConfig,
    /// Proposed, newer than the one in force.
    proposed: Option<EnsembleConfig>,
    quorum: Quorum,
    pub(crate) peers: BTreeMap<PeerId, Peer>,
    pub(crate) role: Role,
    /// The round of the last election taken part in.
    pub(crate) round: i64,
    /// A change of the log that the disk has not finished.
    pub(crate) rewrite: Option<Rewrite>,
    pub(crate) election_time: Option<u64>,
    effects: VecDeque<Effect>,
    next_link: u64,
}

/// What is known of a peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    pub(crate) channel: Option<Channel>,
    /// As it said; `None` for an Apache member.
    pub(crate) capabilities: Option<Capabilities>,
}

/// The disk is replacing what the log ends with; until it is done nobody knows where that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rewrite {
    Truncate { to: Zxid },
    Install { link: LinkId },
}

impl Core {
    pub(crate) fn new(settings: Settings, boot: Boot) -> Self {
        let limits = Limits {
            entries: settings.window_entries,
            bytes: settings.window_bytes,
        };
        let mut core = Self {
            accepted: boot.accepted.max(boot.current).max(boot.last.epoch()),
            current: boot.current,
            outbid_by: Epoch(0),
            may_vote: boot.may_vote,
            log: Log::new(limits, boot.last, &boot.recent),
            quorum: Quorum::new(&boot.config, None),
            config: boot.config,
            proposed: None,
            peers: BTreeMap::new(),
            role: Role::Looking,
            round: 0,
            rewrite: None,
            election_time: None,
            effects: VecDeque::new(),
            next_link: 1,
            settings,
        };
        // A change in the log may not be in force yet.
        for config in boot.recent.iter().filter_map(|entry| changed_config(entry)) {
            core.config_proposed(config);
        }
        core
    }

    pub(crate) fn emit(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(crate) fn me(&self) -> PeerId {
        self.settings.id
    }

    pub(crate) fn new_link(&mut self) -> LinkId {
        let link = LinkId(self.next_link);
        self.next_link += 2;
        link
    }

    /// Half a tick: how often a leader pings, and in what silences are counted. Counting them,
    /// and not milliseconds, forgives a process that was stopped: its peers' packets are read
    /// before the second count.
    pub(crate) fn beat(&self) -> u64 {
        (self.settings.tick / 2).max(1)
    }

    /// Ticks as beats.
    pub(crate) fn beats(ticks: u64) -> u64 {
        ticks.saturating_mul(2).max(2)
    }

    /// Whether this member takes part in elections with a vote of its own.
    pub(crate) fn votes(&self) -> bool {
        self.may_vote && self.quorum.is_voter(self.me())
    }

    /// Whether this member joins as an observer.
    pub(crate) fn observes(&self) -> bool {
        let member = self.newest_config().members.get(&self.me());
        !self.may_vote || member.is_some_and(|member| member.kind == MemberKind::Observer)
    }

    pub(crate) fn config(&self) -> &EnsembleConfig {
        &self.config
    }

    pub(crate) fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// The one proposed last, or the one in force.
    pub(crate) fn newest_config(&self) -> &EnsembleConfig {
        self.proposed.as_ref().unwrap_or(&self.config)
    }

    /// A configuration is proposed, not in force; older ones are ignored.
    pub(crate) fn config_proposed(&mut self, config: EnsembleConfig) {
        if config.version > self.newest_config().version {
            self.proposed = Some(config);
            self.quorum = Quorum::new(&self.config, self.proposed.as_ref());
        }
    }

    /// A configuration is in force; an older one than known is ignored. True if it is news.
    pub(crate) fn config_committed(&mut self, config: EnsembleConfig) -> bool {
        if config.version <= self.config.version {
            return false;
        }
        self.config = config;
        if self.newest_config().version <= self.config.version {
            self.proposed = None;
        }
        self.quorum = Quorum::new(&self.config, self.proposed.as_ref());
        true
    }

    /// What was proposed behind the log's end is gone with it.
    pub(crate) fn log_was_cut(&mut self) {
        let last = self.log.last();
        if self.proposed.as_ref().is_some_and(|c| c.version > last.0) {
            self.proposed = None;
            self.quorum = Quorum::new(&self.config, None);
        }
    }

    /// What this member announces to its own kind.
    pub(crate) fn capabilities(&self) -> Capabilities {
        Capabilities {
            ensemble: self.settings.ensemble.clone(),
            features: feature::FERROKEEPER,
        }
    }

    /// Whether these belong to a member of another ensemble.
    pub(crate) fn is_foreign(&self, theirs: &Capabilities) -> bool {
        match (&self.settings.ensemble, &theirs.ensemble) {
            (Some(ours), Some(theirs)) => ours != theirs,
            _ => false,
        }
    }

    /// What is known of a peer; of strangers nothing is kept.
    pub(crate) fn peer(&mut self, id: PeerId) -> Option<&mut Peer> {
        let known =
            self.config.members.contains_key(&id) || self.newest_config().members.contains_key(&id);
        known.then(|| self.peers.entry(id).or_default())
    }

    /// Tells a peer a vote.
    pub(crate) fn send_vote(&mut self, to: PeerId, state: PeerState, vote: Vote) {
        let mut extension = Vec::new();
        self.capabilities().encode(&mut extension);
        let notification = Notification {
            state,
            leader: vote.leader,
            zxid: Zxid(vote.zxid as u64),
            round: self.round,
            epoch: vote.epoch,
            config: Bytes::from(self.config.to_string()),
            extension: extension.into(),
        };
        self.emit(Effect::SendVote { to, notification });
    }

    /// The member's part, if it is another one than before.
    pub(crate) fn set_role(&mut self, role: Role) {
        if self.role != role {
            self.role = role;
            self.emit(Effect::Role(role));
        }
    }

    /// Delivers what can be.
    pub(crate) fn deliver(&mut self) {
        if let Some(effect) = self.log.deliver() {
            self.emit(effect);
        }
    }
}

/// The configuration that an entry would bring into force.
pub(crate) fn changed_config(entry: &Entry) -> Option<EnsembleConfig> {
    if entry.header().kind != kind::RECONFIG {
        return None;
    }
    let Txn::SetData(change) = entry.txn() else {
        return None;
    };
    let text = std::str::from_utf8(change.data.as_deref()?).ok()?;
    let mut config: EnsembleConfig = text.parse().ok()?;
    config.version = config.version.max(entry.zxid().0);
    Some(config)
}
