//! A member's data from its first start on, on both disks.

use wire::{Epoch, Zxid};

use super::{Seen, entries, entry, entry_of, paths, write_state, zxid};
use crate::crashing::CrashingDisk;
use crate::{Compression, Disk, Options, Paths, RealDisk, Recovered, Store};

const SMALL: Options = Options {
    pre_alloc: 4096,
    trust_empty: false,
    snapshot_sync_every: 1024,
    snapshot_compression: Compression::None,
};

fn open<D: Disk>(disk: &D, paths: &Paths) -> (Store<D>, Recovered) {
    Store::open(disk.clone(), paths, SMALL).unwrap()
}

fn snapshot<D: Disk>(store: &Store<D>, at: Zxid) {
    let mut writer = store.snapshots().begin(at).unwrap();
    let trailer = write_state(&mut writer, at).unwrap();
    writer.finish(trailer).unwrap();
}

fn zxids(epoch: u32, counters: std::ops::RangeInclusive<u32>) -> Vec<Zxid> {
    counters.map(|counter| zxid(epoch, counter)).collect()
}

fn lives_through_restarts<D: Disk>(disk: &D, paths: &Paths) {
    let (mut store, recovered) = open(disk, paths);
    assert!(recovered.empty);
    assert_eq!(recovered.accepted_epoch, None);
    snapshot(&store, Zxid::ZERO);
    store.store_accepted(Epoch(1)).unwrap();
    store.store_current(Epoch(1)).unwrap();
    store.append(&entries(1, 1..=10)).unwrap();
    store.append(&[entry(1, 11)]).unwrap();
    assert_eq!(store.synced_zxid(), Zxid::ZERO);
    store.sync().unwrap();
    assert_eq!(store.synced_zxid(), zxid(1, 11));
    store.roll().unwrap();
    store.spare_job().unwrap().run().unwrap();
    snapshot(&store, zxid(1, 11));
    store.append(&entries(1, 12..=200)).unwrap();
    store.append(&[entry_of(zxid(2, 1), 100_000)]).unwrap();
    store.sync().unwrap();
    drop(store);

    let (mut store, recovered) = open(disk, paths);
    assert_eq!(recovered.current_epoch, Some(Epoch(1)));
    assert_eq!(recovered.last_zxid, zxid(2, 1));
    assert_eq!(recovered.cut, None);
    let mut seen = Seen::default();
    let replayed = store.replay(&mut seen).unwrap();
    let mut expected = zxids(1, 12..=200);
    expected.push(zxid(2, 1));
    assert_eq!(seen.snapshot, Some(zxid(1, 11)));
    assert_eq!(seen.trailer.unwrap().last_zxid, Some(zxid(1, 11)));
    assert_eq!(seen.entries, expected);
    assert_eq!(replayed.last_zxid, zxid(2, 1));

    let part = store
        .log_reader()
        .read(zxid(1, 5), zxid(1, 9), 1 << 20)
        .unwrap();
    assert_eq!(part.base, Some(zxid(1, 5)));
    let found: Vec<Zxid> = part.entries.iter().map(|entry| entry.zxid()).collect();
    assert_eq!(found, zxids(1, 6..=9));

    assert_eq!(store.truncate(zxid(1, 50)).unwrap(), zxid(1, 50));
    let mut seen = Seen::default();
    store.replay(&mut seen).unwrap();
    assert_eq!(seen.entries, zxids(1, 12..=50));
    store.append(&[entry(3, 1)]).unwrap();
    store.sync().unwrap();

    let mut writer = store.snapshots().begin_staged(zxid(4, 7)).unwrap();
    let trailer = write_state(&mut writer, zxid(4, 7)).unwrap();
    let staged = writer.finish_staged(trailer).unwrap();
    store.install_snapshot(&staged).unwrap();
    drop(store);
    let (mut store, recovered) = open(disk, paths);
    assert_eq!(recovered.last_zxid, zxid(4, 7));
    let mut seen = Seen::default();
    store.replay(&mut seen).unwrap();
    assert_eq!((seen.snapshot, seen.entries), (Some(zxid(4, 7)), vec![]));
}

#[test]
fn data_lives_through_restarts_in_memory() {
    lives_through_restarts(&CrashingDisk::new(), &paths());
}

#[test]
fn data_lives_through_restarts_on_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::single(dir.path().join("deep/data"));
    lives_through_restarts(&RealDisk, &paths);
}
