//! What is on the disk when a member ends, and what it starts from.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rustix::process::Signal;
use tests::ensemble::Member;
use tests::raw::{Connection, Frame};
use tests::words;
use wire::client::{GetDataResponse, PathRequest};
use wire::{Record, SessionId, Zxid};

use crate::limits::{new, set};
use crate::members::{START, Single, ensemble};
use crate::sessions::{create, error, exists};

/// Makes znodes, many at a time.
fn fill(client: &mut Connection, prefix: &str, count: usize) -> anyhow::Result<()> {
    let requests: Vec<_> = (0..count)
        .map(|number| create(&format!("{prefix}{number}"), 0))
        .collect();
    for batch in requests.chunks(100) {
        client.send(batch)?;
        for _ in batch {
            let Frame::Reply(header, _) = client.receive()? else {
                anyhow::bail!("an event");
            };
            ensure!(header.err == 0, "error {}", header.err);
        }
    }
    Ok(())
}

/// Files whose names begin so.
fn files(data: &std::path::Path, prefix: &str) -> anyhow::Result<usize> {
    let names = std::fs::read_dir(data.join("version-2"))?;
    Ok(names
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .count())
}

#[test]
fn all_that_was_answered_is_there_after_an_end_by_signal_and_by_kill() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut server = Single::start(folder.path(), "snapCount=200")?;
    for round in 0..3 {
        let mut client = Connection::connect(server.client, SessionId::NONE)?;
        fill(&mut client, &format!("/r{round}-"), 500)?;
        if round % 2 == 0 {
            server.process.signal(Signal::TERM)?;
            let status = server.process.wait(START)?;
            assert_eq!(status.code(), Some(0));
        } else {
            server.process.kill()?;
        }
        server.restart()?;
        let mut client = Connection::connect(server.client, SessionId::NONE)?;
        for before in 0..=round {
            for number in [0, 250, 499] {
                let path = format!("/r{before}-{number}");
                assert_eq!(error(&mut client, exists(&path))?, 0, "{path}");
            }
        }
    }
    ensure!(
        files(&folder.path().join("data"), "snapshot.")? > 2,
        "snapshots were written"
    );
    Ok(())
}

/// Changes one small znode so often.
fn change(client: &mut Connection, times: usize) -> anyhow::Result<()> {
    for _ in 0..times / 50 {
        let changes: Vec<_> = (0..50).map(|_| set("/small", vec![1])).collect();
        client.send(&changes)?;
        for _ in &changes {
            ensure!(matches!(client.receive()?, Frame::Reply(header, _) if header.err == 0));
        }
    }
    Ok(())
}

#[test]
fn a_snapshot_of_a_large_tree_waits_for_a_log_that_is_worth_it() -> anyhow::Result<()> {
    for (setting, waits) in [("", true), ("snapshot.logFactor=0", false)] {
        let folder = tempfile::tempdir()?;
        let server = Single::start(folder.path(), &format!("snapCount=100\n{setting}"))?;
        let data = folder.path().join("data");
        // Each snapshot begins another file of the log.
        let logs = || files(&data, "log.");
        let mut client = Connection::connect(server.client, SessionId::NONE)?;
        for number in 0..40 {
            let large = new(&format!("/large-{number}"), vec![7; 100_000]);
            assert_eq!(error(&mut client, large)?, 0);
        }
        assert_eq!(error(&mut client, create("/small", 0))?, 0);
        // The first snapshot, which nothing is compared with.
        change(&mut client, 200)?;
        let before = logs()?;
        if waits {
            // 20 times `snapCount`, and a tenth of the tree.
            change(&mut client, 2000)?;
            assert_eq!(logs()?, before, "it waits");
        } else {
            let deadline = Instant::now() + Duration::from_secs(60);
            while logs()? < before + 4 {
                change(&mut client, 200)?;
                ensure!(Instant::now() < deadline, "snapshots are written");
            }
        }
    }
    Ok(())
}

#[test]
fn member_that_was_away_for_long_takes_a_snapshot() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = "commitLogCount=50\nsnapshotSizeFactor=0\nsnapCount=1000";
    let mut ensemble = ensemble(folder.path(), 3, settings)?;
    let leader = ensemble.leader(START)?;
    let away = if leader == 1 { 2 } else { 1 };
    let mut client = Connection::connect(ensemble.member(leader).client, SessionId::NONE)?;
    fill(&mut client, "/before", 100)?;
    ensemble.kill(away)?;
    fill(&mut client, "/meanwhile", 3000)?;
    ensemble.start(away)?;
    ensemble.leader(START)?;
    let metrics = words::metrics(ensemble.member(leader).client)?;
    assert_ne!(metrics.get("zk_snap_count").map(String::as_str), Some("0"));
    // What came by the snapshot is there, and so is what comes after it.
    fill(&mut client, "/after", 100)?;
    let mut reader = Connection::connect(ensemble.member(away).client, SessionId::NONE)?;
    let sync = wire::client::Request::Sync(wire::client::BarePath { path: "/".into() });
    reader.call(sync, &mut VecDeque::new())?;
    for path in ["/before99", "/meanwhile2999", "/after99"] {
        assert_eq!(error(&mut reader, exists(path))?, 0, "{path}");
    }
    let mismatches = words::metrics(ensemble.member(away).client)?;
    let mismatches = mismatches.get("zk_digest_mismatches_count").cloned();
    assert_eq!(mismatches.as_deref(), Some("0"));
    shows_its_configuration(ensemble.member(away), &mut reader)?;
    // And after a restart too, from its own disk.
    ensemble.kill(away)?;
    ensemble.start(away)?;
    ensemble.leader(START)?;
    let mut reader = Connection::connect(ensemble.member(away).client, SessionId::NONE)?;
    assert_eq!(error(&mut reader, exists("/after99"))?, 0);
    shows_its_configuration(ensemble.member(away), &mut reader)
}

/// `/zookeeper/config` is what the member's own file says, as on Apache where reconfiguration is
/// off.
fn shows_its_configuration(member: &Member, client: &mut Connection) -> anyhow::Result<()> {
    let file = std::fs::read_to_string(member.folder.join("zoo.cfg"))?;
    let servers = file.lines().filter(|line| line.starts_with("server."));
    let expected: String = servers.map(|line| format!("{line}\n")).collect();
    let request = wire::client::Request::GetData(PathRequest {
        path: "/zookeeper/config".into(),
        watch: false,
    });
    let (_, body) = client.call(request, &mut VecDeque::new())?;
    let shown = GetDataResponse::from_bytes(&body)?;
    let text = String::from_utf8(shown.data.unwrap_or_default().to_vec())?;
    assert_eq!(text, format!("{expected}version=0"));
    assert_eq!((shown.stat.version, shown.stat.mzxid), (-1, Zxid(0)));
    Ok(())
}

#[test]
fn a_quorum_of_one_leads_and_leads_again() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut ensemble = ensemble(folder.path(), 1, "standaloneEnabled=false")?;
    for path in ["/first", "/second"] {
        let address = ensemble.member(1).client;
        assert_eq!(words::mode(address).as_deref(), Some("leader"));
        let mut client = Connection::connect(address, SessionId::NONE)?;
        assert_eq!(error(&mut client, create(path, 0))?, 0);
        assert_eq!(error(&mut client, exists("/first"))?, 0);
        ensemble.kill(1)?;
        ensemble.start(1)?;
        ensemble.leader(START)?;
    }
    Ok(())
}

#[test]
fn member_that_lost_its_disk_refuses_until_it_is_told_to_rejoin() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut ensemble = ensemble(folder.path(), 3, "")?;
    let leader = ensemble.leader(START)?;
    let lost = if leader == 1 { 2 } else { 1 };
    let mut client = Connection::connect(ensemble.member(leader).client, SessionId::NONE)?;
    fill(&mut client, "/a", 100)?;
    ensemble.kill(lost)?;
    let version = ensemble.member(lost).folder.join("version-2");
    for entry in std::fs::read_dir(&version)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().ends_with("Epoch") {
            std::fs::remove_file(entry.path())?;
        }
    }
    ensemble.start(lost)?;
    let status = ensemble.process(lost)?.wait(START)?;
    assert_ne!(status.code(), Some(0));
    let log = ensemble.log(lost)?;
    ensure!(
        log.contains("--rejoin"),
        "the message names the way out: {log}"
    );
    assert_eq!(error(&mut client, exists("/a99"))?, 0, "the others go on");
    // What --rejoin writes before anything else.
    let mark = ensemble.member(lost).folder.join("rejoin");
    std::fs::write(&mark, "")?;
    ensemble.kill(lost)?;
    ensemble.start(lost)?;
    ensemble.leader(START)?;
    let deadline = Instant::now() + START;
    // It serves without a vote first, and once more as a voter: its connections may end between.
    let is_there = || {
        let mut reader = Connection::connect(ensemble.member(lost).client, SessionId::NONE)?;
        error(&mut reader, exists("/a99"))
    };
    while is_there().ok() != Some(0) {
        ensure!(Instant::now() < deadline, "it has what it had lost");
        std::thread::sleep(Duration::from_millis(10));
    }
    while mark.exists() {
        ensure!(Instant::now() < deadline, "synced, it may vote again");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
