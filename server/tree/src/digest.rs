//! The digest of one znode. The tree's is the wrapping sum over all.

use wire::StatPersisted;

use crate::path;

/// The version of this way of computing, as transactions and snapshots name it.
pub(crate) const VERSION: i32 = 2;

/// CRC-32 of path, data and state; 0 where the digest does not look. The root is the empty path.
pub(crate) fn of(path: &str, data: Option<&[u8]>, stat: &StatPersisted) -> u32 {
    if !path::is_digested(path) {
        return 0;
    }
    let path = if path == "/" { "" } else { path };
    let mut crc = crc32fast::Hasher::new();
    crc.update(path.as_bytes());
    crc.update(data.unwrap_or_default());
    crc.update(&state(stat));
    crc.finalize()
}

fn state(stat: &StatPersisted) -> [u8; 60] {
    let mut out = [0; 60];
    let longs = [stat.czxid.0, stat.mzxid.0, stat.pzxid.0];
    let times = [stat.ctime, stat.mtime];
    let versions = [stat.version, stat.cversion, stat.aversion];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    longs.iter().for_each(|n| put(&n.to_be_bytes()));
    times.iter().for_each(|n| put(&n.to_be_bytes()));
    versions.iter().for_each(|n| put(&n.to_be_bytes()));
    put(&stat.ephemeral_owner.to_be_bytes());
    out
}
