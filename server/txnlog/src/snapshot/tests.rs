use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use wire::Zxid;
use wire::snapshot::{Piece, SessionRecord, ZnodeRecord, ZxidDigest, encode_piece};
use wire::{SessionId, StatPersisted};

use super::{SnapshotReader, Trailer};
use crate::crashing::CrashingDisk;
use crate::tests::paths;
use crate::{Compression, Options, SnapshotFile, Store};

const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Snappy];

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let sessions = proptest::collection::vec((any::<i64>(), any::<i32>()), 0..5);
    let znode = ("[a-z]{0,9}", proptest::option::of(".{0,90}"), any::<i64>());
    let znodes = proptest::collection::vec(znode, 0..20);
    (sessions, znodes).prop_map(|(sessions, znodes)| {
        let mut pieces = vec![Piece::Sessions(sessions.len() as u32)];
        pieces.extend(sessions.into_iter().map(|(id, timeout)| {
            Piece::Session(SessionRecord {
                session: SessionId(id),
                timeout,
            })
        }));
        pieces.push(Piece::Acls(0));
        pieces.extend(znodes.into_iter().map(|(name, data, number)| {
            Piece::Znode(ZnodeRecord {
                path: format!("/x{name}"),
                data: data.map(Bytes::from),
                acl: number,
                stat: StatPersisted {
                    czxid: Zxid(number as u64),
                    mzxid: Zxid(1),
                    ctime: number,
                    mtime: 2,
                    version: 3,
                    cversion: 4,
                    aversion: 5,
                    ephemeral_owner: 6,
                    pzxid: Zxid(7),
                },
            })
        }));
        pieces.push(Piece::End);
        pieces
    })
}

fn trailer() -> impl Strategy<Value = Trailer> {
    let digest = proptest::option::of((any::<u64>(), any::<u64>()));
    (digest, proptest::option::of(any::<u64>())).prop_map(|(digest, last)| Trailer {
        digest: digest.map(|(zxid, digest)| ZxidDigest {
            zxid: Zxid(zxid),
            version: 2,
            digest,
        }),
        last_zxid: last.map(Zxid),
    })
}

fn read(mut reader: SnapshotReader) -> (Vec<Piece>, Trailer) {
    let mut pieces = Vec::new();
    while let Some(piece) = reader.next_piece().unwrap() {
        pieces.push(piece);
    }
    (pieces, reader.trailer())
}

proptest! {
    #[test]
    fn what_is_written_in_any_cuts_is_read_back(
        pieces in pieces(),
        trailer in trailer(),
        cut in 1usize..200,
        compression in proptest::sample::select(&COMPRESSIONS),
    ) {
        let disk = CrashingDisk::new();
        let options = Options { snapshot_compression: compression, ..Options::default() };
        let (store, _) = Store::open(disk.clone(), &paths(), options).unwrap();
        let mut body = Vec::new();
        for piece in &pieces {
            encode_piece(piece, &mut body);
        }
        let mut writer = store.snapshots().begin(Zxid(9)).unwrap();
        for part in body.chunks(cut) {
            writer.write(part).unwrap();
        }
        let file = writer.finish(trailer).unwrap();
        disk.lose_power(cut as u64);
        let name = format!("/data/version-2/snapshot.9{compression}");
        prop_assert_eq!(&file.path, Path::new(&name));
        prop_assert_eq!(read(SnapshotReader::open(&disk, &file).unwrap()), (pieces, trailer));
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        prefix in 0usize..3,
        ending in 0usize..3,
    ) {
        let mut content = [
            &b"ZKSN\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff"[..],
            b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01",
            b"",
        ][prefix].to_vec();
        content.extend_from_slice(&bytes);
        let name = ["snapshot.1", "snapshot.1.gz", "snapshot.1.snappy"][ending];
        let disk = CrashingDisk::new();
        let dir = Path::new("/d");
        disk.put(&dir.join(name), content);
        let file = SnapshotFile::parse(dir, name).unwrap();
        let refused = SnapshotReader::open(&disk, &file).and_then(|mut reader| {
            while reader.next_piece()?.is_some() {}
            Ok(())
        });
        prop_assert!(refused.is_err());
    }
}

/// Several of the writer's buffers, and of snappy's blocks, with a rest.
#[test]
fn a_large_snapshot_is_read_back_whatever_it_is_compressed_with() {
    let data: Bytes = (0..1_000_003u32).map(|n| (n / 7) as u8).collect();
    let znode = Piece::Znode(ZnodeRecord {
        path: String::new(),
        data: Some(data.clone()),
        acl: -1,
        stat: StatPersisted::default(),
    });
    let written = [Piece::Sessions(0), Piece::Acls(0), znode, Piece::End];
    for compression in COMPRESSIONS {
        let disk = CrashingDisk::new();
        let options = Options {
            snapshot_compression: compression,
            ..Options::default()
        };
        let (store, _) = Store::open(disk.clone(), &paths(), options).unwrap();
        let mut writer = store.snapshots().begin(Zxid(9)).unwrap();
        for piece in &written {
            writer.write_piece(piece).unwrap();
        }
        let file = writer.finish(Trailer::default()).unwrap();
        let bytes = disk.content(&file.path).unwrap().len();
        assert_eq!(bytes < data.len() / 4, compression != Compression::None);
        let (pieces, _) = read(SnapshotReader::open(&disk, &file).unwrap());
        assert_eq!(pieces, written, "{compression:?}");
    }
}

#[test]
fn an_unfinished_snapshot_leaves_nothing() {
    let disk = CrashingDisk::new();
    let (store, _) = Store::open(disk.clone(), &paths(), Options::default()).unwrap();
    let mut writer = store.snapshots().begin(Zxid(9)).unwrap();
    writer.write(b"abc").unwrap();
    drop(writer);
    assert!(store.snapshots().list().unwrap().is_empty());
    assert_eq!(disk.content(Path::new("/data/version-2/writing.9")), None);
}

#[test]
fn names_that_are_no_snapshots_are_left_alone() {
    let dir = Path::new("/d");
    for name in [
        "snapshot.",
        "snapshot.+1",
        "snapshot.1.bz2",
        "snapshot.x",
        "snap.1",
        "log.1",
    ] {
        assert_eq!(SnapshotFile::parse(dir, name), None, "{name}");
    }
    let all = SnapshotFile::parse(dir, "snapshot.ffffffffffffffff").unwrap();
    assert_eq!(all.zxid, Zxid::NONE);
}
