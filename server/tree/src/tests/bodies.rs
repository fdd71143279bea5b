//! Exact snapshots: what a cut writes is the tree at the cut, whatever happens meanwhile.

use wire::Reader;
use wire::snapshot::{Piece, ZnodeRecord};

use super::random::{Random, Workload};
use super::*;
use crate::{CutId, CutProgress, LoadError, Loader};

pub(super) fn pieces(body: &[u8]) -> Vec<Piece> {
    let body = Bytes::copy_from_slice(body);
    let mut reader = Reader::new(&body);
    let sessions: i32 = reader.read().unwrap();
    let mut pieces = vec![Piece::Sessions(sessions as u32)];
    pieces.extend((0..sessions).map(|_| Piece::Session(reader.read().unwrap())));
    let acls: i32 = reader.read().unwrap();
    pieces.push(Piece::Acls(acls as u32));
    pieces.extend((0..acls).map(|_| Piece::Acl(reader.read().unwrap())));
    loop {
        let path: String = reader.read().unwrap();
        if path == "/" {
            pieces.push(Piece::End);
            reader.finish().unwrap();
            return pieces;
        }
        pieces.push(Piece::Znode(ZnodeRecord {
            path,
            data: reader.read().unwrap(),
            acl: reader.read().unwrap(),
            stat: reader.read().unwrap(),
        }));
    }
}

pub(super) fn load(pieces: Vec<Piece>, zxid: Zxid, options: Options) -> Result<Tree, LoadError> {
    let mut loader = Loader::new(99, options);
    for piece in pieces {
        loader.push(piece)?;
    }
    loader.finish(zxid)
}

pub(super) fn snapshot(tree: &mut Tree) -> Vec<u8> {
    let cut = tree.begin_cut();
    let mut out = Vec::new();
    while tree.cut_next(cut, 3, &mut out) == CutProgress::More {}
    out
}

#[test]
fn a_cut_is_the_tree_at_its_beginning() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut work = Workload::new(seed);
        let mut cuts: Vec<(CutId, Vec<u8>, Dump, Zxid)> = Vec::new();
        let mut finished = 0;
        for _ in 0..400 {
            work.step(&mut random);
            let tree = &mut work.leader.tree;
            if cuts.len() < 3 && random.below(12) == 0 {
                let before = dump(tree);
                let cut = tree.begin_cut();
                assert_eq!(
                    tree.cut_position(cut),
                    Some((tree.last_zxid(), before.digest))
                );
                cuts.push((cut, Vec::new(), before, tree.last_zxid()));
            }
            if cuts.is_empty() {
                continue;
            }
            let at = random.below(cuts.len() as u64) as usize;
            let (cut, out, before, zxid) = &mut cuts[at];
            if random.below(40) == 0 {
                tree.abandon_cut(*cut);
                assert_eq!(tree.cut_position(*cut), None);
                cuts.remove(at);
            } else if tree.cut_next(*cut, random.below(4) as usize, out) == CutProgress::Done {
                let options = tree.options().clone();
                let loaded = load(pieces(out), *zxid, options).unwrap();
                assert_eq!(dump(&loaded), *before, "seed {seed}");
                assert_eq!(loaded.last_zxid(), *zxid);
                cuts.remove(at);
                finished += 1;
            }
        }
        assert!(finished > 2, "seed {seed}: {finished}");
    }
}

#[test]
fn damaged_snapshots_are_refused() {
    let mut leader = Leader::new(1);
    leader.done(S, persistent("/a"));
    leader.done(S, persistent("/a/b"));
    let good = pieces(&snapshot(&mut leader.tree));
    let options = || leader.tree.options().clone();
    let refusal = |pieces: Vec<Piece>| load(pieces, Zxid(1), options()).unwrap_err();
    assert!(load(good.clone(), Zxid(1), options()).is_ok());

    for cut in 0..good.len() {
        let error = refusal(good[..cut].to_vec());
        assert!(matches!(error, LoadError::Order { .. }), "{error}");
    }
    let parent = good
        .iter()
        .position(|p| matches!(p, Piece::Znode(z) if z.path == "/a"));
    let parent = parent.unwrap();
    let without = |at: usize| {
        let mut pieces = good.clone();
        pieces.remove(at);
        pieces
    };
    assert_eq!(
        refusal(without(parent)),
        LoadError::NoParent {
            path: "/a/b".to_owned()
        }
    );
    let twice = |at: usize| {
        let mut pieces = good.clone();
        pieces.insert(at, pieces[at].clone());
        pieces
    };
    assert_eq!(
        refusal(twice(parent)),
        LoadError::Twice {
            path: "/a".to_owned()
        }
    );
    let root = good.iter().position(|p| matches!(p, Piece::Znode(_)));
    for at in 0..=root.unwrap() {
        assert!(load(twice(at), Zxid(1), options()).is_err());
        assert!(load(without(at), Zxid(1), options()).is_err());
    }
    for path in ["a", "/a/", "//a"] {
        let mut pieces = good.clone();
        if let Piece::Znode(znode) = &mut pieces[parent] {
            znode.path = path.to_owned();
        }
        let path = path.to_owned();
        assert_eq!(refusal(pieces), LoadError::Path { path });
    }
}
