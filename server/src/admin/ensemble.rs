//! What the AdminServer tells of a member among the others.

use std::path::Path;

use member::Role;
use txnlog::{Paths, RealDisk, list_snapshots};
use wire::config::{Member, PeerAddress};

use super::commands::learner_type;
use super::json::{Fields, Json, field};
use super::texts;
use crate::shared::Shared;

/// The newest snapshot on the disk.
pub(super) fn last_snapshot(shared: &Shared) -> Fields {
    let paths = Paths {
        data: shared.config.data_dir.clone(),
        log: shared.config.log_dir.clone(),
    };
    let newest = list_snapshots(&RealDisk, &paths)
        .ok()
        .and_then(|snapshots| snapshots.into_iter().next());
    let (zxid, seconds) = newest.map_or((u64::MAX, -1), |newest| {
        (newest.zxid.0, written(&newest.path))
    });
    vec![
        field("zxid", format!("{zxid:x}")),
        field("timestamp", seconds),
    ]
}

/// When a file was written, seconds since 1970.
fn written(file: &Path) -> i64 {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    let since = modified.map(|time| time.duration_since(std::time::UNIX_EPOCH));
    since.map_or(-1, |since| since.map_or(-1, |since| since.as_secs() as i64))
}

pub(super) fn leader(shared: &Shared) -> Fields {
    if shared.config.standalone {
        return vec![field("error", "server is not initialized")];
    }
    let status = *shared.status.read();
    let leader = status.and_then(|status| match status.role {
        Role::Leading { .. } => Some(shared.config.id),
        _ => status.zab.leader,
    });
    let ensemble = shared.ensemble.read().clone();
    let host = leader
        .and_then(|leader| ensemble.members.get(&leader)?.addresses.first())
        .map_or_else(String::new, |address| address.host.clone());
    vec![
        field("is_leader", leader == Some(shared.config.id)),
        field("leader_id", leader.map_or(-1, |leader| leader.0)),
        field("leader_ip", host),
    ]
}

pub(super) fn observers(shared: &Shared) -> Fields {
    let status = *shared.status.read();
    let count = status.map_or(0, |status| status.zab.synced_observers);
    let ensemble = shared.ensemble.read().clone();
    let synced = shared.synced.read().clone();
    let observers = synced.iter().filter_map(|id| {
        let member = ensemble.members.get(id)?;
        if learner_type(member.kind) != "observer" {
            return None;
        }
        let host = member
            .addresses
            .first()
            .map_or("", |address| &*address.host);
        Some(vec![field("sid", id.0), field("host", host)])
    });
    vec![
        field("synced_observers", count),
        field("observers", observers.collect::<Vec<Fields>>()),
    ]
}

pub(super) fn voting_view(shared: &Shared) -> Fields {
    let ensemble = shared.ensemble.read().clone();
    let voters = ensemble.voters().filter_map(|id| {
        let member = ensemble.members.get(&id)?;
        Some(field(&id.to_string(), view(member)))
    });
    vec![field("current_config", voters.collect::<Fields>())]
}

fn view(member: &Member) -> Fields {
    let client = member.client.as_ref();
    vec![
        field(
            "server_addresses",
            all(member, |address| address.quorum_port),
        ),
        field(
            "election_addresses",
            all(member, |address| address.election_port),
        ),
        field(
            "client_address",
            client.map_or_else(String::new, ToString::to_string),
        ),
        field("learner_type", learner_type(member.kind)),
    ]
}

fn all(member: &Member, port: fn(&PeerAddress) -> u16) -> Vec<String> {
    let addresses = member.addresses.iter();
    let one = |address: &PeerAddress| format!("{}:{}", address.host, port(address));
    addresses.map(one).collect()
}

pub(super) fn zab_state(shared: &Shared) -> Fields {
    let status = *shared.status.read();
    let id = shared.config.id;
    let ensemble = shared.ensemble.read().clone();
    let own = ensemble.members.get(&id);
    let (Some(status), Some(own), false) = (status, own, shared.config.standalone) else {
        return vec![field("voting", false), field("zabstate", "")];
    };
    let last = shared.applied();
    let client = own
        .client
        .as_ref()
        .map_or_else(|| shared.config.client.to_string(), ToString::to_string);
    vec![
        field("myid", id.0),
        field("is_leader", texts::mode(shared) == "leader"),
        field(
            "quorum_address",
            addresses(own, |address| address.quorum_port),
        ),
        field(
            "election_address",
            addresses(own, |address| address.election_port),
        ),
        field("client_address", client),
        field("voting", learner_type(own.kind) == "participant"),
        field("last_zxid", last.to_string()),
        field("zab_epoch", i64::from(last.epoch().0)),
        field("zab_counter", i64::from(last.0 as u32)),
        field("zabstate", status.zab.phase.name()),
    ]
}

/// As Apache shows an address that may be several.
fn addresses(member: &Member, port: fn(&PeerAddress) -> u16) -> Fields {
    let all = all(member, port);
    let first = all.first().cloned().unwrap_or_default();
    let addresses = member.addresses.iter();
    let ports: Vec<i64> = addresses.clone().map(|a| i64::from(port(a))).collect();
    let wildcards: Vec<String> = ports.iter().map(|port| format!("0.0.0.0:{port}")).collect();
    let hosts: Vec<String> = addresses.map(|address| address.host.clone()).collect();
    vec![
        field("empty", all.is_empty()),
        field("all_addresses", all.clone()),
        field("wildcard_addresses", wildcards),
        field("all_ports", Json::from(ports)),
        field("all_host_strings", hosts),
        field("reachable_address", first.clone()),
        field("all_reachable_addresses", all.clone()),
        field("all_reachable_addresses_or_all", all),
        field("reachable_or_one", first.clone()),
        field("one", first),
    ]
}
