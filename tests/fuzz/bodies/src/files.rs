//! Files: a member's log after any damage, and a snapshot's, compressed or not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use flate2::write::GzEncoder;
use txnlog::crashing::CrashingDisk;
use txnlog::{
    Compression, LogFile, Options, Paths, Refusal, Rejected, Replay, SnapshotFile, SnapshotReader,
    Store, Trailer,
};
use wire::snapshot::{FileHeader, LOG_MAGIC, Piece, PieceDecoder, SNAPSHOT_MAGIC};
use wire::txn::{Entry, ErrorTxn, Txn, TxnHeader, kind};
use wire::{Record, SessionId, Zxid};

use crate::decoders;

const OPTIONS: Options = Options {
    pre_alloc: 512,
    trust_empty: true,
    snapshot_sync_every: u64::MAX,
    snapshot_compression: Compression::None,
};
/// The file header's version.
const VERSION: i32 = 2;

/// A log file: its records, and what is between and behind them.
#[derive(Arbitrary, Debug)]
enum Log {
    /// Anything.
    Raw(Vec<u8>),
    /// A header, and these.
    Parts(Vec<Part>),
}

#[derive(Arbitrary, Debug)]
enum Part {
    /// The next transaction.
    Next,
    /// One that leaves out so many, or steps back.
    Jump(i8),
    /// A record that is intact, with anything in it.
    Intact(Vec<u8>),
    /// A record whose bytes and checksum do not match.
    Torn(u8),
    /// Zeros, as files have ahead.
    Zeros(u8),
    /// Anything.
    Raw(Vec<u8>),
}

impl Log {
    fn bytes(&self) -> Vec<u8> {
        let parts = match self {
            Self::Raw(bytes) => return bytes.clone(),
            Self::Parts(parts) => parts,
        };
        let header = FileHeader {
            magic: LOG_MAGIC,
            version: VERSION,
            dbid: 0,
        };
        let mut out = header.to_bytes().to_vec();
        let mut zxid = 0u64;
        for part in parts {
            match part {
                Part::Next => {
                    zxid += 1;
                    record(entry(Zxid(zxid)).bytes(), 0, &mut out);
                }
                Part::Jump(by) => {
                    zxid = zxid.saturating_add_signed((*by).into());
                    record(entry(Zxid(zxid)).bytes(), 0, &mut out);
                }
                Part::Intact(bytes) => record(bytes, 0, &mut out),
                Part::Torn(by) => record(entry(Zxid(zxid + 1)).bytes(), (*by).into(), &mut out),
                Part::Zeros(count) => out.resize(out.len() + usize::from(*count), 0),
                Part::Raw(bytes) => out.extend_from_slice(bytes),
            }
        }
        out
    }
}

fn entry(zxid: Zxid) -> Entry {
    let header = TxnHeader {
        client_id: SessionId(1),
        cxid: 1,
        zxid,
        time: 1,
        kind: kind::ERROR,
    };
    Entry::new(header, Txn::Error(ErrorTxn { err: -101 }), None)
}

/// Appends a record; `damage` is added to its checksum.
fn record(bytes: &[u8], damage: u32, out: &mut Vec<u8>) {
    let sum = u64::from(adler2::adler32_slice(bytes).wrapping_add(damage));
    out.extend_from_slice(&sum.to_be_bytes());
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
    out.push(b'B');
}

/// What a replay shows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    entries: Vec<Entry>,
    pieces: Vec<Piece>,
}

impl Replay for Seen {
    fn snapshot(&mut self, _: Zxid) {}

    fn piece(&mut self, piece: Piece) -> Result<(), Refusal> {
        self.pieces.push(piece);
        Ok(())
    }

    fn trailer(&mut self, _: Trailer) -> Result<(), Refusal> {
        Ok(())
    }

    fn snapshot_rejected(&mut self, _: &Rejected) {
        self.pieces.clear();
    }

    fn entry(&mut self, entry: Entry) -> Result<(), Refusal> {
        self.entries.push(entry);
        Ok(())
    }
}

/// A member's only log file. A start either refuses it or makes of it a log that later starts find
/// the same, that can be written on, and that begins with what was intact.
pub fn logs(bytes: &[u8]) {
    let Ok(log) = Log::arbitrary(&mut Unstructured::new(bytes)) else {
        return;
    };
    let paths = Paths::single("/data");
    let file = paths.logs().join("log.1");
    let disk = CrashingDisk::new();
    disk.put(&file, log.bytes());
    let intact = read(&disk, &file);
    let Some((first, last)) = start(&disk, &paths) else {
        return;
    };
    // Records that come again are skipped.
    let mut rest = intact.iter();
    let is_in_order = first
        .entries
        .iter()
        .all(|entry| rest.any(|other| other == entry));
    assert!(is_in_order, "a start finds what no tool sees");
    let mut pairs = first.entries.windows(2);
    assert!(pairs.all(|two| two[0].zxid() < two[1].zxid()));
    let again = start(&disk, &paths);
    assert_eq!(
        again.as_ref().map(|(seen, last)| (seen, *last)),
        Some((&first, last))
    );
    let Some(next) = last.next() else { return };
    let (mut store, _) = Store::open(disk.clone(), &paths, OPTIONS).expect("it started before");
    let _ = store.replay(&mut Seen::default());
    store
        .append(&[Arc::new(entry(next))])
        .expect("the disk is sound");
    store.sync().expect("the disk is sound");
    drop(store);
    disk.kill();
    let (seen, end) = start(&disk, &paths).expect("what was written can be read");
    assert_eq!(end, next);
    assert_eq!(seen.entries[..seen.entries.len() - 1], first.entries);
    assert_eq!(seen.entries.last().map(Entry::zxid), Some(next));
}

/// A start: what it finds, and the last zxid. `None` if it refuses.
fn start(disk: &CrashingDisk, paths: &Paths) -> Option<(Seen, Zxid)> {
    let (mut store, recovered) = Store::open(disk.clone(), paths, OPTIONS).ok()?;
    let mut seen = Seen::default();
    let replayed = store.replay(&mut seen);
    drop(store);
    disk.kill();
    replayed.ok()?;
    Some((seen, recovered.last_zxid))
}

/// The file's entries, as tools read them.
fn read(disk: &CrashingDisk, path: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    if let Ok(mut file) = LogFile::open(disk, path) {
        while let Ok(Some((_, entry))) = file.next_entry() {
            entries.push(entry);
        }
        let _ = file.tail(true);
        let _ = file.tail(false);
    }
    entries
}

/// A snapshot file: a byte that says how, and then its content or its body.
pub fn snapshot_files(bytes: &[u8]) {
    let Some((how, rest)) = bytes.split_first() else {
        return;
    };
    let (name, is_body) = match how % 6 {
        0 => ("snapshot.1", false),
        1 => ("snapshot.1.gz", false),
        2 => ("snapshot.1.snappy", false),
        3 => ("snapshot.1", true),
        4 => ("snapshot.1.gz", true),
        _ => ("snapshot.1.snappy", true),
    };
    let content = if is_body { sealed(rest) } else { rest.to_vec() };
    let content = match (is_body, name) {
        (true, "snapshot.1.gz") => gzip(&content),
        (true, "snapshot.1.snappy") => snappy(&content),
        _ => content,
    };
    let disk = CrashingDisk::new();
    let dir = PathBuf::from("/data/version-2");
    let file = SnapshotFile::parse(&dir, name).expect("a snapshot's name");
    disk.put(&file.path, content);
    let mut found = Vec::new();
    let mut is_whole = false;
    if let Ok(mut reader) = SnapshotReader::open(&disk, &file) {
        while let Ok(Some(piece)) = reader.next_piece() {
            is_whole = piece == Piece::End;
            found.push(piece);
        }
    }
    if is_body {
        let decoder = PieceDecoder::of_file(i32::MAX as usize);
        let (expected, _) = decoders::pieces(rest, rest.len(), decoder);
        let whole = expected.last() == Some(&Piece::End);
        let expected = &expected[..expected.len() - usize::from(whole)];
        // Behind a body that is cut off, the seal is taken for more of it.
        assert!(
            found.starts_with(expected),
            "a file shows less than its body"
        );
    }
    if is_whole {
        decoders::load(found);
    }
}

/// A body with its header, and its seal at the end, whether or not the body ends there.
fn sealed(body: &[u8]) -> Vec<u8> {
    let header = FileHeader {
        magic: SNAPSHOT_MAGIC,
        version: VERSION,
        dbid: -1,
    };
    let mut out = header.to_bytes().to_vec();
    out.extend_from_slice(body);
    let sum = i64::from(adler2::adler32_slice(&out));
    sum.encode(&mut out);
    "/".to_owned().encode(&mut out);
    out
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, content).expect("memory");
    encoder.finish().expect("memory")
}

/// The magic of snappy-java's streams, its version, and the oldest that can read it.
const SNAPPY: &[u8] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";

fn snappy(content: &[u8]) -> Vec<u8> {
    let mut out = SNAPPY.to_vec();
    for block in content.chunks(64) {
        let block = snap::raw::Encoder::new().compress_vec(block);
        let block = block.expect("a short block");
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    out
}
