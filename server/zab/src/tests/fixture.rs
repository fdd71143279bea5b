//! Members in the middle of something.

use std::sync::Arc;

use bytes::Bytes;
use wire::election::{Notification, PeerState};
use wire::quorum::{ALREADY_ACCEPTED, LearnerInfo, PROTOCOL_VERSION, Packet, packet};
use wire::txn::Entry;
use wire::{Epoch, PeerId, Record, Zxid};

use super::world::{config, entry, settings, z};
use crate::{Boot, Effect, Input, Instant, LinkId, Settings, Zab};

/// The link of a learner to its leader.
pub(crate) const UP: LinkId = LinkId(1);

/// Member `id` of the voters 1, 2, 3, with 1.1 and 1.2 in its log, in its first election.
pub(crate) fn member_with(id: i64, change: impl FnOnce(&mut Settings, &mut Boot)) -> Zab {
    let mut settings = settings(id);
    let mut boot = Boot {
        config: config(&[1, 2, 3], &[4]),
        accepted: Epoch(1),
        current: Epoch(1),
        last: z(1, 2),
        recent: vec![entry(z(1, 1), 0), entry(z(1, 2), 0)],
        may_vote: true,
    };
    boot.config.version = z(1, 0).0;
    change(&mut settings, &mut boot);
    let mut zab = Zab::new(Instant(0), settings, boot);
    take(&mut zab);
    zab
}

pub(crate) fn member(id: i64) -> Zab {
    member_with(id, |_, _| {})
}

pub(crate) fn take(zab: &mut Zab) -> Vec<Effect> {
    std::iter::from_fn(|| zab.poll_effect()).collect()
}

/// What a member does upon an input at time zero.
pub(crate) fn after(zab: &mut Zab, input: Input) -> Vec<Effect> {
    zab.handle(Instant(0), input);
    take(zab)
}

pub(crate) fn packets(link: LinkId, packets: Vec<Packet>) -> Input {
    Input::Packets { link, packets }
}

/// A vote for `leader`, whose log ends with `zxid` in epoch `epoch`.
pub(crate) fn vote(
    state: PeerState,
    leader: i64,
    zxid: Zxid,
    epoch: i64,
    round: i64,
) -> Notification {
    Notification {
        state,
        leader: PeerId(leader),
        zxid,
        round,
        epoch,
        config: Bytes::new(),
        extension: Bytes::new(),
    }
}

pub(crate) fn hear(from: i64, notification: Notification) -> Input {
    let from = PeerId(from);
    Input::Vote { from, notification }
}

/// Makes a member turn to 3, who leads with 2's consent, and register there.
pub(crate) fn register(zab: &mut Zab) -> Vec<Effect> {
    let leading = vote(PeerState::Leading, 3, z(1, 2), 1, 1);
    let following = vote(PeerState::Following, 3, z(1, 2), 1, 1);
    zab.handle(Instant(0), hear(3, leading));
    zab.handle(Instant(0), hear(2, following));
    let dial = take(zab);
    assert!(
        matches!(dial[..], [Effect::Dial { link: UP, .. }]),
        "{dial:?}"
    );
    after(zab, Input::LinkDialed { link: UP })
}

pub(crate) fn leader_info(epoch: u32) -> Packet {
    let zxid = Epoch(epoch).zxid();
    Packet::with(packet::LEADER_INFO, zxid, PROTOCOL_VERSION.to_bytes())
}

pub(crate) fn bare(kind: i32, zxid: Zxid) -> Packet {
    Packet::bare(kind, zxid)
}

pub(crate) fn proposal(zxid: Zxid) -> Packet {
    let bytes = entry(zxid, 0).bytes().clone();
    Packet::with(packet::PROPOSAL, zxid, bytes)
}

pub(crate) fn entries(zxids: &[Zxid]) -> Vec<Arc<Entry>> {
    zxids.iter().map(|zxid| entry(*zxid, 0)).collect()
}

pub(crate) fn new_leader(epoch: u32) -> Packet {
    let text = config_text();
    Packet::with(packet::NEW_LEADER, Epoch(epoch).zxid(), text)
}

pub(crate) fn config_text() -> Bytes {
    let mut config = config(&[1, 2, 3], &[4]);
    config.version = z(1, 0).0;
    config.to_string().into()
}

/// Member 1 as a follower of 3 that has promised epoch 2 and waits for the history.
pub(crate) fn promised() -> Zab {
    let mut zab = member(1);
    register(&mut zab);
    after(&mut zab, packets(UP, vec![leader_info(2)]));
    zab
}

/// Member 1 as a follower of 3 that serves in epoch 2; its log ends with 1.2.
pub(crate) fn follower() -> Zab {
    let mut zab = promised();
    let history = vec![
        bare(packet::DIFF, z(1, 2)),
        new_leader(2),
        bare(packet::UP_TO_DATE, Zxid::NONE),
    ];
    after(&mut zab, packets(UP, history));
    zab
}

/// How a learner introduces itself.
pub(crate) fn introduction(kind: i32, id: i64, accepted: u32) -> Packet {
    let info = LearnerInfo {
        peer: PeerId(id),
        protocol_version: PROTOCOL_VERSION,
        config_version: 0,
    };
    Packet::with(kind, Epoch(accepted).zxid(), info.to_bytes())
}

pub(crate) fn ack_epoch(last: Zxid, current: Option<u32>) -> Packet {
    let data = current.map_or(ALREADY_ACCEPTED, |epoch| epoch as i32);
    Packet::with(packet::ACK_EPOCH, last, data.to_bytes())
}

/// Member 3 that all have elected, at the beginning of discovery.
pub(crate) fn elected_with(change: impl FnOnce(&mut Settings, &mut Boot)) -> Zab {
    let mut zab = member_with(3, change);
    for from in [1, 2] {
        let ours = vote(PeerState::Looking, 3, zab.last_logged(), 1, 1);
        zab.handle(Instant(0), hear(from, ours));
    }
    assert_eq!(zab.status().peer_state(), "leading - discovery");
    take(&mut zab);
    zab
}

/// The links of the followers 1 and 2, and of the observer 4, to member 3.
pub(crate) const FIRST: LinkId = LinkId(2);
/// See [`FIRST`].
pub(crate) const SECOND: LinkId = LinkId(4);
/// See [`FIRST`].
pub(crate) const OBSERVER: LinkId = LinkId(8);

/// Lets a learner with the leader's history join, up to its ACK of NEWLEADER.
pub(crate) fn join(zab: &mut Zab, link: LinkId, kind: i32, id: i64) -> Vec<Effect> {
    let last = zab.committed().max(z(1, 2));
    zab.handle(Instant(0), Input::LinkAccepted { link });
    zab.handle(Instant(0), packets(link, vec![introduction(kind, id, 1)]));
    let promise = ack_epoch(last, Some(1));
    zab.handle(Instant(0), packets(link, vec![promise]));
    zab.handle(Instant(0), packets(link, vec![bare(packet::ACK, z(2, 0))]));
    take(zab)
}

/// Member 3 that leads 1 and 2 in epoch 2, and 4 as an observer.
pub(crate) fn leader() -> Zab {
    let mut zab = elected_with(|_, _| {});
    join(&mut zab, FIRST, packet::FOLLOWER_INFO, 1);
    after(&mut zab, Input::Synced { mark: 1 });
    join(&mut zab, SECOND, packet::FOLLOWER_INFO, 2);
    join(&mut zab, OBSERVER, packet::OBSERVER_INFO, 4);
    assert_eq!(zab.status().peer_state(), "leading - broadcast");
    assert_eq!(zab.status().learners, 3);
    zab
}
