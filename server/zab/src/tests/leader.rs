//! A leader's transitions.

use bytes::Bytes;
use wire::election::PeerState;
use wire::quorum::{Capabilities, Packet, packet};
use wire::txn::{Entry, SetDataTxn, Txn, TxnHeader, kind};
use wire::{Epoch, PeerId, Record, SessionId, Zxid};

use super::fixture::*;
use super::world::{config, z};
use crate::{Effect, Input, Instant, LinkId, Role};

fn send(link: LinkId, packets: Vec<Packet>) -> Effect {
    Effect::Send { link, packets }
}

fn ack(zxid: Zxid) -> Packet {
    bare(packet::ACK, zxid)
}

fn commit(zxid: Zxid) -> Packet {
    bare(packet::COMMIT, zxid)
}

fn inform(zxid: Zxid) -> Packet {
    Packet {
        kind: packet::INFORM,
        ..proposal(zxid)
    }
}

/// The reason for which this link is closed.
fn closed(effects: &[Effect], link: LinkId) -> Option<&'static str> {
    effects.iter().find_map(|effect| match effect {
        Effect::Close { link: l, reason } if *l == link => Some(*reason),
        _ => None,
    })
}

#[test]
fn the_epoch_is_above_all_that_a_quorum_has_promised_and_durable_before_it_is_told() {
    let mut zab = elected_with(|_, _| {});
    after(&mut zab, Input::LinkAccepted { link: FIRST });
    let info = introduction(packet::FOLLOWER_INFO, 1, 7);
    assert_eq!(
        after(&mut zab, packets(FIRST, vec![info])),
        [
            Effect::StoreAcceptedEpoch(Epoch(8)),
            Effect::SendWhenSynced {
                link: FIRST,
                packets: vec![leader_info(8)],
            },
        ],
    );
}

#[test]
fn observers_and_strangers_do_not_choose_the_epoch() {
    let mut zab = elected_with(|_, _| {});
    for (link, kind, id) in [
        (FIRST, packet::OBSERVER_INFO, 4),
        (SECOND, packet::FOLLOWER_INFO, 9),
        (OBSERVER, packet::OBSERVER_INFO, 2),
    ] {
        after(&mut zab, Input::LinkAccepted { link });
        let info = introduction(kind, id, 1);
        assert_eq!(after(&mut zab, packets(link, vec![info])), []);
    }
    assert_eq!(zab.status().accepted_epoch, Epoch(1));
}

#[test]
fn the_whole_log_is_history_and_is_told_as_committed() {
    let mut zab = elected_with(|_, _| {});
    after(&mut zab, Input::LinkAccepted { link: FIRST });
    let info = introduction(packet::FOLLOWER_INFO, 1, 1);
    after(&mut zab, packets(FIRST, vec![info]));
    assert_eq!(
        after(&mut zab, packets(FIRST, vec![ack_epoch(z(1, 1), Some(1))])),
        [
            Effect::StoreCurrentEpoch(Epoch(2)),
            Effect::Append {
                entries: vec![],
                mark: 1,
            },
            send(
                FIRST,
                vec![
                    bare(packet::DIFF, z(1, 2)),
                    proposal(z(1, 2)),
                    commit(z(1, 2)),
                    new_leader(2),
                ],
            ),
        ],
    );
    // The follower has it, this member's own disk has not yet taken the epoch.
    assert_eq!(after(&mut zab, packets(FIRST, vec![ack(z(2, 0))])), []);
    assert_eq!(
        after(&mut zab, Input::Synced { mark: 1 }),
        [
            Effect::Role(Role::Leading {
                epoch: Epoch(2),
                last: z(1, 2),
            }),
            send(FIRST, vec![bare(packet::UP_TO_DATE, Zxid::NONE)]),
        ],
    );
    assert_eq!(zab.next_zxid(), Some(z(2, 1)));
}

#[test]
fn the_first_configuration_gets_its_version_from_the_first_leader() {
    let mut zab = elected_with(|_, boot| boot.config.version = 0);
    join(&mut zab, FIRST, packet::FOLLOWER_INFO, 1);
    let effects = after(&mut zab, Input::Synced { mark: 1 });
    let mut expected = config(&[1, 2, 3], &[4]);
    expected.version = z(2, 0).0;
    assert_eq!(effects[1], Effect::ConfigCommitted(expected.clone()));
    assert_eq!(zab.config(), &expected);
}

#[test]
fn where_the_membership_cannot_change_its_version_stays_zero() {
    let mut zab = elected_with(|settings, boot| {
        settings.reconfig = false;
        boot.config.version = 0;
    });
    join(&mut zab, FIRST, packet::FOLLOWER_INFO, 1);
    let effects = after(&mut zab, Input::Synced { mark: 1 });
    let changes = |effect: &Effect| matches!(effect, Effect::ConfigCommitted(_));
    assert!(!effects.iter().any(changes), "{effects:?}");
    assert_eq!(zab.config(), &config(&[1, 2, 3], &[4]));
}

#[test]
fn a_learner_that_knows_more_than_the_leader_is_refused_before_the_epoch_is_settled() {
    for (last, current) in [(z(1, 3), 1), (z(1, 1), 2)] {
        let mut zab = elected_with(|_, _| {});
        after(&mut zab, Input::LinkAccepted { link: FIRST });
        let info = introduction(packet::FOLLOWER_INFO, 1, 2);
        after(&mut zab, packets(FIRST, vec![info]));
        let promise = ack_epoch(last, Some(current));
        let effects = after(&mut zab, packets(FIRST, vec![promise]));
        assert_eq!(closed(&effects, FIRST), Some("knows more than this leader"));
    }
}

#[test]
fn a_proposal_is_appended_and_sent_to_followers_only() {
    let mut zab = leader();
    zab.propose(Instant(0), entries(&[z(2, 1), z(2, 2)]));
    let both = vec![proposal(z(2, 1)), proposal(z(2, 2))];
    assert_eq!(
        take(&mut zab),
        [
            Effect::Append {
                entries: entries(&[z(2, 1), z(2, 2)]),
                mark: 2,
            },
            send(FIRST, both.clone()),
            send(SECOND, both),
        ],
    );
}

#[test]
fn followers_may_commit_before_the_leaders_own_disk() {
    let mut zab = leader();
    zab.propose(Instant(0), entries(&[z(2, 1)]));
    take(&mut zab);
    assert_eq!(after(&mut zab, packets(FIRST, vec![ack(z(2, 1))])), []);
    assert_eq!(
        after(&mut zab, packets(SECOND, vec![ack(z(2, 1))])),
        [
            send(FIRST, vec![commit(z(2, 1))]),
            send(SECOND, vec![commit(z(2, 1))]),
            send(OBSERVER, vec![inform(z(2, 1))]),
        ],
    );
    assert_eq!((zab.committed(), zab.delivered()), (z(2, 1), z(1, 2)));
    assert_eq!(
        after(&mut zab, Input::Synced { mark: 2 }),
        [Effect::Deliver(entries(&[z(2, 1)]))],
    );
}

#[test]
fn each_zxid_gets_its_commit_in_order() {
    let mut zab = leader();
    zab.propose(Instant(0), entries(&[z(2, 1), z(2, 2), z(2, 3)]));
    take(&mut zab);
    after(&mut zab, packets(FIRST, vec![ack(z(2, 1)), ack(z(2, 2))]));
    assert_eq!(
        after(&mut zab, Input::Synced { mark: 2 }),
        [
            send(FIRST, vec![commit(z(2, 1)), commit(z(2, 2))]),
            send(SECOND, vec![commit(z(2, 1)), commit(z(2, 2))]),
            send(OBSERVER, vec![inform(z(2, 1)), inform(z(2, 2))]),
            Effect::Deliver(entries(&[z(2, 1), z(2, 2)])),
        ],
    );
}

#[test]
fn acks_of_a_link_that_is_gone_do_not_count() {
    let mut zab = leader();
    zab.propose(Instant(0), entries(&[z(2, 1)]));
    take(&mut zab);
    after(&mut zab, packets(FIRST, vec![ack(z(2, 1))]));
    after(&mut zab, Input::LinkClosed { link: FIRST });
    after(&mut zab, Input::Synced { mark: 2 });
    assert_eq!(zab.committed(), z(1, 2), "1 may have cut its log since");
    after(&mut zab, packets(FIRST, vec![ack(z(2, 1))]));
    assert_eq!(zab.committed(), z(1, 2));
    // It comes back with 2.1, cuts it, and gets it again.
    let back = LinkId(20);
    after(&mut zab, Input::LinkAccepted { link: back });
    let info = introduction(packet::FOLLOWER_INFO, 1, 2);
    after(&mut zab, packets(back, vec![info]));
    assert_eq!(
        after(&mut zab, packets(back, vec![ack_epoch(z(2, 1), None)])),
        [send(
            back,
            vec![
                bare(packet::TRUNC, z(1, 2)),
                proposal(z(2, 1)),
                new_leader(2)
            ],
        )],
    );
    let answers = vec![ack(z(2, 0)), ack(z(2, 0)), ack(z(2, 1))];
    after(&mut zab, packets(back, answers));
    assert_eq!(zab.committed(), z(2, 1));
}

#[test]
fn an_ack_of_what_was_not_proposed_ends_the_link() {
    let mut zab = leader();
    let effects = after(&mut zab, packets(FIRST, vec![ack(z(2, 1))]));
    let why = Some("acknowledged what was not proposed");
    assert_eq!(closed(&effects, FIRST), why);
}

#[test]
fn a_newer_link_of_a_member_replaces_the_older() {
    let mut zab = leader();
    let newer = LinkId(20);
    after(&mut zab, Input::LinkAccepted { link: newer });
    let info = introduction(packet::FOLLOWER_INFO, 1, 2);
    let effects = after(&mut zab, packets(newer, vec![info]));
    assert_eq!(closed(&effects, FIRST), Some("replaced by a newer link"));
}

#[test]
fn what_is_proposed_while_the_disk_is_read_is_neither_missed_nor_repeated() {
    let mut zab = elected_with(|_, boot| {
        boot.recent.remove(0);
    });
    join(&mut zab, FIRST, packet::FOLLOWER_INFO, 1);
    after(&mut zab, Input::Synced { mark: 1 });
    after(&mut zab, Input::LinkAccepted { link: SECOND });
    let info = introduction(packet::FOLLOWER_INFO, 2, 1);
    after(&mut zab, packets(SECOND, vec![info]));
    assert_eq!(
        after(&mut zab, packets(SECOND, vec![ack_epoch(z(1, 1), Some(1))])),
        [Effect::ReadLog {
            link: SECOND,
            after: z(1, 1),
            through: z(1, 2),
            limit: 1 << 20,
        }],
    );
    zab.propose(Instant(0), entries(&[z(2, 1), z(2, 2)]));
    after(&mut zab, packets(FIRST, vec![ack(z(2, 1))]));
    after(&mut zab, Input::Synced { mark: 2 });
    let read = Input::LogRead {
        link: SECOND,
        entries: Some(entries(&[z(1, 2)])),
    };
    assert_eq!(
        after(&mut zab, read),
        [send(
            SECOND,
            vec![
                bare(packet::DIFF, z(2, 1)),
                proposal(z(1, 2)),
                commit(z(1, 2)),
                proposal(z(2, 1)),
                commit(z(2, 1)),
                proposal(z(2, 2)),
                new_leader(2),
            ],
        )],
    );
}

#[test]
fn a_log_that_does_not_reach_back_is_replaced_by_a_snapshot() {
    for entries in [None, Some(vec![]), Some(entries(&[z(1, 9)]))] {
        let mut zab = elected_with(|_, boot| {
            boot.recent.remove(0);
        });
        join(&mut zab, FIRST, packet::FOLLOWER_INFO, 1);
        after(&mut zab, Input::Synced { mark: 1 });
        after(&mut zab, Input::LinkAccepted { link: SECOND });
        let info = introduction(packet::FOLLOWER_INFO, 2, 1);
        after(&mut zab, packets(SECOND, vec![info]));
        after(&mut zab, packets(SECOND, vec![ack_epoch(z(1, 1), Some(1))]));
        let link = SECOND;
        let snapshot = Effect::StreamSnapshot {
            link,
            zxid: z(1, 2),
        };
        assert_eq!(
            after(&mut zab, Input::LogRead { link, entries }),
            [snapshot, send(link, vec![new_leader(2)])],
        );
    }
}

#[test]
fn requests_come_from_synced_learners_only() {
    let mut zab = leader();
    let request = bare(packet::REQUEST, Zxid::NONE);
    assert_eq!(
        after(&mut zab, packets(FIRST, vec![request.clone()])),
        [Effect::FromLearner {
            link: FIRST,
            peer: PeerId(1),
            packet: request.clone(),
        }],
    );
    let mut young = elected_with(|_, _| {});
    join(&mut young, FIRST, packet::FOLLOWER_INFO, 1);
    let effects = after(&mut young, packets(FIRST, vec![request]));
    assert_eq!(closed(&effects, FIRST), Some("asked before it was synced"));
}

#[test]
fn a_leader_without_a_quorum_steps_down_at_once_and_keeps_its_log() {
    let mut zab = leader();
    zab.propose(Instant(0), entries(&[z(2, 1)]));
    take(&mut zab);
    after(&mut zab, Input::LinkClosed { link: FIRST });
    let effects = after(&mut zab, Input::LinkClosed { link: SECOND });
    let why = Some("a quorum of followers is no longer there");
    assert_eq!(closed(&effects, OBSERVER), why);
    assert!(effects.contains(&Effect::Role(Role::Looking)));
    assert_eq!(zab.last_logged(), z(2, 1));
    let candidate = effects.iter().find_map(|effect| match effect {
        Effect::SendVote { notification, .. } => Some((notification.epoch, notification.zxid)),
        _ => None,
    });
    assert_eq!(candidate, Some((2, z(2, 1))));
    assert_eq!(after(&mut zab, Input::Synced { mark: 2 }), []);
    assert_eq!(zab.delivered(), z(1, 2));
}

#[test]
fn a_quorum_that_is_silent_for_sync_limit_is_lost() {
    let mut zab = leader();
    let mut now = Instant(0);
    while zab.role() != Role::Looking {
        now = zab.deadline();
        zab.handle(now, Input::Tick);
    }
    assert_eq!(now, Instant(550));
}

#[test]
fn a_voter_that_promised_a_later_epoch_is_let_in_by_another_election() {
    let late = LinkId(20);
    let introduced = |kind, id| {
        let mut zab = leader();
        after(&mut zab, Input::LinkAccepted { link: late });
        after(&mut zab, packets(late, vec![introduction(kind, id, 9)]));
        zab
    };
    assert_eq!(introduced(packet::FOLLOWER_INFO, 2).role(), Role::Looking);
    let observed = introduced(packet::OBSERVER_INFO, 4).role();
    assert!(matches!(observed, Role::Leading { .. }));
}

#[test]
fn a_learner_is_not_silent_while_a_snapshot_passes() {
    let mut zab = leader();
    let mut now = Instant(0);
    while now < Instant(2_000) {
        now = zab.deadline();
        zab.handle(now, Input::SnapshotPassing { link: FIRST });
        zab.handle(now, Input::Tick);
    }
    let effects = take(&mut zab);
    assert_eq!(closed(&effects, FIRST), None);
    assert_eq!(closed(&effects, SECOND), Some("silent for syncLimit"));
}

#[test]
fn a_sync_is_answered_behind_the_commit_that_it_waits_for() {
    let mut zab = leader();
    let (first, second) = (z(2, 1), z(2, 2));
    zab.propose(Instant(0), entries(&[first, second]));
    take(&mut zab);
    let sync = bare(packet::SYNC, Zxid::ZERO);
    zab.send_to_learner_behind(FIRST, first, sync.clone());
    assert_eq!(take(&mut zab), []);
    after(&mut zab, packets(FIRST, vec![ack(first), ack(second)]));
    let effects = after(&mut zab, packets(SECOND, vec![ack(first), ack(second)]));
    let answered = vec![commit(first), sync.clone(), commit(second)];
    assert!(effects.contains(&send(FIRST, answered)), "{effects:?}");
    zab.send_to_learner_behind(FIRST, second, sync.clone());
    assert_eq!(take(&mut zab), [send(FIRST, vec![sync])]);
}

#[test]
fn a_leader_pings_and_knows_who_has_answered_since_when() {
    let mut zab = leader();
    assert!(!zab.quorum_heard_since(Instant(0)));
    zab.handle(Instant(50), Input::Tick);
    let ping = bare(packet::PING, z(2, 0));
    assert_eq!(
        take(&mut zab),
        [FIRST, SECOND, OBSERVER].map(|link| send(link, vec![ping.clone()])),
    );
    zab.handle(Instant(60), packets(OBSERVER, vec![ping.clone()]));
    assert!(!zab.quorum_heard_since(Instant(50)));
    zab.handle(Instant(60), packets(FIRST, vec![ping]));
    assert!(zab.quorum_heard_since(Instant(50)));
    assert!(!zab.quorum_heard_since(Instant(51)));
}

#[test]
fn a_used_up_counter_ends_the_epoch_once_all_is_committed() {
    let mut zab = leader();
    // 4,294,967,294 transactions later.
    zab.skip_to(z(2, u32::MAX - 2));
    assert_eq!(zab.next_zxid(), Some(z(2, u32::MAX - 1)));
    zab.propose(Instant(0), entries(&[z(2, u32::MAX - 1)]));
    assert_eq!(zab.next_zxid(), None);
    take(&mut zab);
    after(&mut zab, packets(FIRST, vec![ack(z(2, u32::MAX - 1))]));
    let effects = after(&mut zab, Input::Synced { mark: 3 });
    assert_eq!(
        closed(&effects, FIRST),
        Some("the epoch's counter is used up")
    );
    assert_eq!(zab.delivered(), z(2, u32::MAX - 1));
}

#[test]
fn learners_that_do_not_belong_here_are_refused_with_the_reason() {
    let with = |kind, id, accepted, version: i64, extension: &[u8]| {
        let mut info = introduction(kind, id, accepted);
        let mut data = info.data.take().unwrap_or_default().to_vec();
        data[12..20].copy_from_slice(&version.to_be_bytes());
        data.extend_from_slice(extension);
        info.data = Some(Bytes::from(data));
        info
    };
    let mut foreign = Vec::new();
    let theirs = Capabilities {
        ensemble: Some("theirs".to_owned()),
        features: 0,
    };
    theirs.encode(&mut foreign);
    let follower = packet::FOLLOWER_INFO;
    for (info, why) in [
        (with(follower, 3, 1, 0, &[]), "has this member's own id"),
        (
            with(follower, 1, 1, 0, &foreign),
            "belongs to another ensemble",
        ),
        (
            with(follower, 1, 1, z(1, 1).0 as i64, &[]),
            "has a newer configuration than the leader",
        ),
        (
            with(follower, 1, u32::MAX, 0, &[]),
            "its accepted epoch is out of range",
        ),
        (
            Packet::with(follower, Zxid::ZERO, Bytes::from_static(b"short")),
            "introduction is malformed",
        ),
        (bare(packet::ACK, Zxid::ZERO), "did not introduce itself"),
    ] {
        let mut zab = elected_with(|settings, _| settings.ensemble = Some("ours".to_owned()));
        after(&mut zab, Input::LinkAccepted { link: FIRST });
        let effects = after(&mut zab, packets(FIRST, vec![info]));
        assert_eq!(closed(&effects, FIRST), Some(why));
    }
}

#[test]
fn a_leader_that_nobody_is_left_to_follow_gives_up_early() {
    let mut zab = elected_with(|_, _| {});
    let later = vote(PeerState::Looking, 2, z(1, 2), 1, 2);
    after(&mut zab, hear(2, later.clone()));
    assert_eq!(zab.status().peer_state(), "leading - discovery");
    after(&mut zab, hear(1, later));
    assert_eq!(zab.status().peer_state(), "looking");
}

#[test]
fn a_leader_in_discovery_gives_up_after_init_limit() {
    let mut zab = elected_with(|_, _| {});
    let mut now = Instant(0);
    while zab.status().peer_state() != "looking" {
        now = zab.deadline();
        zab.handle(now, Input::Tick);
    }
    assert_eq!(now, Instant(1050));
    let mut hasty = elected_with(|settings, _| settings.max_wait_for_epoch = Some(120));
    while hasty.status().peer_state() != "looking" {
        now = hasty.deadline();
        hasty.handle(now, Input::Tick);
    }
    assert_eq!(now, Instant(120));
}

#[test]
fn a_learner_that_comes_while_the_election_goes_on_waits_for_its_end() {
    let mut zab = member(3);
    assert_eq!(after(&mut zab, Input::LinkAccepted { link: FIRST }), []);
    let info = introduction(packet::FOLLOWER_INFO, 1, 1);
    assert_eq!(after(&mut zab, packets(FIRST, vec![info])), []);
    let ours = vote(PeerState::Looking, 3, z(1, 2), 1, 1);
    after(&mut zab, hear(1, ours.clone()));
    assert_eq!(
        after(&mut zab, hear(2, ours)),
        [
            Effect::StoreAcceptedEpoch(Epoch(2)),
            Effect::SendWhenSynced {
                link: FIRST,
                packets: vec![leader_info(2)],
            },
        ],
    );
}

#[test]
fn a_server_alone_leads_at_once_and_commits_by_its_own_disk() {
    let mut zab = member_with(1, |settings, boot| {
        settings.standalone = true;
        boot.config = config(&[], &[]);
    });
    let role = Role::Leading {
        epoch: Epoch(1),
        last: z(1, 2),
    };
    assert_eq!(zab.role(), role);
    assert_eq!(zab.next_zxid(), Some(z(1, 3)));
    zab.propose(Instant(0), entries(&[z(1, 3)]));
    let append = Effect::Append {
        entries: entries(&[z(1, 3)]),
        mark: 1,
    };
    assert_eq!(take(&mut zab), [append]);
    assert_eq!(
        after(&mut zab, Input::Synced { mark: 1 }),
        [Effect::Deliver(entries(&[z(1, 3)]))],
    );
    zab.handle(Instant(1_000_000), Input::Tick);
    assert_eq!((zab.role(), take(&mut zab)), (role, vec![]));
}

/// A change of the configuration, as `member` prepares it.
fn change(zxid: Zxid, voters: &[i64]) -> std::sync::Arc<Entry> {
    let mut config = config(voters, &[]);
    config.version = zxid.0;
    let header = TxnHeader {
        client_id: SessionId(0),
        cxid: 0,
        zxid,
        time: 0,
        kind: kind::RECONFIG,
    };
    let txn = Txn::SetData(SetDataTxn {
        path: "/zookeeper/config".to_owned(),
        data: Some(config.to_string().into()),
        version: -1,
    });
    std::sync::Arc::new(Entry::new(header, txn, None))
}

#[test]
fn a_change_of_the_configuration_needs_quorums_of_both_and_is_activated() {
    let mut zab = leader();
    let fifth = LinkId(30);
    join(&mut zab, fifth, packet::FOLLOWER_INFO, 5);
    assert_eq!(zab.status().synced_non_voting, 1);
    let entry = change(z(2, 1), &[3, 4, 5]);
    zab.propose(Instant(0), vec![entry.clone()]);
    after(&mut zab, Input::Synced { mark: 2 });
    after(&mut zab, packets(FIRST, vec![ack(z(2, 1))]));
    assert_eq!(zab.committed(), z(1, 2), "3 alone has it of the new one");
    let effects = after(&mut zab, packets(fifth, vec![ack(z(2, 1))]));
    let leader = PeerId(3).to_bytes();
    let activate = Packet::with(packet::COMMIT_AND_ACTIVATE, z(2, 1), leader.clone());
    let data = [&leader[..], &entry.bytes()[..]].concat();
    let inform = Packet::with(packet::INFORM_AND_ACTIVATE, z(2, 1), data.into());
    let mut expected = config(&[3, 4, 5], &[]);
    expected.version = z(2, 1).0;
    assert_eq!(
        effects,
        [
            send(FIRST, vec![activate.clone()]),
            send(SECOND, vec![activate.clone()]),
            send(OBSERVER, vec![inform]),
            send(fifth, vec![activate]),
            Effect::Deliver(vec![entry]),
            Effect::ConfigCommitted(expected),
        ],
    );
    assert_eq!(zab.status().synced_followers, 1);
}
