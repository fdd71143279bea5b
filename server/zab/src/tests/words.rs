//! Effects in words, for transcripts.

use wire::Zxid;
use wire::election::PeerState;
use wire::quorum::{Packet, decode_ack_epoch, packet};
use wire::txn::Entry;

use crate::{Effect, LinkId, Role};

/// What a member does, one line for each thing.
pub(crate) fn effect(
    id: i64,
    effect: &Effect,
    other: impl Fn(LinkId) -> Option<i64>,
) -> Vec<String> {
    let to = |link: &LinkId| other(*link).map_or_else(|| "?".to_owned(), |id| id.to_string());
    match effect {
        Effect::SendVote { to, notification } => {
            let vote = format!(
                "{} for {} (epoch {}, zxid {}) in round {}",
                state(notification.state),
                notification.leader,
                notification.epoch,
                notification.zxid,
                notification.round,
            );
            vec![format!("{id} -> {to} {vote}")]
        }
        Effect::Dial { peer, .. } => vec![format!("{id} dials {peer}")],
        Effect::Close { link, reason } => vec![format!("{id} -> {} closes: {reason}", to(link))],
        Effect::Send { link, packets } => {
            let line = |p: &Packet| format!("{id} -> {} {}", to(link), packet_words(p));
            packets.iter().map(line).collect()
        }
        Effect::SendWhenSynced { link, packets } => {
            let line = |p: &Packet| format!("{id} -> {} once synced {}", to(link), packet_words(p));
            packets.iter().map(line).collect()
        }
        Effect::StreamSnapshot { link, zxid } => vec![format!("{id} -> {} SNAP {zxid}", to(link))],
        Effect::ReadLog { after, through, .. } => {
            vec![format!(
                "{id} reads its log after {after} through {through}"
            )]
        }
        Effect::Append { entries, .. } if entries.is_empty() => vec![format!("{id} syncs")],
        Effect::Append { entries, .. } => vec![format!("{id} appends {}", zxids(entries))],
        Effect::StoreAcceptedEpoch(epoch) => vec![format!("{id} stores acceptedEpoch {epoch}")],
        Effect::StoreCurrentEpoch(epoch) => vec![format!("{id} stores currentEpoch {epoch}")],
        Effect::Truncate { to } => vec![format!("{id} cuts its log behind {to}")],
        Effect::InstallSnapshot { zxid, .. } => vec![format!("{id} installs the snapshot {zxid}")],
        Effect::Deliver(entries) => vec![format!("{id} delivers {}", zxids(entries))],
        Effect::Role(role) => vec![format!("{id} is {}", role_words(*role))],
        Effect::ConfigCommitted(config) => {
            let version = Zxid(config.version);
            vec![format!("{id} has configuration {version} in force")]
        }
        Effect::FromLearner { peer, packet, .. } => {
            vec![format!("{id} hears {} of {peer}", packet_words(packet))]
        }
        Effect::FromLeader { packet, .. } => vec![format!("{id} hears {}", packet_words(packet))],
    }
}

fn state(state: PeerState) -> &'static str {
    match state {
        PeerState::Looking => "LOOKING",
        PeerState::Following => "FOLLOWING",
        PeerState::Leading => "LEADING",
        PeerState::Observing => "OBSERVING",
    }
}

fn role_words(role: Role) -> String {
    match role {
        Role::Looking => "LOOKING".to_owned(),
        Role::Following { leader, epoch, .. } => format!("FOLLOWING {leader} in epoch {epoch}"),
        Role::Observing { leader, epoch, .. } => format!("OBSERVING {leader} in epoch {epoch}"),
        Role::Leading { epoch, last } => format!("LEADING in epoch {epoch} from {last}"),
    }
}

fn zxids(entries: &[std::sync::Arc<Entry>]) -> String {
    let names: Vec<_> = entries.iter().map(|e| e.zxid().to_string()).collect();
    names.join(" ")
}

fn packet_words(p: &Packet) -> String {
    let zxid = p.zxid;
    match p.kind {
        packet::PROPOSAL => format!("PROPOSAL {zxid}"),
        packet::ACK => format!("ACK {zxid}"),
        packet::COMMIT => format!("COMMIT {zxid}"),
        packet::PING => format!("PING {zxid}"),
        packet::INFORM => format!("INFORM {zxid}"),
        packet::NEW_LEADER => format!("NEWLEADER {zxid}"),
        packet::FOLLOWER_INFO => format!("FOLLOWERINFO {zxid}"),
        packet::OBSERVER_INFO => format!("OBSERVERINFO {zxid}"),
        packet::UP_TO_DATE => "UPTODATE".to_owned(),
        packet::DIFF => format!("DIFF {zxid}"),
        packet::TRUNC => format!("TRUNC {zxid}"),
        packet::LEADER_INFO => format!("LEADERINFO {zxid}"),
        packet::ACK_EPOCH => match decode_ack_epoch(p) {
            Ok(Some(epoch)) => format!("ACKEPOCH {zxid}, epoch {epoch}"),
            Ok(None) => format!("ACKEPOCH {zxid}, not to be counted"),
            Err(error) => format!("ACKEPOCH {zxid}: {error}"),
        },
        other => format!("packet {other} {zxid}"),
    }
}
