//! Replay over snapshots that Apache takes while it works: each znode as it was when the walk
//! came to it.

use wire::snapshot::{AclRecord, Piece, SessionRecord, ZnodeRecord, ZxidDigest};

use super::random::{Random, Workload};
use super::*;
use crate::znodes::ROOT;

/// Writes what Apache would, doing `work` between any two znodes.
fn fuzzy(leader: &mut Workload, mut work: impl FnMut(&mut Workload)) -> Vec<Piece> {
    let tree = &leader.leader.tree;
    let sessions: Vec<_> = tree.sessions().collect();
    let mut pieces = vec![Piece::Sessions(sessions.len() as u32)];
    pieces.extend(
        sessions
            .into_iter()
            .map(|(session, timeout)| Piece::Session(SessionRecord { session, timeout })),
    );
    let mut acls: Vec<Vec<Acl>> = tree.acls.iter().map(|(_, acl)| acl.to_vec()).collect();
    pieces.push(Piece::Acls(acls.len() as u32));
    for (i, acl) in acls.iter().enumerate() {
        let (index, acl) = (i as i64, acl.clone());
        pieces.push(Piece::Acl(AclRecord { index, acl }));
    }
    let mut open = vec![String::new()];
    while let Some(path) = open.pop() {
        work(leader);
        let tree = &leader.leader.tree;
        let Some(id) = tree.znodes.find(&path) else {
            continue;
        };
        let acl = tree.acl(id).map_or(-1, |acl| {
            let known = acls.iter().position(|known| known[..] == acl[..]);
            let index = known.unwrap_or_else(|| {
                // Its number comes after those that were written.
                acls.push(acl.to_vec());
                acls.len() - 1
            });
            index as i64
        });
        pieces.push(Piece::Znode(ZnodeRecord {
            path: path.clone(),
            data: tree.znodes.data(id).map(Bytes::copy_from_slice),
            acl,
            stat: tree.znodes.stat(id),
        }));
        let children = tree.znodes.children(id).map(|child| {
            let name = std::str::from_utf8(tree.znodes.name(child)).unwrap();
            format!("{path}/{name}")
        });
        open.extend(children);
    }
    pieces.push(Piece::End);
    pieces
}

#[test]
fn replay_over_a_fuzzy_snapshot_ends_in_the_same_tree() {
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let mut work = Workload::new(seed);
        for _ in 0..150 {
            work.step(&mut random);
        }
        work.committed.clear();
        let start = work.leader.tree.last_zxid();
        let pieces = fuzzy(&mut work, |work| {
            for _ in 0..random.below(4) {
                work.step(&mut random);
            }
        });
        let end = ZxidDigest {
            zxid: work.leader.tree.last_zxid(),
            version: 2,
            digest: work.leader.tree.digest(),
        };
        for _ in 0..20 {
            work.step(&mut random);
        }
        let options = work.leader.tree.options().clone();
        let mut tree = bodies::load(pieces, start, options).unwrap();
        assert_eq!(tree.expect_digest(end), None);
        let mut applied = Applied::default();
        for entry in &work.committed {
            tree.apply(entry, &mut applied);
            assert_eq!(applied.mismatch(), None, "seed {seed}");
        }
        assert_eq!(tree.unresolved_acls(), 0);
        assert_eq!(dump(&tree), dump(&work.leader.tree), "seed {seed}");
    }
}

/// Replay over a tree that has all of it already.
#[test]
fn replay_of_the_same_transactions_changes_nothing() {
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let mut work = Workload::new(seed);
        for _ in 0..100 {
            work.step(&mut random);
        }
        let start = work.leader.tree.last_zxid();
        work.committed.clear();
        for _ in 0..100 {
            work.step(&mut random);
        }
        let body = bodies::snapshot(&mut work.leader.tree);
        let options = work.leader.tree.options().clone();
        let mut tree = bodies::load(bodies::pieces(&body), start, options).unwrap();
        tree.fuzzy_until(work.leader.tree.last_zxid());
        let mut applied = Applied::default();
        for entry in &work.committed {
            tree.apply(entry, &mut applied);
        }
        assert_eq!(applied.mismatch(), None);
        assert_eq!(dump(&tree), dump(&work.leader.tree), "seed {seed}");
    }
}

/// Before 3.6 Apache read the list of children after it had written the parent.
#[test]
fn a_create_that_is_there_already_is_counted_if_its_parent_did_not_count_it() {
    let mut leader = Leader::new(1);
    leader.done(S, persistent("/a"));
    let start = leader.zxid;
    let before = leader.tree.znodes.find("/a").unwrap();
    let before = leader.tree.znodes.stat(before);
    leader.propose(S, persistent("/a/b"));
    let create = leader.commit();
    let mut pieces = bodies::pieces(&bodies::snapshot(&mut leader.tree));
    for piece in &mut pieces {
        if let Piece::Znode(znode) = piece
            && znode.path == "/a"
        {
            znode.stat = before;
        }
    }
    let options = leader.tree.options().clone();
    let mut tree = bodies::load(pieces, start, options).unwrap();
    let mut applied = Applied::default();
    tree.apply(&create, &mut applied);
    assert_eq!(applied.mismatch(), None);
    assert_eq!(dump(&tree), dump(&leader.tree));
}

#[test]
fn a_wrong_digest_is_reported_and_a_snapshots_is_compared_at_its_zxid() {
    let mut leader = Leader::new(1);
    let first = leader.propose(S, persistent("/a"));
    leader.commit();
    let body = bodies::snapshot(&mut leader.tree);
    let at = |zxid: Zxid, digest: u64| ZxidDigest {
        zxid,
        version: 2,
        digest,
    };
    let options = || leader.tree.options().clone();
    let load = || bodies::load(bodies::pieces(&body), first.zxid(), options()).unwrap();
    let (zxid, actual) = (first.zxid(), leader.tree.digest());
    assert_eq!(load().expect_digest(at(zxid, actual)), None);
    let mismatch = crate::DigestMismatch {
        zxid,
        expected: 1,
        actual,
    };
    assert_eq!(load().expect_digest(at(zxid, 1)), Some(mismatch));

    let mut other = Tree::new(2, options());
    let mut applied = Applied::default();
    other.apply(&first, &mut applied);
    assert_eq!(applied.mismatch(), None);
    other.znodes.set_data(ROOT, Some(b"rot"));
    let stat = other.znodes.stat(ROOT);
    other.redigest(ROOT, "", &stat);
    let second = prepare_next(&mut Leader::new(1));
    other.apply(&second, &mut applied);
    assert_eq!(
        applied.mismatch().map(|m| (m.zxid, m.expected)),
        second.digest().map(|d| (second.zxid(), d.digest))
    );
}

fn prepare_next(leader: &mut Leader) -> Entry {
    leader.propose(S, persistent("/a"));
    leader.propose(S, persistent("/b"))
}
