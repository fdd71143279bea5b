//! What a million watches take, in the memory of the process that keeps them.

use std::collections::VecDeque;

use anyhow::ensure;
use tests::raw::Connection;
use tests::words;
use wire::client::{Request, SetWatches2};
use wire::{SessionId, Zxid};

use crate::hostile::{may_open, resident};
use crate::members::{Single, until};

const WATCHES: usize = 1_000_000;
/// Bytes of each.
const MOST: u64 = 80;
/// No session ends while others set their watches.
const SETTINGS: &str = "minSessionTimeout=600000\nmaxSessionTimeout=600000";
/// Paths in one request: well below the longest frame.
const AT_ONCE: usize = 10_000;

/// Connections before those that count: more than there are threads that serve them.
const WARM: usize = 16;

/// What watches are set on, and by how many clients each.
struct Shape {
    clients: usize,
    paths: usize,
    name: fn(usize) -> String,
    request: fn(Vec<String>) -> SetWatches2,
}

fn nothing() -> SetWatches2 {
    SetWatches2 {
        relative_zxid: Zxid(i64::MAX as u64),
        data: Vec::new(),
        exist: Vec::new(),
        child: Vec::new(),
        persistent: Vec::new(),
        persistent_recursive: Vec::new(),
    }
}

fn persistent(paths: Vec<String>) -> SetWatches2 {
    SetWatches2 {
        persistent: paths,
        ..nothing()
    }
}

fn exist(paths: Vec<String>) -> SetWatches2 {
    SetWatches2 {
        exist: paths,
        ..nothing()
    }
}

/// Bytes that the process grew by for each watch.
fn measure(shape: &Shape) -> anyhow::Result<Option<u64>> {
    if !may_open(shape.clients as u64 + 1000)? {
        return Ok(None);
    }
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), SETTINGS)?;
    let mut clients = Vec::with_capacity(shape.clients);
    for _ in 0..shape.clients {
        clients.push(Connection::connect(server.client, SessionId::NONE)?);
    }
    let paths: Vec<String> = (0..shape.paths).map(shape.name).collect();
    warm_up(&server, &paths[..AT_ONCE.min(paths.len())])?;
    let before = resident(server.process.id())?;
    for client in &mut clients {
        for some in paths.chunks(AT_ONCE) {
            let request = Request::SetWatches2((shape.request)(some.to_vec()));
            let (header, _) = client.call(request, &mut VecDeque::new())?;
            assert_eq!(header.err, 0);
        }
    }
    let after = resident(server.process.id())?;
    let (some, all) = (shape.clients, shape.paths);
    let expected = format!("{some} connections watching {all} paths\n");
    let summary = words::ask(server.client, "wchs")?;
    ensure!(summary.starts_with(&expected), "{summary}");
    drop(clients);
    let gone = "0 connections watching 0 paths\nTotal watches:0\n";
    until(|| Ok(words::ask(server.client, "wchs").is_ok_and(|answer| answer == gone)))?;
    Ok(Some(after.saturating_sub(before) / WATCHES as u64))
}

/// What takes requests apart has its memory before anything is measured: watches on what is gone
/// are answered by events, and none is kept.
fn warm_up(server: &Single, paths: &[String]) -> anyhow::Result<()> {
    for _ in 0..WARM {
        let mut client = Connection::connect(server.client, SessionId::NONE)?;
        let request = Request::SetWatches2(SetWatches2 {
            data: paths.to_vec(),
            ..nothing()
        });
        let mut events = VecDeque::new();
        client.call(request, &mut events)?;
        assert_eq!(events.len(), paths.len());
    }
    Ok(())
}

fn check(shape: &Shape) -> anyhow::Result<()> {
    if let Some(each) = measure(shape)? {
        eprintln!("{each} bytes for each watch");
        ensure!(each <= MOST, "{each} bytes for each watch");
    }
    Ok(())
}

#[test]
fn a_million_paths_watched_by_one() -> anyhow::Result<()> {
    check(&Shape {
        clients: 1,
        paths: WATCHES,
        name: |number| format!("/app/{number:07}"),
        request: persistent,
    })
}

#[test]
fn a_thousand_paths_watched_by_a_thousand() -> anyhow::Result<()> {
    check(&Shape {
        clients: 1000,
        paths: WATCHES / 1000,
        name: |number| format!("/app/{number:07}"),
        request: persistent,
    })
}

#[test]
fn a_million_absent_paths_of_thirty_bytes() -> anyhow::Result<()> {
    check(&Shape {
        clients: 1,
        paths: WATCHES,
        name: |number| format!("/absent/znodes/{number:015}"),
        request: exist,
    })
}
