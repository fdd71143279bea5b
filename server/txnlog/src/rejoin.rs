//! Giving up data that cannot be trusted any more, without forgetting that it was there.

use std::io;
use std::path::{Path, PathBuf};

use wire::Zxid;

use crate::disk::Disk;
use crate::error::OpenError;
use crate::marks::{Mark, Marks};
use crate::names::Paths;
use crate::pending::Dirs;
use crate::{epochs, pending, reader, recovery, snapshot};

/// Sets a member's logs and snapshots aside, so that it starts empty and takes its data from the
/// ensemble again. Returns where they are now: beside where they were, with `damaged.` in front.
///
/// [`Mark::Rejoin`] is set before anything is touched. While it is there, the member may have
/// forgotten what it had promised: it must not vote, nor help to form a quorum, until it is synced
/// from a leader and has cleared the mark. When it is found at a start at which the data cannot
/// be opened, an earlier call was interrupted; call again.
///
/// The epochs stay, since they are promises too, unless they are unreadable themselves.
///
/// # Errors
/// If the data is in use, or the disk fails.
pub fn set_aside<D: Disk>(disk: &D, paths: &Paths) -> Result<Vec<PathBuf>, OpenError> {
    let _locks = recovery::enter(disk, paths)?;
    let (snapshots, logs) = (paths.snapshots(), paths.logs());
    let dirs = Dirs {
        snapshots: &snapshots,
        logs: &logs,
    };
    let marks = Marks::new(disk.clone(), paths);
    marks
        .set(Mark::Rejoin, "the data was given up")
        .map_err(|source| recovery::failed(&paths.data, "mark", source))?;
    let unusable = epochs::read(disk, &snapshots, Zxid::ZERO).is_err();
    let mut moved = Vec::new();
    for path in to_set_aside(disk, dirs, unusable)
        .map_err(|source| recovery::failed(&snapshots, "list", source))?
    {
        let aside = aside(&path);
        match disk.rename(&path, &aside) {
            Ok(()) => moved.push(aside),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(recovery::failed(&path, "set aside", source)),
        }
    }
    for dir in [&snapshots, &logs] {
        disk.sync_dir(dir)
            .map_err(|source| recovery::failed(dir, "sync", source))?;
    }
    Ok(moved)
}

/// Newest logs first: what is left at any time is a beginning of the history.
fn to_set_aside<D: Disk>(disk: &D, dirs: Dirs<'_>, epochs: bool) -> io::Result<Vec<PathBuf>> {
    let mut paths = vec![pending::path(dirs)];
    paths.extend(
        reader::list(disk, dirs.logs)?
            .into_iter()
            .rev()
            .map(|log| log.path),
    );
    let snapshots = snapshot::list(disk, dirs.snapshots)?;
    paths.extend(snapshots.into_iter().map(|snapshot| snapshot.path));
    if epochs {
        paths.push(dirs.snapshots.join(epochs::ACCEPTED));
        paths.push(dirs.snapshots.join(epochs::CURRENT));
    }
    Ok(paths)
}

fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("damaged.{name}"))
}
