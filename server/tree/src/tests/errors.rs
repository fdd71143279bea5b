//! Each way to be refused, and which comes first.

use wire::client::{ErrorCode, OpCode};

use super::*;

fn code(error: ErrorCode) -> i32 {
    error.code()
}

fn leader() -> Leader {
    let mut leader = Leader::new(1);
    for request in [
        persistent("/a"),
        persistent("/a/b"),
        ephemeral("/e"),
        persistent("/locked"),
        persistent("/locked/child"),
    ] {
        assert_eq!(leader.done(S, request), 0);
    }
    let only_alice = vec![acl_of(31, "digest", &alice().id)];
    assert_eq!(leader.done(S, set_acl("/locked", only_alice, -1)), 0);
    leader
}

fn refused(leader: &mut Leader, request: Request, error: ErrorCode) {
    let before = dump(&leader.tree);
    let entry = leader.propose(S, request.clone());
    assert_eq!(entry.digest(), None, "error transactions carry no digest");
    leader.commit();
    assert_eq!(leader.applied.error(), code(error), "{request:?}");
    assert_eq!((leader.applied.body(), leader.events()), (&[][..], vec![]));
    assert_eq!(dump(&leader.tree), before);
    assert_eq!(leader.tree.last_zxid(), leader.zxid);
    assert!(leader.pending.is_empty());
}

#[test]
fn creates_are_refused() {
    let mut leader = leader();
    let mut bad_flags = create("/x", CreateMode::Persistent);
    bad_flags.flags = 7;
    let mut no_acl = create("/x", CreateMode::Persistent);
    no_acl.acl = vec![];
    let mut bad_acl_too = create("/none/x", CreateMode::Persistent);
    bad_acl_too.acl = vec![];
    for (request, error) in [
        (Request::Create(bad_flags), ErrorCode::BadArguments),
        (persistent("x"), ErrorCode::BadArguments),
        (persistent("/a/"), ErrorCode::BadArguments),
        (persistent("/a/."), ErrorCode::BadArguments),
        (persistent("/a\0"), ErrorCode::BadArguments),
        (persistent("/a//x"), ErrorCode::NoNode),
        (persistent("/none/x"), ErrorCode::NoNode),
        (persistent("/a"), ErrorCode::NodeExists),
        (persistent("/"), ErrorCode::NodeExists),
        (persistent("/e/x"), ErrorCode::NoChildrenForEphemerals),
        (persistent("/locked/x"), ErrorCode::NoAuth),
        (persistent("/locked/child"), ErrorCode::NoAuth),
        (Request::Create2(no_acl), ErrorCode::InvalidAcl),
        (Request::Create2(bad_acl_too), ErrorCode::InvalidAcl),
        (with_ttl("/x", 0), ErrorCode::BadArguments),
        (with_ttl("/x", -1), ErrorCode::BadArguments),
        (with_ttl("/x", 1 << 40), ErrorCode::BadArguments),
    ] {
        refused(&mut leader, request, error);
    }
    let ttl_without_ttl = create("/x", CreateMode::PersistentWithTtl);
    refused(
        &mut leader,
        Request::Create(ttl_without_ttl),
        ErrorCode::BadArguments,
    );
    leader.tree.options.extended_types = false;
    refused(&mut leader, with_ttl("/x", 5), ErrorCode::Unimplemented);
}

#[test]
fn deletes_are_refused() {
    let mut leader = leader();
    for (request, error) in [
        (delete("a", -1), ErrorCode::BadArguments),
        (delete("/", -1), ErrorCode::BadArguments),
        (delete("/zookeeper", -1), ErrorCode::BadArguments),
        (delete("/zookeeper/quota", -1), ErrorCode::BadArguments),
        (delete("/zookeeper/config", -1), ErrorCode::BadArguments),
        (delete("/none", -1), ErrorCode::NoNode),
        (delete("/none/x", -1), ErrorCode::NoNode),
        (delete("/a", -1), ErrorCode::NotEmpty),
        (delete("/a", 1), ErrorCode::BadVersion),
        (delete("/a/b", 1), ErrorCode::BadVersion),
        (delete("/locked/child", -1), ErrorCode::NoAuth),
        (delete("/locked/none", -1), ErrorCode::NoAuth),
    ] {
        refused(&mut leader, request, error);
    }
}

#[test]
fn changes_are_refused() {
    let mut leader = leader();
    for (request, error) in [
        (set("/none", "", -1), ErrorCode::NoNode),
        (set("/a/", "", -1), ErrorCode::BadArguments),
        (set("/a", "", 1), ErrorCode::BadVersion),
        (set("/locked", "", 9), ErrorCode::NoAuth),
        (set("/zookeeper/config", "", -1), ErrorCode::NoAuth),
        (set_acl("/none", Acl::open(), -1), ErrorCode::NoNode),
        (set_acl("/none", vec![], -1), ErrorCode::InvalidAcl),
        (set_acl("a", vec![], -1), ErrorCode::BadArguments),
        (set_acl("/a", Acl::open(), 1), ErrorCode::BadVersion),
        (set_acl("/locked", Acl::open(), 9), ErrorCode::NoAuth),
        (check("/a", -1), ErrorCode::Unimplemented),
        (Request::Ping(()), ErrorCode::Unimplemented),
        (
            Request::Null(OpCode::Delete, Bytes::new()),
            ErrorCode::MarshallingError,
        ),
    ] {
        refused(&mut leader, request, error);
    }
}

#[test]
fn a_part_that_makes_no_sense_fails_the_whole_multi() {
    let mut leader = leader();
    let bad = |flags: i32| CreateRequest {
        flags,
        ..create("/x", CreateMode::Persistent)
    };
    let ttl = CreateMode::PersistentWithTtl.code();
    for part in [
        Request::Create(bad(7)),
        Request::Create2(bad(ttl)),
        Request::GetData(wire::client::PathRequest {
            path: "/a".to_owned(),
            watch: false,
        }),
    ] {
        let parts = vec![persistent("/y"), part];
        refused(&mut leader, multi(parts), ErrorCode::MarshallingError);
    }
    assert_eq!(leader.done(S, multi(vec![with_ttl("/x", 0)])), 0);
    assert_eq!(&leader.applied.body()[5..9], &(-8i32).to_be_bytes());
}

#[test]
fn sessions_are_checked_before_paths() {
    let mut leader = leader();
    for (standing, error) in [
        (Standing::Expired, ErrorCode::SessionExpired),
        (Standing::Moved, ErrorCode::SessionMoved),
    ] {
        leader.standing = standing;
        for request in [
            persistent("bad"),
            delete("bad", -1),
            set("bad", "", -1),
            set_acl("bad", vec![], -1),
        ] {
            refused(&mut leader, request, error);
        }
    }
    leader.standing = Standing::Moved;
    let moved = code(ErrorCode::SessionMoved);
    assert_eq!(leader.done(S, multi(vec![persistent("/y")])), moved);
    assert_eq!(leader.applied.body(), []);
    leader.standing = Standing::Local;
    refused(
        &mut leader,
        ephemeral("/x"),
        ErrorCode::EphemeralOnLocalSession,
    );
    leader.standing = Standing::LocalElsewhere;
    refused(&mut leader, ephemeral("/x"), ErrorCode::SessionExpired);
    assert_eq!(leader.done(S, persistent("/x")), 0);
    leader.standing = Standing::Expired;
    assert_eq!(leader.done(S, Request::CloseSession(())), 0);
    assert_eq!(leader.tree.ephemerals_count(), 0);
    assert_eq!(leader.tree.session(S), None);
}

#[test]
fn the_owner_and_the_super_user_may() {
    let mut leader = leader();
    leader.identities = Arc::new([alice()]);
    assert_eq!(leader.done(S, persistent("/locked/x")), 0);
    leader.identities = Arc::new([Id::new("super", "")]);
    assert_eq!(leader.done(S, delete("/locked/x", -1)), 0);
    assert_eq!(leader.done(S, set("/zookeeper/config", "x", -1)), 0);
    leader.identities = Arc::new([]);
    leader.tree.options.skip_acl = true;
    assert_eq!(leader.done(S, persistent("/locked/x")), 0);
}

#[test]
fn only_lapsed_containers_and_ttl_znodes_are_collected() {
    let mut leader = leader();
    for request in [container("/c"), with_ttl("/t", 1000)] {
        assert_eq!(leader.done(S, request), 0);
    }
    let collect = |path: &str| Request::DeleteContainer(bare(path));
    refused(&mut leader, collect("/a/b"), ErrorCode::BadVersion);
    refused(&mut leader, collect("/e"), ErrorCode::BadVersion);
    refused(&mut leader, collect("/a"), ErrorCode::NotEmpty);
    refused(&mut leader, collect("/t"), ErrorCode::BadVersion);
    let time = leader.time;
    assert_eq!(leader.tree.lapsed(time, 0, 9), [] as [&str; 0]);
    assert_eq!(leader.done(S, persistent("/c/x")), 0);
    assert_eq!(leader.tree.lapsed(time + 5000, 1, 9), ["/t"]);
    refused(&mut leader, collect("/c"), ErrorCode::NotEmpty);
    assert_eq!(leader.done(S, delete("/c/x", -1)), 0);
    leader.time += 5000;
    assert_eq!(leader.tree.lapsed(leader.time, 0, 9), ["/c", "/t"]);
    assert_eq!(leader.tree.lapsed(leader.time, 0, 1), ["/c"]);
    assert_eq!(leader.done(S, collect("/c")), 0);
    assert_eq!(leader.done(S, collect("/t")), 0);
    assert_eq!(leader.tree.lapsed(leader.time, 0, 9), [] as [&str; 0]);
}

#[test]
fn reconfig_needs_permission_and_changes_no_digest() {
    let mut leader = leader();
    let write = Write {
        session: S,
        cxid: 1,
        request: Request::Ping(()),
        identities: leader.identities.clone(),
    };
    let zxid = leader.zxid.next().unwrap();
    let ctx = PrepareContext {
        zxid,
        ..leader.context()
    };
    let text = "server.1=a:1:2;3\nversion=100000001";
    let entry = crate::prepare_reconfig(&leader.tree, &mut leader.pending, &ctx, &write, text);
    assert_eq!(entry.header().kind, wire::txn::kind::ERROR);
    let write = Write {
        identities: Arc::new([Id::new("super", "")]),
        ..write
    };
    let digest = leader.tree.digest();
    let entry = crate::prepare_reconfig(&leader.tree, &mut leader.pending, &ctx, &write, text);
    leader.proposed.push_back(entry);
    leader.commit();
    assert_eq!(leader.tree.digest(), digest);
    assert_eq!(leader.tree.config(), text.as_bytes());
    assert!(!leader.applied.body().is_empty());
    assert_eq!(
        leader.events(),
        [(EventType::NodeDataChanged, "/zookeeper/config")]
    );
}

/// Nobody sends them, but a damaged log might.
#[test]
fn impossible_transactions_do_no_harm() {
    let mut leader = leader();
    leader.done(S, persistent("/x"));
    let create = leader.propose(S, persistent("/y"));
    let wire::txn::Txn::Create(good) = create.txn().clone() else {
        panic!("{create:?}");
    };
    leader.commit();
    let mut txns: Vec<(i32, wire::txn::Txn)> = Vec::new();
    for path in ["", "/", "//z", "z", "/z/", "/none/z", "/e\0"] {
        let path = path.to_owned();
        let txn = wire::txn::CreateTxn {
            path: path.clone(),
            ..good.clone()
        };
        txns.push((wire::txn::kind::CREATE, wire::txn::Txn::Create(txn)));
        let txn = wire::txn::DeleteTxn { path };
        txns.push((wire::txn::kind::DELETE, wire::txn::Txn::Delete(txn)));
    }
    let path = "/zookeeper".to_owned();
    let txn = wire::txn::Txn::Delete(wire::txn::DeleteTxn { path });
    txns.push((wire::txn::kind::DELETE, txn));
    for (kind, txn) in txns {
        leader.zxid = leader.zxid.next().unwrap();
        let header = wire::txn::TxnHeader {
            kind,
            zxid: leader.zxid,
            ..create.header().clone()
        };
        let entry = Entry::new(header, txn, None);
        leader.tree.apply(&entry, &mut leader.applied);
        dump(&leader.tree);
    }
    assert_eq!(leader.tree.config(), b"");
    leader.tree.set_initial_config("back", Zxid(1), 1);
    assert_eq!(leader.tree.config(), b"back");
    dump(&leader.tree);
}
