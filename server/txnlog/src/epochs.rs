//! `acceptedEpoch` and `currentEpoch`: decimal text, replaced as a whole.

use std::io;
use std::path::{Path, PathBuf};

use wire::{Epoch, Zxid};

use crate::disk::{Disk, read_small, replace_small};
use crate::error::OpenError;

pub(crate) const ACCEPTED: &str = "acceptedEpoch";
pub(crate) const CURRENT: &str = "currentEpoch";

/// Both epochs; `None` where the file is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epochs {
    pub(crate) accepted: Option<Epoch>,
    pub(crate) current: Option<Epoch>,
}

/// Reads both. Where the log has gone further than `currentEpoch`, a left-over `currentEpoch.tmp`
/// with the log's epoch counts, and is put in place: this is where Apache was interrupted.
pub(crate) fn read<D: Disk>(disk: &D, dir: &Path, last: Zxid) -> Result<Epochs, OpenError> {
    let accepted = read_one(disk, dir.join(ACCEPTED))?;
    let mut current = read_one(disk, dir.join(CURRENT))?;
    let mut is_interrupted = false;
    if current.is_some_and(|current| current < last.epoch())
        && let Ok(Some(interrupted)) = read_one(disk, dir.join("currentEpoch.tmp"))
        && interrupted == last.epoch()
    {
        current = Some(interrupted);
        is_interrupted = true;
    }
    let epochs = match (accepted, current) {
        (Some(accepted), Some(current)) if accepted < current => {
            return Err(OpenError::Epochs { accepted, current });
        }
        _ => Epochs { accepted, current },
    };
    if let (true, Some(current)) = (is_interrupted, current) {
        let path = dir.join(CURRENT);
        write(disk, &path, current).map_err(|source| OpenError::Io {
            path,
            action: "write",
            source,
        })?;
    }
    Ok(epochs)
}

pub(crate) fn write<D: Disk>(disk: &D, path: &Path, epoch: Epoch) -> io::Result<()> {
    replace_small(disk, path, epoch.to_string().as_bytes())
}

fn read_one<D: Disk>(disk: &D, path: PathBuf) -> Result<Option<Epoch>, OpenError> {
    let bytes = match read_small(disk, &path) {
        Ok(bytes) => bytes,
        Err(source) => {
            return Err(OpenError::Io {
                path,
                action: "read",
                source,
            });
        }
    };
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    match text.trim().parse() {
        Ok(epoch) => Ok(Some(Epoch(epoch))),
        Err(_) => Err(OpenError::Epoch {
            path,
            text: text.chars().take(40).collect(),
        }),
    }
}
