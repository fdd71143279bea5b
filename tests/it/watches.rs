//! A client sees a watch's event before it can see newer data, and its own writes in order: on
//! real sockets, with real threads, where the simulator cannot look.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use tests::raw::{Connection, Frame};
use wire::client::{
    GetDataResponse, PathRequest, Request, SetDataRequest, StatResponse, WatcherEvent,
};
use wire::{Record, SessionId, Zxid};

use crate::members::{Single, ensemble};
use crate::sessions::{create, error};

const PATHS: usize = 4;
/// Reads that a watcher has under way behind the one that sets the watch.
const READS: usize = 16;
const WRITES: usize = 16;
const TIME: Duration = Duration::from_secs(5);

fn path(number: usize) -> String {
    format!("/watched{number}")
}

fn get(number: usize, watch: bool) -> Request {
    Request::GetData(PathRequest {
        path: path(number),
        watch,
    })
}

/// Reads one path over and over. Checks that no answer shows a change whose event is not there.
fn watch(server: SocketAddr, number: usize, end: &AtomicBool) -> anyhow::Result<u64> {
    let mut client = Connection::connect(server, SessionId::NONE)?;
    let mut events = 0;
    while !end.load(Ordering::Relaxed) {
        let mut requests = vec![get(number, true)];
        requests.extend((0..READS).map(|_| get(number, false)));
        let first = client.send(&requests)?;
        // What the watch was set on, until its event comes.
        let mut armed: Option<Zxid> = None;
        let mut answered = 0;
        while answered < requests.len() || armed.is_some() {
            match client.receive()? {
                Frame::Event(zxid, WatcherEvent { path: whose, .. }) => {
                    ensure!(whose == path(number), "event of {whose}");
                    let since = armed.take().context("an event without a watch")?;
                    ensure!(zxid > since, "event {zxid} of a watch set at {since}");
                    events += 1;
                }
                Frame::Reply(header, body) => {
                    ensure!(
                        header.xid == first + answered as i32,
                        "answers out of order"
                    );
                    let shown = GetDataResponse::from_bytes(&body)?.stat.mzxid;
                    if answered == 0 {
                        armed = Some(shown);
                    } else if let Some(since) = armed {
                        ensure!(
                            shown == since,
                            "data of {shown} before the event of a watch set at {since}"
                        );
                    }
                    answered += 1;
                }
            }
        }
    }
    Ok(events)
}

/// Writes and reads its own path. Checks that answers come in order and show its own writes.
fn write(
    server: SocketAddr,
    number: usize,
    count: &AtomicU64,
    end: &AtomicBool,
) -> anyhow::Result<()> {
    let mut client = Connection::connect(server, SessionId::NONE)?;
    let mut version = 0;
    // Ends later than the watchers, who wait for one more event.
    while !end.load(Ordering::Relaxed) {
        let mut requests = Vec::new();
        for _ in 0..WRITES {
            requests.push(Request::SetData(SetDataRequest {
                path: path(number),
                data: Some(Bytes::from_static(b"x")),
                version: -1,
            }));
            requests.push(get(number, false));
        }
        let first = client.send(&requests)?;
        for at in 0..requests.len() {
            let Frame::Reply(header, body) = client.receive()? else {
                anyhow::bail!("an event for who watches nothing");
            };
            ensure!(header.xid == first + at as i32, "answers out of order");
            let stat = if at % 2 == 0 {
                version += 1;
                StatResponse::from_bytes(&body)?.stat
            } else {
                GetDataResponse::from_bytes(&body)?.stat
            };
            ensure!(
                stat.version == version,
                "version {} instead of {version}",
                stat.version
            );
        }
        count.fetch_add(WRITES as u64, Ordering::Relaxed);
    }
    Ok(())
}

fn stress(servers: &[SocketAddr]) -> anyhow::Result<()> {
    let mut setup = Connection::connect(servers[0], SessionId::NONE)?;
    for number in 0..PATHS {
        ensure!(error(&mut setup, create(&path(number), 0))? == 0, "create");
    }
    let watchers_end = Arc::new(AtomicBool::new(false));
    let writers_end = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let server = |at: usize| servers[at % servers.len()];
    let writers: Vec<_> = (0..PATHS)
        .map(|number| {
            let (count, end) = (count.clone(), writers_end.clone());
            let server = server(number);
            std::thread::spawn(move || write(server, number, &count, &end))
        })
        .collect();
    let watchers: Vec<_> = (0..PATHS * 3)
        .map(|at| {
            let end = watchers_end.clone();
            // Each path is watched at each member.
            let server = server(at / PATHS);
            std::thread::spawn(move || watch(server, at % PATHS, &end))
        })
        .collect();
    let start = Instant::now();
    while start.elapsed() < TIME && watchers.iter().all(|watcher| !watcher.is_finished()) {
        std::thread::sleep(Duration::from_millis(20));
    }
    watchers_end.store(true, Ordering::Relaxed);
    let mut events = 0;
    for watcher in watchers {
        events += watcher.join().expect("a watcher panicked")?;
    }
    writers_end.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().expect("a writer panicked")?;
    }
    let writes = count.load(Ordering::Relaxed);
    ensure!(
        writes > 500 && events > 200,
        "{writes} writes, {events} events: too few to tell"
    );
    Ok(())
}

/// The paths must be known at every member before it is asked for them.
fn settle(servers: &[SocketAddr]) -> anyhow::Result<()> {
    for server in servers {
        let mut client = Connection::connect(*server, SessionId::NONE)?;
        ensure!(
            error(&mut client, create(&format!("/settled{server}"), 0))? == 0,
            "settle"
        );
    }
    Ok(())
}

#[test]
fn events_come_before_newer_data_on_a_single_server() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "")?;
    settle(&[server.client])?;
    stress(&[server.client])
}

#[test]
fn events_come_before_newer_data_on_every_member() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ensemble = ensemble(folder.path(), 3, "")?;
    let servers: Vec<SocketAddr> = ensemble
        .members
        .iter()
        .map(|member| member.client)
        .collect();
    settle(&servers)?;
    stress(&servers)
}
