//! The AdminServer of a whole member, over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use tests::ports::Ports;
use tests::raw::Connection;
use tests::words;
use wire::client::{CreateRequest, ErrorCode, Request, SetAclRequest};
use wire::{Acl, Id, Perms, SessionId};

use crate::members::Single;
use crate::sessions::{create, error, exists};

/// `super:test`.
pub(crate) const SUPER: &str =
    "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

pub(crate) struct Admin {
    pub(crate) server: Single,
    address: SocketAddr,
    _ports: Ports,
}

/// An answer: status, headers in lower case, body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Admin {
    pub(crate) fn start(folder: &Path, settings: &str) -> anyhow::Result<Self> {
        let ports = Ports::claim(1)?;
        let port = ports.numbers()[0];
        let settings =
            format!("admin.enableServer=true\nadmin.serverPort={port}\n{SUPER}\n{settings}");
        Ok(Self {
            server: Single::start(folder, &settings)?,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            _ports: ports,
        })
    }

    fn ask(&self, method: &str, path: &str, credentials: Option<&str>) -> anyhow::Result<Answer> {
        self.send(method, path, credentials, &[])
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        credentials: Option<&str>,
        content: &[u8],
    ) -> anyhow::Result<Answer> {
        let headers = credentials.map(|text| format!("Authorization: {text}\r\n"));
        self.send_with(method, path, &headers.unwrap_or_default(), content)
    }

    /// Sends a request with these headers, each with its line's end.
    pub(crate) fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        content: &[u8],
    ) -> anyhow::Result<Answer> {
        let mut stream = TcpStream::connect(self.address).context("connect")?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\
             Content-Length: {}\r\n{headers}\r\n",
            content.len(),
        )?;
        stream.write_all(content).context("send the content")?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).context("read the answer")?;
        let end = all.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.context("no end of the headers")?;
        let headers = String::from_utf8_lossy(&all[..end]).to_lowercase();
        let status = headers.split(' ').nth(1).context("no status")?.parse()?;
        let body = all.split_off(end + 4);
        let body = if headers.contains("transfer-encoding: chunked") {
            joined(&body)?
        } else {
            body
        };
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    fn snapshot(&self, credentials: Option<&str>) -> anyhow::Result<(u16, String)> {
        let answer = self.ask("GET", "/commands/snapshot?streaming=false", credentials)?;
        Ok((answer.status, answer.text()))
    }
}

/// A body that came in chunks.
fn joined(mut chunks: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|two| two == b"\r\n");
        let (length, rest) = chunks.split_at(end.context("no length of a chunk")?);
        let length = usize::from_str_radix(str::from_utf8(length)?, 16)?;
        if length == 0 {
            return Ok(body);
        }
        body.extend(rest.get(2..2 + length).context("a chunk is cut off")?);
        chunks = rest.get(length + 4..).context("no end of a chunk")?;
    }
}

#[test]
fn commands_are_listed_and_answered_in_json() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let admin = Admin::start(folder.path(), "admin.commandURL=/zk")?;
    let index = admin.ask("GET", "/zk", None)?;
    assert!(
        index
            .text()
            .starts_with("<a href=\"/zk/configuration\">configuration</a>\n<br/>\n")
    );
    let answer = admin.ask("GET", "/zk/ruok", None)?;
    assert!(answer.headers.contains("content-type: application/json"));
    assert_eq!(
        (answer.status, answer.text()),
        (
            200,
            "{\n  \"command\" : \"ruok\",\n  \"error\" : null\n}\n".to_owned()
        )
    );
    let answer = admin.ask("GET", "/zk/made-up", None)?;
    let unknown =
        "{\n  \"command\" : \"made-up\",\n  \"error\" : \"Unknown command: made-up\"\n}\n";
    assert_eq!((answer.status, answer.text()), (200, unknown.to_owned()));
    assert_eq!(admin.ask("GET", "/commands/ruok", None)?.status, 404);
    assert_eq!(admin.ask("PUT", "/zk/ruok", None)?.status, 405);
    assert_eq!(admin.ask("POST", "/zk/ruok", None)?.status, 405);
    let properties = admin.ask("GET", "/zk/sysp", None)?.text();
    assert!(
        !properties.contains("D/InIHSb7yEEbrWz8b9l71RjZJU"),
        "{properties}"
    );
    Ok(())
}

#[test]
fn a_snapshot_is_given_to_those_who_may_do_everything_to_the_root() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let admin = Admin::start(folder.path(), "admin.rateLimiterIntervalInMS=0")?;
    let mut client = Connection::connect(admin.server.client, SessionId::NONE)?;
    // Each permission is there, but not for one and the same.
    let acl = [(Perms::READ, "anyone"), (Perms::WRITE, "anyone")].map(|(perms, id)| Acl {
        perms,
        id: Id {
            scheme: "world".to_owned(),
            id: id.to_owned(),
        },
    });
    let set = SetAclRequest {
        path: "/".to_owned(),
        acl: acl.to_vec(),
        version: -1,
    };
    assert_eq!(error(&mut client, Request::SetAcl(set))?, 0);
    let refusal =
        |why: &str| format!("{{\n  \"command\" : \"snapshot\",\n  \"error\" : {why}\n}}\n");
    for (credentials, status, why) in [
        (None, 401, "\"Auth info is missing for the command\""),
        (Some("digest super:wrong"), 403, "\"Not authorized\""),
        (Some("ip"), 403, "\"Not authorized\""),
        (Some("made-up x"), 401, "\"Not authenticated\""),
        (Some("digest super:test x"), 401, "\"Not authenticated\""),
        (Some("digest super:test"), 200, "null"),
    ] {
        let expected = (status, refusal(why));
        assert_eq!(admin.snapshot(credentials)?, expected, "{credentials:?}");
    }
    Ok(())
}

#[test]
fn a_streamed_snapshot_is_a_state_to_start_from() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let admin = Admin::start(folder.path(), "")?;
    let mut client = Connection::connect(admin.server.client, SessionId::NONE)?;
    for path in ["/a", "/a/b"] {
        assert_eq!(error(&mut client, create(path, 0))?, 0);
    }
    let answer = admin.ask("GET", "/commands/snap", Some("digest super:test"))?;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .headers
            .contains("content-type: application/octet-stream")
    );
    assert!(
        answer.headers.contains("last_zxid: 0x3"),
        "{}",
        answer.headers
    );
    let size = format!("snapshot_size: {}", answer.body.len());
    assert!(answer.headers.contains(&size), "{}", answer.headers);
    let again = admin.snapshot(Some("digest super:test"))?;
    assert_eq!(again.0, 429, "{}", again.1);

    let other = tempfile::tempdir()?;
    let data = other.path().join("data/version-2");
    std::fs::create_dir_all(&data)?;
    std::fs::write(data.join("snapshot.3"), &answer.body)?;
    let copy = Single::start(other.path(), "snapshot.trust.empty=true")?;
    let mut client = Connection::connect(copy.client, SessionId::NONE)?;
    assert_eq!(error(&mut client, exists("/a/b"))?, 0);
    Ok(())
}

#[test]
fn a_restored_snapshot_takes_the_place_of_everything() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut admin = Admin::start(folder.path(), "admin.rateLimiterIntervalInMS=0")?;
    let key = Some("digest super:test");
    let mut client = Connection::connect(admin.server.client, SessionId::NONE)?;
    assert_eq!(error(&mut client, create("/kept", 0))?, 0);
    let snapshot = admin.ask("GET", "/commands/snapshot", key)?.body;
    assert_eq!(error(&mut client, create("/later", 0))?, 0);

    let send = |key, content: &[u8]| admin.send("POST", "/commands/restore", key, content);
    assert_eq!(send(None, &snapshot)?.status, 401);
    assert_eq!(send(key, &snapshot[..snapshot.len() - 40])?.status, 500);
    assert_eq!(error(&mut client, exists("/later"))?, 0);
    let answer = send(key, &snapshot)?;
    let zxid = "{\n  \"last_zxid\" : 2,\n  \"command\" : \"restore\",\n  \"error\" : null\n}\n";
    assert_eq!((answer.status, answer.text()), (200, zxid.to_owned()));

    // It starts again as the same process.
    let deadline = Instant::now() + Duration::from_secs(30);
    let gone = loop {
        let connected = Connection::connect(admin.server.client, SessionId::NONE);
        let answer = connected.and_then(|mut client| error(&mut client, exists("/later")));
        match answer {
            Ok(code) if code != 0 => break code,
            _ => anyhow::ensure!(Instant::now() < deadline, "nothing was restored"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(gone, ErrorCode::NoNode.code());
    let mut client = Connection::connect(admin.server.client, SessionId::NONE)?;
    assert_eq!(error(&mut client, exists("/kept"))?, 0);
    assert!(admin.server.process.is_running());
    Ok(())
}

#[test]
fn quotas_are_monitored_by_the_first_part_of_their_path() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "")?;
    let mut client = Connection::connect(server.client, SessionId::NONE)?;
    let set = |path: &str, text: &'static str| {
        Request::Create(CreateRequest {
            path: path.to_owned(),
            data: Some(text.into()),
            acl: Acl::open(),
            flags: 0,
        })
    };
    for (path, text) in [
        ("/app", "1234"),
        ("/app/a", "123"),
        ("/zookeeper/quota/app", ""),
        ("/zookeeper/quota/app/zookeeper_limits", "count=5,bytes=9"),
        ("/zookeeper/quota/app/zookeeper_stats", "count=2,bytes=7"),
    ] {
        assert_eq!(error(&mut client, set(path, text))?, 0, "{path}");
    }
    let metrics = words::metrics(server.client)?;
    let of = |name: &str| metrics[&format!("zk_app_quota_{name}_per_namespace")].clone();
    let found = ["count_limit", "bytes_limit", "count_usage", "bytes_usage"].map(of);
    assert_eq!(found, ["5", "9", "2", "7"]);
    Ok(())
}

#[test]
fn snapshots_can_be_switched_off() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let admin = Admin::start(folder.path(), "admin.snapshot.enabled=false")?;
    assert_eq!(admin.snapshot(Some("digest super:test"))?.0, 503);
    Ok(())
}

#[test]
fn answers_to_words_count_as_sent() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "")?;
    let packets = || {
        let metrics = words::metrics(server.client)?;
        let [received, sent] = ["received", "sent"].map(|way| format!("zk_packets_{way}"));
        let counts: (u64, u64) = (metrics[&received].parse()?, metrics[&sent].parse()?);
        anyhow::Ok(counts)
    };
    let before = packets()?;
    words::ask(server.client, "dump")?;
    assert_eq!(packets()?, (before.0 + 2, before.1 + 2));
    Ok(())
}
