//! What is proposed and not applied yet, over the committed tree.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use wire::txn::Entry;
use wire::{Acl, SessionId, StatPersisted, Zxid};

use super::uses::Uses;
use crate::hashing::Hashing;
use crate::index::Index;
use crate::owner::Owner;
use crate::slab::{Slab, Vacant};
use crate::{Tree, digest};

/// A znode as it will be.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) stat: StatPersisted,
    pub(super) children: u32,
    pub(super) data: DataSource,
    pub(super) acl: AclSource,
    /// Its share of the digest; [`Pending::put`] sets it.
    pub(super) crc: u32,
}

/// Where the data is. As long as a pending znode's data is the committed znode's, the committed
/// znode is there and keeps its number: whatever would remove it goes through [`Pending`] first.
#[derive(Clone, Debug)]
pub(super) enum DataSource {
    Committed(u32),
    New(Option<Bytes>),
}

/// Where the ACL is; as [`DataSource`].
#[derive(Clone, Debug)]
pub(super) enum AclSource {
    Committed(u32),
    New(Arc<[Acl]>),
}

#[derive(Debug)]
struct Record {
    path: Box<str>,
    state: State,
    next_vacant: u32,
}

#[derive(Debug, Default)]
struct State {
    /// The last change.
    zxid: Zxid,
    /// `None` if it will be deleted.
    live: Option<Live>,
    /// The session that it belongs to.
    owner: Option<SessionId>,
}

impl Vacant for Record {
    fn vacant(next: u32) -> Self {
        Self {
            path: Box::default(),
            state: State::default(),
            next_vacant: next,
        }
    }
    fn next_vacant(&self) -> u32 {
        self.next_vacant
    }
}

/// Changes that are proposed but not applied, over the tree. To be made when the tree has
/// applied everything that came before the first request, and given to no other tree.
#[derive(Debug)]
pub struct Pending {
    records: Slab<Record>,
    by_path: Index,
    hashing: Hashing,
    /// Which records each zxid changed, oldest first.
    changes: VecDeque<(Zxid, u32)>,
    /// Records of znodes that belong to a session.
    ephemerals: BTreeSet<(SessionId, u32)>,
    /// The tree's digest after the last change.
    digest: u64,
    pub(super) uses: Uses,
    /// Inside a multi: how to undo it.
    undo: Option<Undo>,
}

#[derive(Debug)]
struct Undo {
    changes: usize,
    uses: usize,
    digest: u64,
    /// What records were, oldest last; `None` for those that were not there.
    records: Vec<(u32, Option<State>)>,
}

impl Pending {
    /// No changes. `seed` keys the hashing of paths.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            records: Slab::new(),
            by_path: Index::new(),
            hashing: Hashing::new(seed),
            changes: VecDeque::new(),
            ephemerals: BTreeSet::new(),
            digest: 0,
            uses: Uses::default(),
            undo: None,
        }
    }

    /// Forgets what `entry` and those before it changed. Call in order, after the tree has
    /// applied it.
    pub fn committed(&mut self, entry: &Entry) {
        while let Some(&(zxid, id)) = self.changes.front()
            && zxid <= entry.zxid()
        {
            self.changes.pop_front();
            if self.records.at(id).state.zxid == zxid {
                self.forget(id);
            }
        }
        self.uses.committed(entry.zxid());
    }

    /// How many changes of znodes are not committed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing is outstanding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The digest that the tree will have.
    pub(super) fn digest(&self, tree: &Tree) -> u64 {
        if self.changes.is_empty() {
            tree.digest()
        } else {
            self.digest
        }
    }

    /// The znode at `path` as it will be, `None` if it will not be there.
    pub(super) fn live(&self, tree: &Tree, path: &str) -> Option<Live> {
        let path = canonical(path);
        if let Some(id) = self.find(path) {
            return self.records.at(id).state.live.clone();
        }
        let id = tree.znodes.find(path)?;
        Some(Live {
            stat: tree.znodes.stat(id),
            children: tree.znodes.child_count(id),
            data: DataSource::Committed(id),
            acl: AclSource::Committed(tree.znodes.acl(id)),
            crc: tree.znodes.crc(id),
        })
    }

    /// Sets what the znode at `path` will be, and foretells the digest.
    pub(super) fn put(&mut self, tree: &Tree, zxid: Zxid, path: &str, live: Option<Live>) {
        let path = canonical(path);
        let before = self.digest(tree);
        let found = self.find(path);
        let old = match found {
            Some(id) => self
                .records
                .at(id)
                .state
                .live
                .as_ref()
                .map_or(0, |live| live.crc),
            None => tree.znodes.find(path).map_or(0, |id| tree.znodes.crc(id)),
        };
        let live = live.map(|live| self.with_crc(tree, path, live));
        let new = live.as_ref().map_or(0, |live| live.crc);
        let id = found.unwrap_or_else(|| self.insert(path));
        self.set(tree, id, zxid, live, found.is_some());
        self.digest = before
            .wrapping_sub(u64::from(old))
            .wrapping_add(u64::from(new));
    }

    fn with_crc(&self, tree: &Tree, path: &str, mut live: Live) -> Live {
        if tree.options.digest {
            let data = match &live.data {
                DataSource::Committed(id) => tree.znodes.data(*id),
                DataSource::New(data) => data.as_deref(),
            };
            live.crc = digest::of(path, data, &live.stat);
        }
        live
    }

    fn insert(&mut self, path: &str) -> u32 {
        let id = self.records.insert(Record {
            path: path.into(),
            ..Record::vacant(0)
        });
        let (records, hashing) = (&self.records, &self.hashing);
        let hash_of = |id| hashing.of(&*records.at(id).path);
        self.by_path.insert(hashing.of(path), id, hash_of);
        id
    }

    fn set(&mut self, tree: &Tree, id: u32, zxid: Zxid, live: Option<Live>, was_there: bool) {
        let owner = match live.as_ref().map(|live| tree.owner(&live.stat)) {
            Some(Owner::Session(session)) => Some(session),
            _ => None,
        };
        if self.records.at(id).state.zxid != zxid || !was_there {
            self.changes.push_back((zxid, id));
        }
        let before = self.exchange(id, State { zxid, live, owner });
        if let Some(undo) = &mut self.undo {
            undo.records.push((id, was_there.then_some(before)));
        }
    }

    fn exchange(&mut self, id: u32, state: State) -> State {
        if let Some(session) = state.owner {
            self.ephemerals.insert((session, id));
        }
        let before = std::mem::replace(&mut self.records.at_mut(id).state, state);
        if let Some(session) = before.owner
            && self.records.at(id).state.owner != before.owner
        {
            self.ephemerals.remove(&(session, id));
        }
        before
    }

    fn forget(&mut self, id: u32) {
        let record = self.records.remove(id);
        self.by_path.remove(self.hashing.of(&*record.path), id);
        if let Some(session) = record.state.owner {
            self.ephemerals.remove(&(session, id));
        }
    }

    fn find(&self, path: &str) -> Option<u32> {
        let hash = self.hashing.of(path);
        self.by_path
            .find(hash, |id| &*self.records.at(id).path == path)
    }

    /// The paths of all znodes that will belong to `session`.
    pub(super) fn ephemerals(&self, tree: &Tree, session: SessionId) -> Vec<String> {
        let committed = tree
            .ephemerals(session)
            .filter(|path| self.find(path).is_none());
        let pending = self
            .ephemerals
            .range((session, 0)..=(session, u32::MAX))
            .map(|&(_, id)| self.records.at(id).path.to_string());
        committed.chain(pending).collect()
    }

    /// From here on changes can be rolled back.
    pub(super) fn begin(&mut self) {
        self.undo = Some(Undo {
            changes: self.changes.len(),
            uses: self.uses.len(),
            digest: self.digest,
            records: Vec::new(),
        });
    }

    /// The changes since `begin` stay.
    pub(super) fn keep(&mut self) {
        self.undo = None;
    }

    /// The changes since `begin` did not happen.
    pub(super) fn roll_back(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        for (id, before) in undo.records.into_iter().rev() {
            match before {
                None => self.forget(id),
                Some(state) => {
                    self.exchange(id, state);
                }
            }
        }
        self.changes.truncate(undo.changes);
        self.uses.truncate(undo.uses);
        self.digest = undo.digest;
    }
}

/// The root has one path here.
fn canonical(path: &str) -> &str {
    if path == "/" { "" } else { path }
}
