//! The watches that a client has set: to set them again on another connection, and to say what a
//! removal removed.

use std::collections::BTreeSet;

use wire::Zxid;
use wire::client::{ErrorCode, EventType, Request, SetWatches2};

/// Paths by kind of watch, as the server knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Watches {
    data: BTreeSet<String>,
    exist: BTreeSet<String>,
    child: BTreeSet<String>,
    persistent: BTreeSet<String>,
    recursive: BTreeSet<String>,
}

/// Paths in one request stay below this many bytes, far below what servers take.
const REQUEST: usize = 128 * 1024;

impl Watches {
    /// A request was answered with this error code (0 for none). Gives the events that tell of
    /// removed watches.
    pub(super) fn answered(&mut self, request: &Request, code: i32) -> Vec<EventType> {
        let ok = code == ErrorCode::Ok.code();
        let absent = code == ErrorCode::NoNode.code();
        match request {
            Request::Exists(asked) if asked.watch && absent => {
                self.exist.insert(asked.path.clone());
            }
            Request::Exists(asked) | Request::GetData(asked) if asked.watch && ok => {
                self.data.insert(asked.path.clone());
            }
            Request::GetChildren(asked) | Request::GetChildren2(asked) if asked.watch && ok => {
                self.child.insert(asked.path.clone());
            }
            Request::AddWatch(asked) if ok => {
                let kind = match asked.mode {
                    0 => &mut self.persistent,
                    _ => &mut self.recursive,
                };
                kind.insert(asked.path.clone());
            }
            Request::RemoveWatches(asked) if ok => return self.removed(&asked.path, asked.kind),
            _ => {}
        }
        Vec::new()
    }

    /// Forgets watches of a watcher type (1 children, 2 data, 3 any, 4 persistent, 5 recursive),
    /// and gives the events that tell so.
    pub(super) fn removed(&mut self, path: &str, kind: i32) -> Vec<EventType> {
        let any = kind == 3;
        let mut events = Vec::new();
        if (kind == 1 || any) && self.child.remove(path) {
            events.push(EventType::ChildWatchRemoved);
        }
        if kind == 2 || any {
            let data = self.data.remove(path);
            if self.exist.remove(path) || data {
                events.push(EventType::DataWatchRemoved);
            }
        }
        let persistent = (kind == 4 || any) && self.persistent.remove(path);
        let recursive = (kind == 5 || any) && self.recursive.remove(path);
        if persistent || recursive {
            events.push(EventType::PersistentWatchRemoved);
        }
        events
    }

    /// An event came: what fires once is gone.
    pub(super) fn fired(&mut self, kind: EventType, path: &str) {
        match kind {
            EventType::NodeCreated | EventType::NodeDataChanged => {
                self.data.remove(path);
                self.exist.remove(path);
            }
            EventType::NodeChildrenChanged => {
                self.child.remove(path);
            }
            EventType::NodeDeleted => {
                self.data.remove(path);
                self.exist.remove(path);
                self.child.remove(path);
            }
            _ => {}
        }
    }

    /// Sets all of them on a new connection.
    pub(super) fn requests(&self, seen: Zxid) -> Vec<Request> {
        let kinds = [
            &self.data,
            &self.exist,
            &self.child,
            &self.persistent,
            &self.recursive,
        ];
        let all = kinds
            .iter()
            .enumerate()
            .flat_map(|(kind, paths)| paths.iter().map(move |path| (kind, path)));
        let mut requests = Vec::new();
        let mut lists: [Vec<String>; 5] = Default::default();
        let mut bytes = 0;
        for (kind, path) in all {
            if bytes > REQUEST {
                requests.push(request(seen, std::mem::take(&mut lists)));
                bytes = 0;
            }
            bytes += path.len() + 4;
            lists[kind].push(path.clone());
        }
        if bytes > 0 {
            requests.push(request(seen, lists));
        }
        requests
    }
}

fn request(relative_zxid: Zxid, lists: [Vec<String>; 5]) -> Request {
    let [data, exist, child, persistent, persistent_recursive] = lists;
    Request::SetWatches2(SetWatches2 {
        relative_zxid,
        data,
        exist,
        child,
        persistent,
        persistent_recursive,
    })
}

#[cfg(test)]
mod tests {
    use wire::client::{AddWatchRequest, PathRequest, WatchesRequest};

    use super::*;

    fn watched(path: &str) -> PathRequest {
        PathRequest {
            path: path.to_owned(),
            watch: true,
        }
    }

    fn paths(list: &[&str]) -> Vec<String> {
        list.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn what_was_set_and_did_not_fire_is_set_again() {
        let mut watches = Watches::default();
        let ok = ErrorCode::Ok.code();
        let absent = ErrorCode::NoNode.code();
        watches.answered(&Request::GetData(watched("/data")), ok);
        watches.answered(&Request::GetData(watched("/absent")), absent);
        watches.answered(&Request::Exists(watched("/exist")), absent);
        watches.answered(&Request::GetChildren2(watched("/child")), ok);
        watches.answered(&Request::GetChildren2(watched("/fired")), ok);
        for (mode, path) in [(0, "/persistent"), (1, "/recursive")] {
            let path = path.to_owned();
            watches.answered(&Request::AddWatch(AddWatchRequest { path, mode }), ok);
        }
        watches.fired(EventType::NodeChildrenChanged, "/fired");
        watches.fired(EventType::NodeDeleted, "/persistent");
        let expected = Request::SetWatches2(SetWatches2 {
            relative_zxid: Zxid(7),
            data: paths(&["/data"]),
            exist: paths(&["/exist"]),
            child: paths(&["/child"]),
            persistent: paths(&["/persistent"]),
            persistent_recursive: paths(&["/recursive"]),
        });
        assert_eq!(watches.requests(Zxid(7)), [expected]);
    }

    #[test]
    fn many_paths_are_set_in_several_requests() {
        let mut watches = Watches::default();
        for number in 0..20_000 {
            let path = format!("/a/path/of/thirty/bytes/{number:06}");
            watches.answered(&Request::GetData(watched(&path)), 0);
        }
        let requests = watches.requests(Zxid(1));
        let count = |request: &Request| match request {
            Request::SetWatches2(set) => set.data.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(requests.len(), 6);
        assert_eq!(requests.iter().map(count).sum::<usize>(), 20_000);
    }

    #[test]
    fn removal_tells_what_was_there() {
        let mut watches = Watches::default();
        for request in [
            Request::GetData(watched("/a")),
            Request::GetChildren(watched("/a")),
        ] {
            watches.answered(&request, 0);
        }
        let remove = |kind| {
            let path = "/a".to_owned();
            Request::RemoveWatches(WatchesRequest { path, kind })
        };
        assert_eq!(
            watches.answered(&remove(3), ErrorCode::NoWatcher.code()),
            []
        );
        assert_eq!(
            watches.answered(&remove(2), 0),
            [EventType::DataWatchRemoved]
        );
        assert_eq!(
            watches.answered(&remove(3), 0),
            [EventType::ChildWatchRemoved]
        );
        assert_eq!(watches, Watches::default());
    }
}
