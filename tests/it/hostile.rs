//! What comes from nobody's client: it costs its sender the connection, and nobody else anything.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::raw::Connection;
use wire::client::{
    AuthPacket, BarePath, CheckVersionRequest, CreateRequest, ErrorCode, OpCode, Request,
};
use wire::frame::encode_frame;
use wire::{Record, SessionId};

use crate::members::{START, Single, ensemble};
use crate::sessions::{create, error, exists};

/// A sequence that is the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// What is sent before the random bytes: beginnings that are taken seriously.
const BEGINNINGS: [&[u8]; 6] = [
    b"",
    // A frame of 44 bytes on the client port.
    &[0, 0, 0, 44],
    // A hello's version and an id, on the election port.
    &[
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 77,
    ],
    // An old hello: member 77.
    &[0, 0, 0, 0, 0, 0, 0, 77],
    // FOLLOWERINFO of epoch 0 with 20 bytes, on the quorum port.
    &[0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20],
    // A packet that announces 2 GiB.
    &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff],
];

#[test]
fn a_proof_that_cannot_be_read_ends_the_connection() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "")?;
    for op in [OpCode::Auth, OpCode::Sasl] {
        let mut client = Connection::connect(server.client, SessionId::NONE)?;
        let mut out = Vec::new();
        encode_frame(&mut out, |out| {
            1_i32.encode(out);
            op.code().encode(out);
            out.push(0);
        });
        client.send_bytes(&out)?;
        client.expect_end()?;
    }
    Ok(())
}

#[test]
fn random_bytes_on_every_port_disturb_nobody() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut ensemble = ensemble(folder.path(), 3, "")?;
    let leader = ensemble.leader(START)?;
    let mut client = Connection::connect(ensemble.member(leader).client, SessionId::NONE)?;
    let config = std::fs::read_to_string(ensemble.member(1).folder.join("zoo.cfg"))?;
    let ports: Vec<u16> = config
        .lines()
        .filter_map(|line| line.strip_prefix("server."))
        .flat_map(|line| line.split([':', ';']))
        .filter_map(|part| part.parse().ok())
        .collect();
    ensure!(ports.len() == 9, "nine ports in {config}");
    let seed = 0x5eed_0003;
    let mut random = Random(seed);
    for round in 0..30 {
        for port in &ports {
            let address = SocketAddr::from(([127, 0, 0, 1], *port));
            let mut stream = TcpStream::connect(address).context("connect")?;
            let beginning = BEGINNINGS[round % BEGINNINGS.len()];
            let count = random.next() as usize % 2000;
            let mut bytes = beginning.to_vec();
            bytes.extend(random.bytes(count));
            // A server that closes early is right to do so.
            let _ = stream.write_all(&bytes);
        }
        let path = format!("/round{round}");
        ensure!(
            error(&mut client, create(&path, 0))? == 0,
            "seed {seed:#x}, round {round}"
        );
    }
    assert_eq!(ensemble.leader(START)?, leader);
    for id in 1..=3 {
        ensure!(ensemble.process(id)?.is_running(), "member {id} ended");
    }
    Ok(())
}

#[test]
fn frames_of_impossible_length_close_the_connection_without_an_answer() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "")?;
    let mut other = Connection::connect(server.client, SessionId::NONE)?;
    for length in [i32::MAX, -1, i32::MIN, 0x10_0000] {
        let mut fresh = Connection::open(server.client)?;
        fresh.send_bytes(&length.to_be_bytes())?;
        fresh.expect_end()?;
        let mut client = Connection::connect(server.client, SessionId::NONE)?;
        client.send_bytes(&length.to_be_bytes())?;
        client.expect_end()?;
        assert_eq!(error(&mut other, exists("/"))?, 0);
    }
    Ok(())
}

#[test]
fn what_is_not_a_clients_to_ask_is_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "")?;
    let path = || "/zookeeper/quota".to_owned();
    let alone = CheckVersionRequest {
        path: path(),
        version: -1,
    };
    for request in [
        Request::Check(alone),
        Request::DeleteContainer(BarePath { path: path() }),
        Request::CreateSession(wire::client::CreateSessionRequest { timeout: 5000 }),
    ] {
        let mut client = Connection::connect(server.client, SessionId::NONE)?;
        let refused = error(&mut client, request)?;
        assert_eq!(refused, ErrorCode::Unimplemented.code());
        client.expect_end()?;
    }
    let mut client = Connection::connect(server.client, SessionId::NONE)?;
    client.send(&[Request::Auth(AuthPacket {
        kind: 0,
        scheme: "nonsense".into(),
        auth: None,
    })])?;
    let tests::raw::Frame::Reply(header, _) = client.receive()? else {
        anyhow::bail!("an event");
    };
    assert_eq!(header.err, ErrorCode::AuthFailed.code());
    client.expect_end()
}

#[test]
fn ten_thousand_silent_connections_are_cheap() -> anyhow::Result<()> {
    const COUNT: usize = 10_000;
    const EACH: u64 = 8 << 10;
    if !may_open(COUNT as u64 + 1000)? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "")?;
    let mut other = Connection::connect(server.client, SessionId::NONE)?;
    let before = resident(server.process.id())?;
    let mut silent = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        silent.push(TcpStream::connect(server.client).context("connect")?);
    }
    assert_eq!(error(&mut other, create("/a", 0))?, 0);
    let grown = resident(server.process.id())?.saturating_sub(before);
    ensure!(
        grown < EACH * COUNT as u64,
        "{grown} bytes for {COUNT} connections"
    );
    // The last one is as good as any.
    let last = silent.last_mut().context("one")?;
    last.set_read_timeout(Some(Duration::from_secs(10)))?;
    last.write_all(b"ruok")?;
    let mut answer = String::new();
    last.read_to_string(&mut answer)?;
    assert_eq!(answer, "imok");
    Ok(())
}

/// Allows this process, and those that it starts, as many files as it may have. False if these are
/// fewer than `wanted`.
pub(crate) fn may_open(wanted: u64) -> anyhow::Result<bool> {
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        eprintln!("skipped: this user may not open {wanted} files");
        return Ok(false);
    }
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).context("raise the number of open files")?;
    Ok(true)
}

#[test]
fn nobody_gets_the_answers_of_a_client_that_left() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "")?;
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stayers: Vec<_> = (0..4)
            .map(|number| {
                let end = &end;
                scope.spawn(move || stay(server.client, number, end))
            })
            .collect();
        let left = (0..30).try_for_each(|round| leave(server.client, round));
        end.store(true, Ordering::Relaxed);
        for stayer in stayers {
            stayer.join().expect("a stayer panicked")?;
        }
        left
    })
}

/// Anything else than the answer to its own request is an error.
fn stay(server: SocketAddr, number: usize, end: &AtomicBool) -> anyhow::Result<()> {
    let mut stayer = Connection::connect(server, SessionId::NONE)?;
    let path = format!("/stays{number}");
    assert_eq!(error(&mut stayer, create(&path, 0))?, 0);
    while !end.load(Ordering::Relaxed) {
        assert_eq!(error(&mut stayer, exists(&path))?, 0);
    }
    Ok(())
}

/// Many ask for much, and end all at once as soon as answers come.
fn leave(server: SocketAddr, round: usize) -> anyhow::Result<()> {
    let mut leavers = Vec::new();
    for who in 0..32 {
        let mut leaver = Connection::connect(server, SessionId::NONE)?;
        let requests: Vec<_> = (0..32)
            .map(|number| create(&format!("/left{round}-{who}-{number}"), 0))
            .collect();
        leaver.send(&requests)?;
        leavers.push(leaver);
    }
    leavers[0].receive()?;
    Ok(())
}

#[test]
fn client_that_takes_no_answers_is_not_served_further() -> anyhow::Result<()> {
    const SIZE: usize = 100_000;
    const REQUESTS: usize = 1_000;
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "")?;
    let mut client = Connection::connect(server.client, SessionId::NONE)?;
    let data = Some(vec![7; SIZE].into());
    let made = Request::Create(CreateRequest {
        path: "/big".into(),
        data,
        acl: wire::Acl::open(),
        flags: 0,
    });
    assert_eq!(error(&mut client, made)?, 0);
    let before = resident(server.process.id())?;
    let get = Request::GetData(wire::client::PathRequest {
        path: "/big".into(),
        watch: false,
    });
    client.send(&vec![get; REQUESTS])?;
    let mut other = Connection::connect(server.client, SessionId::NONE)?;
    for _ in 0..50 {
        assert_eq!(error(&mut other, exists("/big"))?, 0);
        std::thread::sleep(Duration::from_millis(10));
    }
    let grown = resident(server.process.id())?.saturating_sub(before);
    ensure!(
        grown < 32 << 20,
        "{grown} bytes for answers that nobody takes"
    );
    // It gets all of them once it takes them.
    for _ in 0..REQUESTS {
        client.receive()?;
    }
    Ok(())
}

/// Bytes of memory that a process has.
pub(crate) fn resident(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("VmRSS")?.trim().parse::<u64>()? << 10)
}
