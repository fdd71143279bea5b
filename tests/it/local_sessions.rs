//! Sessions of one member only, and members that can only be read.

use std::collections::VecDeque;

use anyhow::ensure;
use tests::raw::Connection;
use tests::words;
use wire::client::{BarePath, ErrorCode, MultiRequest, Request};
use wire::{SessionId, Zxid};

use crate::members::{START, ensemble, until};
use crate::sessions::{EPHEMERAL, create, error, exists};

const LOCAL: &str = "localSessionsEnabled=true";
const UPGRADABLE: &str = "localSessionsEnabled=true\nlocalSessionsUpgradingEnabled=true";

fn zxid(client: &mut Connection) -> anyhow::Result<Zxid> {
    let path = "/".to_owned();
    let (header, _) = client.call(Request::Sync(BarePath { path }), &mut VecDeque::new())?;
    Ok(header.zxid)
}

#[test]
fn sessions_of_one_member_cost_the_ensemble_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ensemble = ensemble(folder.path(), 3, LOCAL)?;
    let leader = ensemble.leader(START)?;
    for id in 1..=3 {
        let server = ensemble.member(id).client;
        let mut client = Connection::connect(server, SessionId::NONE)?;
        let before = zxid(&mut client)?;
        let mut other = Connection::connect(server, SessionId::NONE)?;
        assert_eq!(zxid(&mut other)?, before, "member {id}, leader {leader}");
        assert_eq!(error(&mut other, create(&format!("/from{id}"), 0))?, 0);
        let refused = ErrorCode::EphemeralOnLocalSession.code();
        assert_eq!(error(&mut other, create("/e", EPHEMERAL))?, refused);
        // It goes on where it is known, and nowhere else.
        let elsewhere = ensemble.member(id % 3 + 1).client;
        assert!(Connection::connect(elsewhere, other.session).is_err());
        let mut again = Connection::connect(server, other.session)?;
        other.expect_end()?;
        let before = zxid(&mut again)?;
        assert_eq!(error(&mut again, Request::CloseSession(()))?, 0);
        again.expect_end()?;
        assert!(Connection::connect(server, again.session).is_err());
        assert_eq!(zxid(&mut client)?, before);
    }
    Ok(())
}

#[test]
fn sessions_of_one_member_are_told_of_there() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ensemble = ensemble(folder.path(), 3, LOCAL)?;
    let leader = ensemble.leader(START)?;
    let server = ensemble.member(leader).client;
    let client = Connection::connect(server, SessionId::NONE)?;
    until(|| {
        let metrics = words::metrics(server)?;
        Ok(metrics.get("zk_local_sessions").map(String::as_str) == Some("1"))
    })?;
    let dump = words::ask(server, "dump")?;
    let sets: Vec<&str> = dump
        .lines()
        .take_while(|line| !line.starts_with("ephemeral"))
        .filter(|line| !line.contains(" expire at "))
        .collect();
    let session = format!("\t{}", client.session);
    assert_eq!(
        sets,
        [
            "SessionTracker dump:",
            "Local Session Sets (1)/(1):",
            &session,
            "Global Session Sets (0)/(0):"
        ]
    );
    let cons = words::ask(server, "cons")?;
    let line = cons.lines().find(|line| line.contains(",sid="));
    let line = line.unwrap_or_default();
    ensure!(line.contains("recved=1,sent=1,"), "{line}");
    ensure!(
        line.contains(",lop=SESS,") && line.contains(",lcxid=0x0,"),
        "{line}"
    );
    Ok(())
}

#[test]
fn an_ephemeral_makes_a_session_the_ensembles() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ensemble = ensemble(folder.path(), 3, UPGRADABLE)?;
    for id in 1..=3 {
        let server = ensemble.member(id).client;
        let mut client = Connection::connect(server, SessionId::NONE)?;
        let path = format!("/e{id}");
        let request = if id == 2 {
            let ops = vec![create("/in-multi", 0), create(&path, EPHEMERAL)];
            Request::Multi(MultiRequest { ops })
        } else {
            create(&path, EPHEMERAL)
        };
        assert_eq!(error(&mut client, request)?, 0);
        assert_eq!(error(&mut client, exists(&path))?, 0);
        let elsewhere = ensemble.member(id % 3 + 1).client;
        let mut moved = Connection::connect(elsewhere, client.session)?;
        zxid(&mut moved)?;
        assert_eq!(error(&mut moved, exists(&path))?, 0);
        assert_eq!(error(&mut moved, Request::CloseSession(()))?, 0);
        let mut other = Connection::connect(elsewhere, SessionId::NONE)?;
        assert_eq!(error(&mut other, exists(&path))?, ErrorCode::NoNode.code());
    }
    Ok(())
}

#[test]
fn without_a_quorum_clients_that_allow_it_may_read() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = format!("{LOCAL}\nreadonlymode.enabled=true");
    let mut ensemble = ensemble(folder.path(), 3, &settings)?;
    let server = ensemble.member(1).client;
    let mut writer = Connection::connect(server, SessionId::NONE)?;
    assert_eq!(error(&mut writer, create("/a", 0))?, 0);
    ensemble.kill(2)?;
    ensemble.kill(3)?;
    until(|| Ok(words::ask(server, "isro").is_ok_and(|answer| answer == "ro")))?;
    writer.expect_end()?;
    assert_eq!(words::mode(server).as_deref(), Some("read-only"));
    assert!(Connection::connect(server, SessionId::NONE).is_err());
    let (mut reader, is_read_only) = Connection::connect_as(server, SessionId::NONE, true)?;
    ensure!(is_read_only, "the answer does not say so");
    assert_eq!(error(&mut reader, exists("/a"))?, 0);
    let not_here = ErrorCode::NotReadOnly.code();
    assert_eq!(error(&mut reader, create("/b", 0))?, not_here);
    let path = "/".to_owned();
    let sync = Request::Sync(BarePath { path });
    assert_eq!(error(&mut reader, sync)?, not_here);
    let (mut again, _) = Connection::connect_as(server, reader.session, true)?;
    reader.expect_end()?;
    assert_eq!(error(&mut again, exists("/a"))?, 0);
    ensemble.start(2)?;
    ensemble.leader(START)?;
    again.expect_end()?;
    until(|| Ok(words::ask(server, "isro").is_ok_and(|answer| answer == "rw")))?;
    let (mut writer, is_read_only) = Connection::connect_as(server, SessionId::NONE, true)?;
    ensure!(!is_read_only, "the answer says that it can only be read");
    assert_eq!(error(&mut writer, create("/b", 0))?, 0);
    Ok(())
}

#[test]
fn who_comes_when_the_leader_is_lost_has_a_session_once_it_may_read() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = format!("{LOCAL}\nreadonlymode.enabled=true");
    let mut ensemble = ensemble(folder.path(), 3, &settings)?;
    let server = ensemble.member(1).client;
    let mut before = Connection::connect(server, SessionId::NONE)?;
    ensemble.kill(2)?;
    ensemble.kill(3)?;
    until(|| Ok(words::mode(server).is_none()))?;
    let mut come = None;
    until(|| {
        come = Connection::connect_as(server, SessionId::NONE, true).ok();
        Ok(come.is_some())
    })?;
    let (mut reader, is_read_only) = come.expect("a session");
    ensure!(
        is_read_only,
        "it had a session before there was anything to read"
    );
    assert_eq!(error(&mut reader, exists("/"))?, 0);
    before.expect_end()
}
