//! Tests of the whole: requests are prepared, applied and read, as a leader and its followers do.

mod answers;
mod bodies;
mod errors;
mod fuzzy;
mod golden;
mod model;
mod quotas;
mod random;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use wire::client::{
    BarePath, CheckVersionRequest, CreateMode, CreateRequest, CreateSessionRequest,
    CreateTtlRequest, DeleteRequest, EventType, MultiRequest, Request, SetAclRequest,
    SetDataRequest, Write,
};
use wire::txn::Entry;
use wire::{Acl, Id, SessionId, StatPersisted, Zxid};

pub(crate) use random::Random;

use crate::{Applied, Options, Pending, PrepareContext, Standing, Tree, acl, digest, prepare};

/// A leader and what it has proposed and not committed.
struct Leader {
    tree: Tree,
    pending: Pending,
    zxid: Zxid,
    time: i64,
    standing: Standing,
    identities: Arc<[Id]>,
    proposed: VecDeque<Entry>,
    applied: Applied,
}

const S: SessionId = SessionId(0x100);

impl Leader {
    fn new(seed: u64) -> Self {
        let options = Options {
            extended_types: true,
            ..Options::default()
        };
        let mut leader = Self {
            tree: Tree::new(seed, options),
            pending: Pending::new(seed),
            zxid: Zxid(0x1_0000_0000),
            time: 1_000_000,
            standing: Standing::Global,
            identities: Arc::new([Id::new("ip", "127.0.0.1")]),
            proposed: VecDeque::new(),
            applied: Applied::default(),
        };
        leader.done(S, session(30_000));
        leader
    }

    fn context(&self) -> PrepareContext {
        PrepareContext {
            zxid: self.zxid,
            time: self.time,
            session: self.standing,
        }
    }

    fn propose(&mut self, session: SessionId, request: Request) -> Entry {
        self.zxid = self.zxid.next().unwrap();
        self.time += 10;
        let write = Write {
            session,
            cxid: 1,
            request,
            identities: self.identities.clone(),
        };
        let ctx = self.context();
        let entry = prepare(&self.tree, &mut self.pending, &ctx, &write);
        self.proposed.push_back(entry.clone());
        entry
    }

    /// Applies the oldest proposal.
    fn commit(&mut self) -> Entry {
        let entry = self.proposed.pop_front().unwrap();
        self.tree.apply(&entry, &mut self.applied);
        self.pending.committed(&entry);
        assert_eq!(self.applied.mismatch(), None, "{entry:?}");
        entry
    }

    /// Proposes and commits; the error of the reply.
    fn done(&mut self, session: SessionId, request: Request) -> i32 {
        self.propose(session, request);
        self.commit();
        self.applied.error()
    }

    fn events(&self) -> Vec<(EventType, &str)> {
        self.applied.events().map(|e| (e.kind, e.path)).collect()
    }
}

fn data(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

fn create(path: &str, mode: CreateMode) -> CreateRequest {
    CreateRequest {
        path: path.to_owned(),
        data: data("d"),
        acl: Acl::open(),
        flags: mode.code(),
    }
}

fn persistent(path: &str) -> Request {
    Request::Create(create(path, CreateMode::Persistent))
}

fn ephemeral(path: &str) -> Request {
    Request::Create(create(path, CreateMode::Ephemeral))
}

fn container(path: &str) -> Request {
    Request::CreateContainer(create(path, CreateMode::Container))
}

fn with_ttl(path: &str, ttl: i64) -> Request {
    Request::CreateTtl(CreateTtlRequest {
        path: path.to_owned(),
        data: data("d"),
        acl: Acl::open(),
        flags: CreateMode::PersistentWithTtl.code(),
        ttl,
    })
}

fn delete(path: &str, version: i32) -> Request {
    let path = path.to_owned();
    Request::Delete(DeleteRequest { path, version })
}

fn set(path: &str, text: &str, version: i32) -> Request {
    Request::SetData(SetDataRequest {
        path: path.to_owned(),
        data: data(text),
        version,
    })
}

fn set_acl(path: &str, acl: Vec<Acl>, version: i32) -> Request {
    let path = path.to_owned();
    Request::SetAcl(SetAclRequest { path, acl, version })
}

fn check(path: &str, version: i32) -> Request {
    let path = path.to_owned();
    Request::Check(CheckVersionRequest { path, version })
}

fn multi(ops: Vec<Request>) -> Request {
    Request::Multi(MultiRequest { ops })
}

fn session(timeout: i32) -> Request {
    Request::CreateSession(CreateSessionRequest { timeout })
}

fn bare(path: &str) -> BarePath {
    BarePath {
        path: path.to_owned(),
    }
}

/// Data, state and ACL of a znode.
type Held = (Option<Vec<u8>>, StatPersisted, Vec<Acl>);

/// All that a tree holds, without regard to how.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Dump {
    znodes: BTreeMap<String, Held>,
    sessions: Vec<(SessionId, i32)>,
    ephemerals: Vec<(SessionId, String)>,
    digest: u64,
    data_size: u64,
    count: u64,
}

/// Also checks what the tree keeps twice.
fn dump(tree: &Tree) -> Dump {
    let znodes: BTreeMap<_, _> = std::iter::once(crate::znodes::ROOT)
        .chain(tree.znodes.descendants(crate::znodes::ROOT))
        .map(|id| {
            let path = tree.znodes.path(id);
            assert_eq!(tree.znodes.find(&path), Some(id));
            let data = tree.znodes.data(id).map(<[u8]>::to_vec);
            let acl = tree.acl(id).map_or_else(Acl::open, |acl| acl.to_vec());
            (path, (data, tree.znodes.stat(id), acl))
        })
        .collect();
    let mut ephemerals: Vec<_> = tree
        .ephemeral_owners()
        .flat_map(|owner| tree.ephemerals(owner).map(move |path| (owner, path)))
        .collect();
    ephemerals.sort();
    let digest = znodes.iter().fold(0u64, |sum, (path, (data, stat, _))| {
        sum.wrapping_add(digest::of(path, data.as_deref(), stat).into())
    });
    assert_eq!(tree.digest(), digest);
    let data_size = znodes.iter().fold(1, |sum, (path, (data, ..))| {
        sum + path.len() + data.as_ref().map_or(0, Vec::len)
    });
    assert_eq!(tree.approximate_data_size(), data_size as u64);
    let acls = tree.acls.iter().count();
    let used: std::collections::BTreeSet<_> = znodes
        .values()
        .map(|(.., acl)| acl)
        .filter(|acl| **acl != Acl::open())
        .collect();
    assert_eq!(acls, used.len());
    Dump {
        count: znodes.len() as u64 + 1,
        znodes,
        sessions: tree.sessions().collect(),
        ephemerals,
        digest,
        data_size: data_size as u64,
    }
}

fn acl_of(perms: i32, scheme: &str, id: &str) -> Acl {
    Acl {
        perms: wire::Perms(perms),
        id: Id::new(scheme, id),
    }
}

fn alice() -> Id {
    Id::new("digest", &acl::PasswordHash::Sha1.identity("alice:a"))
}
