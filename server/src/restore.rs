//! A snapshot that takes the place of a single server's data.
//!
//! It comes over HTTP into a folder of its own beside the data, is read as at a start, and waits
//! there until the member has ended. Then the data is moved aside, and the snapshot takes its
//! place: the next start is one from a snapshot and an empty log.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use txnlog::{OpenError, Paths};
use wire::Zxid;

use crate::boot;
use crate::config::Config;

/// The folder's name, in the data directory.
const FOLDER: &str = "restored";
/// Bytes at a snapshot's end: its last zxid, and what seals it.
const LAST_ZXID: i64 = 8 + 8 + 5;

/// A snapshot that waits to become the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Staged {
    folder: PathBuf,
    /// The last transaction in it.
    pub(crate) zxid: Zxid,
}

/// Why a snapshot cannot become the data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// Only a single server can change its state alone.
    #[error(
        "a member of an ensemble takes its state from the others: restore into a single server, \
         or start a new ensemble from the snapshot"
    )]
    Ensemble,
    /// It is not one, or a part of it is missing.
    #[error("this is no snapshot that can be read: {0}")]
    Unreadable(String),
    /// The disk refuses.
    #[error("cannot {action} {}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_owned();
    move |source| RestoreError::Disk {
        action,
        path,
        source,
    }
}

/// Makes an empty file for what comes; what came before is forgotten.
///
/// # Errors
/// If this member cannot restore anything, or its disk refuses.
pub(crate) fn begin(config: &Config) -> Result<(File, PathBuf), RestoreError> {
    if !config.standalone {
        return Err(RestoreError::Ensemble);
    }
    let folder = config.data_dir.join(FOLDER);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &folder)(error));
        }
        _ => {}
    }
    let data = paths(&folder).snapshots();
    fs::create_dir_all(&data).map_err(failed("make", &data))?;
    let path = data.join("received");
    let file = File::create(&path).map_err(failed("make", &path))?;
    Ok((file, path))
}

/// Reads what came, as at a start.
///
/// # Errors
/// If it is not the whole of a snapshot.
pub(crate) fn finish(config: &Config, received: &Path) -> Result<Staged, RestoreError> {
    let folder = config.data_dir.join(FOLDER);
    let zxid = last_zxid(received)?;
    let path = received.with_file_name(format!("snapshot.{:x}", zxid.0));
    fs::rename(received, &path).map_err(failed("rename", received))?;
    let file = File::open(&path).and_then(|file| file.sync_all());
    file.map_err(failed("sync", &path))?;
    let unreadable = |error: OpenError| RestoreError::Unreadable(error.to_string());
    match boot::last_zxid_of(config, &paths(&folder)).map_err(unreadable)? {
        Some(last) if last == zxid => Ok(Staged { folder, zxid }),
        _ => {
            let why = "a part is missing, or its checksums are wrong".to_owned();
            Err(RestoreError::Unreadable(why))
        }
    }
}

fn last_zxid(received: &Path) -> Result<Zxid, RestoreError> {
    let mut zxid = [0; 8];
    let read = File::open(received).and_then(|mut file| {
        file.seek(SeekFrom::End(-LAST_ZXID))?;
        file.read_exact(&mut zxid)
    });
    read.map_err(|_| RestoreError::Unreadable("it is too short".to_owned()))?;
    Ok(Zxid(u64::from_be_bytes(zxid)))
}

/// Puts a snapshot in the place of the data of a member that has ended.
///
/// # Errors
/// If the disk refuses; what was there is still there, under another name perhaps.
pub(crate) fn swap(config: &Config, staged: &Staged) -> Result<(), RestoreError> {
    let data = Paths {
        data: config.data_dir.clone(),
        log: config.log_dir.clone(),
    };
    if data.logs() != data.snapshots() {
        set_aside(&data.logs(), &data.logs())?;
    }
    // In one step: a start in between would be one from nothing.
    let (new, old) = (paths(&staged.folder).snapshots(), data.snapshots());
    renameat_with(CWD, &new, CWD, &old, RenameFlags::EXCHANGE)
        .map_err(|error| failed("replace", &old)(error.into()))?;
    set_aside(&new, &old)?;
    let folder = File::open(&config.data_dir).and_then(|folder| folder.sync_all());
    folder.map_err(failed("sync", &config.data_dir))?;
    // Only empty folders are left in it.
    let _ = fs::remove_dir_all(&staged.folder);
    tracing::warn!(zxid = %staged.zxid, "the restored snapshot is the data now");
    Ok(())
}

/// Moves `from` beside `name`.
fn set_aside(from: &Path, name: &Path) -> Result<(), RestoreError> {
    let aside = name.with_extension(format!("aside-{}", crate::clock::wall()));
    tracing::warn!(to = %aside.display(), "data moved aside");
    fs::rename(from, &aside).map_err(failed("move aside", from))
}

fn paths(folder: &Path) -> Paths {
    Paths {
        data: folder.to_owned(),
        log: folder.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn config(folder: &Path, more: &str) -> Config {
        let file = folder.join("zoo.cfg");
        let text = format!("dataDir={}/data\nclientPort=1\n{more}", folder.display());
        fs::write(&file, text).unwrap();
        fs::create_dir_all(folder.join("data/version-2")).unwrap();
        Config::load(&file, &Overrides::default()).unwrap()
    }

    fn receive(config: &Config, bytes: &[u8]) -> Result<Staged, RestoreError> {
        let (mut file, path) = begin(config)?;
        io::Write::write_all(&mut file, bytes).unwrap();
        finish(config, &path)
    }

    /// The first snapshot of a fresh server.
    fn snapshot(config: &Config) -> Vec<u8> {
        let mut opened = boot::open(config, false).unwrap();
        let ensemble = config.ensemble.clone();
        opened.boot(config, ensemble, boot::Vote::AsFound).unwrap();
        fs::read(config.data_dir.join("version-2/snapshot.0")).unwrap()
    }

    #[test]
    fn a_whole_snapshot_takes_the_place_of_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "");
        let bytes = snapshot(&config);
        fs::write(config.data_dir.join("version-2/log.1"), b"old").unwrap();
        let staged = receive(&config, &bytes).unwrap();
        assert_eq!(staged.zxid, Zxid(0));
        swap(&config, &staged).unwrap();
        let data = config.data_dir.join("version-2");
        assert_eq!(fs::read(data.join("snapshot.0")).unwrap(), bytes);
        assert!(!data.join("log.1").exists());
        let aside = fs::read_dir(&config.data_dir).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("version-2.aside-")
        });
        assert_eq!(aside.count(), 1);
    }

    #[test]
    fn what_is_no_whole_snapshot_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "");
        let bytes = snapshot(&config);
        let mut changed = bytes.clone();
        changed[40] ^= 1;
        for wrong in [&b"abc"[..], &[0; 100], &bytes[..bytes.len() - 30], &changed] {
            let refused = receive(&config, wrong).unwrap_err();
            assert!(matches!(refused, RestoreError::Unreadable(_)), "{refused}");
        }
    }
}
