//! Who wants to know of what.
//!
//! One entry for each pair of a path and a connection, with a bit for each kind of watch. Paths
//! are stored once and outlive znodes. Entries of one path form a list, and so do those of one
//! connection; each list is doubly linked, so that an entry goes at once whichever way it is
//! found. Whether a pair is there is found by walking the path's list while it is short, and by
//! an index over pairs when it is long.

mod entries;
mod missed;
mod paths;

use wire::client::{AddWatchRequest, ErrorCode, EventType, Request, WatchesRequest};

use crate::hashing::Hashing;
use crate::index::Index;
use crate::slab::NONE;
use entries::{Bits, Connections, Entries, Entry};
use paths::Paths;

pub use missed::CatchUp;

/// Who watches: the number of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watcher(pub u64);

/// What a watch is set on, and how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchKind {
    /// The next event of a znode's data or existence (exists, getData).
    Data,
    /// The next event of a znode's children (getChildren).
    Child,
    /// All events of a znode and its children (addWatch mode 0).
    Persistent,
    /// All events of a znode and its descendants (addWatch mode 1).
    PersistentRecursive,
}

/// All watches of one member.
#[derive(Debug)]
pub struct WatchTable {
    paths: Paths,
    entries: Entries,
    connections: Connections,
    /// Pairs of those paths that have many.
    pairs: Index,
    hashing: Hashing,
    /// As Apache counts.
    count: u64,
    recursive: u64,
}

/// How long a path's list is walked. At this length a walk costs as much as the index does in
/// memory for each entry.
const WALKED: usize = 8;

impl WatchTable {
    /// Without watches. `seed` keys the hashing.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            paths: Paths::new(Hashing::new(seed)),
            entries: Entries::new(),
            connections: Connections::new(Hashing::new(seed)),
            pairs: Index::new(),
            hashing: Hashing::new(seed),
            count: 0,
            recursive: 0,
        }
    }

    /// Sets a watch. Setting it again changes nothing.
    pub fn add(&mut self, path: &str, kind: WatchKind, watcher: Watcher) {
        let path = self.paths.intern(path);
        let connection = self.connections.intern(watcher);
        let id = self
            .find(path, connection)
            .unwrap_or_else(|| self.link(path, connection));
        let before = self.entries.at(id).bits();
        self.set_bits(id, before.with(Bits::of(kind)));
    }

    /// addWatch. Its answer is an error code of 0.
    ///
    /// # Errors
    /// `MarshallingError` for an unknown mode.
    pub fn add_requested(
        &mut self,
        watcher: Watcher,
        request: &AddWatchRequest,
    ) -> Result<(), ErrorCode> {
        let kind = match request.mode {
            0 => WatchKind::Persistent,
            1 => WatchKind::PersistentRecursive,
            _ => return Err(ErrorCode::MarshallingError),
        };
        self.add(&request.path, kind, watcher);
        Ok(())
    }

    /// Appends to `out` who is to be told of this event, each once, and takes the watches that
    /// last for one event. An event that a watcher may not see takes its watch all the same.
    pub fn fire(&mut self, path: &str, kind: EventType, out: &mut Vec<Watcher>) {
        let hearing = Bits::hearing(kind);
        let start = out.len();
        if let Some(path) = self.paths.find(path) {
            let mut next = self.paths.first(path);
            while next != NONE {
                let id = next;
                let entry = self.entries.at(id);
                next = entry.path_next;
                let bits = entry.bits();
                if bits.intersects(hearing) {
                    out.push(self.connections.watcher(entry.connection()));
                    self.set_bits(id, bits.without(hearing.once()));
                }
            }
        }
        if self.recursive > 0 && hearing.intersects(Bits::RECURSIVE) {
            self.fire_above(path, out);
            out[start..].sort_unstable();
            let mut kept = start;
            for i in start..out.len() {
                if i == start || out[i] != out[kept - 1] {
                    out[kept] = out[i];
                    kept += 1;
                }
            }
            out.truncate(kept);
        }
    }

    /// Those who watch an ancestor of `path` with all its descendants.
    fn fire_above(&self, path: &str, out: &mut Vec<Watcher>) {
        let mut rest = path;
        while let Some(slash) = rest.rfind('/').filter(|_| rest.len() > 1) {
            rest = &rest[..slash];
            let above = if rest.is_empty() { "/" } else { rest };
            if let Some(above) = self.paths.find(above) {
                out.extend(
                    self.of_path(above)
                        .filter(|entry| entry.bits().intersects(Bits::RECURSIVE))
                        .map(|entry| self.connections.watcher(entry.connection())),
                );
            }
        }
    }

    /// Takes watches of a connection that is over, so many paths at most: there may be millions,
    /// and others want the table meanwhile. True if some are left.
    pub fn remove_watcher(&mut self, watcher: Watcher, paths: usize) -> bool {
        // The connection goes with its last entry.
        for _ in 0..paths {
            let Some(connection) = self.connections.find(watcher) else {
                return false;
            };
            self.set_bits(self.connections.first(connection), Bits::default());
        }
        self.connections.find(watcher).is_some()
    }

    /// removeWatches.
    ///
    /// # Errors
    /// `NoWatcher` if there is no such watch, `MarshallingError` for an unknown kind.
    pub fn remove(&mut self, watcher: Watcher, request: &WatchesRequest) -> Result<(), ErrorCode> {
        let (id, wanted) = self.requested(watcher, request)?;
        let left = self.entries.at(id).bits().without(wanted);
        self.set_bits(id, left);
        Ok(())
    }

    /// checkWatches.
    ///
    /// # Errors
    /// As [`Self::remove`].
    pub fn check(&self, watcher: Watcher, request: &WatchesRequest) -> Result<(), ErrorCode> {
        self.requested(watcher, request).map(|_| ())
    }

    fn requested(
        &self,
        watcher: Watcher,
        request: &WatchesRequest,
    ) -> Result<(u32, Bits), ErrorCode> {
        let wanted = Bits::requested(request.kind).ok_or(ErrorCode::MarshallingError)?;
        let path = self.paths.find(&request.path);
        let connection = self.connections.find(watcher);
        path.zip(connection)
            .and_then(|(path, connection)| self.find(path, connection))
            .filter(|&id| self.entries.at(id).bits().intersects(wanted))
            .map(|id| (id, wanted))
            .ok_or(ErrorCode::NoWatcher)
    }

    /// How many watches there are, as Apache counts them: a persistent one counts for data and
    /// for children.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many paths are watched.
    #[must_use]
    pub const fn path_count(&self) -> u64 {
        self.paths.len()
    }

    /// How many connections watch.
    #[must_use]
    pub const fn watcher_count(&self) -> u64 {
        self.connections.len()
    }

    /// Every pair of a path and who watches it, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Watcher)> {
        self.paths.iter().flat_map(move |(path, text)| {
            self.of_path(path)
                .map(move |entry| (text, self.connections.watcher(entry.connection())))
        })
    }

    fn of_path(&self, path: u32) -> impl Iterator<Item = &Entry> {
        let entry = |id: u32| (id != NONE).then(|| self.entries.at(id));
        std::iter::successors(entry(self.paths.first(path)), move |e| entry(e.path_next))
    }

    fn find(&self, path: u32, connection: u32) -> Option<u32> {
        if self.paths.is_crowded(path) {
            return self.pairs.find(self.pair_hash(path, connection), |id| {
                let entry = self.entries.at(id);
                entry.path == path && entry.connection() == connection
            });
        }
        let mut id = self.paths.first(path);
        while id != NONE {
            let entry = self.entries.at(id);
            if entry.connection() == connection {
                return Some(id);
            }
            id = entry.path_next;
        }
        None
    }

    fn pair_hash(&self, path: u32, connection: u32) -> u64 {
        self.hashing.within(path, &connection.to_ne_bytes())
    }

    /// Makes an entry, without bits yet.
    fn link(&mut self, path: u32, connection: u32) -> u32 {
        let path_next = self.paths.first(path);
        let connection_next = self.connections.first(connection);
        let entry = Entry::new(path, connection, path_next, connection_next);
        let id = self.entries.insert(entry);
        if path_next != NONE {
            self.entries.at_mut(path_next).path_prev = id;
        }
        if connection_next != NONE {
            self.entries.at_mut(connection_next).connection_prev = id;
        }
        self.paths.set_first(path, id);
        self.connections.set_first(connection, id);
        if self.paths.is_crowded(path) {
            self.index_pair(id);
        } else if self.of_path(path).nth(WALKED).is_some() {
            self.paths.set_crowded(path);
            let mut id = id;
            while id != NONE {
                self.index_pair(id);
                id = self.entries.at(id).path_next;
            }
        }
        id
    }

    fn index_pair(&mut self, id: u32) {
        let hash_of = |id| {
            let entry: &Entry = self.entries.at(id);
            let connection = entry.connection().to_ne_bytes();
            self.hashing.within(entry.path, &connection)
        };
        self.pairs.insert(hash_of(id), id, hash_of);
    }

    /// Changes what a pair watches; without any bit the pair goes.
    fn set_bits(&mut self, id: u32, bits: Bits) {
        let entry = self.entries.at_mut(id);
        let before = entry.bits();
        entry.set_bits(bits);
        let recursive = |bits: Bits| u64::from(bits.intersects(Bits::RECURSIVE));
        self.count = self.count + bits.watches() - before.watches();
        self.recursive = self.recursive + recursive(bits) - recursive(before);
        if bits == Bits::default() {
            self.unlink(id);
        }
    }

    fn unlink(&mut self, id: u32) {
        let path = self.entries.at(id).path;
        if self.paths.is_crowded(path) {
            let connection = self.entries.at(id).connection();
            self.pairs.remove(self.pair_hash(path, connection), id);
        }
        let entry = self.entries.remove(id);
        if entry.path_next != NONE {
            self.entries.at_mut(entry.path_next).path_prev = entry.path_prev;
        }
        if entry.path_prev != NONE {
            self.entries.at_mut(entry.path_prev).path_next = entry.path_next;
        } else if entry.path_next != NONE {
            self.paths.set_first(path, entry.path_next);
        } else {
            self.paths.remove(path);
        }
        if entry.connection_next != NONE {
            self.entries.at_mut(entry.connection_next).connection_prev = entry.connection_prev;
        }
        if entry.connection_prev != NONE {
            self.entries.at_mut(entry.connection_prev).connection_next = entry.connection_next;
        } else if entry.connection_next != NONE {
            let connection = entry.connection();
            self.connections
                .set_first(connection, entry.connection_next);
        } else {
            self.connections.remove(entry.connection());
        }
    }
}

/// The watch that a read sets, given its outcome: exists watches for a znode to come, the others
/// only what is there. To be set under the same guard as the read.
#[must_use]
pub fn read_watch<'a>(
    request: &'a Request,
    outcome: &Result<(), ErrorCode>,
) -> Option<(&'a str, WatchKind)> {
    let (read, kind) = match request {
        Request::Exists(read) => (read, WatchKind::Data),
        Request::GetData(read) => (read, WatchKind::Data),
        Request::GetChildren(read) | Request::GetChildren2(read) => (read, WatchKind::Child),
        _ => return None,
    };
    let is_set = match outcome {
        Ok(()) => true,
        Err(ErrorCode::NoNode) => matches!(request, Request::Exists(_)),
        Err(_) => false,
    };
    (read.watch && is_set).then_some((&read.path, kind))
}

#[cfg(test)]
mod tests;
