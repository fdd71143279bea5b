//! One record of a log file: checksum, length, entry, end byte.
//!
//! The checksum is Adler32 over the entry's bytes only, as 64 bits.

use wire::Record;
use wire::snapshot::{FileHeader, LOG_MAGIC};

/// Bytes before the first record.
pub(crate) const FILE_HEADER: u64 = 16;
/// Checksum and length.
pub(crate) const HEADER: u64 = 12;
/// What a record takes beside its entry.
pub(crate) const OVERHEAD: u64 = HEADER + 1;
/// The last byte of every record.
pub(crate) const END: u8 = b'B';

/// What a log file starts with.
pub(crate) const LOG_HEADER: FileHeader = FileHeader {
    magic: LOG_MAGIC,
    version: 2,
    dbid: 0,
};

/// Appends the record of an entry to `out`.
pub(crate) fn encode(entry: &[u8], out: &mut Vec<u8>) {
    u64::from(adler2::adler32_slice(entry)).encode(out);
    let len = i32::try_from(entry.len()).expect("frames, and so entries, are far below 2 GiB");
    len.encode(out);
    out.extend_from_slice(entry);
    out.push(END);
}

/// A record's first 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) checksum: u64,
    pub(crate) len: i32,
}

impl Head {
    pub(crate) fn parse(bytes: [u8; HEADER as usize]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Self {
            checksum: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            len: i32::from_be_bytes([i, j, k, l]),
        }
    }
}

/// Why the bytes of a record are not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("the file ends within it")]
    Short,
    #[error("its length is {0}")]
    Length(i32),
    #[error("its end byte is missing")]
    End,
    #[error("its checksum does not match")]
    Checksum,
}

/// Checks entry and end byte, `rest`, against the head.
pub(crate) fn check(head: Head, rest: &[u8]) -> Result<(), Flaw> {
    match rest.split_last() {
        Some((&END, entry)) if u64::from(adler2::adler32_slice(entry)) == head.checksum => Ok(()),
        Some((&END, _)) => Err(Flaw::Checksum),
        _ => Err(Flaw::End),
    }
}
