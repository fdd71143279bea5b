use std::path::Path;

use proptest::prelude::*;

use super::{SECTOR, Tail, UNSYNCED_LIMIT};
use crate::crashing::CrashingDisk;
use crate::record::{FILE_HEADER, LOG_HEADER, encode};
use crate::segment::LogFile;
use crate::tests::{entry_of, zxid};
use wire::Record;

const PATH: &str = "/log.100000001";

/// A log of transactions with data of these lengths, and where each record starts.
fn log(lengths: &[usize]) -> (Vec<u8>, Vec<u64>) {
    let mut bytes = Vec::new();
    LOG_HEADER.encode(&mut bytes);
    let mut starts = Vec::new();
    for (i, len) in lengths.iter().enumerate() {
        starts.push(bytes.len() as u64);
        encode(entry_of(zxid(1, i as u32 + 1), *len).bytes(), &mut bytes);
    }
    (bytes, starts)
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len() + 4096, 0);
    bytes
}

/// How many records are read, where they end, and what follows.
fn read(bytes: Vec<u8>, closed: bool) -> (usize, u64, Tail) {
    let disk = CrashingDisk::new();
    disk.put(Path::new(PATH), bytes);
    let mut log = LogFile::open(&disk, Path::new(PATH)).unwrap();
    let mut count = 0;
    while log.next_entry().unwrap().is_some() {
        count += 1;
    }
    (count, log.position(), log.tail(closed).unwrap())
}

fn is_rotten(tail: &Tail) -> bool {
    matches!(tail, Tail::Rotten { .. })
}

fn zero_sector(bytes: &mut [u8], sector: u64, not_before: u64) {
    let from = (sector * SECTOR).max(not_before) as usize;
    let to = (((sector + 1) * SECTOR) as usize).min(bytes.len());
    bytes[from..to].fill(0);
}

#[test]
fn zeros_behind_the_last_record_are_its_end() {
    let (bytes, _) = log(&[10, 20]);
    let end = bytes.len() as u64;
    assert_eq!(read(bytes.clone(), false), (2, end, Tail::Clean));
    assert_eq!(read(padded(bytes), true), (2, end, Tail::Clean));
}

#[test]
fn a_record_cut_at_any_byte_is_torn_or_unwritten() {
    let (bytes, starts) = log(&[100, 700]);
    let last = starts[1];
    for cut in last as usize..bytes.len() {
        let mut prefix = bytes[..cut].to_vec();
        let written = prefix.iter().rposition(|b| *b != 0).unwrap() as u64 + 1;
        let expected = match written.checked_sub(last) {
            None | Some(0) => Tail::Clean,
            Some(bytes) => Tail::Torn { bytes },
        };
        assert_eq!(
            read(padded(prefix.clone()), true),
            (1, last, expected.clone())
        );
        assert_eq!(read(prefix.clone(), false), (1, last, expected));
        prefix.push(1);
    }
}

#[test]
fn any_lost_sectors_of_the_last_batch_are_torn() {
    let (bytes, starts) = log(&[60, 900, 30, 30, 1500, 200, 5]);
    // What is synced ends anywhere; of the sectors behind it any selection is lost.
    for synced in &starts {
        let first = synced / SECTOR;
        let count = (bytes.len() as u64).div_ceil(SECTOR) - first;
        for lost in 1u64..1 << count {
            let mut torn = padded(bytes.clone());
            for i in (0..count).filter(|i| lost >> i & 1 == 1) {
                zero_sector(&mut torn, first + i, *synced);
            }
            let (read, end, tail) = read(torn, false);
            assert!(end >= *synced && read >= starts.partition_point(|start| start < synced));
            assert!(
                !is_rotten(&tail),
                "synced to {synced}, lost {lost:b}: {tail:?}"
            );
        }
    }
}

#[test]
fn every_flipped_bit_is_rot_and_never_a_torn_tail() {
    let (sound, starts) = log(&[40, 300, 1200, 1]);
    let (first, end) = (FILE_HEADER as usize, sound.len());
    for at in first..end {
        for bit in 0..8 {
            let mut bytes = padded(sound.clone());
            bytes[at] ^= 1 << bit;
            let (count, offset, tail) = read(bytes, false);
            let hit = starts.partition_point(|start| *start <= at as u64) - 1;
            assert_eq!(
                (count, offset),
                (hit, starts[hit]),
                "bit {bit} of byte {at}"
            );
            assert!(is_rotten(&tail), "bit {bit} of byte {at}: {tail:?}");
        }
    }
}

#[test]
fn what_lies_behind_the_reach_of_one_batch_makes_a_hole_rot() {
    let many = vec![64 * 1024; (UNSYNCED_LIMIT / (64 * 1024)) as usize + 2];
    let (sound, starts) = log(&many);
    let mut bytes = padded(sound);
    zero_sector(&mut bytes, starts[0] / SECTOR + 3, 0);
    let (count, offset, tail) = read(bytes, false);
    assert_eq!((count, offset), (0, starts[0]));
    assert!(is_rotten(&tail));
}

#[test]
fn a_hole_in_a_file_that_was_complete_when_closed_is_rot() {
    let (mut bytes, starts) = log(&[40, 2000, 40]);
    zero_sector(&mut bytes, starts[1] / SECTOR + 2, 0);
    assert!(is_rotten(&read(bytes.clone(), true).2));
    assert!(matches!(read(bytes, false).2, Tail::Torn { .. }));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_judged_without_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        header in any::<bool>(),
        closed in any::<bool>(),
    ) {
        let mut file = Vec::new();
        if header {
            LOG_HEADER.encode(&mut file);
        }
        file.append(&mut bytes);
        let disk = CrashingDisk::new();
        disk.put(Path::new(PATH), file);
        if let Ok(mut log) = LogFile::open(&disk, Path::new(PATH)) {
            while let Ok(Some(_)) = log.next_entry() {}
            log.tail(closed).unwrap();
        }
    }
}
