//! Whatever peers say, a member goes on.

use bytes::Bytes;
use wire::election::{Notification, PeerState};
use wire::quorum::{Packet, packet};
use wire::{PeerId, Record, Zxid};

use super::fixture::*;
use super::world::{Random, z};
use crate::{Channel, Effect, Input, Instant, LinkId, Zab};

fn one_of<T: Clone>(random: &mut Random, choices: &[T]) -> T {
    choices[random.below(choices.len() as u64) as usize].clone()
}

fn zxid(random: &mut Random) -> Zxid {
    let epoch = one_of(random, &[0, 1, 2, 2, 3, 9, i32::MAX as u32, u32::MAX]);
    let counter = one_of(random, &[0, 1, 2, 3, 4, u32::MAX - 1, u32::MAX]);
    one_of(random, &[z(epoch, counter), z(2, 1), z(1, 3), Zxid::NONE])
}

fn strange_packet(random: &mut Random) -> Packet {
    let zxid = zxid(random);
    let kind = random.below(22) as i32;
    let data = match random.below(8) {
        0 => None,
        1 => Some(Bytes::new()),
        2 => Some(Bytes::from_static(&[0xff; 40])),
        3 => Some((random.below(4) as i32).to_bytes()),
        4 => introduction(kind, random.below(6) as i64, 2).data,
        5 => Some(config_text()),
        _ => proposal(zxid).data,
    };
    Packet {
        kind,
        zxid,
        data,
        auth: Vec::new(),
    }
}

fn strange_vote(random: &mut Random) -> Notification {
    let states = [
        PeerState::Looking,
        PeerState::Following,
        PeerState::Leading,
        PeerState::Observing,
    ];
    Notification {
        state: one_of(random, &states),
        leader: PeerId(one_of(random, &[1, 2, 3, 4, 7, -1, i64::MIN, i64::MAX])),
        zxid: zxid(random),
        round: one_of(random, &[0, 1, 2, 3, -1, i64::MIN, i64::MAX, i64::MAX / 2]),
        epoch: one_of(random, &[0, 1, 2, -1, i64::MIN, i64::MAX]),
        config: one_of(
            random,
            &[
                Bytes::new(),
                config_text(),
                Bytes::from_static(b"version=ffffffffffffffff"),
                Bytes::from_static(b"server.9=a:1:2:participant\nversion=200000000"),
                Bytes::from_static(&[0xff, 0xfe]),
            ],
        ),
        extension: one_of(random, &[Bytes::new(), Bytes::from_static(b"FKC1\0\x01")]),
    }
}

fn strange_input(random: &mut Random, links: &[LinkId]) -> Input {
    let link = one_of(random, links);
    match random.below(12) {
        0 => Input::LinkAccepted { link },
        1 => Input::LinkClosed { link },
        2 => Input::LinkDialed { link },
        3 => Input::Channel {
            peer: PeerId(random.below(6) as i64),
            state: one_of(random, &[Channel::Open, Channel::Closed, Channel::Refused]),
        },
        4..6 => hear(random.below(6) as i64, strange_vote(random)),
        6 => Input::LogRead {
            link,
            entries: one_of(random, &[None, Some(entries(&[z(1, 2), z(9, 9)]))]),
        },
        _ => {
            let count = 1 + random.below(3);
            let strange = (0..count).map(|_| strange_packet(random)).collect();
            packets(link, strange)
        }
    }
}

/// Carries out what the member asks of its disk, as a disk does.
fn obey(zab: &mut Zab, now: Instant, links: &mut Vec<LinkId>) {
    while let Some(effect) = zab.poll_effect() {
        let done = match effect {
            Effect::Append { mark, .. } => Input::Synced { mark },
            Effect::Truncate { to } => Input::Truncated {
                last: zab.last_logged().min(to),
            },
            Effect::InstallSnapshot { link, zxid } => Input::SnapshotInstalled { link, zxid },
            Effect::Dial { link, .. } => {
                links.push(link);
                Input::LinkDialed { link }
            }
            _ => continue,
        };
        zab.handle(now, done);
    }
}

#[test]
fn no_message_makes_a_member_panic() {
    let states: [fn() -> Zab; 6] = [
        || member(1),
        promised,
        follower,
        || elected_with(|_, _| {}),
        leader,
        || member_with(4, |_, _| {}),
    ];
    for seed in 0..2000 {
        let run = std::panic::catch_unwind(|| {
            let mut random = Random(seed);
            let mut zab = one_of(&mut random, &states)();
            let mut links = vec![UP, FIRST, SECOND, OBSERVER, LinkId(40)];
            let mut now = Instant(0);
            for _ in 0..60 {
                let input = strange_input(&mut random, &links);
                zab.handle(now, input);
                obey(&mut zab, now, &mut links);
                if random.below(4) == 0 {
                    now = now.max(zab.deadline());
                    zab.handle(now, Input::Tick);
                    obey(&mut zab, now, &mut links);
                }
                if let Some(next) = zab.next_zxid() {
                    zab.propose(now, entries(&[next]));
                    obey(&mut zab, now, &mut links);
                }
            }
        });
        assert!(run.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_leaders_nonsense_is_answered_by_leaving_it() {
    let nothing: Option<Bytes> = None;
    for (kind, zxid, data, why) in [
        (
            packet::COMMIT,
            z(2, 1),
            nothing.clone(),
            "a commit of what was not proposed",
        ),
        (
            packet::PROPOSAL,
            z(2, 1),
            nothing.clone(),
            "a proposal without a transaction",
        ),
        (
            packet::PROPOSAL,
            z(2, 1),
            Some(Bytes::from_static(b"?")),
            "a transaction that cannot be read",
        ),
        (
            packet::PROPOSAL,
            z(2, 1),
            proposal(z(2, 2)).data,
            "a proposal names another zxid than its transaction",
        ),
        (
            packet::NEW_LEADER,
            z(2, 0),
            nothing.clone(),
            "the leader repeats itself",
        ),
        (
            packet::COMMIT_AND_ACTIVATE,
            z(1, 2),
            nothing,
            "an activation without a leader",
        ),
    ] {
        let mut zab = follower();
        let packet = Packet {
            kind,
            zxid,
            data,
            auth: Vec::new(),
        };
        let effects = after(&mut zab, packets(UP, vec![packet]));
        let close = Effect::Close {
            link: UP,
            reason: why,
        };
        assert!(effects.contains(&close), "{why}: {effects:?}");
    }
}
