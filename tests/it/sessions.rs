//! Sessions: who goes on with one, and what goes with it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use ferrokeeper::tools::storm;
use tests::load::{Load, Shape};
use tests::raw::Connection;
use wire::client::{CreateRequest, ErrorCode, PathRequest, Request, SetDataRequest};
use wire::{Acl, SessionId};

use crate::members::{START, Single, ensemble};

pub(crate) fn create(path: &str, flags: i32) -> Request {
    Request::Create(CreateRequest {
        path: path.into(),
        data: Some(Bytes::new()),
        acl: Acl::open(),
        flags,
    })
}

pub(crate) fn exists(path: &str) -> Request {
    Request::Exists(PathRequest {
        path: path.into(),
        watch: false,
    })
}

pub(crate) const EPHEMERAL: i32 = 1;

/// The error of the answer to a request.
pub(crate) fn error(connection: &mut Connection, request: Request) -> anyhow::Result<i32> {
    Ok(connection.call(request, &mut VecDeque::new())?.0.err)
}

#[test]
fn session_goes_on_at_another_member_with_its_ephemerals() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ensemble = ensemble(folder.path(), 3, "")?;
    let mut first = Connection::connect(ensemble.member(1).client, SessionId::NONE)?;
    assert_eq!(error(&mut first, create("/e", EPHEMERAL))?, 0);
    let mut second = Connection::connect(ensemble.member(2).client, first.session)?;
    assert_eq!(second.session, first.session);
    assert_eq!(error(&mut second, sync())?, 0);
    assert_eq!(error(&mut second, exists("/e"))?, 0);
    // The member that had the session hears of it when it asks something of the leader.
    first.send(&[create("/late", 0)])?;
    first.expect_end()?;
    assert_eq!(
        error(&mut second, exists("/late"))?,
        ErrorCode::NoNode.code()
    );
    assert_eq!(error(&mut second, Request::CloseSession(()))?, 0);
    second.expect_end()?;
    let mut third = Connection::connect(ensemble.member(3).client, SessionId::NONE)?;
    third.call(sync(), &mut VecDeque::new())?;
    assert_eq!(error(&mut third, exists("/e"))?, ErrorCode::NoNode.code());
    assert!(Connection::connect(ensemble.member(1).client, first.session).is_err());
    Ok(())
}

fn sync() -> Request {
    Request::Sync(wire::client::BarePath { path: "/".into() })
}

#[test]
fn session_without_its_password_is_not_disturbed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "")?;
    let mut holder = Connection::connect(server.client, SessionId::NONE)?;
    let mut thief = Connection::open(server.client)?;
    let refusal = thief.greet(holder.session, &[7; 16])?;
    assert_eq!(refusal.session_id, SessionId::NONE);
    thief.expect_end()?;
    assert_eq!(error(&mut holder, create("/a", 0))?, 0);
    // With it, the connection before is closed.
    let mut again = Connection::connect(server.client, holder.session)?;
    holder.expect_end()?;
    assert_eq!(error(&mut again, exists("/a"))?, 0);
    Ok(())
}

#[test]
fn silent_session_expires_and_its_ephemerals_go() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "maxSessionTimeout=1000")?;
    let mut silent = Connection::connect(server.client, SessionId::NONE)?;
    assert_eq!(error(&mut silent, create("/e", EPHEMERAL))?, 0);
    let mut other = Connection::connect(server.client, SessionId::NONE)?;
    let deadline = Instant::now() + START;
    while error(&mut other, exists("/e"))? == 0 {
        ensure!(Instant::now() < deadline, "the session does not expire");
        std::thread::sleep(Duration::from_millis(50));
    }
    silent.expect_end()?;
    assert!(Connection::connect(server.client, silent.session).is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_leaders_are_killed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut ensemble = ensemble(folder.path(), 3, "")?;
    let shape = Shape {
        clients: 4,
        in_flight: 16,
        bytes: 100,
    };
    let load = Load::start(&ensemble.connect_string(), "kills", &shape).await?;
    for _ in 0..3 {
        let leader = ensemble.leader(START)?;
        load.advance(500, START).await?;
        ensemble.kill(leader)?;
        load.advance(500, START).await?;
        ensemble.start(leader)?;
    }
    ensemble.leader(START)?;
    let acknowledged = load.stop().await?;
    ensure!(acknowledged.len() > 3000, "too little was written");
    for member in &ensemble.members {
        let mut reader = Connection::connect(member.client, SessionId::NONE)?;
        reader.call(sync(), &mut VecDeque::new())?;
        for path in acknowledged.keys() {
            assert_eq!(
                error(&mut reader, exists(path))?,
                0,
                "{path} at {}",
                member.id
            );
        }
    }
    Ok(())
}

#[test]
fn answers_come_in_the_order_of_the_requests() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "")?;
    let mut client = Connection::connect(server.client, SessionId::NONE)?;
    assert_eq!(error(&mut client, create("/a", 0))?, 0);
    let mut requests = Vec::new();
    for _ in 0..200 {
        requests.push(Request::SetData(SetDataRequest {
            path: "/a".into(),
            data: None,
            version: -1,
        }));
        requests.push(exists("/a"));
    }
    let first = client.send(&requests)?;
    for (at, request) in requests.iter().enumerate() {
        let frame = client.receive()?;
        let tests::raw::Frame::Reply(header, body) = frame else {
            anyhow::bail!("{frame:?} instead of an answer");
        };
        assert_eq!((header.xid, header.err), (first + at as i32, 0));
        let stat: wire::client::StatResponse = wire::Record::from_bytes(&body)?;
        // Write and read after it show the same version.
        assert_eq!(stat.stat.version, at as i32 / 2 + 1, "{request:?}");
    }
    Ok(())
}

#[test]
fn connection_outlives_its_members_leader() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut ensemble = ensemble(folder.path(), 3, "")?;
    let leader = ensemble.leader(START)?;
    let follower = if leader == 1 { 2 } else { 1 };
    let mut client = Connection::connect(ensemble.member(follower).client, SessionId::NONE)?;
    assert_eq!(error(&mut client, create("/e", EPHEMERAL))?, 0);
    ensemble.kill(leader)?;
    // Sent while there is no leader, or to the next one: answered either way, by the same
    // connection.
    client.send(&[Request::Ping(())])?;
    client.receive()?;
    let next = ensemble.leader(START)?;
    assert_ne!(next, leader);
    assert_eq!(error(&mut client, exists("/e"))?, 0);
    assert_eq!(error(&mut client, create("/after", EPHEMERAL))?, 0);
    Ok(())
}

#[test]
fn without_a_quorum_clients_are_let_go_and_with_one_they_come_back() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut ensemble = ensemble(folder.path(), 3, "maxSessionTimeout=60000")?;
    let alone = ensemble.member(1).client;
    let mut client = Connection::connect(alone, SessionId::NONE)?;
    assert_eq!(error(&mut client, create("/e", EPHEMERAL))?, 0);
    ensemble.kill(2)?;
    ensemble.kill(3)?;
    client.expect_end()?;
    assert!(Connection::connect(alone, client.session).is_err());
    assert_eq!(tests::words::mode(alone), None);
    ensemble.start(2)?;
    ensemble.leader(START)?;
    let deadline = Instant::now() + START;
    let mut client = loop {
        match Connection::connect(alone, client.session) {
            Ok(client) => break client,
            Err(error) => ensure!(Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!(error(&mut client, sync())?, 0);
    assert_eq!(error(&mut client, exists("/e"))?, 0);
    Ok(())
}

#[test]
fn a_leader_that_serves_nobody_leaves_its_clients_to_the_others() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut ensemble = ensemble(folder.path(), 3, "leaderServes=no")?;
    let leader = ensemble.leader(START)?;
    assert!(Connection::connect(ensemble.member(leader).client, SessionId::NONE).is_err());
    let mut clients = Vec::new();
    for id in (1..=3).filter(|id| *id != leader) {
        let mut client = Connection::connect(ensemble.member(id).client, SessionId::NONE)?;
        assert_eq!(error(&mut client, create(&format!("/{id}"), EPHEMERAL))?, 0);
        clients.push((id, client));
    }
    ensemble.kill(leader)?;
    let leader = ensemble.leader(START)?;
    let (led, mut sent_away) = clients.swap_remove(usize::from(clients[0].0 != leader));
    let (other, mut kept) = clients.swap_remove(0);
    assert_eq!(led, leader);
    sent_away.expect_end()?;
    let mut moved = Connection::connect(ensemble.member(other).client, sent_away.session)?;
    assert_eq!(moved.session, sent_away.session);
    for client in [&mut moved, &mut kept] {
        assert_eq!(error(client, exists(&format!("/{led}")))?, 0);
    }
    Ok(())
}

#[test]
fn client_that_comes_while_there_is_no_leader_waits_for_the_next() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut ensemble = ensemble(folder.path(), 3, "")?;
    let leader = ensemble.leader(START)?;
    let mut client = Connection::connect(ensemble.member(leader).client, SessionId::NONE)?;
    assert_eq!(error(&mut client, create("/e", EPHEMERAL))?, 0);
    let follower = if leader == 1 { 2 } else { 1 };
    ensemble.kill(leader)?;
    let mut moved = Connection::connect(ensemble.member(follower).client, client.session)?;
    assert_eq!(moved.session, client.session);
    assert_eq!(error(&mut moved, exists("/e"))?, 0);
    Ok(())
}

#[test]
fn all_sessions_come_back_when_the_leader_is_killed_and_connections_are_cut() -> anyhow::Result<()>
{
    let folder = tempfile::tempdir()?;
    let mut ensemble = ensemble(folder.path(), 3, "")?;
    let leader = ensemble.leader(START)?;
    let servers = ensemble
        .members
        .iter()
        .map(|member| member.client.to_string());
    let arguments = storm::Arguments {
        servers: servers.collect(),
        sessions: 400,
        timeout: 10_000,
        kill: vec![ensemble.process(leader)?.id()],
        cut: true,
        limit: 60,
        json: false,
        part: None,
    };
    let report = storm::run(&arguments, |_| {})?.expect("a storm has a report");
    let whole = (
        report.kept,
        report.came_back,
        report.expired,
        report.missing,
    );
    assert_eq!(whole, (0, 400, 0, 0), "{report}");
    let lost = (report.ephemerals_lost, report.watches_lost);
    assert_eq!(lost, (0, 0), "{report}");
    Ok(())
}
