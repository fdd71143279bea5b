//! Bytes of a genuine Apache ZooKeeper 3.9.5, see zookeeper-golden-bytes.md.

use wire::config::EnsembleConfig;
use wire::election::Notification;
use wire::quorum::{Packet, packet};
use wire::{Epoch, Record};

use super::fixture::*;
use super::world::settings;
use crate::{Boot, Effect, Input, Instant, Zab};

const CONFIG: &str = "\
server.1=127.0.0.1:32881:33881:participant;127.0.0.1:31281
server.2=127.0.0.1:32882:33882:participant;127.0.0.1:31282
server.3=127.0.0.1:32883:33883:participant;127.0.0.1:31283";

/// A member of the captured ensemble at its first boot.
fn first_boot(id: i64) -> (Zab, Vec<Effect>) {
    let config: EnsembleConfig = format!("{CONFIG}\nversion=0").parse().expect("golden text");
    let boot = Boot {
        config,
        accepted: Epoch(0),
        current: Epoch(0),
        last: wire::Zxid::ZERO,
        recent: vec![],
        may_vote: true,
    };
    let mut zab = Zab::new(Instant(0), settings(id), boot);
    let effects = take(&mut zab);
    (zab, effects)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sent(effects: &[Effect], kind: i32) -> Packet {
    let all = effects.iter().flat_map(|effect| match effect {
        Effect::Send { packets, .. } | Effect::SendWhenSynced { packets, .. } => packets.clone(),
        _ => vec![],
    });
    let mut found = all.filter(|packet| packet.kind == kind);
    found.next().expect("the packet is sent")
}

#[test]
fn the_first_vote_is_apaches_with_capabilities_behind_it() {
    let (_, effects) = first_boot(2);
    let Some(Effect::SendVote { notification, .. }) = effects.first() else {
        panic!("{effects:?}");
    };
    let bytes = notification.to_bytes();
    let head = "00000000\
                0000000000000002\
                0000000000000000\
                0000000000000001\
                0000000000000000\
                00000002\
                000000ba";
    assert_eq!(hex(&bytes[..44]), head);
    assert_eq!(&bytes[44..230], format!("{CONFIG}\nversion=0").as_bytes());
    assert_eq!(&bytes[230..234], b"FKC1");
    let again = Notification::from_bytes(&bytes);
    assert_eq!(again.as_ref(), Ok(notification));
}

#[test]
fn a_learners_first_packets_are_apaches() {
    let (mut zab, _) = first_boot(1);
    let info = sent(&register(&mut zab), packet::FOLLOWER_INFO);
    let bytes = info.to_bytes();
    assert_eq!(hex(&bytes[..12]), "0000000b0000000000000000");
    let data = info.data.expect("LearnerInfo");
    assert_eq!(hex(&data[..20]), "0000000000000001000100000000000000000000");
    let effects = after(&mut zab, packets(UP, vec![leader_info(1)]));
    let promise = sent(&effects, packet::ACK_EPOCH);
    let expected = "00000012\
                    0000000000000000\
                    0000000400000000";
    assert_eq!(hex(&promise.to_bytes()[..20]), expected);
}

#[test]
fn a_leaders_first_packets_are_apaches() {
    let (mut zab, _) = first_boot(3);
    for from in [1, 2] {
        let ours = vote(
            wire::election::PeerState::Looking,
            3,
            wire::Zxid::ZERO,
            0,
            1,
        );
        after(&mut zab, hear(from, ours));
    }
    after(&mut zab, Input::LinkAccepted { link: FIRST });
    let info = introduction(packet::FOLLOWER_INFO, 1, 0);
    let effects = after(&mut zab, packets(FIRST, vec![info]));
    let leader_info = sent(&effects, packet::LEADER_INFO).to_bytes();
    let expected = "00000011\
                    0000000100000000\
                    0000000400010000";
    assert_eq!(hex(&leader_info[..20]), expected);
    let promise = ack_epoch(wire::Zxid::ZERO, Some(0));
    let effects = after(&mut zab, packets(FIRST, vec![promise]));
    assert_eq!(
        hex(&sent(&effects, packet::DIFF).to_bytes()[..12]),
        "0000000d0000000000000000",
    );
    let new_leader = sent(&effects, packet::NEW_LEADER);
    assert_eq!(
        hex(&new_leader.to_bytes()[..12]),
        "0000000a0000000100000000",
    );
    let text = format!("{CONFIG}\nversion=100000000");
    assert_eq!(new_leader.data.as_deref(), Some(text.as_bytes()));
    let effects = after(
        &mut zab,
        packets(FIRST, vec![bare(packet::ACK, Epoch(1).zxid())]),
    );
    assert_eq!(effects, []);
    let effects = after(&mut zab, Input::Synced { mark: 1 });
    assert_eq!(
        hex(&sent(&effects, packet::UP_TO_DATE).to_bytes()[..12]),
        "0000000cffffffffffffffff",
    );
}
