//! Jute forms of what the tree holds, without owning it.

use wire::Record;
use wire::client::MultiHeader;

/// A string, given as its bytes.
pub(crate) fn string(bytes: &[u8], out: &mut Vec<u8>) {
    count(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Bytes that may be null.
pub(crate) fn buffer(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes {
        Some(bytes) => string(bytes, out),
        None => (-1i32).encode(out),
    }
}

/// How many items follow.
pub(crate) fn count(n: usize, out: &mut Vec<u8>) {
    i32::try_from(n)
        .expect("no record holds 2^31 items")
        .encode(out);
}

/// A part of a multi's answer that says why it failed.
pub(crate) fn multi_error(err: i32, out: &mut Vec<u8>) {
    MultiHeader {
        kind: -1,
        done: false,
        err,
    }
    .encode(out);
    err.encode(out);
}
