//! What a start does about data that is not as it should be.

use std::path::{Path, PathBuf};

use wire::{Epoch, Zxid};

use super::{Seen, entries, entry, entry_of, paths, write_state, zxid};
use crate::crashing::CrashingDisk;
use crate::{AppendError, Compression, Cut, OpenError, Options, Recovered, Store, TruncateError};

const LOG_1: &str = "/logs/version-2/log.100000001";
const LOG_6: &str = "/logs/version-2/log.100000006";
const SNAPSHOT_0: &str = "/data/version-2/snapshot.0";
const SNAPSHOT_5: &str = "/data/version-2/snapshot.100000005";

const OPTIONS: Options = Options {
    pre_alloc: 2048,
    trust_empty: false,
    snapshot_sync_every: 1 << 20,
    snapshot_compression: Compression::None,
};

fn open(disk: &CrashingDisk) -> Result<(Store<CrashingDisk>, Recovered), OpenError> {
    Store::open(disk.clone(), &paths(), OPTIONS)
}

fn snapshot(store: &Store<CrashingDisk>, at: Zxid) {
    let mut writer = store.snapshots().begin(at).unwrap();
    let trailer = write_state(&mut writer, at).unwrap();
    writer.finish(trailer).unwrap();
}

/// Snapshots at 0 and (1, 5), transactions (1, 1) to (1, 9) in two files, epoch 1; closed.
fn member() -> CrashingDisk {
    let disk = CrashingDisk::new();
    let (mut store, _) = open(&disk).unwrap();
    snapshot(&store, Zxid::ZERO);
    store.store_accepted(Epoch(1)).unwrap();
    store.store_current(Epoch(1)).unwrap();
    store.append(&entries(1, 1..=5)).unwrap();
    store.roll().unwrap();
    snapshot(&store, zxid(1, 5));
    store.append(&entries(1, 6..=9)).unwrap();
    store.sync().unwrap();
    disk.kill();
    disk
}

fn edit(disk: &CrashingDisk, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = disk.content(Path::new(path)).unwrap();
    change(&mut content);
    disk.put(Path::new(path), content);
}

fn remove(disk: &CrashingDisk, path: &str) {
    use crate::Disk;
    let path = Path::new(path);
    disk.remove(path).unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
}

fn replay(disk: &CrashingDisk) -> Result<Seen, OpenError> {
    let (mut store, _) = open(disk)?;
    let mut seen = Seen::default();
    store.replay(&mut seen)?;
    Ok(seen)
}

fn counters(seen: &Seen) -> Vec<u32> {
    seen.entries.iter().map(|zxid| zxid.counter()).collect()
}

#[test]
fn an_empty_log_file_at_the_end_is_removed() {
    for content in [vec![], vec![0; 7], vec![0; 4096], {
        let mut header = b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0".to_vec();
        header.resize(900, 0);
        header
    }] {
        let disk = member();
        let path = Path::new("/logs/version-2/log.10000000a");
        disk.put(path, content);
        let (mut store, recovered) = open(&disk).unwrap();
        assert_eq!(recovered.last_zxid, zxid(1, 9));
        assert_eq!(disk.content(path), None);
        store.append(&[entry(1, 10)]).unwrap();
        store.sync().unwrap();
        drop(store);
        assert_eq!(counters(&replay(&disk).unwrap()), [6, 7, 8, 9, 10]);
    }
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    let disk = member();
    let whole = disk.content(Path::new(LOG_6)).unwrap();
    let end = whole.iter().rposition(|b| *b != 0).unwrap() + 1;
    edit(&disk, LOG_6, |bytes| bytes[end - 20..].fill(0));
    let record = (end - 16) / 4;
    let written = disk
        .content(Path::new(LOG_6))
        .unwrap()
        .iter()
        .rposition(|b| *b != 0)
        .unwrap()
        + 1;
    let (_, recovered) = open(&disk).unwrap();
    let offset = 16 + 3 * record;
    assert_eq!(recovered.last_zxid, zxid(1, 8));
    assert_eq!(
        recovered.cut,
        Some(Cut {
            path: PathBuf::from(LOG_6),
            offset: offset as u64,
            after: Some(zxid(1, 8)),
            bytes: (written - offset) as u64,
        })
    );
    assert_eq!(disk.content(Path::new(LOG_6)).unwrap().len(), offset);
    disk.kill();
    assert_eq!(open(&disk).unwrap().1.cut, None);
}

#[test]
fn damage_before_the_tail_refuses_the_start_and_names_the_place_and_the_way_out() {
    let disk = member();
    edit(&disk, LOG_6, |bytes| bytes[40] ^= 1);
    let error = open(&disk).err().unwrap();
    let text = error.to_string();
    assert!(
        text.contains(LOG_6) && text.contains("offset 16") && text.contains("--rejoin"),
        "{text}"
    );
    let untouched = disk.content(Path::new(LOG_6)).unwrap();
    assert!(open(&disk).is_err());
    assert_eq!(disk.content(Path::new(LOG_6)).unwrap(), untouched);
}

#[test]
fn damage_in_an_older_file_that_is_needed_refuses_the_replay() {
    let disk = member();
    remove(&disk, SNAPSHOT_5);
    edit(&disk, LOG_1, |bytes| bytes[200] ^= 0x10);
    assert!(matches!(
        replay(&disk),
        Err(OpenError::Corrupt { path, .. }) if path == Path::new(LOG_1)
    ));
}

#[test]
fn damage_below_the_snapshot_does_not_matter() {
    let disk = member();
    edit(&disk, LOG_1, |bytes| bytes[200] ^= 0x10);
    let seen = replay(&disk).unwrap();
    assert_eq!(
        (seen.snapshot, counters(&seen)),
        (Some(zxid(1, 5)), vec![6, 7, 8, 9])
    );
}

#[test]
fn an_invalid_newest_snapshot_is_replaced_by_an_older_one_and_the_log() {
    for damage in [
        (|bytes: &mut Vec<u8>| bytes.truncate(50)) as fn(&mut Vec<u8>),
        |bytes| bytes[70] ^= 1,
        Vec::clear,
    ] {
        let disk = member();
        edit(&disk, SNAPSHOT_5, damage);
        let seen = replay(&disk).unwrap();
        assert_eq!(seen.rejected, [zxid(1, 5)]);
        assert_eq!(seen.snapshot, Some(Zxid::ZERO));
        assert_eq!(counters(&seen), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}

#[test]
fn an_older_snapshot_is_refused_when_the_log_does_not_reach_the_newest() {
    let disk = member();
    let newer = "/data/version-2/snapshot.10000000c";
    disk.put(Path::new(newer), vec![1; 100]);
    assert!(matches!(
        replay(&disk),
        Err(OpenError::SnapshotLost { path, .. }) if path == Path::new(newer)
    ));
}

#[test]
fn logs_without_a_snapshot_refuse_the_start_unless_it_is_trusted() {
    let disk = member();
    remove(&disk, SNAPSHOT_0);
    remove(&disk, SNAPSHOT_5);
    assert!(matches!(replay(&disk), Err(OpenError::NoSnapshot { .. })));
    let trusting = Options {
        trust_empty: true,
        ..OPTIONS
    };
    let (mut store, _) = Store::open(disk, &paths(), trusting).unwrap();
    let mut seen = Seen::default();
    store.replay(&mut seen).unwrap();
    assert_eq!((seen.snapshot, seen.entries.len()), (None, 9));
}

#[test]
fn a_missing_log_file_is_noticed() {
    let disk = member();
    remove(&disk, SNAPSHOT_5);
    remove(&disk, LOG_1);
    assert!(matches!(
        replay(&disk),
        Err(OpenError::Gap { after, found, .. })
            if after == Zxid::ZERO && found == zxid(1, 6)
    ));
}

#[test]
fn files_in_the_wrong_directory_refuse_the_start() {
    for path in ["/logs/version-2/snapshot.5", "/data/version-2/log.5"] {
        let disk = member();
        disk.put(Path::new(path), vec![]);
        assert!(matches!(
            open(&disk),
            Err(OpenError::Misplaced { path: found, .. }) if found == Path::new(path)
        ));
    }
}

#[test]
fn epochs_that_contradict_each_other_refuse_the_start() {
    let disk = member();
    disk.put(Path::new("/data/version-2/currentEpoch"), b"2".to_vec());
    assert!(matches!(open(&disk), Err(OpenError::Epochs { .. })));
    disk.put(Path::new("/data/version-2/acceptedEpoch"), b"two".to_vec());
    assert!(matches!(open(&disk), Err(OpenError::Epoch { .. })));
}

#[test]
fn what_apache_left_half_written_in_a_closed_file_is_passed_over() {
    let disk = member();
    edit(&disk, LOG_1, |bytes| {
        // The beginning of (1, 6), of which Apache was killed; it came again in the next file.
        let mut record = Vec::new();
        crate::record::encode(entry(1, 6).bytes(), &mut record);
        bytes.extend_from_slice(&record[..30]);
        bytes.resize(4096, 0);
    });
    remove(&disk, SNAPSHOT_5);
    assert_eq!(
        counters(&replay(&disk).unwrap()),
        [1, 2, 3, 4, 5, 6, 7, 8, 9]
    );
}

#[test]
fn a_failed_sync_is_final() {
    let disk = member();
    let (mut store, _) = open(&disk).unwrap();
    store.append(&[entry(1, 10)]).unwrap();
    let fault = crate::crashing::Fault::Fail(std::io::ErrorKind::Other);
    disk.set_fault(disk.operations(), fault);
    assert!(matches!(store.sync(), Err(AppendError::Fatal { .. })));
    assert_eq!(store.synced_zxid(), zxid(1, 9));
    assert!(matches!(store.sync(), Err(AppendError::Failed)));
    assert!(matches!(store.append(&[]), Err(AppendError::Failed)));
    assert!(matches!(store.roll(), Err(AppendError::Failed)));
    assert!(matches!(
        store.store_accepted(Epoch(2)),
        Err(AppendError::Failed)
    ));
    assert!(store.truncate(zxid(1, 6)).is_err());
}

#[test]
fn an_entry_out_of_order_is_refused_and_nothing_is_written() {
    let disk = member();
    let (mut store, _) = open(&disk).unwrap();
    let before = disk.operations();
    let error = store.append(&[entry(1, 10), entry(1, 10)]);
    assert!(matches!(error, Err(AppendError::Order { .. })));
    assert_eq!((disk.operations(), store.last_zxid()), (before, zxid(1, 9)));
    store.append(&[entry(1, 10)]).unwrap();
}

#[test]
fn a_truncation_below_every_snapshot_changes_nothing() {
    let disk = member();
    remove(&disk, SNAPSHOT_0);
    let (mut store, _) = open(&disk).unwrap();
    let error = store.truncate(zxid(1, 3));
    assert!(matches!(error, Err(TruncateError::NoBase { .. })));
    assert_eq!(store.truncate(zxid(1, 7)).unwrap(), zxid(1, 7));
}

#[test]
fn a_snapshot_begun_before_a_truncation_does_not_appear_after_it() {
    let disk = member();
    let (mut store, _) = open(&disk).unwrap();
    let mut writer = store.snapshots().begin(zxid(1, 9)).unwrap();
    let trailer = write_state(&mut writer, zxid(1, 9)).unwrap();
    store.truncate(zxid(1, 7)).unwrap();
    assert!(writer.finish(trailer).is_err());
    drop(store);
    assert_eq!(counters(&replay(&disk).unwrap()), [6, 7]);
}

#[test]
fn purging_keeps_three_snapshots_and_the_logs_they_need() {
    let disk = member();
    let (mut store, _) = open(&disk).unwrap();
    for counter in 10..16 {
        store.append(&[entry(1, counter)]).unwrap();
        store.roll().unwrap();
        snapshot(&store, zxid(1, counter));
    }
    let mut removed = store.purge(1).unwrap();
    removed.sort();
    let expected = [
        "/data/version-2/snapshot.0",
        "/data/version-2/snapshot.100000005",
        "/data/version-2/snapshot.10000000a",
        "/data/version-2/snapshot.10000000b",
        "/data/version-2/snapshot.10000000c",
        "/logs/version-2/log.100000001",
        "/logs/version-2/log.100000006",
        "/logs/version-2/log.10000000a",
        "/logs/version-2/log.10000000b",
        "/logs/version-2/log.10000000c",
    ];
    assert_eq!(removed, expected.map(PathBuf::from));
    drop(store);
    assert_eq!(replay(&disk).unwrap().snapshot, Some(zxid(1, 15)));
}

#[test]
fn a_transaction_above_the_limit_survives_a_loss_of_power_once_synced() {
    let big = crate::UNSYNCED_LIMIT as usize + 70_000;
    for loss in 0..6 {
        let disk = member();
        let (mut store, _) = open(&disk).unwrap();
        store
            .append(&[entry(1, 10), entry_of(zxid(1, 11), big)])
            .unwrap();
        assert_eq!(store.synced_zxid(), zxid(1, 11));
        store.append(&[entry(1, 12)]).unwrap();
        disk.lose_power(loss);
        let seen = replay(&disk).unwrap();
        assert!(seen.entries.contains(&zxid(1, 11)), "loss {loss}");
    }
}

#[test]
fn data_in_use_is_refused_to_others_until_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let paths = crate::Paths::single(dir.path());
    let (store, _) = Store::open(crate::RealDisk, &paths, OPTIONS).unwrap();
    let other = Store::open(crate::RealDisk, &paths, OPTIONS);
    assert!(matches!(other, Err(OpenError::InUse { .. })));
    drop(store);
    Store::open(crate::RealDisk, &paths, OPTIONS).unwrap();
}

#[test]
fn damaged_data_is_set_aside_for_a_rejoin_but_epochs_and_the_mark_stay() {
    let damages: [fn(&CrashingDisk); 4] = [
        |disk| edit(disk, LOG_6, |bytes| bytes[40] ^= 1),
        |disk| {
            disk.put(
                Path::new("/data/version-2/pending"),
                b"install 0x1".to_vec(),
            )
        },
        |disk| remove(disk, LOG_1),
        |_| (),
    ];
    for damage in damages {
        let disk = member();
        damage(&disk);
        crate::set_aside(&disk, &paths()).unwrap();
        let (_, recovered) = open(&disk).unwrap();
        assert!(recovered.empty);
        assert_eq!(recovered.accepted_epoch, Some(Epoch(1)));
        let marks = crate::Marks::new(disk.clone(), &paths());
        assert!(marks.get(crate::Mark::Rejoin).unwrap().is_some());
        let kept = Path::new("/logs/version-2/damaged.log.100000006");
        assert!(disk.content(kept).is_some());
    }
}

#[test]
fn unusable_epochs_are_set_aside_too() {
    let disk = member();
    disk.put(Path::new("/data/version-2/currentEpoch"), b"7".to_vec());
    crate::set_aside(&disk, &paths()).unwrap();
    let (_, recovered) = open(&disk).unwrap();
    assert_eq!(
        (recovered.accepted_epoch, recovered.current_epoch),
        (None, None)
    );
}

#[test]
fn a_range_says_where_the_learner_and_the_log_part() {
    let disk = member();
    let (store, _) = open(&disk).unwrap();
    let log = store.log_reader();
    let part = |from: Zxid, to: Zxid, limit: usize| {
        let part = log.read(from, to, limit).unwrap();
        let counters: Vec<u32> = part.entries.iter().map(|e| e.zxid().counter()).collect();
        (part.base, counters, part.more)
    };
    let all = 1 << 20;
    let whole = (Some(zxid(1, 4)), vec![5, 6, 7], false);
    assert_eq!(part(zxid(1, 4), zxid(1, 7), all), whole);
    assert_eq!(
        part(zxid(1, 4), zxid(1, 7), 1),
        (Some(zxid(1, 4)), vec![5], true)
    );
    assert_eq!(
        part(zxid(1, 9), zxid(1, 9), all),
        (Some(zxid(1, 9)), vec![], false)
    );
    // A learner with transactions of its own goes back to the last one in common.
    assert_eq!(
        part(zxid(1, 12), zxid(1, 9), all),
        (Some(zxid(1, 9)), vec![], false)
    );
    let before = (None, vec![1, 2], false);
    assert_eq!(part(Zxid::ZERO, zxid(1, 2), all), before);
}

#[test]
fn a_range_ends_with_an_error_where_the_log_is_damaged_or_a_part_is_missing() {
    let disk = member();
    let (store, _) = open(&disk).unwrap();
    edit(&disk, LOG_1, |bytes| bytes[300] ^= 1);
    let read = store.log_reader().read(zxid(1, 1), zxid(1, 9), 1 << 20);
    assert!(
        matches!(read, Err(crate::ReadError::Corrupt { path, .. }) if path == Path::new(LOG_1))
    );

    let disk = member();
    let (store, _) = open(&disk).unwrap();
    edit(&disk, LOG_1, |bytes| {
        bytes.truncate(16 + (bytes.len() - 16) / 5 * 3)
    });
    let read = store.log_reader().read(zxid(1, 1), zxid(1, 9), 1 << 20);
    assert!(matches!(read, Err(crate::ReadError::Gap { found, .. }) if found == zxid(1, 6)));
}

#[test]
fn recent_transactions_are_the_last_ones_across_files() {
    let disk = member();
    let (store, _) = open(&disk).unwrap();
    let recent = |count, bytes| -> Vec<u32> {
        let recent = store.recent(count, bytes).unwrap();
        recent.iter().map(|entry| entry.zxid().counter()).collect()
    };
    assert_eq!(recent(6, 1 << 20), [4, 5, 6, 7, 8, 9]);
    assert_eq!(recent(100, 1 << 20).len(), 9);
    let size = entry(1, 1).bytes().len();
    assert_eq!(recent(100, 2 * size + 1), [8, 9]);
}

#[test]
fn an_epoch_that_apache_was_about_to_store_is_taken_over_where_the_log_is_in_it() {
    let disk = member();
    let (mut store, _) = open(&disk).unwrap();
    store.append(&[entry(2, 1)]).unwrap();
    store.sync().unwrap();
    store.store_accepted(Epoch(2)).unwrap();
    drop(store);
    assert_eq!(open(&disk).unwrap().1.current_epoch, Some(Epoch(1)));
    disk.put(Path::new("/data/version-2/currentEpoch.tmp"), b"2".to_vec());
    assert_eq!(open(&disk).unwrap().1.current_epoch, Some(Epoch(2)));
    let stored = disk.content(Path::new("/data/version-2/currentEpoch"));
    assert_eq!(stored.unwrap(), b"2");
}

#[test]
fn discarded_data_is_gone_but_the_epochs_stay() {
    let disk = member();
    let (mut store, _) = open(&disk).unwrap();
    store.discard().unwrap();
    assert_eq!(store.last_zxid(), Zxid::ZERO);
    drop(store);
    let (_, recovered) = open(&disk).unwrap();
    assert!(recovered.empty);
    assert_eq!(recovered.current_epoch, Some(Epoch(1)));
}
