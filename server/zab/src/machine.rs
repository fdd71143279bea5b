//! [`Zab`]: the state machine's outside.

use std::collections::VecDeque;
use std::sync::Arc;

use wire::Zxid;
use wire::config::EnsembleConfig;
use wire::quorum::Packet;
use wire::txn::Entry;

use crate::status::Status;
use crate::{Boot, Effect, Input, Instant, LinkId, Role, Settings};

/// One member's part in election and broadcast. Does no IO and reads no clock.
///
/// Feed it with [`Zab::handle`] and the commands of a leader or a learner; after each call carry
/// out what [`Zab::poll_effect`] yields until it yields nothing. Call `handle` with
/// [`Input::Tick`] when [`Zab::deadline`] has come.
#[derive(Debug)]
pub struct Zab {
    settings: Settings,
    role: Role,
    config: EnsembleConfig,
    last_logged: Zxid,
    synced: Zxid,
    committed: Zxid,
    delivered: Zxid,
    effects: VecDeque<Effect>,
    deadline: Instant,
}

impl Zab {
    /// A member that starts; its first effects wait for [`Zab::poll_effect`].
    #[must_use]
    pub fn new(now: Instant, settings: Settings, boot: Boot) -> Self {
        Self {
            settings,
            role: Role::Looking,
            config: boot.config,
            last_logged: boot.last,
            synced: boot.last,
            committed: Zxid::ZERO,
            delivered: boot.last,
            effects: VecDeque::new(),
            deadline: now,
        }
    }

    /// Takes in what has happened. `now` never goes back.
    pub fn handle(&mut self, now: Instant, input: Input) {
        drop(input);
        self.deadline = Instant(now.0 + self.settings.tick);
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What this member is, as the last [`Effect::Role`] said; [`Role::Looking`] at first.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The configuration in force here.
    #[must_use]
    pub fn config(&self) -> &EnsembleConfig {
        &self.config
    }

    /// The last entry known to be committed; [`Zxid::ZERO`] while nothing is known.
    #[must_use]
    pub fn committed(&self) -> Zxid {
        self.committed
    }

    /// The last entry that is in the log or on its way there.
    #[must_use]
    pub fn last_logged(&self) -> Zxid {
        self.last_logged
    }

    /// The last entry that is durable here.
    #[must_use]
    pub fn synced(&self) -> Zxid {
        self.synced
    }

    /// The last entry handed out by [`Effect::Deliver`], or applied by replay.
    #[must_use]
    pub fn delivered(&self) -> Zxid {
        self.delivered
    }

    /// What there is to show.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::default()
    }

    /// The zxid that the next proposal must have. `None` unless this member is
    /// [`Role::Leading`], and when the epoch's counter is used up: then nothing more can be
    /// proposed in this epoch, and the member gives up leading.
    #[must_use]
    pub fn next_zxid(&self) -> Option<Zxid> {
        None
    }

    /// Leader only: logs these and sends them to all learners.
    ///
    /// # Panics
    /// If this member is not [`Role::Leading`], or the zxids are not dense from
    /// [`Zab::next_zxid`].
    pub fn propose(&mut self, now: Instant, entries: Vec<Arc<Entry>>) {
        assert!(matches!(self.role, Role::Leading { .. }));
        drop((now, entries));
    }

    /// Leader only: sends a packet (REVALIDATE, SYNC) to a learner, in order with proposals and
    /// commits; nothing happens if the link is gone.
    pub fn send_to_learner(&mut self, link: LinkId, packet: Packet) {
        drop((link, packet));
    }

    /// Leader only: drops a learner; nothing happens if the link is gone.
    pub fn close_learner(&mut self, link: LinkId, reason: &'static str) {
        let _ = (link, reason);
    }

    /// Learner only: sends a packet (REQUEST, REVALIDATE, the answer to a PING) to the leader;
    /// nothing happens without one.
    pub fn send_to_leader(&mut self, packet: Packet) {
        drop(packet);
    }

    /// Gives up leading or following, as by a shutdown or a hand-over, and looks for a leader
    /// anew; nothing happens in an election.
    pub fn resign(&mut self, now: Instant, reason: &'static str) {
        let _ = (now, reason);
    }
}
