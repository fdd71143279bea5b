//! The AdminServer's answers, by the keys that a genuine one gives.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use member::SessionDeadlines;
use serde_json::Value;
use tree::{WatchKind, Watcher};
use wire::SessionId;

use super::super::commands::{COMMANDS, find};
use super::{ALONE, QUORUM, World};
use crate::inbox::Work;
use crate::shared::Serving;

impl World {
    fn run(&self, name: &str, arguments: &[(&str, &str)]) -> Value {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let arguments: BTreeMap<String, String> = arguments.iter().map(owned).collect();
        let command = find(name).unwrap();
        if let Some(refusal) = command.refusal(Some(&self.shared)) {
            assert_eq!(refusal.status, StatusCode::OK);
            return serde_json::from_str(&refusal.text()).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let answer = runtime.block_on(async {
            let answer = command.tell(&self.shared, &arguments);
            let (answer, ()) = tokio::join!(answer, async { self.tell_deadlines() });
            answer
        });
        serde_json::from_str(&answer.text()).unwrap()
    }

    /// Answers as a leader's thread does.
    fn tell_deadlines(&self) {
        let mut work = Vec::new();
        self.shared.inbox.take(&mut work, std::time::Instant::now());
        for work in work {
            if let Work::Deadlines(tell) = work {
                tell(SessionDeadlines {
                    global: Some(vec![(member::Instant(1500), vec![SessionId(7)])]),
                    local: None,
                });
            }
        }
    }
}

/// The keys of an object, those of objects in it behind a point; `N` for a number.
fn keys(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| match key.parse::<u64>() {
                Ok(_) => ("N".to_owned(), value),
                Err(_) => (key.clone(), value),
            })
            .collect(),
        Value::Array(values) => values.iter().map(|value| (String::new(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in inner {
        if !key.is_empty() {
            found.push(key.clone());
        }
        let prefix = if key.is_empty() {
            key
        } else {
            format!("{key}.")
        };
        found.extend(keys(value).iter().map(|inner| format!("{prefix}{inner}")));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Of Apache 3.9.5's leader, one client with a watch and an ephemeral.
const KEYS: &[(&str, &str)] = &[
    ("connection_stat_reset", ""),
    (
        "configuration",
        "client_port client_port_listen_backlog data_dir data_log_dir max_client_cnxns \
         max_session_timeout min_session_timeout server_id tick_time",
    ),
    (
        "connections",
        "connections connections.avg_latency connections.established connections.interest_ops \
         connections.last_cxid connections.last_latency connections.last_operation \
         connections.last_response_time connections.last_zxid connections.max_latency \
         connections.min_latency connections.outstanding_requests connections.packets_received \
         connections.packets_sent connections.remote_socket_address connections.session_id \
         connections.session_timeout secure_connections",
    ),
    ("dirs", "datadir_size logdir_size"),
    (
        "dump",
        "expiry_time_to_session_ids expiry_time_to_session_ids.N session_id_to_ephemeral_paths",
    ),
    ("hash", "digests"),
    ("get_trace_mask", "tracemask"),
    ("initial_configuration", "initial_configuration"),
    ("is_read_only", "read_only"),
    ("last_snapshot", "timestamp zxid"),
    ("leader", "is_leader leader_id leader_ip"),
    ("observer_connection_stat_reset", ""),
    ("ruok", ""),
    (
        "server_stats",
        "client_response client_response.last_buffer_size client_response.max_buffer_size \
         client_response.min_buffer_size node_count proposal_stats \
         proposal_stats.last_buffer_size proposal_stats.max_buffer_size \
         proposal_stats.min_buffer_size read_only server_stats server_stats.auth_failed_count \
         server_stats.avg_latency server_stats.client_response_stats \
         server_stats.client_response_stats.last_buffer_size \
         server_stats.client_response_stats.max_buffer_size \
         server_stats.client_response_stats.min_buffer_size server_stats.data_dir_size \
         server_stats.fsync_threshold_exceed_count server_stats.last_processed_zxid \
         server_stats.log_dir_size server_stats.max_latency server_stats.min_latency \
         server_stats.non_mtlslocal_conn_count server_stats.non_mtlsremote_conn_count \
         server_stats.num_alive_client_connections server_stats.outstanding_requests \
         server_stats.packets_received server_stats.packets_sent server_stats.provider_null \
         server_stats.server_state server_stats.uptime version",
    ),
    ("stat_reset", ""),
    ("observers", "observers synced_observers"),
    (
        "voting_view",
        "current_config current_config.N current_config.N.client_address \
         current_config.N.election_addresses current_config.N.learner_type \
         current_config.N.server_addresses",
    ),
    (
        "watches",
        "session_id_to_watched_paths session_id_to_watched_paths.N",
    ),
    (
        "watches_by_path",
        "path_to_session_ids path_to_session_ids./e9",
    ),
    (
        "watch_summary",
        "num_connections num_paths num_total_watches",
    ),
    (
        "zabstate",
        "client_address election_address election_address.all_addresses \
         election_address.all_host_strings election_address.all_ports \
         election_address.all_reachable_addresses \
         election_address.all_reachable_addresses_or_all election_address.empty \
         election_address.one election_address.reachable_address \
         election_address.reachable_or_one election_address.wildcard_addresses is_leader \
         last_zxid myid quorum_address quorum_address.all_addresses \
         quorum_address.all_host_strings quorum_address.all_ports \
         quorum_address.all_reachable_addresses quorum_address.all_reachable_addresses_or_all \
         quorum_address.empty quorum_address.one quorum_address.reachable_address \
         quorum_address.reachable_or_one quorum_address.wildcard_addresses voting zab_counter \
         zab_epoch zabstate",
    ),
];

#[test]
fn each_command_has_apaches_keys() {
    let world = World::new(QUORUM);
    world.become_leader();
    let client = world.connect(10, "127.0.0.1:59254");
    client.counters.connected(SessionId(7), 10_000);
    let mut watches = world.shared.watches.lock();
    watches.add("/e9", WatchKind::Data, Watcher(10));
    drop(watches);
    for (name, expected) in KEYS {
        let answer = world.run(name, &[]);
        assert_eq!(answer["command"], *name);
        assert_eq!(answer["error"], Value::Null, "{name}");
        let found = keys(&answer);
        let found: Vec<_> = found
            .iter()
            .filter(|key| *key != "command" && *key != "error")
            .collect();
        let expected: Vec<_> = expected.split_whitespace().collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn values_are_those_of_the_member() {
    let world = World::new(QUORUM);
    world.become_leader();
    let leader = world.run("lead", &[]);
    assert_eq!(
        leader,
        serde_json::json!({
            "is_leader": true, "leader_id": 2, "leader_ip": "127.0.0.1",
            "command": "leader", "error": null,
        })
    );
    let state = world.run("zabstate", &[]);
    assert_eq!(state["quorum_address"]["one"], "127.0.0.1:32882");
    assert_eq!(
        [
            &state["last_zxid"],
            &state["zabstate"],
            &state["zab_counter"]
        ],
        [
            &Value::from("0x200000003"),
            &Value::from("broadcast"),
            &Value::from(3)
        ]
    );
    let monitored = world.run("mntr", &[]);
    assert_eq!(monitored["quorum_size"], 3);
    assert_eq!(monitored["avg_latency"], 0.0);
    assert_eq!(monitored["server_state"], "leader");
    let config = world.run("icfg", &[]);
    let text = config["initial_configuration"].as_str().unwrap();
    assert!(text.contains("tickTime=500\n"), "{text}");
}

#[test]
fn a_standalone_server_has_no_ensemble() {
    let world = World::new(ALONE);
    let leader = world.run("leader", &[]);
    assert_eq!(leader["error"], "server is not initialized");
    let state = world.run("zabstate", &[]);
    assert_eq!(
        (&state["voting"], &state["zabstate"]),
        (&Value::from(false), &Value::from(""))
    );
}

#[test]
fn the_trace_mask_wants_a_number() {
    let world = World::new(ALONE);
    let wants = "setTraceMask requires long traceMask argument";
    assert_eq!(world.run("stmk", &[])["error"], wants);
    let answer = world.run("stmk", &[("traceMask", "zz")]);
    assert_eq!(answer["error"], format!("{wants}, got zz"));
    assert_eq!(world.run("stmk", &[("traceMask", "12")])["tracemask"], 12);
    assert_eq!(world.run("gtmk", &[])["tracemask"], 12);
}

#[test]
fn who_does_not_serve_says_so_with_apaches_words() {
    let world = World::new(QUORUM);
    world.shared.set_serving(Serving::No);
    let answer = world.run("srvr", &[]);
    let refusal = "This ZooKeeper instance is not currently serving requests";
    assert_eq!(answer["error"], refusal);
    assert_eq!(world.run("envi", &[])["error"], Value::Null);
}

#[test]
fn every_name_of_apaches_leads_to_one_command() {
    let names: Vec<&str> = COMMANDS
        .iter()
        .flat_map(|command| command.names)
        .copied()
        .collect();
    let apaches = "configuration conf config connection_stat_reset crst connections cons dirs dump \
        environment env envi get_trace_mask gtmk hash initial_configuration icfg is_read_only \
        isro last_snapshot lsnp leader lead monitor mntr observer_connection_stat_reset orst \
        observers obsr restore rest ruok server_stats srvr set_trace_mask stmk snapshot snap \
        stat_reset srst stats stat system_properties sysp voting_view watch_summary wchs watches \
        wchc watches_by_path wchp zabstate";
    assert_eq!(names, apaches.split_whitespace().collect::<Vec<_>>());
}
