//! What holds for a server's tree, whoever changed it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ferrokeeper::rehearsal::Rehearsal;
use tree::{Applied, CutProgress, Loader, Options, Tree};
use wire::snapshot::{Piece, PieceDecoder, ZnodeRecord};
use wire::txn::Entry;
use wire::{Acl, SessionId, StatPersisted, Zxid};

/// Bytes of the longest piece.
const PIECE: usize = 64 << 20;
/// The seed of other trees, which must not matter.
const SEED: u64 = 77;
/// Znodes that a snapshot takes at once.
const SLICE: usize = 100;

/// What a snapshot's body says.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    sessions: BTreeMap<SessionId, i32>,
    znodes: BTreeMap<String, Znode>,
}

/// What became of the quotas' counts. A tree that is loaded counts anew, as in Apache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotas {
    /// They are what there is.
    Kept,
    /// Somebody wrote into them, or they count themselves, being below `/zookeeper` too.
    Touched,
}

#[derive(Debug, PartialEq, Eq)]
struct Znode {
    data: Option<Bytes>,
    /// `None`: open to everyone.
    acl: Option<Vec<Acl>>,
    stat: StatPersisted,
}

/// Checks everything that can be seen between two steps.
///
/// # Panics
/// If something does not hold.
pub(super) fn hold(server: &mut Rehearsal, before: &[(Zxid, Vec<u8>)], quotas: Quotas) {
    let (_, body) = server.snapshot();
    let pieces = pieces(&body);
    let content = Content::of(&pieces);
    server.with_tree(|tree| {
        content.has_the_counts_of(tree);
        content.is_possible(tree.last_zxid());
        content.has_the_ephemerals_of(tree);
        if quotas == Quotas::Kept {
            content.has_the_quotas_of(tree);
        }
        let again = load(&body, tree.last_zxid(), tree.options());
        same(tree, &again, quotas, "loaded from its snapshot");
    });
    assert_eq!(
        server.digest_mismatches(),
        0,
        "a digest was not as foretold"
    );
    watches_are_counted(server);
    let options = server.with_tree(|tree| tree.options().clone());
    let fresh = Tree::new(SEED, options.clone());
    let again = made_again(fresh, server.logged(), "replayed");
    assert_eq!(again, content, "replayed");
    let content = content.told_by(quotas);
    for (zxid, body) in before {
        let loaded = load(body, *zxid, &options);
        let again = made_again(loaded, server.logged(), "loaded and replayed");
        assert_eq!(again.told_by(quotas), content, "loaded and replayed");
    }
}

/// Checks a tree that somebody else made, who may not have kept any rule.
///
/// # Panics
/// If its counts are not those of its znodes, or its snapshot does not make it again.
pub(crate) fn loaded(tree: &mut Tree) {
    let body = body_of(tree);
    let content = Content::of(&pieces(&body));
    content.has_the_counts_of(tree);
    // Who loads a tree gives it these.
    let special = ["/zookeeper", "/zookeeper/config", "/zookeeper/quota"];
    if !special
        .iter()
        .all(|path| content.znodes.contains_key(*path))
    {
        return;
    }
    // Whatever is there may have been written by somebody.
    let quotas = match tree.quotas().next() {
        Some(_) => Quotas::Touched,
        None => Quotas::Kept,
    };
    let mut again = load(&body, tree.last_zxid(), tree.options());
    same(tree, &again, quotas, "loaded from its snapshot");
    let again = Content::of(&pieces(&body_of(&mut again)));
    assert_eq!(again.told_by(quotas), content.told_by(quotas));
}

/// The tree as another member makes it of this one's snapshot.
pub(crate) fn reloaded(tree: &mut Tree) -> Tree {
    load(&body_of(tree), tree.last_zxid(), tree.options())
}

fn body_of(tree: &mut Tree) -> Vec<u8> {
    let cut = tree.begin_cut();
    let mut body = Vec::new();
    while tree.cut_next(cut, SLICE, &mut body) == CutProgress::More {}
    body
}

fn pieces(body: &[u8]) -> Vec<Piece> {
    let mut decoder = PieceDecoder::of_file(PIECE);
    let mut input = Bytes::copy_from_slice(body);
    let mut pieces = Vec::new();
    while let Some(piece) = decoder.poll(&mut input).expect("a snapshot's body") {
        pieces.push(piece);
    }
    assert!(decoder.is_done() && input.is_empty(), "a whole body");
    pieces
}

fn load(body: &[u8], zxid: Zxid, options: &Options) -> Tree {
    let mut loader = Loader::new(SEED, options.clone());
    for piece in pieces(body) {
        loader.push(piece).expect("a snapshot that we wrote");
    }
    loader.finish(zxid).expect("a whole snapshot")
}

/// What the log's entries, as they are read back, make of an older tree.
fn made_again(mut tree: Tree, logged: &[Arc<Entry>], how: &str) -> Content {
    let mut applied = Applied::default();
    for entry in logged {
        let read = Entry::decode(entry.bytes().clone()).expect("an entry that we wrote");
        assert_eq!(read, **entry);
        if read.zxid() > tree.last_zxid() {
            tree.apply(&read, &mut applied);
            assert_eq!(applied.mismatch(), None, "{how}: {read:?}");
        }
    }
    Content::of(&pieces(&body_of(&mut tree)))
}

fn same(a: &Tree, b: &Tree, quotas: Quotas, how: &str) {
    let counts = |tree: &Tree| {
        let size = tree.approximate_data_size();
        (
            tree.digest(),
            tree.znode_count(),
            (quotas == Quotas::Kept).then_some(size),
            tree.ephemerals_count(),
            tree.session_count(),
        )
    };
    assert_eq!(counts(b), counts(a), "{how}");
    assert_eq!(
        b.sessions().collect::<Vec<_>>(),
        a.sessions().collect::<Vec<_>>(),
        "{how}"
    );
}

fn watches_are_counted(server: &Rehearsal) {
    server.with_watches(|table| {
        let pairs: Vec<_> = table.iter().collect();
        let paths: BTreeSet<_> = pairs.iter().map(|(path, _)| *path).collect();
        let watchers: BTreeSet<_> = pairs.iter().map(|(_, watcher)| *watcher).collect();
        let counted = (table.path_count(), table.watcher_count());
        assert_eq!(counted, (paths.len() as u64, watchers.len() as u64));
        let unique: BTreeSet<_> = pairs.iter().collect();
        assert_eq!(unique.len(), pairs.len(), "a pair of path and client twice");
        let (least, most) = (pairs.len() as u64, pairs.len() as u64 * 6);
        assert!((least..=most).contains(&table.len()), "{}", table.len());
        for watcher in watchers {
            let client = watcher.0 as usize - 1;
            assert!(
                !server.is_over(client),
                "a watch of client {client}, who is gone"
            );
        }
    });
}

impl Content {
    fn of(pieces: &[Piece]) -> Self {
        let mut acls = BTreeMap::new();
        let mut content = Self {
            sessions: BTreeMap::new(),
            znodes: BTreeMap::new(),
        };
        for piece in pieces {
            match piece {
                Piece::Session(session) => {
                    content.sessions.insert(session.session, session.timeout);
                }
                Piece::Acl(acl) => {
                    acls.insert(acl.index, acl.acl.clone());
                }
                Piece::Znode(znode) => content.add(znode, &acls),
                Piece::Sessions(_) | Piece::Acls(_) | Piece::End => {}
            }
        }
        content
    }

    fn add(&mut self, record: &ZnodeRecord, acls: &BTreeMap<i64, Vec<Acl>>) {
        let path = record.path.clone();
        if let Some((parent, name)) = path.rsplit_once('/') {
            assert!(
                self.znodes.contains_key(parent),
                "{path:?} before its parent"
            );
            assert!(!name.is_empty(), "{path:?}");
        }
        let acl = (record.acl != wire::snapshot::OPEN_ACL).then(|| {
            let acl = acls.get(&record.acl);
            acl.unwrap_or_else(|| panic!("{path:?} has ACL {}", record.acl))
                .clone()
        });
        let znode = Znode {
            data: record.data.clone(),
            acl,
            stat: record.stat,
        };
        let before = self.znodes.insert(path, znode);
        assert_eq!(before, None, "{:?} twice", record.path);
    }

    fn has_the_counts_of(&self, tree: &Tree) {
        // Apache counts the root twice, by two names.
        assert_eq!(tree.znode_count(), self.znodes.len() as u64 + 1);
        let bytes = |(path, znode): (&String, &Znode)| path.len() + znode.len();
        let size: usize = self.znodes.iter().map(bytes).sum();
        assert_eq!(tree.approximate_data_size(), size as u64 + 1);
        let sessions: BTreeMap<_, _> = tree.sessions().collect();
        assert_eq!(sessions, self.sessions);
        if tree.options().digest {
            let digest = |(path, znode): (&String, &Znode)| znode.digest(path);
            let digests = self.znodes.iter().map(digest);
            assert_eq!(tree.digest(), digests.fold(0, u64::wrapping_add));
        }
    }

    /// Without what is counted anew.
    fn told_by(mut self, quotas: Quotas) -> Self {
        if quotas == Quotas::Touched {
            for (path, znode) in &mut self.znodes {
                if path.starts_with("/zookeeper/quota/") && path.ends_with("/zookeeper_stats") {
                    znode.data = None;
                }
            }
        }
        self
    }

    fn children(&self, path: &str) -> impl Iterator<Item = &str> {
        let is_child = move |other: &&String| {
            other
                .rsplit_once('/')
                .is_some_and(|(parent, _)| parent == path)
        };
        self.znodes.keys().filter(is_child).map(String::as_str)
    }

    fn is_possible(&self, last: Zxid) {
        for (path, znode) in &self.znodes {
            let stat = &znode.stat;
            let zxids = [stat.czxid, stat.mzxid, stat.pzxid];
            assert!(zxids.iter().all(|zxid| *zxid <= last), "{path:?}: {stat:?}");
            let children = self.children(path).count() as i32;
            // What every server has was not created.
            let given = match path.as_str() {
                "" => 1,
                "/zookeeper" => 2,
                _ => 0,
            };
            assert!(stat.cversion + given >= children, "{path:?}: {stat:?}");
            if !path.is_empty() && !path.starts_with("/zookeeper") {
                assert!(stat.czxid <= stat.mzxid, "{path:?}: {stat:?}");
                assert!(stat.czxid <= stat.pzxid, "{path:?}: {stat:?}");
                assert!(stat.czxid > Zxid::ZERO, "{path:?}: {stat:?}");
            }
        }
    }

    /// Every znode that belongs to a session belongs to one that is there, and has no children.
    fn has_the_ephemerals_of(&self, tree: &Tree) {
        let mut owned = 0;
        for session in self.sessions.keys() {
            for path in tree.ephemerals(*session) {
                owned += 1;
                let znode = &self.znodes[&path];
                assert_eq!(znode.stat.ephemeral_owner, session.0, "{path:?}");
                assert_eq!(self.children(&path).next(), None, "{path:?} has a child");
            }
        }
        assert_eq!(tree.ephemerals_count(), owned, "an ephemeral of nobody");
    }

    fn has_the_quotas_of(&self, tree: &Tree) {
        for quota in tree.quotas() {
            let below = format!("{}/", quota.path);
            let is_in = |path: &&String| *path == quota.path || path.starts_with(&below);
            let inside: Vec<_> = self.znodes.keys().filter(is_in).collect();
            let bytes: usize = inside.iter().map(|path| self.znodes[*path].len()).sum();
            let found = (quota.used.count, quota.used.bytes);
            assert_eq!(found, (inside.len() as i64, bytes as i64), "{quota:?}");
        }
    }
}

impl Znode {
    fn len(&self) -> usize {
        self.data.as_ref().map_or(0, Bytes::len)
    }

    fn digest(&self, path: &str) -> u64 {
        if path.starts_with("/zookeeper/") {
            return 0;
        }
        let stat = &self.stat;
        let mut crc = crc32fast::Hasher::new();
        crc.update(path.as_bytes());
        crc.update(self.data.as_deref().unwrap_or_default());
        for zxid in [stat.czxid, stat.mzxid, stat.pzxid] {
            crc.update(&zxid.0.to_be_bytes());
        }
        for time in [stat.ctime, stat.mtime] {
            crc.update(&time.to_be_bytes());
        }
        for version in [stat.version, stat.cversion, stat.aversion] {
            crc.update(&version.to_be_bytes());
        }
        crc.update(&stat.ephemeral_owner.to_be_bytes());
        crc.finalize().into()
    }
}
