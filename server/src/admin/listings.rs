//! Texts of four-letter words that list connections, sessions and watches.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use jiff::Timestamp;
use member::{ClientId, Deadlines, SessionDeadlines};
use tree::Watcher;
use wire::SessionId;
use wire::client::OpCode;

use super::json::{Fields, field};
use crate::clients::mailbox::Mailbox;
use crate::clock;
use crate::shared::Shared;

/// How much of a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// As `stat`.
    Brief,
    /// As `cons`.
    Full,
}

/// A line for each connection, in the order in which they came.
pub(super) fn connections(shared: &Shared, detail: Detail) -> String {
    let mut mailboxes: Vec<_> = shared.connections.lock().values().cloned().collect();
    mailboxes.sort_by_key(|mailbox| mailbox.client.0);
    let mut out = String::new();
    for mailbox in mailboxes {
        connection(&mailbox, detail, &mut out);
    }
    out
}

/// The same for the AdminServer. Nothing is encrypted.
pub(super) fn connection_fields(shared: &Shared, detail: Detail) -> Fields {
    let mut mailboxes: Vec<_> = shared.connections.lock().values().cloned().collect();
    mailboxes.sort_by_key(|mailbox| mailbox.client.0);
    let fields = |mailbox: &Arc<Mailbox>| fields_of(mailbox, detail);
    let connections: Vec<Fields> = mailboxes.iter().map(fields).collect();
    vec![
        field("connections", connections),
        field("secure_connections", Vec::<Fields>::new()),
    ]
}

fn fields_of(mailbox: &Mailbox, detail: Detail) -> Fields {
    let counters = &mailbox.counters;
    let session = counters.session.load(Relaxed);
    let mut fields = vec![
        field("remote_socket_address", socket(mailbox.peer).to_string()),
        field("interest_ops", i64::from(session != 0)),
        field("outstanding_requests", counters.queued.load(Relaxed)),
        field("packets_received", counters.received.load(Relaxed)),
        field("packets_sent", counters.sent.load(Relaxed)),
    ];
    if detail == Detail::Full {
        let (least, mean, greatest) = counters.latency.summary();
        let zxid = match counters.last_zxid.load(Relaxed) {
            0 => -1,
            zxid => zxid as i64,
        };
        fields.extend([
            field("session_id", session),
            field("last_operation", operation(counters.last_op.load(Relaxed))),
            field("established", counters.established),
            field("session_timeout", i64::from(counters.timeout.load(Relaxed))),
            field("last_cxid", i64::from(counters.last_xid.load(Relaxed))),
            field("last_zxid", zxid),
            field("last_response_time", counters.last_response.load(Relaxed)),
            field("last_latency", counters.last_latency.load(Relaxed)),
            field("min_latency", least),
            field("avg_latency", mean as u64),
            field("max_latency", greatest),
        ]);
    }
    fields
}

fn connection(mailbox: &Mailbox, detail: Detail, out: &mut String) {
    let counters = &mailbox.counters;
    let session = counters.session.load(Relaxed);
    let _ = write!(
        out,
        " {}[{}](queued={},recved={},sent={}",
        address(mailbox.peer),
        // Apache's selector: 1 for a connection that is read, 0 for the one that asks.
        u8::from(session != 0),
        counters.queued.load(Relaxed),
        counters.received.load(Relaxed),
        counters.sent.load(Relaxed),
    );
    if detail == Detail::Full && session != 0 {
        let _ = write!(
            out,
            ",sid={},lop={},est={},to={}",
            SessionId(session),
            operation(counters.last_op.load(Relaxed)),
            counters.established,
            counters.timeout.load(Relaxed),
        );
        if let xid @ 0.. = counters.last_xid.load(Relaxed) {
            let _ = write!(out, ",lcxid={xid:#x}");
        }
        let (least, mean, greatest) = counters.latency.summary();
        let _ = write!(
            out,
            ",lzxid={:#x},lresp={},llat={},minlat={least},avglat={},maxlat={greatest}",
            counters.last_zxid.load(Relaxed),
            counters.last_response.load(Relaxed),
            counters.last_latency.load(Relaxed),
            mean as u64,
        );
    }
    out.push_str(")\n");
}

/// As Java prints an address without a name.
fn address(peer: SocketAddr) -> String {
    format!("/{}", socket(peer))
}

fn socket(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// Apache's four letters for an operation.
fn operation(code: i32) -> &'static str {
    use OpCode as O;
    match OpCode::from_code(code) {
        Some(O::Ping) => "PING",
        Some(O::CreateSession) => "SESS",
        Some(O::Multi) => "MULT",
        Some(O::MultiRead) => "MLTR",
        Some(O::Create | O::Create2 | O::CreateTtl | O::CreateContainer) => "CREA",
        Some(O::Delete | O::DeleteContainer) => "DELE",
        Some(O::SetData) => "SETD",
        Some(O::Reconfig) => "RECO",
        Some(O::SetAcl) => "SETA",
        Some(O::CloseSession) => "CLOS",
        Some(O::Sync) => "SYNC",
        Some(O::Check) => "CHEC",
        Some(O::Exists) => "EXIS",
        Some(O::GetData) => "GETD",
        Some(O::SetWatches) => "SETW",
        Some(O::SetWatches2) => "STW2",
        Some(O::AddWatch) => "ADDW",
        Some(O::GetAcl) => "GETA",
        Some(O::GetChildren | O::GetChildren2) => "GETC",
        Some(O::GetAllChildrenNumber) => "GETACN",
        Some(O::CheckWatches) => "CHKW",
        Some(O::RemoveWatches) => "REMW",
        Some(O::WhoAmI) => "HOMI",
        Some(O::GetEphemerals) => "GETE",
        Some(O::Notification | O::Auth | O::Sasl | O::Error) | None => "NA",
    }
}

pub(super) fn cons(shared: &Shared) -> String {
    connections(shared, Detail::Full) + "\n"
}

pub(super) fn crst(shared: &Shared) -> String {
    for mailbox in shared.connections.lock().values() {
        mailbox.counters.reset();
    }
    "Connection stats reset.\n".to_owned()
}

/// Sessions, who owns which ephemerals, and connections. Only a leader knows when the ensemble's
/// sessions end.
pub(super) fn dump(shared: &Shared, deadlines: &SessionDeadlines) -> String {
    let mut out = "SessionTracker dump:\n".to_owned();
    if let Some(local) = &deadlines.local {
        out.push_str("Local ");
        session_sets(shared, local, &mut out);
    }
    let tree = shared.tree.read();
    match &deadlines.global {
        Some(global) => {
            if deadlines.local.is_some() {
                out.push_str("Global ");
            }
            session_sets(shared, global, &mut out);
        }
        None => {
            let _ = writeln!(out, "Global Sessions({}):", tree.session_count());
            for (session, timeout) in tree.sessions() {
                let _ = writeln!(out, "{session}\t{timeout}ms");
            }
        }
    }
    let owners: Vec<SessionId> = tree.ephemeral_owners().collect();
    let _ = writeln!(
        out,
        "ephemeral nodes dump:\nSessions with Ephemerals ({}):",
        owners.len()
    );
    for owner in owners {
        let _ = writeln!(out, "{owner}:");
        for path in tree.ephemerals(owner) {
            let _ = writeln!(out, "\t{path}");
        }
    }
    drop(tree);
    connection_sets(shared, &mut out);
    out
}

fn session_sets(shared: &Shared, deadlines: &Deadlines, out: &mut String) {
    let sessions: usize = deadlines.iter().map(|(_, ids)| ids.len()).sum();
    let _ = writeln!(out, "Session Sets ({})/({sessions}):", deadlines.len());
    for (deadline, ids) in deadlines {
        let date = date(shared, deadline.0);
        let _ = writeln!(out, "{} expire at {date}:", ids.len());
        for id in ids {
            let _ = writeln!(out, "\t{id}");
        }
    }
}

/// Connections by when they would be closed, were they silent from now on.
fn connection_sets(shared: &Shared, out: &mut String) {
    let interval = shared.config.limits.sessionless.max(1);
    let (now, wall) = (shared.clock.millis() as i64, clock::wall());
    let mut sets: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let connections = shared.connections.lock();
    for mailbox in connections.values() {
        let counters = &mailbox.counters;
        let since = (counters.established - wall + now).max(0) as u64;
        let heard = counters.last_response.load(Relaxed).max(since);
        let timeout = match counters.timeout.load(Relaxed) {
            0 => interval,
            timeout => u64::try_from(timeout).unwrap_or(0),
        };
        let set = ((heard + timeout) / interval + 1) * interval;
        let session = match counters.session.load(Relaxed) {
            0 => "0x0".to_owned(),
            session => SessionId(session).to_string(),
        };
        let line = format!("\tip: {} sessionId: {session}\n", address(mailbox.peer));
        sets.entry(set).or_default().push(line);
    }
    let _ = writeln!(
        out,
        "Connections dump:\nConnections Sets ({})/({}):",
        sets.len(),
        connections.len()
    );
    drop(connections);
    for (set, lines) in sets {
        let date = date(shared, set);
        let _ = writeln!(out, "{} expire at {date}:", lines.len());
        out.extend(lines);
    }
}

/// A time in the member's milliseconds, as Java prints a date.
fn date(shared: &Shared, at: u64) -> String {
    let now = shared.clock.now();
    let wall = now.wall + at as i64 - now.monotonic.0 as i64;
    let date = Timestamp::from_millisecond(wall).unwrap_or(Timestamp::UNIX_EPOCH);
    date.strftime("%a %b %d %H:%M:%S UTC %Y").to_string()
}

pub(super) fn wchs(shared: &Shared) -> String {
    let watches = shared.watches.lock();
    format!(
        "{} connections watching {} paths\nTotal watches:{}\n",
        watches.watcher_count(),
        watches.path_count(),
        watches.len()
    )
}

pub(super) fn wchc(shared: &Shared) -> String {
    let mut out = String::new();
    for (session, paths) in watches_by_session(shared) {
        let _ = writeln!(out, "{session}");
        for path in paths {
            let _ = writeln!(out, "\t{path}");
        }
    }
    out + "\n"
}

pub(super) fn wchp(shared: &Shared) -> String {
    let mut out = String::new();
    for (path, sessions) in watches_by_path(shared) {
        let _ = writeln!(out, "{path}");
        for session in sessions {
            let _ = writeln!(out, "\t{session}");
        }
    }
    out + "\n"
}

pub(super) fn watches_by_session(shared: &Shared) -> BTreeMap<SessionId, Vec<String>> {
    let mut by_session: BTreeMap<SessionId, Vec<String>> = BTreeMap::new();
    for (path, session) in watches(shared) {
        by_session.entry(session).or_default().push(path);
    }
    by_session
}

pub(super) fn watches_by_path(shared: &Shared) -> BTreeMap<String, Vec<SessionId>> {
    let mut by_path: BTreeMap<String, Vec<SessionId>> = BTreeMap::new();
    for (path, session) in watches(shared) {
        by_path.entry(path).or_default().push(session);
    }
    by_path
}

/// Who watches what.
fn watches(shared: &Shared) -> Vec<(String, SessionId)> {
    let sessions: HashMap<Watcher, SessionId> = {
        let connections = shared.connections.lock();
        let session = |(client, mailbox): (&ClientId, &Arc<Mailbox>)| {
            let session = SessionId(mailbox.counters.session.load(Relaxed));
            (Watcher(client.0), session)
        };
        connections.iter().map(session).collect()
    };
    let table = shared.watches.lock();
    let with_session =
        |(path, watcher): (&str, Watcher)| Some((path.to_owned(), *sessions.get(&watcher)?));
    table.iter().filter_map(with_session).collect()
}
