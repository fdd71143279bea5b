//! Files that Apache ZooKeeper 3.9.5 wrote (`testdata/apache/Files.java`), read and written again.

use std::path::Path;
use std::sync::Arc;

use wire::snapshot::Piece;
use wire::txn::{Entry, Txn};
use wire::{Epoch, Zxid};

use super::{paths, zxid};
use crate::crashing::CrashingDisk;
use crate::{
    LogFile, Options, Refusal, Rejected, Replay, SnapshotFile, SnapshotReader, Store, Trailer,
};

const LOG_1: &[u8] = include_bytes!("../../testdata/apache/log.100000001");
const LOG_4: &[u8] = include_bytes!("../../testdata/apache/log.100000004");
const SNAPSHOT_0: &[u8] = include_bytes!("../../testdata/apache/snapshot.0");
const SNAPSHOT_3: &[u8] = include_bytes!("../../testdata/apache/snapshot.100000003");
const GZIP: &[u8] = include_bytes!("../../testdata/apache/snapshot.100000003.gz");
const SNAPPY: &[u8] = include_bytes!("../../testdata/apache/snapshot.100000003.snappy");

/// A disk with what Apache left.
fn apaches() -> CrashingDisk {
    let disk = CrashingDisk::new();
    disk.put(Path::new("/logs/version-2/log.100000001"), LOG_1.to_vec());
    disk.put(Path::new("/logs/version-2/log.100000004"), LOG_4.to_vec());
    disk.put(Path::new("/data/version-2/snapshot.0"), SNAPSHOT_0.to_vec());
    let newest = Path::new("/data/version-2/snapshot.100000003");
    disk.put(newest, SNAPSHOT_3.to_vec());
    disk.put(Path::new("/data/version-2/acceptedEpoch"), b"1".to_vec());
    disk.put(Path::new("/data/version-2/currentEpoch"), b"1".to_vec());
    disk
}

#[derive(Default)]
struct Everything {
    pieces: Vec<Piece>,
    trailer: Trailer,
    entries: Vec<Entry>,
}

impl Replay for Everything {
    fn snapshot(&mut self, zxid: Zxid) {
        assert_eq!(zxid, self::zxid(1, 3));
    }

    fn piece(&mut self, piece: Piece) -> Result<(), Refusal> {
        self.pieces.push(piece);
        Ok(())
    }

    fn trailer(&mut self, trailer: Trailer) -> Result<(), Refusal> {
        self.trailer = trailer;
        Ok(())
    }

    fn snapshot_rejected(&mut self, rejected: &Rejected) {
        panic!("{rejected:?}");
    }

    fn entry(&mut self, entry: Entry) -> Result<(), Refusal> {
        self.entries.push(entry);
        Ok(())
    }
}

/// The file's bytes without the space filled ahead.
fn written(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    &bytes[..end]
}

#[test]
fn a_directory_of_apache_opens_and_replays() {
    let (mut store, recovered) = Store::open(apaches(), &paths(), Options::default()).unwrap();
    assert_eq!(recovered.last_zxid, zxid(1, 0x17));
    assert_eq!(recovered.current_epoch, Some(Epoch(1)));
    assert_eq!(recovered.cut, None);
    let mut seen = Everything::default();
    let replayed = store.replay(&mut seen).unwrap();
    assert_eq!(replayed.log.entries, 20);
    assert_eq!(seen.trailer.last_zxid, Some(zxid(1, 3)));
    let digest = seen.trailer.digest.unwrap();
    assert_eq!((digest.zxid, digest.version), (zxid(1, 3), 2));
    let znodes: Vec<&str> = seen
        .pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Znode(znode) => Some(znode.path.as_str()),
            _ => None,
        })
        .collect();
    assert!(znodes.contains(&"/a/e"), "{znodes:?}");
    let last = seen.entries.last().unwrap();
    assert_eq!(last.digest().unwrap().digest, 9_796_108_717);
    assert!(matches!(last.txn(), Txn::SetData(set) if set.version == 20));
}

#[test]
fn logs_are_written_as_apache_writes_them() {
    let disk = apaches();
    let mut entries = Vec::new();
    for log in [
        "/logs/version-2/log.100000001",
        "/logs/version-2/log.100000004",
    ] {
        for entry in LogFile::open(&disk, Path::new(log)).unwrap() {
            entries.push(Arc::new(entry.unwrap().1));
        }
    }
    let ours = CrashingDisk::new();
    let (mut store, _) = Store::open(ours.clone(), &paths(), Options::default()).unwrap();
    store.append(&entries[..3]).unwrap();
    store.roll().unwrap();
    store.append(&entries[3..]).unwrap();
    store.sync().unwrap();
    let content = |name: &str| {
        ours.content(&Path::new("/logs/version-2").join(name))
            .unwrap()
    };
    assert_eq!(content("log.100000001"), written(LOG_1));
    assert_eq!(written(&content("log.100000004")), written(LOG_4));
}

#[test]
fn snapshots_are_written_as_apache_writes_them() {
    let disk = apaches();
    let (store, _) = Store::open(disk.clone(), &paths(), Options::default()).unwrap();
    for (snapshot, bytes) in store
        .snapshots()
        .list()
        .unwrap()
        .iter()
        .zip([SNAPSHOT_3, SNAPSHOT_0])
    {
        let mut reader = store.snapshots().open(snapshot).unwrap();
        let mut writer = store.snapshots().begin(snapshot.zxid).unwrap();
        while let Some(piece) = reader.next_piece().unwrap() {
            writer.write_piece(&piece).unwrap();
        }
        disk.put(&snapshot.path, Vec::new());
        let finished = writer.finish(reader.trailer()).unwrap();
        assert_eq!(finished.path, snapshot.path);
        assert_eq!(disk.content(&snapshot.path).unwrap(), bytes);
    }
}

#[test]
fn compressed_snapshots_read_as_the_plain_one() {
    let disk = CrashingDisk::new();
    let dir = Path::new("/data/version-2");
    let mut read = Vec::new();
    for (name, bytes) in [
        ("snapshot.100000003", SNAPSHOT_3),
        ("snapshot.100000003.gz", GZIP),
        ("snapshot.100000003.snappy", SNAPPY),
    ] {
        disk.put(&dir.join(name), bytes.to_vec());
        let file = SnapshotFile::parse(dir, name).unwrap();
        let mut reader = SnapshotReader::open(&disk, &file).unwrap();
        let mut pieces = Vec::new();
        while let Some(piece) = reader.next_piece().unwrap() {
            pieces.push(piece);
        }
        read.push((pieces, reader.trailer()));
    }
    assert_eq!(read[0], read[1]);
    assert_eq!(read[0], read[2]);
}

#[test]
fn every_flipped_bit_of_a_snapshot_is_noticed() {
    for at in 0..SNAPSHOT_3.len() {
        for bit in 0..8 {
            let mut bytes = SNAPSHOT_3.to_vec();
            bytes[at] ^= 1 << bit;
            let noticed = SnapshotReader::new(Box::new(std::io::Cursor::new(bytes)))
                .and_then(|mut reader| {
                    while reader.next_piece()?.is_some() {}
                    Ok(())
                })
                .is_err();
            assert!(noticed, "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_snapshot_cut_at_any_byte_is_noticed_unless_whole_sections_are_gone() {
    let sections = [54, 21, 0].map(|behind| SNAPSHOT_3.len() - behind);
    for len in 0..=SNAPSHOT_3.len() {
        let bytes = SNAPSHOT_3[..len].to_vec();
        let valid = SnapshotReader::new(Box::new(std::io::Cursor::new(bytes)))
            .and_then(|mut reader| {
                while reader.next_piece()?.is_some() {}
                Ok(())
            })
            .is_ok();
        assert_eq!(valid, sections.contains(&len), "cut at {len}");
    }
}
