//! The AdminServer's commands: their names, and what they answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use axum::http::StatusCode;
use member::{Role, SessionDeadlines};
use tokio::sync::oneshot;
use wire::config::MemberKind;

use super::json::{Fields, Json, field};
use super::{ensemble, gauges, listings, monitor, texts};
use crate::inbox::Work;
use crate::shared::{Serving, Shared};

/// A command.
pub(super) struct Command {
    /// Its names, the first of which it calls itself.
    pub(super) names: &'static [&'static str],
    /// Whether it is answered only while clients are served.
    needs_server: bool,
    pub(super) does: Does,
}

/// What a command does.
#[derive(Clone, Copy)]
pub(super) enum Does {
    /// Answers with fields.
    Tell(fn(&Shared) -> Fields),
    /// The same, with when sessions end.
    TellSessions(fn(&Shared, &SessionDeadlines) -> Fields),
    /// Sets the trace mask.
    SetMask,
    /// Writes a snapshot.
    Snapshot,
    /// Takes a snapshot for the state.
    Restore,
}

const fn tell(names: &'static [&'static str], fields: fn(&Shared) -> Fields) -> Command {
    Command {
        names,
        needs_server: true,
        does: Does::Tell(fields),
    }
}

const fn always(names: &'static [&'static str], fields: fn(&Shared) -> Fields) -> Command {
    Command {
        names,
        needs_server: false,
        does: Does::Tell(fields),
    }
}

const fn does(names: &'static [&'static str], needs_server: bool, does: Does) -> Command {
    Command {
        names,
        needs_server,
        does,
    }
}

/// In the order of the index.
pub(super) const COMMANDS: &[Command] = &[
    tell(&["configuration", "conf", "config"], configuration),
    tell(&["connection_stat_reset", "crst"], |shared| {
        listings::crst(shared);
        Fields::new()
    }),
    tell(&["connections", "cons"], |shared| {
        listings::connection_fields(shared, listings::Detail::Full)
    }),
    tell(&["dirs"], |shared| {
        let (data, log) = texts::folders(shared);
        vec![
            field("datadir_size", texts::size(Path::new(&data))),
            field("logdir_size", texts::size(Path::new(&log))),
        ]
    }),
    does(&["dump"], true, Does::TellSessions(dump)),
    always(&["environment", "env", "envi"], |shared| {
        let rows = texts::environment(shared).into_iter();
        rows.map(|(name, value)| field(name, value)).collect()
    }),
    always(&["get_trace_mask", "gtmk"], |shared| {
        vec![field("tracemask", shared.trace_mask.load(Relaxed))]
    }),
    tell(&["hash"], |shared| {
        let digests = shared.digests.lock();
        let one = |(zxid, digest): (wire::Zxid, u64)| {
            vec![
                field("zxid", zxid.0),
                field("digest", digest),
                field("digest_version", 2_i64),
            ]
        };
        let digests: Vec<Fields> = digests.known().map(one).collect();
        vec![field("digests", digests)]
    }),
    tell(&["initial_configuration", "icfg"], |shared| {
        let given = shared.config.given.iter();
        let lines = given.map(|given| format!("{}={}\n", given.key, given.shown()));
        vec![field("initial_configuration", lines.collect::<String>())]
    }),
    tell(&["is_read_only", "isro"], |shared| {
        vec![field("read_only", texts::is_read_only(shared))]
    }),
    tell(&["last_snapshot", "lsnp"], ensemble::last_snapshot),
    tell(&["leader", "lead"], ensemble::leader),
    always(&["monitor", "mntr"], |shared| {
        monitor::values(shared).into_iter().map(number).collect()
    }),
    // No observers are served by followers here, and a leader counts nothing for each.
    tell(&["observer_connection_stat_reset", "orst"], |_| {
        Fields::new()
    }),
    tell(&["observers", "obsr"], ensemble::observers),
    does(&["restore", "rest"], true, Does::Restore),
    tell(&["ruok"], |_| Fields::new()),
    tell(&["server_stats", "srvr"], server_stats),
    does(&["set_trace_mask", "stmk"], false, Does::SetMask),
    does(&["snapshot", "snap"], true, Does::Snapshot),
    tell(&["stat_reset", "srst"], |shared| {
        texts::srst(shared);
        Fields::new()
    }),
    tell(&["stats", "stat"], |shared| {
        let mut fields = server_stats(shared);
        fields.append(&mut listings::connection_fields(
            shared,
            listings::Detail::Brief,
        ));
        fields
    }),
    always(&["system_properties", "sysp"], system_properties),
    tell(&["voting_view"], ensemble::voting_view),
    tell(&["watch_summary", "wchs"], |shared| {
        let watches = shared.watches.lock();
        vec![
            field("num_connections", watches.watcher_count()),
            field("num_paths", watches.path_count()),
            field("num_total_watches", watches.len()),
        ]
    }),
    tell(&["watches", "wchc"], |shared| {
        let by_session = listings::watches_by_session(shared);
        let one =
            |(session, paths): (wire::SessionId, Vec<String>)| field(&session.0.to_string(), paths);
        let by_session: Fields = by_session.into_iter().map(one).collect();
        vec![field("session_id_to_watched_paths", by_session)]
    }),
    tell(&["watches_by_path", "wchp"], |shared| {
        let by_path = listings::watches_by_path(shared);
        let one = |(path, sessions): (String, Vec<wire::SessionId>)| {
            let sessions: Vec<i64> = sessions.iter().map(|session| session.0).collect();
            field(&path, sessions)
        };
        let by_path: Fields = by_path.into_iter().map(one).collect();
        vec![field("path_to_session_ids", by_path)]
    }),
    always(&["zabstate"], ensemble::zab_state),
];

/// The command of this name.
pub(super) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS
        .iter()
        .find(|command| command.names.contains(&name))
}

/// What a command answers: its fields, or why it does not.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The name that it calls itself, or the one that was asked for.
    pub(super) name: String,
    pub(super) fields: Fields,
    pub(super) error: Option<String>,
}

impl Answer {
    /// An answer without fields.
    pub(super) fn new(name: &str, status: StatusCode, error: Option<&str>) -> Self {
        Self {
            status,
            name: name.to_owned(),
            fields: Fields::new(),
            error: error.map(ToOwned::to_owned),
        }
    }

    /// As Apache prints it: a command that says what is wrong itself says it first.
    pub(super) fn text(self) -> String {
        let mut fields = self.fields;
        let has_error = fields.iter().any(|(name, _)| name == "error");
        fields.push(field("command", self.name));
        if !has_error {
            let error = self.error.map_or(Json::Null, Json::Text);
            fields.push(field("error", error));
        }
        format!("{}\n", Json::Object(fields))
    }
}

impl Command {
    /// Why it cannot be answered now.
    pub(super) fn refusal(&self, shared: Option<&Shared>) -> Option<Answer> {
        let is_serving = shared
            .is_some_and(|shared| matches!(shared.serving(), Serving::Yes | Serving::ReadOnly));
        let why = "This ZooKeeper instance is not currently serving requests";
        let is_refused = shared.is_none() || self.needs_server && !is_serving;
        is_refused.then(|| Answer::new(self.names[0], StatusCode::OK, Some(why)))
    }

    /// Whether only who may do everything to the root may run it.
    pub(super) const fn is_restricted(&self) -> bool {
        matches!(self.does, Does::Snapshot | Does::Restore)
    }

    /// Runs one that only tells.
    pub(super) async fn tell(
        &self,
        shared: &Shared,
        arguments: &BTreeMap<String, String>,
    ) -> Answer {
        let mut answer = Answer::new(self.names[0], StatusCode::OK, None);
        answer.fields = match self.does {
            Does::Tell(fields) => fields(shared),
            Does::TellSessions(fields) => {
                let (sender, receiver) = oneshot::channel();
                // Who asked may have gone.
                let tell = move |deadlines| drop(sender.send(deadlines));
                shared.inbox.push(Work::Deadlines(Box::new(tell)), 0);
                let deadlines = receiver.await.unwrap_or_default();
                fields(shared, &deadlines)
            }
            Does::SetMask => set_mask(shared, arguments),
            Does::Snapshot | Does::Restore => Fields::new(),
        };
        answer
    }
}

fn set_mask(shared: &Shared, arguments: &BTreeMap<String, String>) -> Fields {
    let wants = "setTraceMask requires long traceMask argument";
    match arguments.get("traceMask").map(|text| (text, text.parse())) {
        None => vec![field("error", wants)],
        Some((text, Err(_))) => vec![field("error", format!("{wants}, got {text}"))],
        Some((_, Ok(mask))) => {
            shared.trace_mask.store(mask, Relaxed);
            vec![field("tracemask", mask)]
        }
    }
}

fn configuration(shared: &Shared) -> Fields {
    let config = &shared.config;
    let (data, log) = texts::folders(shared);
    vec![
        field("client_port", i64::from(config.client.port)),
        field("data_dir", data),
        field("data_log_dir", log),
        field("tick_time", config.tick_time),
        field("max_client_cnxns", config.limits.connections_per_address),
        field("min_session_timeout", i64::from(config.session_timeouts.0)),
        field("max_session_timeout", i64::from(config.session_timeouts.1)),
        field("server_id", config.id.0),
        field(
            "client_port_listen_backlog",
            config.limits.backlog.map_or(-1, i64::from),
        ),
    ]
}

/// Only a leader tells when sessions end, those of its own among them.
fn dump(shared: &Shared, deadlines: &SessionDeadlines) -> Fields {
    let global = deadlines.global.as_ref();
    let local = deadlines.local.as_ref().filter(|_| global.is_some());
    let sets = global.into_iter().chain(local).flatten();
    let sets = sets.map(|(at, sessions)| {
        let sessions: Vec<i64> = sessions.iter().map(|session| session.0).collect();
        field(&at.0.to_string(), sessions)
    });
    let tree = shared.tree.read();
    let owners = tree.ephemeral_owners().map(|owner| {
        let paths: Vec<String> = tree.ephemerals(owner).collect();
        field(&owner.0.to_string(), paths)
    });
    vec![
        field("expiry_time_to_session_ids", sets.collect::<Fields>()),
        field("session_id_to_ephemeral_paths", owners.collect::<Fields>()),
    ]
}

fn sizes([last, least, greatest]: [i64; 3]) -> Fields {
    vec![
        field("last_buffer_size", last),
        field("min_buffer_size", least),
        field("max_buffer_size", greatest),
    ]
}

fn server_stats(shared: &Shared) -> Fields {
    let metrics = &shared.metrics;
    let (least, mean, greatest) = metrics.latency.summary();
    let responses = metrics.responses.read();
    let (data, log) = texts::folders(shared);
    let slow_syncs = metrics.slow_syncs.load(Relaxed);
    let stats = vec![
        field("packets_sent", metrics.packets_sent.get()),
        field("packets_received", metrics.packets_received.get()),
        field("fsync_threshold_exceed_count", slow_syncs),
        field("client_response_stats", sizes(responses)),
        field("provider_null", false),
        field("server_state", texts::mode(shared)),
        field("outstanding_requests", gauges::outstanding(shared)),
        field("min_latency", least),
        field("avg_latency", gauges::rounded(mean)),
        field("max_latency", greatest),
        field("data_dir_size", texts::size(Path::new(&data))),
        field("log_dir_size", texts::size(Path::new(&log))),
        field("last_processed_zxid", shared.applied().0),
        field(
            "num_alive_client_connections",
            shared.connections.lock().len(),
        ),
        field("uptime", shared.clock.millis()),
        field("auth_failed_count", metrics.auth_failed_count.get()),
        field("non_mtlsremote_conn_count", 0_i64),
        field("non_mtlslocal_conn_count", 0_i64),
    ];
    let mut fields = vec![
        field("version", texts::VERSION.clone()),
        field("read_only", texts::is_read_only(shared)),
        field("server_stats", stats),
        field("client_response", sizes(responses)),
    ];
    let status = *shared.status.read();
    let is_leader = status.is_some_and(|status| matches!(status.role, Role::Leading { .. }));
    if is_leader && !shared.config.standalone {
        let proposals = status.and_then(|status| status.zab.proposal_sizes);
        let proposals = proposals.map_or([-1; 3], |sizes| {
            [sizes.last, sizes.min, sizes.max].map(|size| size as i64)
        });
        fields.push(field("proposal_stats", sizes(proposals)));
    }
    fields.push(field("node_count", shared.tree.read().znode_count()));
    fields
}

/// What Java tells of a machine, as far as it has a meaning.
const PLATFORM: [&str; 3] = ["os.name", "os.arch", "os.version"];

/// What Apache would be told by its Java machine: what was set, and where this runs.
fn system_properties(shared: &Shared) -> Fields {
    let mut properties: BTreeMap<String, String> = texts::environment(shared)
        .into_iter()
        .filter(|(name, _)| name.starts_with("user.") || PLATFORM.contains(name))
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    for given in &shared.config.given {
        let name = format!("zookeeper.{}", given.key);
        properties.insert(name, given.shown().to_owned());
    }
    let properties = properties.into_iter();
    properties
        .map(|(name, value)| field(&name, value))
        .collect()
}

/// A line of `mntr` as a field.
fn number((name, value): (String, String)) -> (String, Json) {
    let value = match (value.parse::<i64>(), value.parse::<f64>()) {
        (Ok(whole), _) => Json::Int(whole),
        (_, Ok(number)) => Json::Float(number),
        _ => Json::Text(value),
    };
    (name, value)
}

/// Apache's word for a member that votes or does not.
pub(super) const fn learner_type(kind: MemberKind) -> &'static str {
    match kind {
        MemberKind::Participant => "participant",
        MemberKind::Observer => "observer",
    }
}
