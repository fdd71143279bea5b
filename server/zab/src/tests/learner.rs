//! A learner's transitions.

use bytes::Bytes;
use wire::election::PeerState;
use wire::quorum::{LearnerInfo, PROTOCOL_VERSION, Packet, packet};
use wire::{Epoch, PeerId, Record, Zxid};

use super::fixture::*;
use super::world::z;
use crate::{Effect, Input, Instant, LinkId, Role};

fn up_to_date() -> Packet {
    bare(packet::UP_TO_DATE, Zxid::NONE)
}

fn send(packets: Vec<Packet>) -> Effect {
    Effect::Send { link: UP, packets }
}

fn once_synced(packets: Vec<Packet>) -> Effect {
    Effect::SendWhenSynced { link: UP, packets }
}

fn ack(zxid: Zxid) -> Packet {
    bare(packet::ACK, zxid)
}

fn following(epoch: u32) -> Effect {
    Effect::Role(Role::Following {
        leader: PeerId(3),
        epoch: Epoch(epoch),
        link: UP,
    })
}

/// Whether the leader is left, for this reason, and a new election begun.
#[track_caller]
fn left(effects: &[Effect], why: &str) {
    let close = effects.iter().find_map(|effect| match effect {
        Effect::Close { link: UP, reason } => Some(*reason),
        _ => None,
    });
    assert_eq!(close, Some(why));
    let votes = effects
        .iter()
        .filter(|e| matches!(e, Effect::SendVote { .. }));
    assert_eq!(votes.count(), 2);
}

#[test]
fn a_follower_introduces_itself_with_what_it_has_promised() {
    let mut zab = member(1);
    let info = LearnerInfo {
        peer: PeerId(1),
        protocol_version: PROTOCOL_VERSION,
        config_version: 0x1_0000_0000,
    };
    let mut data = info.to_bytes().to_vec();
    // Apache reads 20 bytes; those behind them are for members of ours.
    assert_eq!(data.len(), 20);
    data.extend_from_slice(b"FKC1\0\x02\0\x08\0\0\0\0\0\0\0\x01");
    let expected = Packet::with(packet::FOLLOWER_INFO, z(1, 0), data.into());
    assert_eq!(register(&mut zab), [send(vec![expected])]);
}

#[test]
fn newer_epoch_is_durable_before_it_is_acked() {
    let mut zab = member(1);
    register(&mut zab);
    assert_eq!(
        after(&mut zab, packets(UP, vec![leader_info(2)])),
        [
            Effect::StoreAcceptedEpoch(Epoch(2)),
            once_synced(vec![ack_epoch(z(1, 2), Some(1))]),
        ],
    );
}

#[test]
fn an_epoch_promised_before_is_not_counted_again() {
    let mut zab = member(1);
    register(&mut zab);
    assert_eq!(
        after(&mut zab, packets(UP, vec![leader_info(1)])),
        [once_synced(vec![ack_epoch(z(1, 2), None)])],
    );
}

#[test]
fn an_older_epoch_than_promised_is_refused() {
    let mut zab = member_with(1, |_, boot| boot.accepted = Epoch(3));
    register(&mut zab);
    let effects = after(&mut zab, packets(UP, vec![leader_info(2)]));
    left(&effects, "a newer epoch than the leader's is promised");
}

#[test]
fn history_is_durable_before_the_epoch_is_taken_and_that_before_the_ack() {
    let mut zab = promised();
    let history = vec![
        bare(packet::DIFF, z(1, 4)),
        proposal(z(1, 3)),
        bare(packet::COMMIT, z(1, 3)),
        proposal(z(1, 4)),
        bare(packet::COMMIT, z(1, 4)),
        new_leader(2),
    ];
    assert_eq!(
        after(&mut zab, packets(UP, history)),
        [
            Effect::Append {
                entries: entries(&[z(1, 3), z(1, 4)]),
                mark: 1,
            },
            Effect::StoreCurrentEpoch(Epoch(2)),
            once_synced(vec![ack(z(2, 0))]),
        ],
    );
    // Durable, and said to be committed: still nothing is served.
    assert_eq!(after(&mut zab, Input::Synced { mark: 1 }), []);
    assert_eq!(zab.delivered(), z(1, 2));
    assert_eq!(
        after(&mut zab, packets(UP, vec![up_to_date()])),
        [
            once_synced(vec![ack(z(2, 0))]),
            Effect::Deliver(entries(&[z(1, 3), z(1, 4)])),
            following(2),
        ],
    );
    assert_eq!(zab.committed(), z(1, 4));
}

#[test]
fn a_follower_serves_only_once_the_history_is_durable_and_delivered() {
    let mut zab = promised();
    let history = vec![
        bare(packet::DIFF, z(1, 3)),
        proposal(z(1, 3)),
        bare(packet::COMMIT, z(1, 3)),
        new_leader(2),
        up_to_date(),
    ];
    let effects = after(&mut zab, packets(UP, history));
    assert!(!effects.contains(&following(2)));
    assert_eq!(
        after(&mut zab, Input::Synced { mark: 1 }),
        [Effect::Deliver(entries(&[z(1, 3)])), following(2)],
    );
}

#[test]
fn proposals_under_way_at_newleader_are_acked_after_uptodate() {
    let mut zab = promised();
    let history = vec![
        bare(packet::DIFF, z(2, 1)),
        proposal(z(2, 1)),
        bare(packet::COMMIT, z(2, 1)),
        proposal(z(2, 2)),
        new_leader(2),
    ];
    after(&mut zab, packets(UP, history));
    let between = vec![
        proposal(z(2, 3)),
        bare(packet::COMMIT, z(2, 2)),
        bare(packet::PING, z(2, 3)),
    ];
    assert_eq!(
        after(&mut zab, packets(UP, between)),
        [Effect::Append {
            entries: entries(&[z(2, 3)]),
            mark: 2,
        }],
        "Apache's leader would drop a learner that answers now",
    );
    after(&mut zab, Input::Synced { mark: 2 });
    assert_eq!(
        after(&mut zab, packets(UP, vec![up_to_date()])),
        [
            once_synced(vec![ack(z(2, 0)), ack(z(2, 2)), ack(z(2, 3))]),
            Effect::Deliver(entries(&[z(2, 1), z(2, 2)])),
            following(2),
        ],
    );
}

#[test]
fn a_batch_is_one_append_and_as_many_acks() {
    let mut zab = follower();
    let batch = vec![
        proposal(z(2, 1)),
        proposal(z(2, 2)),
        bare(packet::COMMIT, z(2, 1)),
        proposal(z(2, 3)),
    ];
    assert_eq!(
        after(&mut zab, packets(UP, batch)),
        [
            Effect::Append {
                entries: entries(&[z(2, 1), z(2, 2), z(2, 3)]),
                mark: 1,
            },
            once_synced(vec![ack(z(2, 1)), ack(z(2, 2)), ack(z(2, 3))]),
        ],
        "2.1 is committed and not durable here",
    );
    assert_eq!(
        after(&mut zab, Input::Synced { mark: 1 }),
        [Effect::Deliver(entries(&[z(2, 1)]))],
    );
}

#[test]
fn a_gap_ends_the_link_and_what_came_before_it_is_kept() {
    let mut zab = follower();
    let batch = vec![proposal(z(2, 1)), proposal(z(2, 3))];
    let effects = after(&mut zab, packets(UP, batch));
    left(&effects, "a proposal does not follow the one before");
    assert_eq!(zab.last_logged(), z(2, 1));
    assert!(effects.contains(&Effect::Role(Role::Looking)));
}

#[test]
fn nothing_is_taken_from_an_older_link() {
    let mut zab = follower();
    after(&mut zab, Input::LinkClosed { link: UP });
    assert_eq!(after(&mut zab, packets(UP, vec![proposal(z(2, 1))])), []);
    assert_eq!(zab.role(), Role::Looking);
}

#[test]
fn what_comes_while_the_log_is_cut_waits() {
    let mut zab = promised();
    let cut = vec![bare(packet::TRUNC, z(1, 1)), proposal(z(2, 1))];
    assert_eq!(
        after(&mut zab, packets(UP, cut)),
        [Effect::Truncate { to: z(1, 1) }],
    );
    let rest = vec![bare(packet::COMMIT, z(2, 1)), new_leader(2)];
    assert_eq!(after(&mut zab, packets(UP, rest)), []);
    assert_eq!(
        after(&mut zab, Input::Truncated { last: z(1, 1) }),
        [
            Effect::Append {
                entries: entries(&[z(2, 1)]),
                mark: 1,
            },
            Effect::StoreCurrentEpoch(Epoch(2)),
            once_synced(vec![ack(z(2, 0))]),
        ],
    );
}

#[test]
fn a_member_whose_log_is_being_cut_takes_part_in_no_election() {
    let mut zab = promised();
    after(&mut zab, packets(UP, vec![bare(packet::TRUNC, z(1, 1))]));
    let closed = after(&mut zab, Input::LinkClosed { link: UP });
    assert_eq!(closed, []);
    let question = vote(PeerState::Looking, 2, z(1, 2), 1, 2);
    assert_eq!(after(&mut zab, hear(2, question)), []);
    let effects = after(&mut zab, Input::Truncated { last: z(1, 1) });
    let votes: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::SendVote { notification, .. } => Some(notification.zxid),
            _ => None,
        })
        .collect();
    assert_eq!(votes, [z(1, 1), z(1, 1)]);
}

#[test]
fn a_member_that_lost_more_than_it_should_does_not_vote() {
    let mut zab = promised();
    after(&mut zab, packets(UP, vec![bare(packet::TRUNC, z(1, 1))]));
    let effects = after(&mut zab, Input::Truncated { last: Zxid::ZERO });
    left(
        &effects,
        "the log does not reach back to where the leader cuts it",
    );
    assert!(!zab.status().may_vote);
    for effect in effects {
        if let Effect::SendVote { notification, .. } = effect {
            assert_eq!(notification.leader, PeerId(i64::MIN));
        }
    }
}

#[test]
fn a_snapshot_replaces_everything_and_what_repeats_it_is_skipped() {
    let mut zab = promised();
    let history = vec![
        bare(packet::SNAP, z(2, 3)),
        proposal(z(2, 3)),
        bare(packet::COMMIT, z(2, 3)),
        proposal(z(2, 4)),
        bare(packet::COMMIT, z(2, 4)),
        new_leader(2),
    ];
    let install = Effect::InstallSnapshot {
        link: UP,
        zxid: z(2, 3),
    };
    assert_eq!(after(&mut zab, packets(UP, history)), [install]);
    let installed = Input::SnapshotInstalled {
        link: UP,
        zxid: z(2, 3),
    };
    assert_eq!(
        after(&mut zab, installed),
        [
            Effect::Append {
                entries: entries(&[z(2, 4)]),
                mark: 1,
            },
            Effect::StoreCurrentEpoch(Epoch(2)),
            once_synced(vec![ack(z(2, 0))]),
        ],
    );
    assert_eq!(zab.delivered(), z(2, 3));
}

#[test]
fn a_snapshot_that_went_with_its_link_changes_nothing() {
    let mut zab = promised();
    after(&mut zab, packets(UP, vec![bare(packet::SNAP, z(2, 3))]));
    assert_eq!(after(&mut zab, Input::LinkClosed { link: UP }), []);
    let effects = after(&mut zab, Input::SnapshotDropped { link: UP });
    assert!(matches!(
        effects[..],
        [Effect::SendVote { .. }, Effect::SendVote { .. }]
    ));
    assert_eq!(zab.last_logged(), z(1, 2));
}

#[test]
fn a_joiner_learns_the_configuration_and_follows_without_a_vote() {
    let mut zab = member_with(9, |_, boot| {
        boot.config = super::world::config(&[1, 2, 3, 9], &[]);
        boot.last = Zxid::ZERO;
        boot.recent.clear();
    });
    let mut leading = vote(PeerState::Leading, 3, z(1, 2), 1, 1);
    leading.config = config_text();
    let mut following = vote(PeerState::Following, 3, z(1, 2), 1, 1);
    following.config = config_text();
    after(&mut zab, hear(3, leading));
    let effects = after(&mut zab, hear(2, following));
    assert!(matches!(
        effects.last(),
        Some(Effect::Dial { link: UP, .. })
    ));
    let registered = after(&mut zab, Input::LinkDialed { link: UP });
    let [Effect::Send { packets: sent, .. }] = &registered[..] else {
        panic!("{registered:?}");
    };
    assert_eq!(sent[0].kind, packet::FOLLOWER_INFO);
}

#[test]
fn what_is_committed_is_never_cut() {
    let mut zab = follower();
    after(
        &mut zab,
        packets(UP, vec![proposal(z(2, 1)), bare(packet::COMMIT, z(2, 1))]),
    );
    after(&mut zab, Input::Synced { mark: 1 });
    after(&mut zab, Input::LinkClosed { link: UP });
    let leading = vote(PeerState::Leading, 3, z(1, 2), 1, 1);
    let following = vote(PeerState::Following, 3, z(1, 2), 1, 1);
    after(&mut zab, hear(3, leading));
    let dial = after(&mut zab, hear(2, following));
    let [Effect::Dial { link, .. }] = dial[..] else {
        panic!("{dial:?}");
    };
    after(&mut zab, Input::LinkDialed { link });
    after(&mut zab, packets(link, vec![leader_info(3)]));
    let effects = after(&mut zab, packets(link, vec![bare(packet::TRUNC, z(1, 2))]));
    let reason = "the leader does not know what is committed";
    assert!(effects.contains(&Effect::Close { link, reason }));
    assert!(!effects.iter().any(|e| matches!(e, Effect::Truncate { .. })));
}

#[test]
fn pings_are_for_the_sessions_owner_once_the_follower_serves() {
    let mut zab = follower();
    let ping = bare(packet::PING, z(2, 0));
    assert_eq!(
        after(&mut zab, packets(UP, vec![ping.clone()])),
        [Effect::FromLeader {
            packet: ping.clone(),
            committed: z(1, 2),
        }],
    );
    let answer = Packet::with(packet::PING, z(2, 0), Bytes::from_static(b"touches"));
    zab.send_to_leader(answer.clone());
    assert_eq!(take(&mut zab), [send(vec![answer])]);
}

#[test]
fn an_observer_logs_informs_and_acks_nothing_but_newleader() {
    let mut zab = member_with(4, |_, _| {});
    let registered = register(&mut zab);
    let [Effect::Send { packets: sent, .. }] = &registered[..] else {
        panic!("{registered:?}");
    };
    assert_eq!(sent[0].kind, packet::OBSERVER_INFO);
    after(&mut zab, packets(UP, vec![leader_info(2)]));
    let history = vec![bare(packet::DIFF, z(1, 2)), new_leader(2), up_to_date()];
    let effects = after(&mut zab, packets(UP, history));
    assert_eq!(
        effects.last(),
        Some(&Effect::Role(Role::Observing {
            leader: PeerId(3),
            epoch: Epoch(2),
            link: UP,
        })),
    );
    let inform = |zxid| Packet {
        kind: packet::INFORM,
        ..proposal(zxid)
    };
    assert_eq!(
        after(
            &mut zab,
            packets(UP, vec![inform(z(2, 1)), inform(z(2, 2))])
        ),
        [Effect::Append {
            entries: entries(&[z(2, 1), z(2, 2)]),
            mark: 1,
        }],
    );
    assert_eq!(
        after(&mut zab, Input::Synced { mark: 1 }),
        [Effect::Deliver(entries(&[z(2, 1), z(2, 2)]))],
    );
}

#[test]
fn a_voter_that_must_not_vote_observes_until_it_has_all_that_it_can_have_acked() {
    let mut zab = member_with(1, |_, boot| boot.may_vote = false);
    let registered = register(&mut zab);
    let [Effect::Send { packets: sent, .. }] = &registered[..] else {
        panic!("{registered:?}");
    };
    assert_eq!(sent[0].kind, packet::OBSERVER_INFO);
    let info = LearnerInfo::from_bytes(&sent[0].data.clone().unwrap_or_default());
    let name = info.map(|info| info.peer.0).unwrap_or_default();
    assert!(name < 0, "Apache's leader would count a voter's id: {name}");
    assert_eq!(
        after(&mut zab, packets(UP, vec![leader_info(2)]))[1],
        once_synced(vec![ack_epoch(z(1, 2), None)]),
    );
    let history = vec![bare(packet::DIFF, z(1, 2)), new_leader(2), up_to_date()];
    after(&mut zab, packets(UP, history));
    after(&mut zab, packets(UP, vec![bare(packet::PING, z(2, 1))]));
    assert!(!zab.status().may_vote, "2.1 may be its own acknowledgement");
    let inform = Packet {
        kind: packet::INFORM,
        ..proposal(z(2, 1))
    };
    after(&mut zab, packets(UP, vec![inform]));
    let effects = after(&mut zab, Input::Synced { mark: 1 });
    left(&effects, "caught up: comes back with its vote");
    assert!(zab.status().may_vote);
}

#[test]
fn a_leader_that_cannot_be_reached_is_given_up() {
    let mut zab = member(1);
    let leading = vote(PeerState::Leading, 3, z(1, 2), 1, 1);
    let following = vote(PeerState::Following, 3, z(1, 2), 1, 1);
    after(&mut zab, hear(3, leading));
    let mut effects = after(&mut zab, hear(2, following));
    let mut dials = Vec::new();
    let mut now = Instant(0);
    while let [Effect::Dial { link, .. }] = effects[..] {
        dials.push(now.0);
        zab.handle(now, Input::LinkClosed { link });
        effects = take(&mut zab);
        while effects.is_empty() {
            now = zab.deadline();
            zab.handle(now, Input::Tick);
            effects = take(&mut zab);
        }
    }
    assert_eq!(dials, [0, 20, 60, 140, 300, 620, 1020]);
    assert_eq!(zab.status().peer_state(), "looking");
}

#[test]
fn a_silent_leader_is_left_after_sync_limit() {
    let mut zab = follower();
    let mut now = Instant(0);
    while zab.role() != Role::Looking {
        now = zab.deadline();
        zab.handle(now, Input::Tick);
    }
    // syncLimit is 5 ticks of 100 ms; silence is noticed at the next half tick.
    assert_eq!(now, Instant(550));
}

#[test]
fn a_stopped_process_does_not_take_its_leader_for_silent() {
    let mut zab = follower();
    zab.handle(Instant(3_600_000), Input::Tick);
    assert_eq!(take(&mut zab), []);
}

#[test]
fn a_leader_that_keeps_refusing_is_asked_less_and_less_often() {
    let mut zab = member(1);
    let mut now = Instant(0);
    let pauses = std::array::from_fn(|_| {
        for (from, state) in [(3, PeerState::Leading), (2, PeerState::Following)] {
            zab.handle(now, hear(from, vote(state, 3, z(1, 2), 1, 1)));
        }
        let link = dialed(&take(&mut zab));
        zab.handle(now, Input::LinkDialed { link });
        zab.handle(now, Input::LinkClosed { link });
        let looks_at_once = take(&mut zab)
            .iter()
            .any(|effect| matches!(effect, Effect::SendVote { .. }));
        if looks_at_once {
            return 0;
        }
        let refused = now;
        now = zab.deadline();
        zab.handle(now, Input::Tick);
        now.0 - refused.0
    });
    assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
}

fn dialed(effects: &[Effect]) -> LinkId {
    let dialed = effects.iter().find_map(|effect| match effect {
        Effect::Dial { link, .. } => Some(*link),
        _ => None,
    });
    dialed.expect("two members name a leader")
}
