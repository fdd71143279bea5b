//! The state folder: what `cargo up` keeps between two runs, held by one supervisor at a time.
//!
//! ```text
//! lock                 held by the supervisor; says who it is
//! life                 held, shared, by every process that it started
//! world.json           the resource, its status, volumes, ports
//! authority/           the certificate authority, made once
//! operator/            the operator's certificates
//! members/NAME/        what a start of a member makes anew: zoo.cfg, certificates, socket
//! volumes/NAME/        the member's data: this is what must not be lost
//! logs/                one file for each process
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ferrokeeper_sidecar::files::write_private;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A log that has grown beyond this is put aside at the next start of its process.
const LOG_LIMIT: u64 = 64 << 20;

/// A state folder. Paths that it gives are relative to it: whoever uses them has made it the
/// current folder, so a socket's path is short however deep the folder lies.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// Held for as long as the supervisor lives.
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is absent, locks it, and makes it the current folder.
    ///
    /// # Errors
    /// If another supervisor holds it; the message says which.
    pub fn take(path: &Path, manifest: &str) -> anyhow::Result<Self> {
        // Others have no business with data, keys and sockets.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("state folder {}", path.display()))?;
        let root = path.canonicalize()?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join("lock"))
            .with_context(|| format!("state folder {}", root.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                bail!(
                    "{} is in use by {}; end that one first, or give this one another folder \
                     with --state",
                    root.display(),
                    holder.trim()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", root.display()));
            }
        }
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(
            lock,
            "process {} (`cargo up {manifest}`)",
            std::process::id()
        )?;
        for folder in ["authority", "operator", "members", "volumes", "logs"] {
            fs::create_dir_all(root.join(folder))?;
        }
        std::env::set_current_dir(&root)?;
        Ok(Self { root, _lock: lock })
    }

    /// Where it is, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// Reads a JSON file; `None` if there is none.
///
/// # Errors
/// If it cannot be read or understood.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .with_context(|| format!("{} is damaged", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Replaces a JSON file so that after a crash either the old or the new one is there.
///
/// # Errors
/// If the disk refuses.
pub fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write_private(path, &serde_json::to_vec_pretty(value)?)
}

/// Opens a process' log to append to; one that has grown large is put aside as `NAME.1` first.
///
/// # Errors
/// If the disk refuses.
pub fn open_log(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|found| found.len() > LOG_LIMIT) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file.json");
        write_json(&path, &[1, 2, 3]).expect("written");
        write_json(&path, &[4]).expect("written again");
        assert_eq!(read_json::<Vec<i32>>(&path).expect("read"), Some(vec![4]));
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn what_is_not_json_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file.json");
        fs::write(&path, "{").expect("written");
        let error = read_json::<Vec<i32>>(&path)
            .expect_err("refused")
            .to_string();
        assert!(error.ends_with("file.json is damaged"), "{error}");
    }
}
