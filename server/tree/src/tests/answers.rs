//! Answers and events, to the byte and in order.

use wire::Record;
use wire::client::{
    Create2Response, ErrorCode, GetAclResponse, GetChildrenResponse, GetDataResponse,
    MultiResponse, MultiResult, PathRequest,
};
use wire::{Perms, Stat};

use super::*;
use crate::{Caller, WatchKind, WatchTable, Watcher};

fn path(path: &str) -> PathRequest {
    PathRequest {
        path: path.to_owned(),
        watch: false,
    }
}

fn read(leader: &Leader, request: &Request) -> Result<Bytes, ErrorCode> {
    let caller = Caller {
        session: S,
        identities: &leader.identities,
    };
    let mut out = vec![1, 2, 3];
    let result = leader.tree.read_into(request, caller, &mut out);
    assert_eq!(out[..3], [1, 2, 3]);
    if result.is_err() {
        assert_eq!(out.len(), 3);
    }
    result.map(|()| Bytes::from(out).slice(3..))
}

#[test]
fn events_come_in_apaches_order() {
    let mut leader = Leader::new(1);
    leader.done(S, persistent("/a"));
    assert_eq!(
        leader.events(),
        [
            (EventType::NodeCreated, "/a"),
            (EventType::NodeChildrenChanged, "/"),
        ]
    );
    leader.done(S, set("/a", "x", 0));
    assert_eq!(leader.events(), [(EventType::NodeDataChanged, "/a")]);
    leader.done(S, set_acl("/a", Acl::read_only(), 0));
    assert_eq!(leader.events(), []);
    leader.done(S, multi(vec![ephemeral("/e"), delete("/a", 1)]));
    assert_eq!(
        leader.events(),
        [
            (EventType::NodeCreated, "/e"),
            (EventType::NodeChildrenChanged, "/"),
            (EventType::NodeDeleted, "/a"),
            (EventType::NodeChildrenChanged, "/"),
        ]
    );
    leader.done(S, Request::CloseSession(()));
    assert_eq!(
        leader.events(),
        [
            (EventType::NodeDeleted, "/e"),
            (EventType::NodeChildrenChanged, "/"),
        ]
    );
}

#[test]
fn events_carry_the_acl_that_the_znode_had() {
    let mut leader = Leader::new(1);
    leader.identities = Arc::new([alice()]);
    leader.done(S, persistent("/a"));
    let secret = vec![acl_of(31, "digest", &alice().id)];
    leader.done(S, set_acl("/a", secret.clone(), -1));
    leader.done(S, persistent("/a/b"));
    let acls = |leader: &Leader| -> Vec<Option<Vec<Acl>>> {
        let events = leader.applied.events();
        events.map(|event| event.acl.map(<[Acl]>::to_vec)).collect()
    };
    assert_eq!(acls(&leader), [None, Some(secret.clone())]);
    leader.done(S, delete("/a/b", -1));
    leader.done(S, delete("/a", -1));
    assert_eq!(acls(&leader), [Some(secret), None]);
    assert_eq!(leader.applied.events().next().unwrap().zxid, leader.zxid);
}

#[test]
fn a_client_is_told_of_a_delete_once_and_then_of_the_parents_children() {
    let mut leader = Leader::new(1);
    leader.done(S, persistent("/a"));
    let mut watches = WatchTable::new(1);
    let (one, two) = (Watcher(1), Watcher(2));
    watches.add("/a", WatchKind::Data, one);
    watches.add("/a", WatchKind::Child, one);
    watches.add("/", WatchKind::Child, one);
    watches.add("/a", WatchKind::Child, two);
    leader.done(S, delete("/a", -1));
    let mut told = Vec::new();
    for event in leader.applied.events() {
        let mut watchers = Vec::new();
        watches.fire(event.path, event.kind, &mut watchers);
        watchers.sort_unstable();
        told.extend(watchers.into_iter().map(|w| (w, event.kind, event.path)));
    }
    assert_eq!(
        told,
        [
            (one, EventType::NodeDeleted, "/a"),
            (two, EventType::NodeDeleted, "/a"),
            (one, EventType::NodeChildrenChanged, "/"),
        ]
    );
    assert!(watches.is_empty());
}

#[test]
fn a_failed_multi_tells_what_became_of_each_part() {
    let mut leader = Leader::new(1);
    let digest = leader.tree.digest();
    let parts = vec![persistent("/m1"), delete("/nonode", -1), persistent("/m2")];
    let entry = leader.propose(S, multi(parts));
    assert_eq!(entry.digest().map(|d| d.digest), Some(digest));
    leader.commit();
    assert_eq!(leader.applied.error(), 0);
    let golden = [
        "ffffffff", "00", "00000000", "00000000", "ffffffff", "00", "ffffff9b", "ffffff9b",
        "ffffffff", "00", "fffffffe", "fffffffe", "ffffffff", "01", "ffffffff",
    ];
    let body: String = leader
        .applied
        .body()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(body, golden.concat());
    assert_eq!(leader.tree.znode_count(), 5);
}

#[test]
fn parts_of_a_multi_answer_with_their_types() {
    let mut leader = Leader::new(1);
    leader.done(
        S,
        multi(vec![
            persistent("/a"),
            Request::Create2(create("/b", CreateMode::PersistentSequential)),
            container("/c"),
            with_ttl("/d", 1),
            check("/a", 0),
            set("/a", "x", 0),
            delete("/a", 1),
        ]),
    );
    let body = Bytes::copy_from_slice(leader.applied.body());
    let answer = MultiResponse::from_bytes(&body).unwrap();
    let kinds: Vec<&str> = answer
        .results
        .iter()
        .map(|result| match result {
            MultiResult::Create(_) => "1",
            MultiResult::Create2(_) => "15",
            MultiResult::SetData(_) => "5",
            MultiResult::Check => "13",
            MultiResult::Delete => "2",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["1", "15", "15", "15", "13", "5", "2"]);
    let MultiResult::Create2(Create2Response { path, stat }) = &answer.results[1] else {
        panic!("{answer:?}");
    };
    assert_eq!(path, "/b0000000001");
    assert_eq!((stat.czxid, stat.pzxid), (leader.zxid, leader.zxid));
    leader.done(S, multi(vec![]));
    assert_eq!(
        leader.applied.body(),
        [255, 255, 255, 255, 1, 255, 255, 255, 255]
    );
}

#[test]
fn a_multi_of_apache_that_failed_holds_the_parts_before_the_failure() {
    let mut leader = Leader::new(1);
    let ops = vec![persistent("/a"), persistent("/none/b"), persistent("/c")];
    let ours = leader.propose(S, multi(ops));
    let mut probe = Leader::new(1);
    let create = probe.propose(S, persistent("/a"));
    let wire::txn::Txn::Multi(mut parts) = ours.txn().clone() else {
        panic!("{ours:?}");
    };
    parts[0] = (create.header().kind, create.txn().clone());
    let apaches = Entry::new(
        ours.header().clone(),
        wire::txn::Txn::Multi(parts),
        ours.digest(),
    );
    let mut other = Applied::default();
    let mut tree = Tree::new(3, leader.tree.options().clone());
    tree.apply(&apaches, &mut other);
    leader.commit();
    assert_eq!(other.body(), leader.applied.body());
    assert_eq!((other.mismatch(), tree.znode_count()), (None, 5));
}

#[test]
fn a_rolled_back_multi_leaves_nothing_behind() {
    let mut leader = Leader::new(1);
    leader.done(S, persistent("/p"));
    leader.propose(S, ephemeral("/p/e1"));
    leader.propose(
        S,
        multi(vec![
            delete("/p/e1", -1),
            ephemeral("/p/e2"),
            set("/p", "x", -1),
            delete("/none", -1),
        ]),
    );
    let sequential = Request::Create(create("/p/s", CreateMode::PersistentSequential));
    leader.propose(S, sequential);
    let close = leader.propose(S, Request::CloseSession(()));
    let wire::txn::Txn::CloseSession(Some(closed)) = close.txn() else {
        panic!("{close:?}");
    };
    assert_eq!(closed.paths_to_delete, ["/p/e1"]);
    while !leader.proposed.is_empty() {
        leader.commit();
    }
    let children = read(&leader, &Request::GetChildren(path("/p"))).unwrap();
    let names = GetChildrenResponse::from_bytes(&children).unwrap().children;
    assert_eq!(names, ["s0000000001"]);
}

#[test]
fn the_closed_sessions_ephemerals_include_those_in_flight() {
    let mut leader = Leader::new(1);
    for request in [ephemeral("/old"), ephemeral("/gone"), ephemeral("/again")] {
        assert_eq!(leader.done(S, request), 0);
    }
    leader.propose(S, delete("/gone", -1));
    leader.propose(S, delete("/again", -1));
    leader.propose(S, persistent("/again"));
    leader.propose(S, ephemeral("/new"));
    leader.propose(S, Request::CloseSession(()));
    while !leader.proposed.is_empty() {
        leader.commit();
    }
    assert_eq!(leader.tree.ephemerals_count(), 0);
    let children = read(&leader, &Request::GetChildren(path("/"))).unwrap();
    let mut names = GetChildrenResponse::from_bytes(&children).unwrap().children;
    names.sort();
    assert_eq!(names, ["again", "zookeeper"]);
}

#[test]
fn sequence_numbers_count_creates_and_overflow_as_apaches_do() {
    let mut leader = Leader::new(1);
    let sequential = || Request::Create(create("/n-", CreateMode::PersistentSequential));
    leader.done(S, persistent("/x"));
    leader.done(S, delete("/x", -1));
    leader.done(S, sequential());
    assert_eq!(&leader.applied.body()[4..], b"/n-0000000001");
    let root = crate::znodes::ROOT;
    let mut stat = leader.tree.znodes.stat(root);
    stat.cversion = i32::MAX;
    leader.tree.znodes.set_stat(root, &stat);
    leader.tree.redigest(root, "", &stat);
    leader.done(S, sequential());
    assert_eq!(&leader.applied.body()[4..], b"/n-2147483647");
    assert_eq!(leader.done(S, sequential()), ErrorCode::NodeExists.code());
}

#[test]
fn reads_answer_what_apache_answers() {
    let mut leader = Leader::new(1);
    leader.done(S, persistent("/a"));
    leader.done(S, ephemeral("/a/e"));
    leader.done(S, ephemeral("/f"));
    let created = leader.tree.stat(leader.tree.znodes.find("/a").unwrap());
    let stat = Stat {
        cversion: 1,
        num_children: 1,
        data_length: 1,
        pzxid: Zxid(created.czxid.0 + 1),
        ..created
    };
    assert_eq!(created, stat);
    let answer = |request: Request| read(&leader, &request);
    let expected = GetDataResponse {
        data: data("d"),
        stat,
    };
    assert_eq!(
        answer(Request::GetData(path("/a"))),
        Ok(expected.to_bytes())
    );
    assert_eq!(answer(Request::Exists(path("/a"))), Ok(stat.to_bytes()));
    let count = |n: i32| Ok(n.to_bytes());
    let number = |path: &str| answer(Request::GetAllChildrenNumber(bare(path)));
    assert_eq!(number("/"), count(6));
    assert_eq!(number("/a"), count(1));
    let own = |prefix: &str| answer(Request::GetEphemerals(bare(prefix)));
    let list = |paths: &[&str]| {
        let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
        Ok(paths.to_bytes())
    };
    assert_eq!(own(""), list(&["/a/e", "/f"]));
    assert_eq!(own("/a"), list(&["/a/e"]));
    let whoami = Bytes::from_static(b"\0\0\0\x01\0\0\0\x02ip\0\0\0\x09127.0.0.1");
    assert_eq!(answer(Request::WhoAmI(())), Ok(whoami));
    for (request, error) in [
        (Request::Exists(path("/none")), ErrorCode::NoNode),
        (Request::Exists(path("bad//")), ErrorCode::NoNode),
        (Request::Exists(path("/\0")), ErrorCode::BadArguments),
        (Request::GetData(path("/none")), ErrorCode::NoNode),
        (Request::GetChildren2(path("/none")), ErrorCode::NoNode),
        (Request::GetAcl(bare("/none")), ErrorCode::NoNode),
        (
            Request::MultiRead(MultiRequest {
                ops: vec![persistent("/x")],
            }),
            ErrorCode::MarshallingError,
        ),
    ] {
        assert_eq!(answer(request), Err(error));
    }
}

#[test]
fn reads_need_permission_and_lists_are_masked() {
    let mut leader = Leader::new(1);
    leader.done(S, persistent("/a"));
    let list = vec![
        acl_of(31, "digest", &alice().id),
        acl_of(1, "digest", "bob:hash"),
    ];
    leader.done(S, set_acl("/a", list.clone(), -1));
    let get = Request::GetData(path("/a"));
    let acl = Request::GetAcl(bare("/a"));
    assert_eq!(read(&leader, &get), Err(ErrorCode::NoAuth));
    assert_eq!(read(&leader, &acl), Err(ErrorCode::NoAuth));
    let gone = Request::Exists(path("/a"));
    assert_eq!(read(&leader, &gone), Err(ErrorCode::NoAuth));
    let both = Request::MultiRead(MultiRequest {
        ops: vec![get.clone(), Request::GetChildren(path("/"))],
    });
    let body = read(&leader, &both).unwrap();
    let results = MultiResponse::from_bytes(&body).unwrap().results;
    assert_eq!(results[0], MultiResult::Error(-102));
    assert!(matches!(&results[1], MultiResult::GetChildren(r) if r.children.len() == 2));
    let shown = |leader: &Leader| {
        let body = read(leader, &acl).unwrap();
        GetAclResponse::from_bytes(&body).unwrap().acl
    };
    leader.identities = Arc::new([alice()]);
    assert_eq!(shown(&leader), list);
    leader.identities = Arc::new([Id::new("digest", "bob:hash")]);
    let masked = vec![
        acl_of(31, "digest", "alice:x"),
        acl_of(1, "digest", "bob:x"),
    ];
    assert_eq!(shown(&leader), masked);
    assert!(read(&leader, &get).is_ok());
    let may = |perms| {
        let acl = leader.tree.acl_of("/a").unwrap();
        leader.tree.allows(acl, perms, &leader.identities)
    };
    assert!(may(Perms::READ) && !may(Perms::WRITE));
}
