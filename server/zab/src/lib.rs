//! Fast Leader Election and Zab, as Apache ZooKeeper 3.9 speaks them, as one state machine.
//!
//! Start with [`Input`] and [`Effect`]: all that enters and leaves. [`Zab`] turns one into the
//! other. A driver (the server's member thread, or the simulator) feeds inputs and carries out
//! effects in order.
//!
//! `machine` goes from part to part: `election`, then `learner` or `leader`, each a value that is
//! dropped whole when the part ends. What outlives parts is in `core`: the shadow of the log
//! (`log`, with the newest entries in `window`), the epochs, the configuration and its `quorum`.
//! `leader/choice` decides how a learner is brought up to date.
//!
//! Invariants, on every member, always:
//! - `synced <= appended`; `delivered <= min(committed, synced)`.
//! - One zxid names one transaction, ever: epochs and zxids only grow.
//! - An epoch is durable before it is promised (ACKEPOCH), history is durable before the epoch is
//!   taken (currentEpoch), and that before NEWLEADER is acknowledged (ZOOKEEPER-4643, 4646).
//! - What arrived before UPTODATE is logged and synced, never delivered.
//! - Nothing of an earlier epoch, link or mark has an effect on a later one.
//!
//! This crate knows no socket, disk, clock, session or znode; it reads a transaction only to see
//! a change of the configuration.

mod core;
mod election;
mod leader;
mod learner;
mod log;
mod machine;
mod quorum;
mod status;
mod window;

use std::sync::Arc;

pub use machine::Zab;
pub use quorum::Quorum;
pub use status::{Part, Phase, ProposalSizes, Status, Synchronizations};
use wire::config::{EnsembleConfig, PeerAddress};
use wire::election::Notification;
use wire::quorum::Packet;
use wire::txn::Entry;
use wire::{Epoch, PeerId, SessionId, Zxid};

/// Milliseconds since the member started; never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub u64);

/// A connection on the quorum port, inbound or outbound; never used twice.
///
/// The driver numbers inbound links with even numbers, [`Zab`] outbound ones with odd numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What does not change while a member runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This member.
    pub id: PeerId,
    /// One tick, milliseconds (`tickTime`).
    pub tick: u64,
    /// Ticks for discovery and synchronisation (`initLimit`).
    pub init_limit: u64,
    /// Ticks that a leader and a follower may be silent to each other (`syncLimit`).
    pub sync_limit: u64,
    /// Ticks that a leader waits for followers of its epoch before it gives up early, if set
    /// (`leader.maxTimeToWaitForEpoch`, ZOOKEEPER-3109), milliseconds.
    pub max_wait_for_epoch: Option<u64>,
    /// Milliseconds that an election waits for a better vote while some voter is silent.
    pub finalize_wait: u64,
    /// Milliseconds between repeated notifications, doubling from the first to the second
    /// (`fastleader.minNotificationInterval`, `maxNotificationInterval`).
    pub notification_interval: (u64, u64),
    /// Entries kept in memory to bring learners up to date (`commitLogCount`).
    pub window_entries: usize,
    /// Bytes kept in memory to bring learners up to date.
    pub window_bytes: usize,
    /// A learner is brought up to date from the log on disk while that is no more bytes than
    /// this; otherwise it gets a snapshot.
    pub disk_sync_bytes: u64,
    /// The ensemble that this member belongs to; a member of another one is refused.
    pub ensemble: Option<String>,
    /// Whether the membership can change (`reconfigEnabled`); the same on all members. The first
    /// configuration has a version above 0 only then.
    pub reconfig: bool,
    /// A single server without peers: it leads at once, in the epoch of its last zxid.
    pub standalone: bool,
    /// Makes an election's choices that a peer's message cannot depend on.
    pub seed: u64,
}

/// What a member found on its disk.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The newest configuration known, of the file or of the disk.
    pub config: EnsembleConfig,
    /// Greatest epoch promised.
    pub accepted: Epoch,
    /// Epoch of the last leader followed to the end of discovery.
    pub current: Epoch,
    /// The log's last entry, or the snapshot's if the log is empty. Replay has applied up to it.
    pub last: Zxid,
    /// The log's newest entries, in order and without holes, for learners that are little behind.
    pub recent: Vec<Arc<Entry>>,
    /// False for a member that may have lost what it promised (rot, an empty disk that is not a
    /// first boot): it joins with OBSERVERINFO and votes only once synced.
    pub may_vote: bool,
}

/// The state of an election connection to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Open: what is sent arrives, unless it closes.
    Open,
    /// It was open and closed.
    Closed,
    /// The peer's port refused it: nothing listens there.
    Refused,
}

/// All that a member can hear.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed: a deadline of [`Zab::deadline`], or just so.
    Tick,
    /// A vote from a peer.
    Vote {
        /// Who sent it.
        from: PeerId,
        /// What it says.
        notification: Notification,
    },
    /// An election connection changed.
    Channel {
        /// To whom.
        peer: PeerId,
        /// What it is now.
        state: Channel,
    },
    /// A learner connected to the quorum port.
    LinkAccepted {
        /// The new link.
        link: LinkId,
    },
    /// A [`Effect::Dial`] succeeded.
    LinkDialed {
        /// The link.
        link: LinkId,
    },
    /// A link closed, broke, sent what is not a packet, or could not be dialled.
    LinkClosed {
        /// The link.
        link: LinkId,
    },
    /// Packets from a link, in order. A SNAP packet is passed on only once its whole body is in
    /// staging.
    Packets {
        /// The link.
        link: LinkId,
        /// What came.
        packets: Vec<Packet>,
    },
    /// All [`Effect::Append`]s up to this mark are durable.
    Synced {
        /// The mark.
        mark: u64,
    },
    /// [`Effect::Truncate`] is done and durable, and the tree reflects it. Always answered, also
    /// if the link that asked for it is gone: until then the member takes part in nothing.
    Truncated {
        /// The log's last entry now; [`Zxid::ZERO`] if no snapshot reached back far enough and
        /// the member is empty now.
        last: Zxid,
    },
    /// [`Effect::InstallSnapshot`] is done and durable, and the tree is the snapshot's. This or
    /// [`Input::SnapshotDropped`] always comes, also if the link has closed since: until then the
    /// member takes part in nothing.
    SnapshotInstalled {
        /// The link that it came by.
        link: LinkId,
        /// The snapshot's zxid.
        zxid: Zxid,
    },
    /// [`Effect::InstallSnapshot`] found nothing in staging, since the link is gone; log and tree
    /// are as before.
    SnapshotDropped {
        /// The link that it came by.
        link: LinkId,
    },
    /// More of a snapshot has passed by this link, out or in: however long the whole takes, the
    /// peer is not silent. Given at least once a tick while it passes.
    SnapshotPassing {
        /// The link.
        link: LinkId,
    },
    /// [`Effect::ReadLog`] is done.
    LogRead {
        /// The link that it is for.
        link: LinkId,
        /// The entries after the zxid asked for, in order; `None` if the log does not reach back
        /// so far or there are too many.
        entries: Option<Vec<Arc<Entry>>>,
    },
    /// The driver has applied everything delivered up to here.
    Applied {
        /// The last entry's zxid.
        zxid: Zxid,
    },
}

/// All that a member can do. Effects are carried out in order; those about the disk are one
/// queue, whose order is also the order of what becomes durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send a vote; one that was not sent yet is replaced.
    SendVote {
        /// To whom.
        to: PeerId,
        /// What.
        notification: Notification,
    },
    /// Connect to a leader's quorum port.
    Dial {
        /// The new link.
        link: LinkId,
        /// Who it is.
        peer: PeerId,
        /// Where it listens, to be tried in order.
        addresses: Vec<PeerAddress>,
    },
    /// Close a link after what was sent before; nothing more comes from it.
    Close {
        /// The link.
        link: LinkId,
        /// For the log.
        reason: &'static str,
    },
    /// Send now.
    Send {
        /// The link.
        link: LinkId,
        /// What.
        packets: Vec<Packet>,
    },
    /// Send once every disk effect before this one is durable.
    SendWhenSynced {
        /// The link.
        link: LinkId,
        /// What.
        packets: Vec<Packet>,
    },
    /// Send a SNAP packet and the tree as it is when this effect is carried out, that is, with
    /// every [`Effect::Deliver`] before it applied. What is sent later waits behind it.
    StreamSnapshot {
        /// The link.
        link: LinkId,
        /// The tree's zxid then.
        zxid: Zxid,
    },
    /// Read the log and answer with [`Input::LogRead`].
    ReadLog {
        /// The link that it is for.
        link: LinkId,
        /// Start behind this one, which must be in the log.
        after: Zxid,
        /// End with this one.
        through: Zxid,
        /// Give up above this many bytes.
        limit: u64,
    },
    /// Append to the log. The driver syncs when it has nothing more to append, and answers with
    /// [`Input::Synced`].
    Append {
        /// What, in order; nothing, if only the mark is wanted: it is durable when all disk
        /// effects before it are.
        entries: Vec<Arc<Entry>>,
        /// Grows by one with each append.
        mark: u64,
    },
    /// Store the promise not to follow an older leader.
    StoreAcceptedEpoch(Epoch),
    /// Store the epoch that the log's end belongs to.
    StoreCurrentEpoch(Epoch),
    /// Cut the log behind this zxid; reload the tree if it has applied more.
    Truncate {
        /// The last zxid to keep.
        to: Zxid,
    },
    /// Make the snapshot in this link's staging the member's whole state, on disk and in memory.
    InstallSnapshot {
        /// The link that it came by.
        link: LinkId,
        /// Its zxid.
        zxid: Zxid,
    },
    /// Apply: committed, and synced here.
    Deliver(Vec<Arc<Entry>>),
    /// The member's part changed; everything that belongs to the part before is void.
    Role(Role),
    /// A configuration is in force: store it and keep `/zookeeper/config` equal to it.
    ConfigCommitted(EnsembleConfig),
    /// A learner forwarded a request (REQUEST), asks for a session (REVALIDATE) or answered a
    /// ping with touched sessions (PING with data).
    FromLearner {
        /// The link.
        link: LinkId,
        /// Who.
        peer: PeerId,
        /// What.
        packet: Packet,
    },
    /// The leader answered REVALIDATE or SYNC, or sent a PING that wants this member's touched
    /// sessions in the answer.
    FromLeader {
        /// What.
        packet: Packet,
        /// The last entry committed by what the leader sent before it.
        committed: Zxid,
    },
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Without a leader.
    Looking,
    /// Synced to a leader (UPTODATE received), as a voter or a non-voting follower.
    Following {
        /// Who leads.
        leader: PeerId,
        /// Its epoch.
        epoch: Epoch,
        /// The link to it.
        link: LinkId,
    },
    /// Synced to a leader as an observer.
    Observing {
        /// Who leads.
        leader: PeerId,
        /// Its epoch.
        epoch: Epoch,
        /// The link to it.
        link: LinkId,
    },
    /// A quorum has acknowledged this member's NEWLEADER; its history up to `last` is committed.
    Leading {
        /// Its epoch.
        epoch: Epoch,
        /// The last entry of its initial history, delivered before this effect.
        last: Zxid,
    },
}

/// A session's touch, as PING carries it.
pub type Touch = (SessionId, i32);

#[cfg(test)]
mod tests;
