//! What a client missed while it was away.

use wire::Zxid;
use wire::client::{EventType, SetWatches2};

use super::{WatchKind, WatchTable, Watcher};
use crate::Tree;

/// An event that a client missed while it was away. It is sent with zxid -1, before the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// What happened.
    pub kind: EventType,
    /// To whom.
    pub path: String,
}

impl WatchTable {
    /// setWatches and setWatches2: sets the watches of a client that comes back, except those
    /// whose event has happened since; these events are appended to `missed`. Persistent watches
    /// tell nothing of what was missed.
    pub fn set_watches(
        &mut self,
        tree: &Tree,
        watcher: Watcher,
        request: &SetWatches2,
        missed: &mut Vec<CatchUp>,
    ) {
        let seen = request.relative_zxid;
        let lists = [
            (&request.data, Lost::DataChanged, WatchKind::Data),
            (&request.exist, Lost::Created, WatchKind::Data),
            (&request.child, Lost::ChildrenChanged, WatchKind::Child),
        ];
        for (paths, lost, kind) in lists {
            for path in paths {
                match lost.event(tree, path, seen) {
                    Some(kind) => missed.push(CatchUp {
                        kind,
                        path: path.clone(),
                    }),
                    None => self.add(path, kind, watcher),
                }
            }
        }
        for path in &request.persistent {
            self.add(path, WatchKind::Persistent, watcher);
        }
        for path in &request.persistent_recursive {
            self.add(path, WatchKind::PersistentRecursive, watcher);
        }
    }
}

/// What a watch was waiting for.
#[derive(Clone, Copy)]
enum Lost {
    DataChanged,
    Created,
    ChildrenChanged,
}

impl Lost {
    fn event(self, tree: &Tree, path: &str, seen: Zxid) -> Option<EventType> {
        let stat = tree.znodes.find(path).map(|id| tree.znodes.stat(id));
        match (self, stat) {
            (Self::Created, stat) => stat.map(|_| EventType::NodeCreated),
            (Self::DataChanged | Self::ChildrenChanged, None) => Some(EventType::NodeDeleted),
            (Self::DataChanged, Some(stat)) => {
                is_later(stat.mzxid, seen).then_some(EventType::NodeDataChanged)
            }
            (Self::ChildrenChanged, Some(stat)) => {
                is_later(stat.pzxid, seen).then_some(EventType::NodeChildrenChanged)
            }
        }
    }
}

/// As signed numbers: a client may send -1 for "nothing seen".
const fn is_later(zxid: Zxid, seen: Zxid) -> bool {
    zxid.0 as i64 > seen.0 as i64
}
