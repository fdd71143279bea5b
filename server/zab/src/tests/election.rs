//! Elections, seen from one member.

use bytes::Bytes;
use wire::election::{Notification, PeerState};
use wire::quorum::Capabilities;
use wire::{PeerId, Zxid};

use super::fixture::*;
use super::world::{config, z};
use crate::{Channel, Effect, Input, Instant, Zab};

fn looking(leader: i64, round: i64) -> Notification {
    vote(PeerState::Looking, leader, z(1, 2), 1, round)
}

/// Who is told what: to whom, for whom, in which round.
fn votes(effects: &[Effect]) -> Vec<(i64, i64, i64)> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::SendVote { to, notification } => {
            Some((to.0, notification.leader.0, notification.round))
        }
        _ => None,
    });
    told.collect()
}

fn dials(effects: &[Effect]) -> Option<i64> {
    effects.iter().find_map(|effect| match effect {
        Effect::Dial { peer, .. } => Some(peer.0),
        _ => None,
    })
}

/// Advances to the deadline; what is done then.
fn wait(zab: &mut Zab) -> (u64, Vec<Effect>) {
    let now = zab.deadline();
    zab.handle(now, Input::Tick);
    (now.0, take(zab))
}

#[test]
fn a_better_candidate_is_taken_up_and_told_to_all() {
    let mut zab = member(1);
    let effects = after(&mut zab, hear(2, looking(2, 1)));
    assert_eq!(votes(&effects), [(2, 2, 1), (3, 2, 1)]);
    let effects = after(&mut zab, hear(3, looking(3, 1)));
    assert_eq!(votes(&effects), [(2, 3, 1), (3, 3, 1)]);
}

#[test]
fn epoch_counts_before_zxid_and_zxid_before_id() {
    let mut zab = member(3);
    let longer = vote(PeerState::Looking, 1, z(1, 3), 1, 1);
    let effects = after(&mut zab, hear(1, longer));
    assert_eq!(votes(&effects), [(1, 1, 1), (2, 1, 1)]);
    let later = vote(PeerState::Looking, 2, z(1, 1), 2, 1);
    let effects = after(&mut zab, hear(2, later));
    assert_eq!(votes(&effects), [(1, 2, 1), (2, 2, 1)]);
}

#[test]
fn an_election_ends_at_once_when_all_agree() {
    let mut zab = member(1);
    after(&mut zab, hear(3, looking(3, 1)));
    let effects = after(&mut zab, hear(2, looking(3, 1)));
    assert_eq!(dials(&effects), Some(3));
}

#[test]
fn a_voter_that_may_still_speak_is_waited_for() {
    let mut zab = member(1);
    let channel = |peer, state| Input::Channel {
        peer: PeerId(peer),
        state,
    };
    after(&mut zab, channel(2, Channel::Open));
    let effects = after(&mut zab, hear(3, looking(3, 1)));
    assert_eq!(dials(&effects), None);
    let mut waited = (0, effects);
    while dials(&waited.1).is_none() {
        waited = wait(&mut zab);
    }
    assert_eq!(waited.0, 200);
}

#[test]
fn voters_that_are_gone_are_hardly_waited_for() {
    for state in [Channel::Closed, Channel::Refused] {
        let mut zab = member(1);
        let peer = PeerId(2);
        after(&mut zab, Input::Channel { peer, state });
        after(&mut zab, hear(3, looking(3, 1)));
        let (at, effects) = wait(&mut zab);
        assert_eq!((at, dials(&effects)), (10, Some(3)));
    }
}

#[test]
fn a_newer_round_begins_the_count_anew() {
    let mut zab = member(1);
    after(&mut zab, hear(3, looking(3, 1)));
    let effects = after(&mut zab, hear(2, looking(2, 5)));
    assert_eq!(votes(&effects), [(2, 2, 5), (3, 2, 5)]);
    // What 3 said in round 1 is void; it is told so, and agrees to nothing.
    let effects = after(&mut zab, hear(3, looking(3, 1)));
    assert_eq!(votes(&effects), [(3, 2, 5)]);
    assert_eq!(zab.status().peer_state(), "looking");
}

#[test]
fn a_leader_is_joined_when_a_quorum_and_it_itself_say_so() {
    let mut zab = member(1);
    let following = vote(PeerState::Following, 3, z(1, 1), 1, 8);
    let effects = after(&mut zab, hear(2, following.clone()));
    assert_eq!(dials(&effects), None);
    let mut elsewhere = vote(PeerState::Leading, 3, z(1, 1), 2, 8);
    let effects = after(&mut zab, hear(3, elsewhere.clone()));
    assert_eq!(dials(&effects), None, "2 follows it in another epoch");
    elsewhere.epoch = 1;
    let effects = after(&mut zab, hear(3, elsewhere));
    assert_eq!(dials(&effects), Some(3));
    assert_eq!(zab.status().round, 8);
}

#[test]
fn a_dead_leader_that_its_followers_still_name_is_not_joined() {
    let mut zab = member_with(1, |_, boot| {
        boot.config = config(&[1, 2, 3, 4, 5], &[]);
    });
    for from in [2, 3, 4] {
        let following = vote(PeerState::Following, 5, z(1, 2), 1, 1);
        let effects = after(&mut zab, hear(from, following));
        assert_eq!(dials(&effects), None);
    }
}

#[test]
fn a_member_that_has_a_leader_tells_those_that_look_for_one() {
    let mut zab = follower();
    let effects = after(&mut zab, hear(2, looking(2, 9)));
    let [Effect::SendVote { to, notification }] = &effects[..] else {
        panic!("{effects:?}");
    };
    let told = (to.0, notification.state, notification.leader.0);
    assert_eq!(told, (2, PeerState::Following, 3));
    assert_eq!((notification.epoch, notification.round), (2, 1));
    let settled = vote(PeerState::Following, 3, z(1, 2), 2, 1);
    assert_eq!(after(&mut zab, hear(2, settled)), []);
}

#[test]
fn a_follower_leaves_a_leader_that_looks_for_one_itself() {
    let mut zab = follower();
    after(&mut zab, hear(3, looking(3, 1)));
    assert_eq!(
        zab.status().peer_state(),
        "following - broadcast",
        "old news"
    );
    after(&mut zab, hear(3, looking(3, 2)));
    assert_eq!(zab.status().peer_state(), "looking");
}

#[test]
fn who_has_no_vote_is_answered_and_not_counted() {
    let mut zab = member(3);
    let observer = vote(PeerState::Looking, i64::MIN, Zxid(1 << 63), i64::MIN, 4);
    let effects = after(&mut zab, hear(4, observer.clone()));
    assert_eq!(votes(&effects), [(4, 3, 1)]);
    assert_eq!(
        after(&mut zab, hear(4, observer)),
        [],
        "two that deny each other's vote must not answer for ever",
    );
    let stranger = looking(3, 1);
    after(&mut zab, hear(77, stranger));
    assert_eq!(zab.status().peer_state(), "looking");
}

#[test]
fn an_observer_asks_without_a_candidate() {
    let mut settings = super::world::settings(4);
    settings.seed = 1;
    let boot = crate::Boot {
        config: config(&[1, 2, 3], &[4]),
        accepted: wire::Epoch(1),
        current: wire::Epoch(1),
        last: z(1, 2),
        recent: vec![],
        may_vote: true,
    };
    let mut zab = Zab::new(Instant(0), settings, boot);
    let nobody = i64::MIN;
    let expected = [(1, nobody, 1), (2, nobody, 1), (3, nobody, 1)];
    assert_eq!(votes(&take(&mut zab)), expected);
}

#[test]
fn a_vote_for_what_this_member_was_is_outdated_by_a_new_round() {
    let mut zab = member(3);
    let lost = vote(PeerState::Looking, 3, z(1, 9), 1, 4);
    let effects = after(&mut zab, hear(1, lost));
    assert_eq!(votes(&effects), [(1, 3, 5), (2, 3, 5)]);
}

#[test]
fn votes_are_repeated_less_and_less_often() {
    let mut zab = member(1);
    let mut times = Vec::new();
    while times.len() < 6 {
        let (at, effects) = wait(&mut zab);
        assert_eq!(votes(&effects), [(2, 1, 1), (3, 1, 1)]);
        times.push(at);
    }
    assert_eq!(times, [200, 600, 1400, 3000, 4600, 6200]);
}

#[test]
fn a_new_channel_gets_the_vote_again() {
    let mut zab = member(1);
    let peer = PeerId(2);
    let state = Channel::Open;
    let effects = after(&mut zab, Input::Channel { peer, state });
    assert_eq!(votes(&effects), [(2, 1, 1)]);
}

#[test]
fn members_of_another_ensemble_are_not_heard() {
    let mut zab = member_with(1, |settings, _| settings.ensemble = Some("ours".to_owned()));
    let mut extension = Vec::new();
    let theirs = Capabilities {
        ensemble: Some("theirs".to_owned()),
        features: 1,
    };
    theirs.encode(&mut extension);
    let mut foreign = looking(3, 1);
    foreign.extension = extension.into();
    assert_eq!(after(&mut zab, hear(3, foreign)), []);
    let apache = after(&mut zab, hear(3, looking(3, 1)));
    assert_eq!(votes(&apache), [(2, 3, 1), (3, 3, 1)]);
}

#[test]
fn a_newer_configuration_is_learnt_from_a_vote() {
    let mut zab = member(1);
    let mut newer = config(&[1, 2, 3, 4, 5], &[]);
    newer.version = z(1, 2).0;
    let mut told = looking(3, 1);
    told.config = Bytes::from(newer.to_string());
    let effects = after(&mut zab, hear(3, told.clone()));
    assert_eq!(effects[0], Effect::ConfigCommitted(newer));
    assert_eq!(zab.status().quorum_size, 3);
    // One in which this member has no part is believed, and not stored.
    let mut without = config(&[3, 4, 5], &[]);
    without.version = z(1, 3).0;
    told.config = Bytes::from(without.to_string());
    let effects = after(&mut zab, hear(3, told));
    assert!(
        !effects
            .iter()
            .any(|e| matches!(e, Effect::ConfigCommitted(_)))
    );
    assert_eq!(zab.status().quorum_size, 2);
}

#[test]
fn a_single_voter_elects_itself_and_leads_when_its_disk_has_the_epoch() {
    let mut zab = member_with(1, |_, boot| boot.config = config(&[1], &[]));
    assert_eq!(zab.status().peer_state(), "leading - synchronization");
    after(&mut zab, Input::Synced { mark: 1 });
    assert_eq!(zab.next_zxid(), Some(z(2, 1)));
}
