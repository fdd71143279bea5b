//! Requests with null where a path, or whom an ACL names, should be: the same codes and zxids on
//! Apache and on ours.

use std::time::Duration;

use anyhow::{Context, ensure};
use tests::ensemble::{Ensemble, Make};
use tests::raw::{Connection, Frame};
use wire::client::{OpCode, Request};
use wire::{Acl, Record, SessionId};

use crate::Setting;

const LIMIT: Duration = Duration::from_secs(60);
/// As wire writes it, length first.
const NULL: &[u8] = &[0xff, 0xff, 0xff, 0xff];

/// One after the other, each on what those before it left.
pub(crate) fn same(setting: &Setting) -> anyhow::Result<()> {
    let expected = told(setting, Make::Apache)?;
    let found = told(setting, Make::Ferrokeeper)?;
    let differences: Vec<String> = expected
        .iter()
        .zip(&found)
        .filter(|(expected, found)| expected != found)
        .map(|(expected, found)| format!("Apache: {expected}, ours: {found}"))
        .collect();
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    println!(
        "        {} requests with null, equal on Apache and on ours",
        expected.len()
    );
    Ok(())
}

/// What each was answered: its error, and how far the zxid went on.
fn told(setting: &Setting, make: Make) -> anyhow::Result<Vec<String>> {
    let folder = setting.folder.join(format!("{make:?}"));
    let settings = "extendedTypesEnabled=true";
    let mut ensemble = Ensemble::new(&setting.programs, &folder, &[make; 3], settings)?;
    ensemble.start_all()?;
    let leader = ensemble.leader(LIMIT)?;
    let mut client = Connection::connect(ensemble.member(leader).client, SessionId::NONE)?;
    let mut last = None;
    let mut told = Vec::new();
    for (name, op, record) in requests() {
        client
            .send(&[Request::Null(op, record.into())])
            .with_context(|| format!("{name} on {make:?}"))?;
        let header = loop {
            match client.receive()? {
                Frame::Reply(header, _) => break header,
                Frame::Event(..) => {}
            }
        };
        let zxid = header.zxid.0;
        let further = last.map(|last| zxid.wrapping_sub(last) as i64);
        last = Some(zxid);
        told.push(format!("{name}: {}, zxid {further:?} further", header.err));
    }
    Ok(told)
}

fn bytes(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn text(text: &str) -> Vec<u8> {
    text.to_owned().to_bytes().to_vec()
}

/// An ACL of one entry for `scheme`, which may be null, and nobody.
fn for_nobody(scheme: &[u8]) -> Vec<u8> {
    bytes(&[&1i32.to_bytes(), &31i32.to_bytes(), scheme, NULL])
}

/// A part of a multi, and the multi's end.
fn multi(op: OpCode, record: &[u8]) -> Vec<u8> {
    let any = (-1i32).to_bytes();
    bytes(&[&op.code().to_bytes(), &[0], &any, record, &any, &[1], &any])
}

fn requests() -> Vec<(&'static str, OpCode, Vec<u8>)> {
    use OpCode as O;
    let number = |number: i32| number.to_bytes();
    let data = bytes(&[&number(1), b"x"]);
    let open = Acl::open().to_bytes();
    let create = |path: &[u8], acl: &[u8], mode: i32| bytes(&[path, &data, acl, &number(mode)]);
    let any = number(-1);
    let lists = |count: usize, which: usize| {
        let list = |at: usize| match at == which {
            true => bytes(&[&number(1), NULL]),
            false => number(0).to_vec(),
        };
        let lists: Vec<u8> = (0..count).flat_map(list).collect();
        bytes(&[&[0; 8], &lists])
    };
    let watched = bytes(&[NULL, &[1]]);
    vec![
        (
            "a first write",
            O::Create,
            create(&text("/first"), &open, 0),
        ),
        ("create", O::Create, create(NULL, &open, 0)),
        ("create ephemeral", O::Create, create(NULL, &open, 1)),
        ("create sequential", O::Create, create(NULL, &open, 2)),
        ("create in no mode", O::Create, create(NULL, &open, 99)),
        ("create2", O::Create2, create(NULL, &open, 0)),
        (
            "createContainer",
            O::CreateContainer,
            create(NULL, &open, 4),
        ),
        (
            "createTTL",
            O::CreateTtl,
            bytes(&[&create(NULL, &open, 5), &1000i64.to_bytes()]),
        ),
        ("delete", O::Delete, bytes(&[NULL, &any])),
        ("setData", O::SetData, bytes(&[NULL, &data, &any])),
        ("setACL", O::SetAcl, bytes(&[NULL, &open, &any])),
        ("exists", O::Exists, watched.clone()),
        ("getData", O::GetData, watched.clone()),
        ("getChildren", O::GetChildren, watched.clone()),
        ("getChildren2", O::GetChildren2, watched.clone()),
        ("getACL", O::GetAcl, NULL.to_vec()),
        ("sync", O::Sync, NULL.to_vec()),
        ("getEphemerals", O::GetEphemerals, NULL.to_vec()),
        (
            "getAllChildrenNumber",
            O::GetAllChildrenNumber,
            NULL.to_vec(),
        ),
        ("addWatch", O::AddWatch, bytes(&[NULL, &number(0)])),
        (
            "addWatch recursive",
            O::AddWatch,
            bytes(&[NULL, &number(1)]),
        ),
        ("checkWatches", O::CheckWatches, bytes(&[NULL, &number(3)])),
        (
            "removeWatches",
            O::RemoveWatches,
            bytes(&[NULL, &number(3)]),
        ),
        ("setWatches data", O::SetWatches, lists(3, 0)),
        ("setWatches exist", O::SetWatches, lists(3, 1)),
        ("setWatches child", O::SetWatches, lists(3, 2)),
        ("setWatches2 data", O::SetWatches2, lists(5, 0)),
        ("setWatches2 persistent", O::SetWatches2, lists(5, 3)),
        ("setWatches2 recursive", O::SetWatches2, lists(5, 4)),
        (
            "multi create",
            O::Multi,
            multi(O::Create, &create(NULL, &open, 0)),
        ),
        (
            "multi delete",
            O::Multi,
            multi(O::Delete, &bytes(&[NULL, &any])),
        ),
        (
            "multi setData",
            O::Multi,
            multi(O::SetData, &bytes(&[NULL, &data, &any])),
        ),
        (
            "multi check",
            O::Multi,
            multi(O::Check, &bytes(&[NULL, &any])),
        ),
        (
            "multiRead getData",
            O::MultiRead,
            multi(O::GetData, &watched),
        ),
        (
            "multiRead getChildren",
            O::MultiRead,
            multi(O::GetChildren, &watched),
        ),
        (
            "create for no scheme",
            O::Create,
            create(&text("/x"), &for_nobody(NULL), 0),
        ),
        (
            "create for nobody of world",
            O::Create,
            create(&text("/x"), &for_nobody(&text("world")), 0),
        ),
        (
            "create for nobody of digest",
            O::Create,
            create(&text("/x"), &for_nobody(&text("digest")), 0),
        ),
        (
            "create for nobody of ip",
            O::Create,
            create(&text("/x"), &for_nobody(&text("ip")), 0),
        ),
        (
            "setACL for nobody of digest",
            O::SetAcl,
            bytes(&[&text("/first"), &for_nobody(&text("digest")), &any]),
        ),
        ("a last write", O::Create, create(&text("/last"), &open, 0)),
    ]
}
