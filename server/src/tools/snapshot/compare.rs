//! What differs between two snapshots, whatever the order of their znodes.
//!
//! The first is read into fingerprints, the second compared with them; if something differs the
//! first is read once more, to say what it was. A fingerprint has 128 bits of the path and 64 of
//! the content, so two that differ are taken for the same once in 2^64 znodes.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufWriter, Write as _, stdout};
use std::path::Path;

use hashbrown::HashMap;
use serde_json::{Value, json};
use wire::snapshot::{OPEN_ACL, Piece, ZnodeRecord};
use wire::{Acl, SessionId, StatPersisted};

use super::{Source, shown};
use crate::tools::acl_text;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Added(String),
    Removed(String),
    /// With each field that changed: before, after.
    Changed(String, Vec<(&'static str, String, String)>),
    SessionAdded(SessionId),
    SessionRemoved(SessionId),
    SessionTimeout(SessionId, i32, i32),
}

/// Prints all; whether there are any.
pub(super) fn compare(before: &Path, after: &Path, json: bool) -> anyhow::Result<bool> {
    let mut out = BufWriter::new(stdout().lock());
    let mut any = false;
    differences(before, after, |difference| {
        any = true;
        let line = if json {
            difference.json().to_string()
        } else {
            difference.text()
        };
        Ok(writeln!(out, "{line}")?)
    })?;
    out.flush()?;
    Ok(any)
}

type Key = [u64; 2];

fn key(path: &str) -> Key {
    [0u8, 1].map(|salt| {
        let mut hasher = DefaultHasher::new();
        (salt, path).hash(&mut hasher);
        hasher.finish()
    })
}

/// What is compared of a znode.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    length: Option<usize>,
    data: u64,
    acl: u64,
    stat: StatPersisted,
}

impl Content {
    fn of(znode: &ZnodeRecord, acls: &BTreeMap<i64, Vec<Acl>>) -> Self {
        let hash = |value: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            value(&mut hasher);
            hasher.finish()
        };
        Self {
            length: znode.data.as_ref().map(bytes::Bytes::len),
            data: hash(&|hasher| znode.data.hash(hasher)),
            acl: hash(&|hasher| list(znode.acl, acls).hash(hasher)),
            stat: znode.stat,
        }
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.length, self.data, self.acl).hash(&mut hasher);
        for (_, value) in fields(&self.stat) {
            value.hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn list(index: i64, acls: &BTreeMap<i64, Vec<Acl>>) -> Vec<Acl> {
    match index {
        OPEN_ACL => Acl::open(),
        index => acls.get(&index).cloned().unwrap_or_default(),
    }
}

fn fields(stat: &StatPersisted) -> [(&'static str, i64); 9] {
    [
        ("czxid", stat.czxid.0.cast_signed()),
        ("mzxid", stat.mzxid.0.cast_signed()),
        ("pzxid", stat.pzxid.0.cast_signed()),
        ("ctime", stat.ctime),
        ("mtime", stat.mtime),
        ("version", stat.version.into()),
        ("cversion", stat.cversion.into()),
        ("aversion", stat.aversion.into()),
        ("owner", stat.ephemeral_owner),
    ]
}

/// A snapshot's sessions and ACLs, gathered while its znodes pass by.
#[derive(Default)]
struct Tables {
    sessions: BTreeMap<SessionId, i32>,
    acls: BTreeMap<i64, Vec<Acl>>,
}

fn read(
    path: &Path,
    mut take: impl FnMut(&Tables, ZnodeRecord) -> anyhow::Result<()>,
) -> anyhow::Result<Tables> {
    let mut tables = Tables::default();
    Source::open(path, false)?.each(|piece| {
        match piece {
            Piece::Session(session) => {
                tables.sessions.insert(session.session, session.timeout);
            }
            Piece::Acl(acl) => {
                tables.acls.insert(acl.index, acl.acl);
            }
            Piece::Znode(znode) => take(&tables, znode)?,
            Piece::Sessions(_) | Piece::Acls(_) | Piece::End => {}
        }
        Ok(())
    })?;
    Ok(tables)
}

pub(super) fn differences(
    before: &Path,
    after: &Path,
    mut tell: impl FnMut(Difference) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut known: HashMap<Key, u64> = HashMap::new();
    let old = read(before, |tables, znode| {
        let content = Content::of(&znode, &tables.acls);
        known.insert(key(&znode.path), content.fingerprint());
        Ok(())
    })?;
    let mut changed: HashMap<Key, (Content, String)> = HashMap::new();
    let new = read(after, |tables, znode| {
        let key = key(&znode.path);
        let content = Content::of(&znode, &tables.acls);
        match known.remove(&key) {
            None => tell(Difference::Added(shown(&znode.path).to_owned()))?,
            Some(same) if same == content.fingerprint() => {}
            Some(_) => {
                let acl = acl_text(&list(znode.acl, &tables.acls));
                changed.insert(key, (content, acl));
            }
        }
        Ok(())
    })?;
    if !known.is_empty() || !changed.is_empty() {
        read(before, |tables, znode| {
            let key = key(&znode.path);
            let path = shown(&znode.path).to_owned();
            if known.contains_key(&key) {
                tell(Difference::Removed(path))?;
            } else if let Some((now, acl)) = changed.get(&key) {
                let was = Content::of(&znode, &tables.acls);
                let old_acl = acl_text(&list(znode.acl, &tables.acls));
                let fields = changes((&was, &old_acl), (now, acl));
                tell(Difference::Changed(path, fields))?;
            }
            Ok(())
        })?;
    }
    compare_sessions(&old.sessions, &new.sessions, tell)
}

fn changes(
    (was, old_acl): (&Content, &str),
    (now, acl): (&Content, &str),
) -> Vec<(&'static str, String, String)> {
    let mut all = Vec::new();
    let length = |content: &Content| match content.length {
        None => "none".to_owned(),
        Some(length) => format!("{length} bytes {:016x}", content.data),
    };
    if (was.length, was.data) != (now.length, now.data) {
        all.push(("data", length(was), length(now)));
    }
    if was.acl != now.acl {
        all.push(("acl", old_acl.to_owned(), acl.to_owned()));
    }
    for ((name, was), (_, now)) in fields(&was.stat).into_iter().zip(fields(&now.stat)) {
        let text = |value: i64| match name {
            "czxid" | "mzxid" | "pzxid" | "owner" => format!("{value:#x}"),
            _ => value.to_string(),
        };
        if was != now {
            all.push((name, text(was), text(now)));
        }
    }
    all
}

fn compare_sessions(
    before: &BTreeMap<SessionId, i32>,
    after: &BTreeMap<SessionId, i32>,
    mut tell: impl FnMut(Difference) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for (id, timeout) in before {
        match after.get(id) {
            None => tell(Difference::SessionRemoved(*id))?,
            Some(now) if now != timeout => {
                tell(Difference::SessionTimeout(*id, *timeout, *now))?;
            }
            Some(_) => {}
        }
    }
    let added = after.keys().filter(|id| !before.contains_key(id));
    added
        .copied()
        .try_for_each(|id| tell(Difference::SessionAdded(id)))
}

impl Difference {
    fn text(&self) -> String {
        match self {
            Self::Added(path) => format!("+ {path}"),
            Self::Removed(path) => format!("- {path}"),
            Self::Changed(path, fields) => {
                let field =
                    |(name, was, now): &(&str, String, String)| format!(" {name} {was} -> {now}");
                let fields: Vec<String> = fields.iter().map(field).collect();
                format!("~ {path}{}", fields.join(","))
            }
            Self::SessionAdded(id) => format!("+ session {id}"),
            Self::SessionRemoved(id) => format!("- session {id}"),
            Self::SessionTimeout(id, was, now) => format!("~ session {id} timeout {was} -> {now}"),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Added(path) => json!({ "added": path }),
            Self::Removed(path) => json!({ "removed": path }),
            Self::Changed(path, fields) => {
                let field = |(name, was, now): &(&str, String, String)| {
                    ((*name).to_owned(), json!([was, now]))
                };
                let fields: serde_json::Map<_, _> = fields.iter().map(field).collect();
                json!({ "changed": path, "fields": fields })
            }
            Self::SessionAdded(id) => json!({ "sessionAdded": id.to_string() }),
            Self::SessionRemoved(id) => json!({ "sessionRemoved": id.to_string() }),
            Self::SessionTimeout(id, was, now) => {
                json!({ "session": id.to_string(), "timeout": [was, now] })
            }
        }
    }
}
