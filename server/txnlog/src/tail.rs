//! Telling a torn tail from a damaged record.
//!
//! Records are appended to space that holds zeros, and at most [`UNSYNCED_LIMIT`] bytes are ever
//! unsynced. A power loss may lose any of their sectors, not only the last ones; a lost sector
//! reads as the zeros that were there. So the first invalid record of a log is **torn**, and it
//! and what follows was never promised to anyone, only if all of these hold:
//!
//! 1. No byte other than zero lies further behind its start than one unsynced batch reaches
//!    ([`UNSYNCED_LIMIT`], or the record's own length if that is greater: such a record is
//!    synced in pieces, first to last).
//! 2. Something of it is missing. Either a whole sector of it reads as zeros (for the sector that
//!    it starts in: from its start on), or all that follows some byte of it reads as zeros (a
//!    process that was killed between two writes, as Apache's), or the file ends within it.
//! 3. It is not complete with another length: no shorter entry satisfies the checksum and is
//!    followed by the end byte. This is what a damaged length looks like.
//! 4. The file was not closed by us: when a log is rolled it is synced and cut after the last
//!    record, so a closed file whose last byte is not zero has no torn tail.
//!
//! Everything else is damage to what was synced: the start is refused, since going on would
//! forget a promise. What remains undecidable is damage that zeroes whole sectors within the last
//! batch's reach; no trace in Apache's format tells it from a lost write.

use std::io;

use crate::disk::{DiskFile, SECTOR};
use crate::record::{self, Flaw, HEADER, Head};

/// How many bytes of the log may be unsynced at any time. Group commits are far smaller; the
/// smaller this is, the less damage can pass for a torn tail.
pub const UNSYNCED_LIMIT: u64 = 4 * 1024 * 1024;

/// What follows the last valid record of a log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing but zeros.
    Clean,
    /// An unsynced batch of which parts are lost; to be cut.
    Torn {
        /// From the first invalid record to the last byte that is not zero.
        bytes: u64,
    },
    /// Damage.
    Rotten {
        /// What is wrong with the record.
        why: String,
    },
}

/// Judges what starts at `bad` in a file of `len` bytes, where a record had `flaw`.
pub(crate) fn judge<F: DiskFile>(
    file: &F,
    bad: u64,
    len: u64,
    flaw: Flaw,
    closed: bool,
) -> io::Result<Tail> {
    let Some(last) = last_nonzero(file, bad, len)? else {
        return Ok(Tail::Clean);
    };
    let rotten = |why: &str| {
        Ok(Tail::Rotten {
            why: format!("{flaw}{why}"),
        })
    };
    let bytes = last + 1 - bad;
    let head = read_range(file, bad, (bad + HEADER).min(len))?;
    let head = head.first_chunk().map(|bytes| Head::parse(*bytes));
    let claimed = head.map_or(0, |head| u64::try_from(head.len).unwrap_or(0));
    // Where the record ends, if its length is to be believed.
    let end = match claimed {
        0 => bad + HEADER,
        n => bad + record::OVERHEAD + n,
    };
    let reach = if end <= len {
        UNSYNCED_LIMIT.max(end - bad)
    } else {
        UNSYNCED_LIMIT
    };
    if bytes > reach {
        return rotten(", and more follows than one unsynced write leaves behind");
    }
    if closed && last + 1 == len {
        return rotten(", in a file that was complete when it was closed");
    }
    // Bounded by `reach`, so this allocates little.
    let written = read_range(file, bad, last + 1)?;
    if let Some(head) = head
        && complete_with_another_length(head, &written)
    {
        return rotten(", because its length is damaged");
    }
    let ends_within = end > len && claimed <= UNSYNCED_LIMIT;
    if ends_within || last + 1 < end || has_lost_sector(&written, bad, end) {
        Ok(Tail::Torn { bytes })
    } else {
        rotten("")
    }
}

/// The offset of the last byte from `from` on that is not zero.
fn last_nonzero<F: DiskFile>(file: &F, from: u64, len: u64) -> io::Result<Option<u64>> {
    let mut end = len;
    while end > from {
        let start = end.saturating_sub(CHUNK).max(from);
        let chunk = read_range(file, start, end)?;
        if let Some(at) = chunk.iter().rposition(|b| *b != 0) {
            return Ok(Some(start + at as u64));
        }
        end = start;
    }
    Ok(None)
}

const CHUNK: u64 = 1024 * 1024;

/// The bytes from `from` to `to`, fewer if the file has become shorter.
fn read_range<F: DiskFile>(file: &F, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (to - from) as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], from + filled as u64)? {
            0 => break,
            n => filled += n,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Whether some length other than the head's makes a valid record of `written`, which starts
/// with the head.
fn complete_with_another_length(head: Head, written: &[u8]) -> bool {
    let Some(body) = written.get(HEADER as usize..) else {
        return false;
    };
    let mut sum = adler2::Adler32::new();
    for (at, byte) in body.iter().enumerate() {
        if at > 0
            && i32::try_from(at) != Ok(head.len)
            && u64::from(sum.checksum()) == head.checksum
            && *byte == record::END
        {
            return true;
        }
        sum.write_slice(std::slice::from_ref(byte));
    }
    false
}

/// The checksum has 32 bits in a field of 64.
const HIGH_CHECKSUM: u64 = 4;

/// Whether a sector's part in the record, which is at `start..end` in the file and of which
/// `written` is what is there up to the last byte that is not zero, holds only zeros.
fn has_lost_sector(written: &[u8], start: u64, end: u64) -> bool {
    // The first four bytes of every record are zero; where a sector ends among them, nothing was
    // there to be lost.
    let mut from = start + HIGH_CHECKSUM;
    while from < end {
        let to = (from / SECTOR + 1) * SECTOR;
        let low = ((from - start) as usize).min(written.len());
        let high = ((to - start) as usize).min(written.len());
        if written[low..high].iter().all(|b| *b == 0) {
            return true;
        }
        from = to;
    }
    false
}

#[cfg(test)]
mod tests;
