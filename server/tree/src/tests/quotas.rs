//! Quotas: what is counted, and what is refused.

use wire::Record;
use wire::client::{Create2Response, ErrorCode};

use super::bodies::{load, pieces, snapshot};
use super::*;

fn limits(path: &str, text: &str) -> Request {
    let mut request = create(
        &format!("/zookeeper/quota{path}/zookeeper_limits"),
        CreateMode::Persistent,
    );
    request.data = data(text);
    Request::Create(request)
}

fn stats(path: &str) -> Request {
    let mut request = create(
        &format!("/zookeeper/quota{path}/zookeeper_stats"),
        CreateMode::Persistent,
    );
    request.data = data("count=0,bytes=0");
    Request::Create(request)
}

fn used(tree: &Tree, path: &str) -> String {
    let path = format!("/zookeeper/quota{path}/zookeeper_stats");
    let id = tree.znodes.find(&path).unwrap();
    String::from_utf8(tree.znodes.data(id).unwrap().to_vec()).unwrap()
}

/// `/a` with `text` for its limits, and one child; each znode has one byte of data.
fn limited(text: &str) -> Leader {
    let mut leader = Leader::new(1);
    leader.tree.options.enforce_quota = true;
    for request in [
        persistent("/a"),
        persistent("/a/b"),
        persistent("/zookeeper/quota/a"),
        limits("/a", text),
        stats("/a"),
    ] {
        assert_eq!(leader.done(S, request), 0);
    }
    leader
}

#[test]
fn what_comes_and_goes_is_counted() {
    let mut leader = limited("count=2,bytes=1");
    assert_eq!(used(&leader.tree, "/a"), "count=2,bytes=2");
    for (request, expected) in [
        (persistent("/a/b/c"), "count=3,bytes=3"),
        (ephemeral("/a/e"), "count=4,bytes=4"),
        (set("/a/b/c", "1234567", -1), "count=4,bytes=10"),
        (set("/a/b/c", "", -1), "count=4,bytes=3"),
        (persistent("/ab"), "count=4,bytes=3"),
        (delete("/a/b/c", -1), "count=3,bytes=3"),
        (Request::CloseSession(()), "count=2,bytes=2"),
    ] {
        assert_eq!(leader.done(S, request), 0);
        assert_eq!(used(&leader.tree, "/a"), expected);
    }
}

#[test]
fn who_makes_the_counting_znode_is_told_of_it_as_sent() {
    let mut leader = limited("count=2,bytes=1");
    let path = "/zookeeper/quota/a/zookeeper_stats";
    assert_eq!(leader.done(S, delete(path, -1)), 0);
    let mut request = create(path, CreateMode::Persistent);
    request.data = data("count=-1,bytes=-1");
    assert_eq!(leader.done(S, Request::Create2(request)), 0);
    let body = Bytes::copy_from_slice(leader.applied.body());
    let answer = Create2Response::from_bytes(&body).unwrap();
    assert_eq!(answer.stat.data_length, 17);
    assert_eq!(used(&leader.tree, "/a"), "count=2,bytes=2");
}

#[test]
fn a_loaded_tree_counts_anew_and_goes_on() {
    let mut leader = limited("count=9,bytes=-1");
    assert_eq!(leader.done(S, persistent("/a/c")), 0);
    let wrong = set("/zookeeper/quota/a/zookeeper_stats", "count=77", -1);
    assert_eq!(leader.done(S, wrong), 0);
    let body = pieces(&snapshot(&mut leader.tree));
    let options = leader.tree.options().clone();
    leader.tree = load(body, leader.tree.last_zxid(), options).unwrap();
    assert_eq!(used(&leader.tree, "/a"), "count=3,bytes=3");
    leader.done(S, delete("/a/c", -1));
    assert_eq!(used(&leader.tree, "/a"), "count=2,bytes=2");
}

#[test]
fn without_its_limits_nothing_is_counted() {
    let mut leader = limited("count=9,bytes=-1");
    let gone = delete("/zookeeper/quota/a/zookeeper_limits", -1);
    assert_eq!(leader.done(S, gone), 0);
    assert_eq!(leader.done(S, persistent("/a/c")), 0);
    assert_eq!(used(&leader.tree, "/a"), "count=2,bytes=2");
    assert_eq!(leader.tree.quotas().next(), None);
}

#[test]
fn soft_limits_are_advice_and_hard_ones_hold() {
    let exceeded = ErrorCode::QuotaExceeded.code();
    let mut leader = limited("count=1,bytes=1");
    assert_eq!(leader.done(S, persistent("/a/c")), 0);
    let mut leader = limited("count=1,bytes=1=;byteHardLimit=5;countHardLimit=3");
    for (request, error) in [
        (set("/a/b", "12345", -1), exceeded),
        (set("/a/b", "1234", -1), 0),
        // The version is looked at last.
        (set("/a/b", "12345", 7), exceeded),
        (persistent("/a/c"), exceeded),
        (set("/a/b", "1", -1), 0),
        (persistent("/a/c"), 0),
        (persistent("/a/d"), exceeded),
        (persistent("/a/c"), ErrorCode::NodeExists.code()),
        (delete("/a/c", -1), 0),
        (persistent("/a/d"), 0),
    ] {
        assert_eq!(leader.done(S, request.clone()), error, "{request:?}");
    }
}

#[test]
fn what_is_over_its_limit_may_not_even_shrink_a_little() {
    let mut leader = limited("count=-1,bytes=-1=;byteHardLimit=1;countHardLimit=-1");
    assert_eq!(
        leader.done(S, set("/a", "", -1)),
        0,
        "1 byte is left, and may be"
    );
    let mut leader = limited("count=-1,bytes=-1=;byteHardLimit=0;countHardLimit=-1");
    let exceeded = ErrorCode::QuotaExceeded.code();
    assert_eq!(leader.done(S, set("/a", "", -1)), exceeded);
}

#[test]
fn proposals_under_way_count_too() {
    let exceeded = ErrorCode::QuotaExceeded.code();
    let mut leader = limited("count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=4");
    for path in ["/a/1", "/a/2", "/a/3"] {
        leader.propose(S, persistent(path));
    }
    leader.propose(S, delete("/a/1", -1));
    leader.propose(S, persistent("/a/4"));
    let mut errors = Vec::new();
    while !leader.proposed.is_empty() {
        leader.commit();
        errors.push(leader.applied.error());
    }
    assert_eq!(errors, [0, 0, exceeded, 0, 0]);
    assert_eq!(used(&leader.tree, "/a"), "count=4,bytes=4");
}

#[test]
fn a_multi_that_fails_has_used_nothing() {
    let mut leader = limited("count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=4");
    let parts = ["/a/1", "/a/2", "/a/3"].map(persistent).to_vec();
    leader.propose(S, multi(parts));
    leader.propose(S, multi(vec![persistent("/a/1"), persistent("/a/2")]));
    leader.commit();
    leader.commit();
    assert_eq!(used(&leader.tree, "/a"), "count=4,bytes=4");
}
