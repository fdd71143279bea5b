//! Which snapshots and logs are kept.

use std::io;
use std::path::PathBuf;

use crate::disk::Disk;
use crate::pending::Dirs;
use crate::{reader, snapshot};

/// Fewer snapshots than this are never kept, as in Apache: the newest may turn out unreadable.
pub const KEEP_MIN: usize = 3;

/// Removes all but the newest `keep` complete snapshots, and the logs that end before the oldest
/// of them. Snapshots go before logs, so that none is without the log that it needs.
pub(crate) fn purge<D: Disk>(disk: &D, dirs: Dirs<'_>, keep: usize) -> io::Result<Vec<PathBuf>> {
    let mut kept = 0;
    let mut oldest = None;
    let mut removed = Vec::new();
    for snapshot in snapshot::list(disk, dirs.snapshots)? {
        if kept == keep.max(KEEP_MIN) {
            disk.remove(&snapshot.path)?;
            removed.push(snapshot.path);
        } else if snapshot::looks_complete(disk, &snapshot)? {
            kept += 1;
            oldest = Some(snapshot.zxid);
        }
    }
    let Some(oldest) = oldest.filter(|_| kept == keep.max(KEEP_MIN)) else {
        return Ok(removed);
    };
    if !removed.is_empty() {
        disk.sync_dir(dirs.snapshots)?;
    }
    let mut logs = reader::list(disk, dirs.logs)?;
    // The last file that begins at or before the snapshot may go on behind it.
    let needed_from = logs
        .iter()
        .rposition(|log| log.first <= oldest)
        .unwrap_or(0);
    let count = removed.len();
    for log in logs.drain(..needed_from) {
        disk.remove(&log.path)?;
        removed.push(log.path);
    }
    if removed.len() > count {
        disk.sync_dir(dirs.logs)?;
    }
    Ok(removed)
}
