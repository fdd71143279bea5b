//! What one client may take, and what becomes of it when it takes more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::raw::{Connection, Frame};
use tests::words;
use wire::client::{
    AddWatchRequest, CreateRequest, ErrorCode, MultiRequest, PathRequest, Request, SetDataRequest,
};
use wire::{Acl, SessionId};

use crate::members::Single;
use crate::sessions::{create, error, exists};

/// Bytes of a process's memory.
fn memory(server: &Single) -> anyhow::Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: usize = kib.context("VmRSS")?.parse()?;
    Ok(kib * 1024)
}

pub(crate) fn new(path: &str, data: Vec<u8>) -> Request {
    Request::Create(CreateRequest {
        path: path.to_owned(),
        data: Some(data.into()),
        acl: Acl::open(),
        flags: 0,
    })
}

pub(crate) fn set(path: &str, data: Vec<u8>) -> Request {
    Request::SetData(SetDataRequest {
        path: path.to_owned(),
        data: Some(data.into()),
        version: -1,
    })
}

fn get(path: &str) -> Request {
    Request::GetData(PathRequest {
        path: path.to_owned(),
        watch: false,
    })
}

fn connect(server: &Single) -> anyhow::Result<Connection> {
    Connection::connect(server.client, SessionId::NONE)
}

/// Waits for so many answers.
fn receive(client: &mut Connection, count: usize) -> anyhow::Result<Vec<i32>> {
    let mut errors = Vec::new();
    while errors.len() < count {
        if let Frame::Reply(header, _) = client.receive()? {
            errors.push(header.err);
        }
    }
    Ok(errors)
}

#[test]
fn a_client_that_does_not_take_its_answers_costs_little_memory() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "")?;
    let mut client = connect(&server)?;
    assert_eq!(error(&mut client, new("/large", vec![7; 900_000]))?, 0);
    let before = memory(&server)?;
    let mut slow = connect(&server)?;
    let requests: Vec<Request> = (0..400).map(|_| get("/large")).collect();
    slow.send(&requests)?;
    let mut greatest = before;
    for _ in 0..200 {
        assert_eq!(error(&mut client, exists("/large"))?, 0);
        greatest = greatest.max(memory(&server)?);
    }
    let grown = greatest - before;
    ensure!(grown < 30 << 20, "{grown} bytes more for 360 MB of answers");
    assert_eq!(receive(&mut slow, 400)?, vec![0; 400]);
    Ok(())
}

/// Writes so often; returns the most memory that the server had meanwhile.
fn write(
    client: &mut Connection,
    server: &Single,
    path: &str,
    times: usize,
) -> anyhow::Result<usize> {
    let mut greatest = 0;
    for _ in 0..times / 20 {
        let writes: Vec<Request> = (0..20).map(|_| set(path, vec![1])).collect();
        client.send(&writes)?;
        assert_eq!(receive(client, 20)?, vec![0; 20]);
        greatest = greatest.max(memory(server)?);
    }
    Ok(greatest)
}

#[test]
fn a_client_that_does_not_take_its_events_is_closed_before_they_fill_the_memory()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "maxSessionTimeout=600000")?;
    let mut client = connect(&server)?;
    let path = format!("/{}", "x".repeat(100_000));
    assert_eq!(error(&mut client, create(&path, 0))?, 0);
    // What the member keeps of its log in memory is there before anything is measured.
    let before = write(&mut client, &server, &path, 500)?;
    let mut slow = connect(&server)?;
    let watch = AddWatchRequest {
        path: "/".to_owned(),
        mode: 1,
    };
    assert_eq!(error(&mut slow, Request::AddWatch(watch))?, 0);
    let greatest = write(&mut client, &server, &path, 2400)?;
    let grown = greatest.saturating_sub(before) >> 20;
    // 64 MiB may wait, and on a busy machine the allocator keeps half as much again.
    ensure!(grown < 140, "{grown} MiB more for 240 MB of events");
    ensure!(grown > 10, "nothing waited for the client");
    let mut events = 0;
    while let Ok(Frame::Event(..)) = slow.receive() {
        events += 1;
    }
    ensure!(events < 1000, "{events} of 2400 events came");
    assert_eq!(error(&mut client, exists(&path))?, 0);
    Ok(())
}

#[test]
fn connections_beyond_the_limits_are_closed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "maxClientCnxns=2")?;
    let mut first = connect(&server)?;
    let second = connect(&server)?;
    Connection::open(server.client)?.expect_end()?;
    assert_eq!(error(&mut first, exists("/"))?, 0);
    drop(second);
    let deadline = Instant::now() + Duration::from_secs(10);
    while connect(&server).is_err() {
        ensure!(Instant::now() < deadline, "no place came free");
    }
    Ok(())
}

#[test]
fn without_tokens_nobody_is_let_in_until_time_gives_some_back() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(
        folder.path(),
        "connection_throttle_tokens=2\nconnection_throttle_fill_time=1000\n\
         connection_throttle_fill_count=2",
    )?;
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut kept = Vec::new();
    let mut refused = 0;
    while kept.len() < 5 {
        match connect(&server) {
            Ok(client) => kept.push(client),
            Err(_) => refused += 1,
        }
        ensure!(Instant::now() < deadline, "{} came in", kept.len());
        std::thread::sleep(Duration::from_millis(20));
    }
    ensure!(refused > 0, "all came in at once");
    let metrics = words::metrics(server.client)?;
    assert_eq!(metrics["zk_connection_rejected"], refused.to_string());
    Ok(())
}

#[test]
fn a_large_request_too_many_costs_its_connection() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = "largeRequestThreshold=1000\nlargeRequestMaxBytes=5000";
    let server = Single::start(folder.path(), settings)?;
    let mut client = connect(&server)?;
    for size in [10, 4000, 4000] {
        let path = format!("/n{size}{}", client.send(&[Request::Ping(())])?);
        let _ = client.receive()?;
        error(&mut client, new(&path, vec![0; size]))?;
    }
    let mut other = connect(&server)?;
    other.send(&[new("/too-large", vec![0; 6000])])?;
    other.expect_end()?;
    assert_eq!(
        error(&mut client, exists("/too-large"))?,
        ErrorCode::NoNode.code()
    );
    let metrics = words::metrics(server.client)?;
    assert_eq!(metrics["zk_large_requests_rejected"], "1");
    Ok(())
}

#[test]
fn a_request_that_waited_too_long_is_refused_and_not_done() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = "request_throttle_max_requests=1\nthrottled_op_wait_time=1";
    let server = Single::start(folder.path(), settings)?;
    let mut client = connect(&server)?;
    let many = (0..4000).map(|n| {
        Request::Create(CreateRequest {
            path: format!("/n{n}"),
            data: None,
            acl: Acl::open(),
            flags: 0,
        })
    });
    let many = Request::Multi(MultiRequest {
        ops: many.collect(),
    });
    client.send(&[many, create("/late", 0), exists("/late")])?;
    let throttled = ErrorCode::ThrottledOp.code();
    assert_eq!(receive(&mut client, 3)?, [0, throttled, throttled]);
    assert_eq!(
        error(&mut client, exists("/late"))?,
        ErrorCode::NoNode.code()
    );
    assert_eq!(words::metrics(server.client)?["zk_throttled_ops"], "2");
    Ok(())
}

#[test]
fn a_request_may_be_as_long_as_jute_maxbuffer_and_no_longer() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "jute.maxbuffer=20000")?;
    let mut client = connect(&server)?;
    let mut answers = Vec::new();
    for size in [19_000, 19_940] {
        let path = format!("/n{size}");
        answers.push(error(&mut client, new(&path, vec![0; size]))?);
    }
    assert_eq!(answers, [0, 0]);
    let (_, body) = client.call(get("/n19940"), &mut VecDeque::new())?;
    ensure!(body.len() > 19_940, "{} bytes came back", body.len());
    client.send(&[new("/n20000", vec![0; 20_000])])?;
    client.expect_end()?;
    Ok(())
}
