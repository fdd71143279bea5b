//! What ZooKeeper's advisories warn of, as far as it concerns a server without TLS and SASL. Each
//! test is named by the advisory and says what must not be possible.

use std::collections::VecDeque;

use anyhow::{Context, ensure};
use bytes::Bytes;
use tests::raw::Connection;
use tests::words;
use wire::client::{
    AddWatchRequest, AuthPacket, BarePath, CreateRequest, DeleteRequest, ErrorCode, EventType,
    GetAclResponse, PathRequest, Request, SetAclRequest, SetDataRequest,
};
use wire::{Acl, Id, Perms, Record, SessionId};

use crate::admin::{Admin, SUPER};
use crate::members::Single;
use crate::sessions::error;

const ALICE: &str = "alice:secret";
/// What `alice:secret` becomes.
const ALICE_ID: &str = "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=";
const BOB: &str = "bob:bob";
const BOB_ID: &str = "bob:X1SKGw3XQQSIPMZRf5lW7e07VPY=";

fn client(server: &Single, credentials: Option<&'static str>) -> anyhow::Result<Connection> {
    let mut client = Connection::connect(server.client, SessionId::NONE)?;
    if let Some(credentials) = credentials {
        let packet = AuthPacket {
            kind: 0,
            scheme: "digest".to_owned(),
            auth: Some(Bytes::from_static(credentials.as_bytes())),
        };
        ensure!(error(&mut client, Request::Auth(packet))? == 0, "refused");
    }
    Ok(client)
}

fn entry(perms: Perms, scheme: &str, id: &str) -> Acl {
    Acl {
        perms,
        id: Id::new(scheme, id),
    }
}

fn set_acl(path: &str, acl: Vec<Acl>) -> Request {
    Request::SetAcl(SetAclRequest {
        path: path.to_owned(),
        acl,
        version: -1,
    })
}

fn create(path: &str, acl: Vec<Acl>) -> Request {
    Request::Create(CreateRequest {
        path: path.to_owned(),
        data: None,
        acl,
        flags: 0,
    })
}

const NO_PAUSE: &str = "admin.rateLimiterIntervalInMS=0";

/// To take or to replace all data one must be allowed everything to the root, by each single
/// permission: to be known is not enough.
#[test]
fn cve_2025_58457_snapshot_and_restore_ask_for_all_permissions_on_the_root() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let admin = Admin::start(folder.path(), NO_PAUSE)?;
    let mut root = client(&admin.server, Some("super:test"))?;
    let ask = |method: &str, command: &str| -> anyhow::Result<u16> {
        let headers = format!("Authorization: digest {BOB}\r\n");
        let path = format!("/commands/{command}");
        Ok(admin
            .send_with(method, &path, &headers, b"no snapshot")?
            .status)
    };
    for missing in [
        Perms::READ,
        Perms::WRITE,
        Perms::CREATE,
        Perms::DELETE,
        Perms::ADMIN,
    ] {
        let others = Perms(Perms::ALL.0 & !missing.0);
        let acl = vec![entry(others, "digest", BOB_ID)];
        assert_eq!(error(&mut root, set_acl("/", acl))?, 0);
        let answers = (ask("GET", "snapshot")?, ask("POST", "restore")?);
        assert_eq!(answers, (403, 403), "without {missing:?}");
    }
    let all = vec![entry(Perms::ALL, "digest", BOB_ID)];
    assert_eq!(error(&mut root, set_acl("/", all))?, 0);
    assert_eq!(ask("GET", "snapshot?streaming=false")?, 200);
    // He may; what he sends is no snapshot.
    assert_eq!(ask("POST", "restore")?, 500);
    Ok(())
}

/// Whoever asks the AdminServer has the address that the connection comes from, whatever the
/// request says.
#[test]
fn cve_2024_51504_a_forwarded_address_is_not_the_askers() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let admin = Admin::start(folder.path(), NO_PAUSE)?;
    let mut root = client(&admin.server, Some("super:test"))?;
    let ask = |more: &str| -> anyhow::Result<u16> {
        let headers = format!("Authorization: ip\r\n{more}");
        let path = "/commands/snapshot?streaming=false";
        Ok(admin.send_with("GET", path, &headers, &[])?.status)
    };
    let claims = [
        "X-Forwarded-For: 10.9.9.9\r\n",
        "X-Forwarded-For: 127.0.0.1, 10.9.9.9\r\n",
        "X-Forwarded-For: 10.9.9.9, 127.0.0.1\r\n",
        "X-Real-IP: 10.9.9.9\r\n",
        "Forwarded: for=10.9.9.9\r\n",
        "Client-IP: 10.9.9.9\r\n",
    ];
    let trusted = vec![entry(Perms::ALL, "ip", "10.9.9.9")];
    assert_eq!(error(&mut root, set_acl("/", trusted))?, 0);
    for claim in claims {
        assert_eq!(ask(claim)?, 403, "{claim:?}");
    }
    let local = vec![entry(Perms::ALL, "ip", "127.0.0.1")];
    assert_eq!(error(&mut root, set_acl("/", local))?, 0);
    for claim in claims.iter().chain(&[""]) {
        assert_eq!(ask(claim)?, 200, "{claim:?}");
    }
    Ok(())
}

/// All events until the answer to a question that the client asks last.
fn events(client: &mut Connection) -> anyhow::Result<Vec<(Option<EventType>, String)>> {
    let mut events = VecDeque::new();
    client.call(Request::WhoAmI(()), &mut events)?;
    let event = events
        .into_iter()
        .map(|event| (EventType::from_code(event.kind), event.path));
    Ok(event.collect())
}

fn watch(client: &mut Connection, path: &str, mode: i32) -> anyhow::Result<i32> {
    let path = path.to_owned();
    error(client, Request::AddWatch(AddWatchRequest { path, mode }))
}

/// A watch tells of no znode that its client may not read: not its path, nor that it is there.
#[test]
fn cve_2024_23944_watches_do_not_tell_what_may_not_be_read() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "")?;
    let mut alice = client(&server, Some(ALICE))?;
    assert_eq!(error(&mut alice, create("/open", Acl::open()))?, 0);
    let mut friend = client(&server, Some(ALICE))?;
    let mut eve = client(&server, None)?;
    for (path, mode) in [("/open", 1), ("/", 1), ("/open", 0), ("/open/hers", 0)] {
        assert_eq!(watch(&mut eve, path, mode)?, 0);
        assert_eq!(watch(&mut friend, path, mode)?, 0);
    }
    let hers = vec![entry(Perms::ALL, "digest", ALICE_ID)];
    assert_eq!(error(&mut alice, create("/open/hers", hers.clone()))?, 0);
    assert_eq!(error(&mut alice, create("/open/hers/too", hers))?, 0);
    let path = || "/open/hers".to_owned();
    let set = SetDataRequest {
        path: path(),
        data: None,
        version: -1,
    };
    assert_eq!(error(&mut alice, Request::SetData(set))?, 0);
    // Who is nobody may not look either.
    let mut nobody = client(&server, None)?;
    let read = PathRequest {
        path: path(),
        watch: true,
    };
    for request in [
        Request::Exists(read.clone()),
        Request::GetData(read.clone()),
        Request::GetChildren(read.clone()),
        Request::GetChildren2(read),
    ] {
        assert_eq!(error(&mut nobody, request)?, ErrorCode::NoAuth.code());
    }
    let delete = |path: &str| {
        Request::Delete(DeleteRequest {
            path: path.to_owned(),
            version: -1,
        })
    };
    assert_eq!(error(&mut alice, delete("/open/hers/too"))?, 0);
    assert_eq!(error(&mut alice, delete("/open/hers"))?, 0);
    let told = events(&mut eve)?;
    // That the children of what she may read have changed she may know.
    let children = (Some(EventType::NodeChildrenChanged), "/open".to_owned());
    assert_eq!(told, [children.clone(), children]);
    let told = events(&mut friend)?;
    ensure!(
        told.iter().any(|(_, path)| path == "/open/hers/too"),
        "who may read is told: {told:?}"
    );
    Ok(())
}

/// Who may not change a list is not shown the hashes of passwords in it, and who may not read the
/// znode not the list.
#[test]
fn cve_2019_0201_get_acl_shows_no_hashes_to_others() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), SUPER)?;
    let mut alice = client(&server, Some(ALICE))?;
    let shared = vec![
        entry(Perms::ALL, "digest", ALICE_ID),
        entry(Perms::READ, "digest", BOB_ID),
        entry(Perms::READ, "ip", "127.0.0.1"),
    ];
    let own = vec![entry(Perms::ALL, "digest", ALICE_ID)];
    assert_eq!(error(&mut alice, create("/shared", shared.clone()))?, 0);
    assert_eq!(error(&mut alice, create("/own", own))?, 0);
    let get = |client: &mut Connection, path: &str| -> anyhow::Result<(i32, Vec<Acl>)> {
        let path = path.to_owned();
        let question = Request::GetAcl(BarePath { path });
        let (header, body) = client.call(question, &mut VecDeque::new())?;
        if header.err != 0 {
            ensure!(body.is_empty(), "{body:?} with an error");
            return Ok((header.err, Vec::new()));
        }
        let answer = GetAclResponse::from_bytes(&body).context("read the list")?;
        Ok((0, answer.acl))
    };
    assert_eq!(get(&mut alice, "/shared")?, (0, shared.clone()));
    let masked = vec![
        entry(Perms::ALL, "digest", "alice:x"),
        entry(Perms::READ, "digest", "bob:x"),
        entry(Perms::READ, "ip", "127.0.0.1"),
    ];
    for credentials in [Some(BOB), None] {
        let mut other = client(&server, credentials)?;
        assert_eq!(get(&mut other, "/shared")?, (0, masked.clone()));
        let refused = (ErrorCode::NoAuth.code(), Vec::new());
        assert_eq!(get(&mut other, "/own")?, refused);
    }
    let mut root = client(&server, Some("super:test"))?;
    assert_eq!(get(&mut root, "/shared")?, (0, shared));
    Ok(())
}

/// The words that cost a server much are answered only where its operator wants it.
#[test]
fn cve_2017_5637_watches_are_listed_only_if_the_operator_says_so() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Single::start(folder.path(), "4lw.commands.whitelist=srvr")?;
    for word in ["wchp", "wchc", "wchs", "dump", "cons", "mntr"] {
        let answer = words::ask(server.client, word)?;
        let refusal = format!("{word} is not executed because it is not in the whitelist.\n");
        assert_eq!(answer, refusal);
    }
    Ok(())
}

/// A server that is to authenticate its peers, which is not there yet, does not start as if it did.
#[test]
fn cve_2018_8012_peers_are_not_let_in_unauthenticated_where_they_should_authenticate()
-> anyhow::Result<()> {
    for key in [
        "quorum.auth.enableSasl",
        "quorum.auth.serverRequireSasl",
        "quorum.auth.learnerRequireSasl",
        "sslQuorum",
    ] {
        let text = format!("dataDir=/nonexistent\nclientPort=2181\n{key}=true\n");
        let config = ferrokeeper::config::Config::parse(
            std::path::Path::new("zoo.cfg"),
            &text,
            &ferrokeeper::config::Overrides::default(),
        );
        let refusal = config.err().with_context(|| format!("{key} is ignored"))?;
        ensure!(refusal.to_string().contains(key), "{refusal}");
    }
    Ok(())
}

/// Passwords and hashes of the configuration are neither logged nor told.
#[test]
fn cve_2026_24308_secrets_of_the_configuration_are_not_logged() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let hash = "D/InIHSb7yEEbrWz8b9l71RjZJU=";
    let settings = "ssl.keyStore.password=hunter2\nssl.trustStore.password=hunter3";
    let admin = Admin::start(folder.path(), settings)?;
    let mut said = admin.server.said()?;
    for word in ["conf", "envi", "srvr"] {
        said += &words::ask(admin.server.client, word)?;
    }
    for command in ["configuration", "environment", "system_properties"] {
        let path = format!("/commands/{command}");
        said += &admin.send_with("GET", &path, "", &[])?.text();
    }
    for secret in [hash, "hunter2", "hunter3"] {
        ensure!(!said.contains(secret), "{secret} is told: {said}");
    }
    Ok(())
}
