//! Who wants to know of what.

use wire::client::{ErrorCode, EventType, Request, SetWatches2, WatchesRequest};

use crate::Tree;

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

/// An event that a client missed while it was away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// What happened.
    pub kind: EventType,
    /// To whom.
    pub path: String,
}

/// All watches of one member.
#[derive(Debug)]
pub struct WatchTable {}

impl WatchTable {
    /// Without watches. `seed` keys the hashing.
    #[must_use]
    pub fn new(_seed: u64) -> Self {
        todo!()
    }
    /// Sets a watch.
    pub fn add(&mut self, _path: &str, _kind: WatchKind, _watcher: Watcher) {
        todo!()
    }
    /// Appends to `out` who is to be told of this event, each once, and takes the watches that
    /// last for one event.
    pub fn fire(&mut self, _path: &str, _kind: EventType, _out: &mut Vec<Watcher>) {
        todo!()
    }
    /// Takes all watches of a connection.
    pub fn remove_watcher(&mut self, _watcher: Watcher) {
        todo!()
    }
    /// removeWatches.
    ///
    /// # Errors
    /// `NoWatcher` if there is no such watch, `MarshallingError` for an unknown kind.
    pub fn remove(
        &mut self,
        _watcher: Watcher,
        _request: &WatchesRequest,
    ) -> Result<(), ErrorCode> {
        todo!()
    }
    /// checkWatches.
    ///
    /// # Errors
    /// As [`Self::remove`].
    pub fn check(&self, _watcher: Watcher, _request: &WatchesRequest) -> Result<(), ErrorCode> {
        todo!()
    }
    /// setWatches and setWatches2: sets the watches of a client that comes back, and appends what
    /// it missed.
    pub fn set_watches(
        &mut self,
        _tree: &Tree,
        _watcher: Watcher,
        _request: &SetWatches2,
        _missed: &mut Vec<CatchUp>,
    ) {
        todo!()
    }
    /// How many watches there are, as Apache counts them.
    #[must_use]
    pub fn len(&self) -> u64 {
        todo!()
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// How many paths are watched.
    #[must_use]
    pub fn path_count(&self) -> u64 {
        todo!()
    }
    /// How many connections watch.
    #[must_use]
    pub fn watcher_count(&self) -> u64 {
        todo!()
    }
}

/// The watch that a read sets, given its outcome.
#[must_use]
pub fn read_watch<'a>(
    _request: &'a Request,
    _outcome: &Result<(), ErrorCode>,
) -> Option<(&'a str, WatchKind)> {
    todo!()
}
