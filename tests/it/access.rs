//! Who clients are, and what that opens to them.

use std::collections::VecDeque;

use bytes::Bytes;
use tests::raw::Connection;
use wire::client::{
    AuthPacket, BarePath, CreateRequest, ErrorCode, GetAclResponse, Request, SetDataRequest,
};
use wire::{Acl, Id, Perms, Record, SessionId, Zxid};

use crate::members::{Single, ensemble};
use crate::sessions::{create, error, exists};

fn credentials(scheme: &str, text: &'static str) -> Request {
    Request::Auth(AuthPacket {
        kind: 0,
        scheme: scheme.to_owned(),
        auth: Some(Bytes::from_static(text.as_bytes())),
    })
}

fn create_with(path: &str, acl: Acl) -> Request {
    Request::Create(CreateRequest {
        path: path.to_owned(),
        data: None,
        acl: vec![acl],
        flags: 0,
    })
}

fn set(path: &str) -> Request {
    Request::SetData(SetDataRequest {
        path: path.to_owned(),
        data: None,
        version: -1,
    })
}

#[test]
fn nobody_is_served_without_a_required_scheme() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = "enforce.auth.enabled=true\nenforce.auth.schemes=digest";
    let server = Single::start(folder.path(), settings)?;
    for request in [exists("/"), create("/a", 0), Request::Ping(())] {
        let mut stranger = Connection::connect(server.client, SessionId::NONE)?;
        stranger.send(&[request])?;
        let tests::raw::Frame::Reply(header, _) = stranger.receive()? else {
            anyhow::bail!("an event");
        };
        let refused = ErrorCode::SessionClosedRequireSaslAuth.code();
        assert_eq!((header.zxid, header.err), (Zxid::ZERO, refused));
        stranger.expect_end()?;
    }
    let mut user = Connection::connect(server.client, SessionId::NONE)?;
    assert_eq!(error(&mut user, credentials("digest", "user:pw"))?, 0);
    assert_eq!(error(&mut user, create("/a", 0))?, 0);
    Ok(())
}

#[test]
fn client_of_another_ensemble_is_closed_without_a_word() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let class = "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider";
    let settings = format!("authProvider.1={class}\nensembleAuthName=blue, green");
    let server = Single::start(folder.path(), &settings)?;
    let mut right = Connection::connect(server.client, SessionId::NONE)?;
    assert_eq!(error(&mut right, credentials("ensemble", "green"))?, 0);
    assert_eq!(error(&mut right, exists("/"))?, 0);
    let mut wrong = Connection::connect(server.client, SessionId::NONE)?;
    wrong.send(&[credentials("ensemble", "red")])?;
    wrong.expect_end()
}

#[test]
fn early_refusals_take_no_zxid() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ensemble = ensemble(folder.path(), 3, "enableEagerACLCheck=true")?;
    let server = ensemble.member(1).client;
    let mut client = Connection::connect(server, SessionId::NONE)?;
    let mut events = VecDeque::new();
    let read_only = Acl {
        perms: Perms::READ,
        id: Id::anyone(),
    };
    let (made, _) = client.call(create_with("/locked", read_only), &mut events)?;
    assert_eq!(made.err, 0);
    let (refused, _) = client.call(set("/locked"), &mut events)?;
    assert_eq!(
        (refused.zxid, refused.err),
        (Zxid::ZERO, ErrorCode::NoAuth.code())
    );
    let nobody = Acl {
        perms: Perms::ALL,
        id: Id::new("auth", ""),
    };
    let (refused, _) = client.call(create_with("/x", nobody), &mut events)?;
    assert_eq!(
        (refused.zxid, refused.err),
        (Zxid::ZERO, ErrorCode::InvalidAcl.code())
    );
    let (absent, _) = client.call(set("/none"), &mut events)?;
    assert_eq!(
        (absent.zxid.0, absent.err),
        (made.zxid.0 + 1, ErrorCode::NoNode.code())
    );
    Ok(())
}

#[test]
fn passwords_are_hashed_as_configured() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = "DigestAuthenticationProvider.digestAlg=SHA-256\n\
        DigestAuthenticationProvider.superDigest=super:pf/5UZ3hSEMCyPTZIhYMus2k1Qkz5Sa5cbISAOTsYlo=";
    let server = Single::start(folder.path(), settings)?;
    let mut user = Connection::connect(server.client, SessionId::NONE)?;
    assert_eq!(error(&mut user, credentials("digest", "user:pw"))?, 0);
    let own = Acl {
        perms: Perms::ALL,
        id: Id::new("auth", ""),
    };
    assert_eq!(error(&mut user, create_with("/own", own))?, 0);
    let path = "/own".to_owned();
    let question = Request::GetAcl(BarePath { path });
    let (_, body) = user.call(question.clone(), &mut VecDeque::new())?;
    let shown = GetAclResponse::from_bytes(&body)?;
    let hash = "user:Fh8MmK6jIxqd61iqgh3Q7UZ5AQo6NbHt+ZWIwPHmup4=";
    assert_eq!(shown.acl[0].id, Id::new("digest", hash));
    let mut admin = Connection::connect(server.client, SessionId::NONE)?;
    let refused = ErrorCode::NoAuth.code();
    assert_eq!(error(&mut admin, question.clone())?, refused);
    assert_eq!(error(&mut admin, credentials("digest", "super:pw"))?, 0);
    assert_eq!(error(&mut admin, question)?, 0);
    Ok(())
}
