use std::collections::BTreeSet;

use wire::Zxid;
use wire::client::{PathRequest, SetWatches2};

use super::*;
use crate::tests::Random;
use crate::{Options, Tree};

const A: Watcher = Watcher(10);
const B: Watcher = Watcher(11);

fn fired(table: &mut WatchTable, path: &str, kind: EventType) -> Vec<Watcher> {
    let mut out = Vec::new();
    table.fire(path, kind, &mut out);
    out.sort_unstable();
    out
}

fn counts(table: &WatchTable) -> (u64, u64, u64) {
    (table.len(), table.path_count(), table.watcher_count())
}

fn request(path: &str, kind: i32) -> WatchesRequest {
    WatchesRequest {
        path: path.to_owned(),
        kind,
    }
}

#[test]
fn a_standard_watch_hears_one_event_of_its_kind() {
    let mut table = WatchTable::new(1);
    table.add("/a", WatchKind::Data, A);
    table.add("/a", WatchKind::Data, A);
    table.add("/a", WatchKind::Child, B);
    assert_eq!(counts(&table), (2, 1, 2));
    assert_eq!(fired(&mut table, "/b", EventType::NodeCreated), []);
    assert_eq!(fired(&mut table, "/a", EventType::NodeChildrenChanged), [B]);
    assert_eq!(fired(&mut table, "/a", EventType::NodeChildrenChanged), []);
    assert_eq!(fired(&mut table, "/a", EventType::NodeDataChanged), [A]);
    assert_eq!(fired(&mut table, "/a", EventType::NodeDataChanged), []);
    assert_eq!(counts(&table), (0, 0, 0));
}

#[test]
fn a_delete_is_told_once_and_takes_both_watches() {
    let mut table = WatchTable::new(1);
    table.add("/a", WatchKind::Data, A);
    table.add("/a", WatchKind::Child, A);
    table.add("/a", WatchKind::Child, B);
    assert_eq!(fired(&mut table, "/a", EventType::NodeDeleted), [A, B]);
    assert_eq!(counts(&table), (0, 0, 0));
}

#[test]
fn persistent_watches_stay_and_lose_only_what_lasts_for_one_event() {
    let mut table = WatchTable::new(1);
    table.add("/a", WatchKind::Persistent, A);
    table.add("/a", WatchKind::Data, A);
    assert_eq!(counts(&table), (2, 1, 1));
    for kind in [
        EventType::NodeCreated,
        EventType::NodeDataChanged,
        EventType::NodeChildrenChanged,
        EventType::NodeDeleted,
    ] {
        assert_eq!(fired(&mut table, "/a", kind), [A]);
        assert_eq!(fired(&mut table, "/a/b", kind), []);
    }
    assert_eq!(counts(&table), (2, 1, 1));
    assert_eq!(table.check(A, &request("/a", 2)), Err(ErrorCode::NoWatcher));
    assert_eq!(table.remove(A, &request("/a", 4)), Ok(()));
    assert_eq!(counts(&table), (0, 0, 0));
}

#[test]
fn recursive_watches_hear_of_descendants_but_not_of_lists_of_children() {
    let mut table = WatchTable::new(1);
    table.add("/a", WatchKind::PersistentRecursive, A);
    table.add("/", WatchKind::PersistentRecursive, A);
    table.add("/", WatchKind::PersistentRecursive, B);
    table.add("/a/b/c", WatchKind::Data, A);
    assert_eq!(
        fired(&mut table, "/a/b/c", EventType::NodeDeleted),
        [A, B],
        "each once, whichever way it watches"
    );
    assert_eq!(fired(&mut table, "/x", EventType::NodeCreated), [A, B]);
    assert_eq!(fired(&mut table, "/a", EventType::NodeChildrenChanged), []);
    assert!(!table.remove_watcher(B, 10));
    assert_eq!(fired(&mut table, "/x", EventType::NodeCreated), [A]);
    assert_eq!(table.remove(A, &request("/", 5)), Ok(()));
    assert_eq!(fired(&mut table, "/x", EventType::NodeCreated), []);
    assert_eq!(fired(&mut table, "/ab", EventType::NodeCreated), []);
    assert_eq!(fired(&mut table, "/a/b", EventType::NodeCreated), [A]);
}

#[test]
fn watches_are_checked_and_removed_by_kind() {
    let mut table = WatchTable::new(1);
    table.add("/a", WatchKind::Data, A);
    table.add("/a", WatchKind::Child, A);
    assert_eq!(table.check(A, &request("/a", 1)), Ok(()));
    assert_eq!(table.check(B, &request("/a", 1)), Err(ErrorCode::NoWatcher));
    assert_eq!(
        table.check(A, &request("/a", 6)),
        Err(ErrorCode::MarshallingError)
    );
    assert_eq!(table.remove(A, &request("/a", 1)), Ok(()));
    assert_eq!(
        table.remove(A, &request("/a", 1)),
        Err(ErrorCode::NoWatcher)
    );
    assert_eq!(table.remove(A, &request("/a", 3)), Ok(()));
    assert_eq!(counts(&table), (0, 0, 0));
}

#[test]
fn added_watches_have_one_of_two_modes() {
    let mut table = WatchTable::new(1);
    let add = |mode: i32| AddWatchRequest {
        path: "/a".to_owned(),
        mode,
    };
    assert_eq!(table.add_requested(A, &add(0)), Ok(()));
    assert_eq!(table.add_requested(B, &add(1)), Ok(()));
    assert_eq!(
        table.add_requested(B, &add(2)),
        Err(ErrorCode::MarshallingError)
    );
    assert_eq!(fired(&mut table, "/a", EventType::NodeCreated), [A, B]);
    assert_eq!(fired(&mut table, "/a/b", EventType::NodeCreated), [B]);
}

#[test]
fn many_watchers_of_many_paths_come_and_go() {
    let mut table = WatchTable::new(7);
    let paths: Vec<String> = (0..40).map(|i| format!("/p/{i}")).collect();
    for watcher in 0..50 {
        for path in &paths {
            table.add(path, WatchKind::Data, Watcher(watcher));
            table.add(path, WatchKind::Data, Watcher(watcher));
        }
    }
    assert_eq!(counts(&table), (2000, 40, 50));
    for watcher in 0..25 {
        assert!(table.remove_watcher(Watcher(watcher), 39));
        assert!(!table.remove_watcher(Watcher(watcher), 39));
    }
    assert_eq!(counts(&table), (1000, 40, 25));
    let rest: Vec<Watcher> = (25..50).map(Watcher).collect();
    assert_eq!(fired(&mut table, "/p/3", EventType::NodeDataChanged), rest);
    assert_eq!(counts(&table), (975, 39, 25));
    assert_eq!(table.iter().count(), 975);
    for path in &paths {
        fired(&mut table, path, EventType::NodeDeleted);
    }
    assert_eq!(counts(&table), (0, 0, 0));
}

#[test]
fn only_exists_watches_what_is_not_there() {
    let read = PathRequest {
        path: "/a".to_owned(),
        watch: true,
    };
    let none = Err(ErrorCode::NoNode);
    let exists = Request::Exists(read.clone());
    let get = Request::GetData(read.clone());
    let children = Request::GetChildren2(read.clone());
    assert_eq!(read_watch(&exists, &none), Some(("/a", WatchKind::Data)));
    assert_eq!(read_watch(&exists, &Err(ErrorCode::NoAuth)), None);
    assert_eq!(read_watch(&get, &none), None);
    assert_eq!(read_watch(&get, &Ok(())), Some(("/a", WatchKind::Data)));
    assert_eq!(
        read_watch(&children, &Ok(())),
        Some(("/a", WatchKind::Child))
    );
    let unwatched = PathRequest {
        watch: false,
        ..read
    };
    assert_eq!(read_watch(&Request::GetData(unwatched), &Ok(())), None);
}

#[test]
fn a_client_that_comes_back_hears_what_it_missed() {
    let mut tree = Tree::new(1, Options::default());
    tree.set_initial_config("x", Zxid(5), 0);
    let mut table = WatchTable::new(1);
    let paths = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
    let request = SetWatches2 {
        relative_zxid: Zxid(4),
        data: paths(&["/zookeeper/config", "/zookeeper", "/gone"]),
        exist: paths(&["/zookeeper", "/later"]),
        child: paths(&["/zookeeper", "/gone"]),
        persistent: paths(&["/gone"]),
        persistent_recursive: paths(&["/"]),
    };
    let mut missed = Vec::new();
    table.set_watches(&tree, A, &request, &mut missed);
    let missed: Vec<_> = missed.iter().map(|m| (m.kind, m.path.as_str())).collect();
    assert_eq!(
        missed,
        [
            (EventType::NodeDataChanged, "/zookeeper/config"),
            (EventType::NodeDeleted, "/gone"),
            (EventType::NodeCreated, "/zookeeper"),
            (EventType::NodeDeleted, "/gone"),
        ]
    );
    // /zookeeper twice, /later, /gone for data and children, / recursive.
    assert_eq!(counts(&table), (6, 4, 1));
}

/// All watches of the table, the plain way.
type Plain = BTreeSet<(String, Watcher, u8)>;

const KINDS: [WatchKind; 4] = [
    WatchKind::Data,
    WatchKind::Child,
    WatchKind::Persistent,
    WatchKind::PersistentRecursive,
];

fn fire_plainly(watches: &mut Plain, path: &str, kind: EventType) -> Vec<Watcher> {
    let hears = |(at, _, of): &(String, Watcher, u8)| match (of, kind) {
        (0, EventType::NodeChildrenChanged) => false,
        (1, EventType::NodeCreated | EventType::NodeDataChanged) => false,
        (3, EventType::NodeChildrenChanged) => false,
        (3, _) if path.starts_with(&format!("{at}/")) => true,
        _ => at == path,
    };
    let heard: BTreeSet<Watcher> = watches.iter().filter(|w| hears(w)).map(|w| w.1).collect();
    watches.retain(|w| w.2 >= 2 || !hears(w));
    heard.into_iter().collect()
}

#[test]
fn the_table_does_what_a_plain_set_does() {
    for seed in 0..8 {
        let mut random = Random::new(seed);
        let mut table = WatchTable::new(seed);
        let mut plain = Plain::new();
        for _ in 0..3000 {
            let path = ["/a", "/a/b", "/a/b/c", "/b"][random.below(4) as usize];
            let watcher = Watcher(random.below(30));
            match random.below(100) {
                0 => {
                    table.remove_watcher(watcher, usize::MAX);
                    plain.retain(|w| w.1 != watcher);
                }
                1..=3 => {
                    let kinds = [
                        EventType::NodeCreated,
                        EventType::NodeDeleted,
                        EventType::NodeDataChanged,
                        EventType::NodeChildrenChanged,
                    ];
                    let kind = kinds[random.below(4) as usize];
                    let expected = fire_plainly(&mut plain, path, kind);
                    assert_eq!(fired(&mut table, path, kind), expected, "seed {seed}");
                }
                4..=20 => {
                    let of = [1, 0, 2, 3][random.below(4) as usize];
                    let wire = [2, 1, 4, 5][usize::from(of)];
                    let was = plain.remove(&(path.to_owned(), watcher, of));
                    let found = table.check(watcher, &request(path, wire));
                    assert_eq!(found.is_ok(), was, "seed {seed}");
                    let removed = table.remove(watcher, &request(path, wire));
                    assert_eq!(removed, found);
                }
                _ => {
                    let of = random.below(4) as u8;
                    table.add(path, KINDS[usize::from(of)], watcher);
                    plain.insert((path.to_owned(), watcher, of));
                }
            }
            if random.below(8) > 0 {
                continue;
            }
            let pairs: BTreeSet<_> = plain.iter().map(|w| (w.0.as_str(), w.1)).collect();
            assert_eq!(table.iter().collect::<BTreeSet<_>>(), pairs);
        }
        (0..30).for_each(|i| assert!(!table.remove_watcher(Watcher(i), 99)));
        assert_eq!(counts(&table), (0, 0, 0));
        assert_eq!(table.pairs.len(), 0);
    }
}
