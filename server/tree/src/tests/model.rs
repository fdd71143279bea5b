//! The tree against a plain map: the same requests, the same answers and the same state.

use wire::Record;
use wire::client::{
    Create2Response, CreateResponse, ErrorCode, MultiResponse, MultiResult, StatResponse,
};
use wire::{Perms, Stat};

use super::random::{Random, Step, Workload};
use super::*;

#[derive(Clone)]
struct Node {
    data: Option<Vec<u8>>,
    stat: StatPersisted,
    acl: Vec<Acl>,
}

#[derive(Clone)]
struct Model {
    nodes: BTreeMap<String, Node>,
    identities: Arc<[Id]>,
    session: SessionId,
    zxid: Zxid,
    time: i64,
}

/// An answer: error and record.
type Answer = (i32, Vec<u8>);

impl Model {
    fn new(tree: &Tree) -> Self {
        let nodes = dump(tree).znodes.into_iter();
        Self {
            nodes: nodes
                .map(|(path, (data, stat, acl))| (path, Node { data, stat, acl }))
                .collect(),
            identities: Arc::new([]),
            session: S,
            zxid: Zxid::ZERO,
            time: 0,
        }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let mut body = Vec::new();
        match request {
            Request::Multi(multi) => {
                let results = self.multi(&multi.ops);
                MultiResponse { results }.encode(&mut body);
            }
            Request::CreateSession(_) => {}
            Request::CloseSession(()) => {
                let owner = self.session.0;
                let own: Vec<String> = self
                    .nodes
                    .iter()
                    .filter(|(_, node)| node.stat.ephemeral_owner == owner)
                    .map(|(path, _)| path.clone())
                    .collect();
                own.iter().for_each(|path| self.remove(path));
            }
            Request::Check(_) => return (ErrorCode::Unimplemented.code(), body),
            one => match self.one(one) {
                Err(error) => return (error.code(), body),
                Ok(MultiResult::Create(r)) => r.encode(&mut body),
                Ok(MultiResult::Create2(r)) => r.encode(&mut body),
                Ok(MultiResult::SetData(r)) => r.encode(&mut body),
                Ok(_) => {}
            },
        }
        (0, body)
    }

    fn multi(&mut self, ops: &[Request]) -> Vec<MultiResult> {
        let before = self.clone();
        let mut results = Vec::new();
        for (i, op) in ops.iter().enumerate() {
            match self.one(op) {
                Ok(result) => results.push(result),
                Err(error) => {
                    *self = before;
                    let mut errors = vec![0; i];
                    errors.push(error.code());
                    errors.resize(ops.len(), -2);
                    return errors.into_iter().map(MultiResult::Error).collect();
                }
            }
        }
        results
    }

    fn one(&mut self, request: &Request) -> Result<MultiResult, ErrorCode> {
        match request {
            Request::Create(r) => {
                let path = self.create(&r.path, &r.data, &r.acl, r.flags, 0)?;
                Ok(MultiResult::Create(CreateResponse { path }))
            }
            Request::Create2(r) => self.create2(&r.path, &r.data, &r.acl, r.flags, 0),
            Request::CreateContainer(r) => {
                self.create2(&r.path, &r.data, &r.acl, r.flags, i64::MIN)
            }
            Request::CreateTtl(r) => {
                self.create2(&r.path, &r.data, &r.acl, r.flags, 0xff << 56 | r.ttl)
            }
            Request::Delete(r) => {
                if r.path == "/" {
                    return Err(ErrorCode::BadArguments);
                }
                self.may(parent(&r.path), Perms::DELETE)?;
                let node = self.node(&r.path)?;
                expect(node.stat.version, r.version)?;
                self.childless(&r.path)?;
                self.remove(&r.path);
                Ok(MultiResult::Delete)
            }
            Request::DeleteContainer(r) => {
                if r.path == "/" {
                    return Err(ErrorCode::BadArguments);
                }
                let stat = self.node(&r.path)?.stat;
                self.childless(&r.path)?;
                let owner = stat.ephemeral_owner;
                let ttl = owner.wrapping_sub(0xff << 56);
                let lapsed = 0 < ttl && ttl < 1 << 40 && self.time - stat.mtime > ttl;
                if owner != i64::MIN && !lapsed {
                    return Err(ErrorCode::BadVersion);
                }
                self.remove(&r.path);
                Ok(MultiResult::Delete)
            }
            Request::SetData(r) => {
                self.may(&r.path, Perms::WRITE)?;
                let (zxid, time) = (self.zxid, self.time);
                let node = self.nodes.get_mut(key(&r.path)).unwrap();
                expect(node.stat.version, r.version)?;
                node.data = r.data.as_ref().map(|data| data.to_vec());
                node.stat.version += 1;
                (node.stat.mzxid, node.stat.mtime) = (zxid, time);
                let stat = self.shown(&r.path);
                Ok(MultiResult::SetData(StatResponse { stat }))
            }
            Request::SetAcl(r) => {
                let acl = self.resolve(&r.acl)?;
                self.may(&r.path, Perms::ADMIN)?;
                let node = self.nodes.get_mut(key(&r.path)).unwrap();
                expect(node.stat.aversion, r.version)?;
                node.acl = acl;
                node.stat.aversion += 1;
                let stat = self.shown(&r.path);
                Ok(MultiResult::SetData(StatResponse { stat }))
            }
            Request::Check(r) => {
                self.may(&r.path, Perms::READ)?;
                expect(self.node(&r.path)?.stat.version, r.version)?;
                Ok(MultiResult::Check)
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn create2(
        &mut self,
        path: &str,
        data: &Option<Bytes>,
        acl: &[Acl],
        flags: i32,
        owner: i64,
    ) -> Result<MultiResult, ErrorCode> {
        let path = self.create(path, data, acl, flags, owner)?;
        let stat = self.shown(&path);
        Ok(MultiResult::Create2(Create2Response { path, stat }))
    }

    fn create(
        &mut self,
        path: &str,
        data: &Option<Bytes>,
        acl: &[Acl],
        flags: i32,
        owner: i64,
    ) -> Result<String, ErrorCode> {
        let mode = CreateMode::from_code(flags).unwrap();
        let acl = self.resolve(acl)?;
        self.may(parent(path), Perms::CREATE)?;
        let above = self.node(parent(path))?.stat;
        let path = match mode.is_sequential() {
            true => format!("{path}{:010}", above.cversion),
            false => path.to_owned(),
        };
        if self.nodes.contains_key(key(&path)) {
            return Err(ErrorCode::NodeExists);
        }
        if (1..5).contains(&above.ephemeral_owner) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let above = self.nodes.get_mut(parent(&path)).unwrap();
        above.stat.cversion += 1;
        above.stat.pzxid = self.zxid;
        let owner = if mode.is_ephemeral() {
            self.session.0
        } else {
            owner
        };
        let stat = StatPersisted {
            czxid: self.zxid,
            mzxid: self.zxid,
            ctime: self.time,
            mtime: self.time,
            ephemeral_owner: owner,
            pzxid: self.zxid,
            ..StatPersisted::default()
        };
        let data = data.as_ref().map(|data| data.to_vec());
        self.nodes.insert(path.clone(), Node { data, stat, acl });
        Ok(path)
    }

    fn remove(&mut self, path: &str) {
        self.nodes.remove(path);
        let zxid = self.zxid;
        self.nodes.get_mut(parent(path)).unwrap().stat.pzxid = zxid;
    }

    fn node(&self, path: &str) -> Result<&Node, ErrorCode> {
        self.nodes.get(key(path)).ok_or(ErrorCode::NoNode)
    }

    fn childless(&self, path: &str) -> Result<(), ErrorCode> {
        match self.children(path) {
            0 => Ok(()),
            _ => Err(ErrorCode::NotEmpty),
        }
    }

    fn children(&self, path: &str) -> usize {
        let is_child = |other: &&String| !other.is_empty() && parent(other) == key(path);
        self.nodes.keys().filter(is_child).count()
    }

    fn may(&self, path: &str, perms: Perms) -> Result<(), ErrorCode> {
        let granted = self.node(path)?.acl.iter().any(|entry| {
            let is_named = entry.id.scheme == "world" || self.identities.contains(&entry.id);
            entry.perms.intersects(perms) && is_named
        });
        if granted {
            Ok(())
        } else {
            Err(ErrorCode::NoAuth)
        }
    }

    fn resolve(&self, acl: &[Acl]) -> Result<Vec<Acl>, ErrorCode> {
        let is_auth = acl.first().is_some_and(|entry| entry.id.scheme == "auth");
        match acl {
            [] => Err(ErrorCode::InvalidAcl),
            _ if !is_auth => Ok(acl.to_vec()),
            _ if !self.identities.contains(&alice()) => Err(ErrorCode::InvalidAcl),
            _ => Ok(vec![acl_of(31, "digest", &alice().id)]),
        }
    }

    fn shown(&self, path: &str) -> Stat {
        let Node { data, stat, .. } = &self.nodes[key(path)];
        let children = self.children(path) as i32;
        let is_session = (1..5).contains(&stat.ephemeral_owner);
        Stat {
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            ctime: stat.ctime,
            mtime: stat.mtime,
            version: stat.version,
            cversion: 2 * stat.cversion - children,
            aversion: stat.aversion,
            ephemeral_owner: if is_session { stat.ephemeral_owner } else { 0 },
            data_length: data.as_ref().map_or(0, Vec::len) as i32,
            num_children: children,
            pzxid: stat.pzxid,
        }
    }
}

/// The root is the empty path.
fn key(path: &str) -> &str {
    if path == "/" { "" } else { path }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').unwrap().0
}

fn expect(version: i32, expected: i32) -> Result<(), ErrorCode> {
    if expected == -1 || expected == version {
        Ok(())
    } else {
        Err(ErrorCode::BadVersion)
    }
}

#[test]
fn pipelined_requests_are_answered_as_one_after_the_other() {
    let mut errors = BTreeMap::new();
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let mut work = Workload::new(seed);
        let mut model = Model::new(&work.leader.tree);
        let mut follower = Tree::new(seed + 1, work.leader.tree.options().clone());
        let mut applied = Applied::default();
        let mut answers = VecDeque::new();
        for step in 0..400 {
            match work.step(&mut random) {
                Step::Proposed(proposed) => {
                    let (session, request, entry) = *proposed;
                    model.identities = work.leader.identities.clone();
                    model.session = session;
                    model.zxid = entry.zxid();
                    model.time = entry.header().time;
                    answers.push_back((model.answer(&request), request));
                }
                Step::Committed => {
                    let (answer, request) = answers.pop_front().unwrap();
                    let leader = &work.leader.applied;
                    let found = (leader.error(), leader.body().to_vec());
                    assert_eq!(found, answer, "seed {seed} step {step}: {request:?}");
                    *errors.entry(answer.0).or_insert(0) += 1;
                    let entry = work.committed.last().unwrap();
                    let copy = Entry::decode(entry.bytes().clone()).unwrap();
                    assert_eq!(copy, *entry);
                    follower.apply(&copy, &mut applied);
                    assert_eq!(applied.mismatch(), None);
                    assert_eq!(applied.body(), work.leader.applied.body());
                }
            }
        }
        while !work.leader.proposed.is_empty() {
            let entry = work.leader.commit();
            follower.apply(&entry, &mut applied);
        }
        assert!(work.leader.pending.is_empty());
        let state = dump(&work.leader.tree);
        let znodes: BTreeMap<_, _> = model
            .nodes
            .into_iter()
            .map(|(path, node)| (path, (node.data, node.stat, node.acl)))
            .collect();
        assert_eq!(state.znodes, znodes, "seed {seed}");
        follower.sessions.insert(S, 30_000);
        assert_eq!(dump(&follower), state, "seed {seed}");
    }
    // The workload is worth something only if it meets success and each refusal.
    let met: Vec<i32> = errors.keys().copied().collect();
    assert_eq!(met, [-114, -111, -110, -108, -103, -102, -101, -8, -6, 0]);
}
