//! Pairs of a path and a connection, and the connections.

use wire::client::EventType;

use super::{WatchKind, Watcher};
use crate::hashing::Hashing;
use crate::index::Index;
use crate::slab::{NONE, Slab, Vacant};

/// Which kinds of watches a pair has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Bits(u32);

impl Bits {
    const DATA: Self = Self(1);
    const CHILD: Self = Self(2);
    const PERSISTENT: Self = Self(4);
    pub(super) const RECURSIVE: Self = Self(8);
    /// How many bits there are; the rest of the word numbers the connection.
    const WIDTH: u32 = 4;

    pub(super) const fn of(kind: WatchKind) -> Self {
        match kind {
            WatchKind::Data => Self::DATA,
            WatchKind::Child => Self::CHILD,
            WatchKind::Persistent => Self::PERSISTENT,
            WatchKind::PersistentRecursive => Self::RECURSIVE,
        }
    }

    /// Those that hear of an event on their own path.
    pub(super) const fn hearing(kind: EventType) -> Self {
        match kind {
            EventType::NodeCreated | EventType::NodeDataChanged => {
                Self(Self::DATA.0 | Self::PERSISTENT.0 | Self::RECURSIVE.0)
            }
            EventType::NodeDeleted => {
                Self(Self::DATA.0 | Self::CHILD.0 | Self::PERSISTENT.0 | Self::RECURSIVE.0)
            }
            EventType::NodeChildrenChanged => Self(Self::CHILD.0 | Self::PERSISTENT.0),
            EventType::None
            | EventType::DataWatchRemoved
            | EventType::ChildWatchRemoved
            | EventType::PersistentWatchRemoved => Self(0),
        }
    }

    /// Those that removeWatches and checkWatches mean.
    pub(super) const fn requested(kind: i32) -> Option<Self> {
        match kind {
            1 => Some(Self::CHILD),
            2 => Some(Self::DATA),
            3 => Some(Self(15)),
            4 => Some(Self::PERSISTENT),
            5 => Some(Self::RECURSIVE),
            _ => None,
        }
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Of these, those that last for one event.
    pub(super) const fn once(self) -> Self {
        Self(self.0 & (Self::DATA.0 | Self::CHILD.0))
    }

    /// Apache keeps data and child watches apart, and a persistent watch with both.
    pub(super) fn watches(self) -> u64 {
        let data = self.intersects(Self(Self::DATA.0 | Self::PERSISTENT.0 | Self::RECURSIVE.0));
        let child = self.intersects(Self(Self::CHILD.0 | Self::PERSISTENT.0));
        u64::from(data) + u64::from(child)
    }
}

/// One connection's interest in one path.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: u32,
    /// Connection and [`Bits`].
    connection_bits: u32,
    pub(super) path_next: u32,
    pub(super) path_prev: u32,
    pub(super) connection_next: u32,
    pub(super) connection_prev: u32,
}

pub(super) type Entries = Slab<Entry>;

impl Entry {
    pub(super) const fn new(
        path: u32,
        connection: u32,
        path_next: u32,
        connection_next: u32,
    ) -> Self {
        Self {
            path,
            connection_bits: connection << Bits::WIDTH,
            path_next,
            path_prev: NONE,
            connection_next,
            connection_prev: NONE,
        }
    }

    pub(super) const fn connection(&self) -> u32 {
        self.connection_bits >> Bits::WIDTH
    }

    pub(super) const fn bits(&self) -> Bits {
        Bits(self.connection_bits & ((1 << Bits::WIDTH) - 1))
    }

    pub(super) const fn set_bits(&mut self, bits: Bits) {
        self.connection_bits = self.connection() << Bits::WIDTH | bits.0;
    }
}

impl Vacant for Entry {
    fn vacant(next: u32) -> Self {
        Self::new(NONE, 0, next, NONE)
    }
    fn next_vacant(&self) -> u32 {
        self.path_next
    }
}

/// The connections that watch something, by a small number.
#[derive(Debug)]
pub(super) struct Connections {
    slots: Slab<Connection>,
    by_watcher: Index,
    hashing: Hashing,
    count: u64,
}

#[derive(Debug)]
struct Connection {
    watcher: Watcher,
    first: u32,
}

impl Vacant for Connection {
    fn vacant(next: u32) -> Self {
        Self {
            watcher: Watcher(0),
            first: next,
        }
    }
    fn next_vacant(&self) -> u32 {
        self.first
    }
}

impl Connections {
    pub(super) fn new(hashing: Hashing) -> Self {
        Self {
            slots: Slab::new(),
            by_watcher: Index::new(),
            hashing,
            count: 0,
        }
    }

    pub(super) const fn len(&self) -> u64 {
        self.count
    }

    pub(super) fn find(&self, watcher: Watcher) -> Option<u32> {
        let hash = self.hashing.of(&watcher);
        self.by_watcher
            .find(hash, |id| self.slots.at(id).watcher == watcher)
    }

    pub(super) fn intern(&mut self, watcher: Watcher) -> u32 {
        if let Some(id) = self.find(watcher) {
            return id;
        }
        let id = self.slots.insert(Connection {
            watcher,
            first: NONE,
        });
        assert!(
            id >> (32 - Bits::WIDTH) == 0,
            "at most 2^28 connections watch"
        );
        let (slots, hashing) = (&self.slots, &self.hashing);
        let hash_of = |id| hashing.of(&slots.at(id).watcher);
        self.by_watcher.insert(hash_of(id), id, hash_of);
        self.count += 1;
        id
    }

    pub(super) fn remove(&mut self, id: u32) {
        let connection = self.slots.remove(id);
        self.by_watcher
            .remove(self.hashing.of(&connection.watcher), id);
        self.count -= 1;
    }

    pub(super) fn watcher(&self, id: u32) -> Watcher {
        self.slots.at(id).watcher
    }

    pub(super) fn first(&self, id: u32) -> u32 {
        self.slots.at(id).first
    }

    pub(super) fn set_first(&mut self, id: u32, first: u32) {
        self.slots.at_mut(id).first = first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_24_bytes() {
        assert_eq!(size_of::<Entry>(), 24);
    }
}
