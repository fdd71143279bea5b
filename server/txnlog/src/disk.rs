//! What this crate asks of a disk.

use std::io;
use std::path::Path;

/// A file system, as far as logs and snapshots need one.
///
/// Nothing is durable before it is synced: a file's bytes and length by [`DiskFile::sync`], its
/// name by [`Disk::sync_dir`] on the directory. What is not synced may survive a power loss in
/// any part, in units of [`SECTOR`] bytes. Cloning gives another handle on the same disk.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;
    /// Keeps others out of a directory until it is dropped, or its process ends.
    type Lock: Send;

    /// Keeps others out of a directory, as far as they ask.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if someone has it, else as the file system says.
    fn lock(&self, dir: &Path) -> io::Result<Self::Lock>;

    /// Makes an empty file for reading and writing; one of the same name is emptied.
    ///
    /// # Errors
    /// As the file system says.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none, else as the file system says.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens an existing file for reading only.
    ///
    /// # Errors
    /// As [`Disk::open`].
    fn open_read(&self, path: &Path) -> io::Result<Self::File>;

    /// Gives a file or directory another name, replacing a file of that name.
    ///
    /// # Errors
    /// As the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names of the files in a directory, sorted; names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such directory, else as the file system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes a directory and those above it, durably; an existing one is left as it is.
    ///
    /// # Errors
    /// As the file system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes the directory's names durable: files made, renamed and removed in it.
    ///
    /// # Errors
    /// As the file system says; then nothing is known about what is durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync + 'static {
    /// Reads up to `buffer.len()` bytes at `offset`; 0 means the file ends there.
    ///
    /// # Errors
    /// As the file system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`, growing the file if it ends before.
    ///
    /// # Errors
    /// As the file system says; then any part of `bytes` may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the bytes and the length durable (fdatasync).
    ///
    /// # Errors
    /// As the file system says; then nothing is known about what is durable, and a later success
    /// does not change that.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file, or grows it with zeros.
    ///
    /// # Errors
    /// As the file system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The file's length.
    ///
    /// # Errors
    /// As the file system says.
    fn size(&self) -> io::Result<u64>;
}

/// What a disk writes as a whole or not at all. Disks with larger sectors keep this promise too.
pub const SECTOR: u64 = 512;

/// Reads the whole of a small file; `None` if there is none.
pub(crate) fn read_small<D: Disk>(disk: &D, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.size()?;
    if len > SMALL_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{len} bytes where at most {SMALL_MAX} make sense"),
        ));
    }
    let mut bytes = vec![0; len as usize];
    let mut at = 0;
    while at < bytes.len() {
        match file.read_at(&mut bytes[at..], at as u64)? {
            0 => break,
            n => at += n,
        }
    }
    bytes.truncate(at);
    Ok(Some(bytes))
}

/// Markers and epochs are a few bytes; a cluster's identity is below 1 KiB.
const SMALL_MAX: u64 = 64 * 1024;

/// Replaces a small file so that a crash leaves either the old or the new one, durably.
pub(crate) fn replace_small<D: Disk>(disk: &D, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let file = disk.create(temporary)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(temporary, path)?;
    sync_parent(disk, path)
}

/// Removes a file durably; without one nothing happens.
pub(crate) fn remove_durably<D: Disk>(disk: &D, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Ok(()) => sync_parent(disk, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync_parent<D: Disk>(disk: &D, path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => disk.sync_dir(dir),
        None => Ok(()),
    }
}
