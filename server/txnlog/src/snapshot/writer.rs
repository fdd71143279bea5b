//! Writing a snapshot: under another name, synced in pieces, renamed when it is complete.

use std::io;
use std::path::{Path, PathBuf};

use adler2::Adler32;
use wire::snapshot::{Piece, encode_piece};
use wire::{Record, Zxid};

use super::compressed::Compressor;
use super::{Fence, HEADER, SEAL_END, Snapshots, Trailer, unfinished_path};
use crate::disk::{Disk, DiskFile};
use crate::error::SnapshotWriteError;
use crate::names::{Compression, SnapshotFile, snapshot_path};

/// A snapshot on its way to the disk. Dropped before it is finished, it leaves nothing.
///
/// Writing syncs a piece at a time, so that the disk's queue is never so full that the log's
/// sync has to wait for more than one piece.
pub struct SnapshotWriter<D: Disk> {
    disk: D,
    file: D::File,
    dir: PathBuf,
    path: PathBuf,
    zxid: Zxid,
    compression: Compression,
    compressor: Compressor,
    /// Content that is not compressed yet.
    buffer: Vec<u8>,
    /// How much of the buffer is in the checksum.
    summed: usize,
    sum: Adler32,
    /// Where the file is continued.
    at: u64,
    synced: u64,
    sync_every: u64,
    fence: Fence,
    begun_in: u64,
    kept: bool,
}

/// A snapshot received from a leader: complete and durable, but not yet in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedSnapshot {
    pub(crate) zxid: Zxid,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

impl StagedSnapshot {
    /// The state that it holds.
    #[must_use]
    pub const fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// Its size.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<D: Disk> SnapshotWriter<D> {
    pub(super) fn begin(
        snapshots: &Snapshots<D>,
        zxid: Zxid,
        kind: &str,
        compression: Compression,
    ) -> Result<Self, SnapshotWriteError> {
        let path = unfinished_path(&snapshots.dir, kind, zxid);
        let file = match snapshots.disk.create(&path) {
            Ok(file) => file,
            Err(source) => return Err(SnapshotWriteError::Write { path, source }),
        };
        let mut buffer = Vec::with_capacity(BUFFER);
        HEADER.encode(&mut buffer);
        let begun_in = *snapshots.fence.lock();
        let (compressor, start) = Compressor::begin(compression);
        let mut writer = Self {
            disk: snapshots.disk.clone(),
            file,
            dir: snapshots.dir.clone(),
            path,
            zxid,
            compression,
            compressor,
            buffer,
            summed: 0,
            sum: Adler32::new(),
            at: 0,
            synced: 0,
            sync_every: snapshots.sync_every,
            fence: snapshots.fence.clone(),
            begun_in,
            kept: false,
        };
        writer.append(&start)?;
        Ok(writer)
    }

    /// Adds bytes of the body, cut anywhere. [`Piece::End`] belongs to the body; what ends a SNAP
    /// stream does not.
    ///
    /// # Errors
    /// If the disk fails; the snapshot is then to be dropped.
    pub fn write(&mut self, body: &[u8]) -> Result<(), SnapshotWriteError> {
        self.buffer.extend_from_slice(body);
        self.flush_when_full()
    }

    /// Adds a piece of the body.
    ///
    /// # Errors
    /// As [`SnapshotWriter::write`].
    pub fn write_piece(&mut self, piece: &Piece) -> Result<(), SnapshotWriteError> {
        encode_piece(piece, &mut self.buffer);
        self.flush_when_full()
    }

    /// Bytes of the file so far, and of what is not compressed yet.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    /// Completes a snapshot of this member's own state: when this returns it is durable under
    /// its name.
    ///
    /// # Errors
    /// If the disk fails, or a truncation or installation has happened since the beginning; then
    /// there is no such snapshot.
    pub fn finish(mut self, trailer: Trailer) -> Result<SnapshotFile, SnapshotWriteError> {
        self.complete(trailer)?;
        let path = snapshot_path(&self.dir, self.zxid, self.compression);
        let fence = self.fence.clone();
        let generation = fence.lock();
        if *generation != self.begun_in {
            return Err(SnapshotWriteError::Superseded);
        }
        self.disk
            .rename(&self.path, &path)
            .map_err(|source| self.failed(source))?;
        self.kept = true;
        sync_dir(&self.disk, &self.dir)?;
        Ok(SnapshotFile {
            zxid: self.zxid,
            compression: self.compression,
            path,
        })
    }

    /// Completes a received snapshot: when this returns it is durable and can be installed.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn finish_staged(mut self, trailer: Trailer) -> Result<StagedSnapshot, SnapshotWriteError> {
        self.complete(trailer)?;
        sync_dir(&self.disk, &self.dir)?;
        self.kept = true;
        Ok(StagedSnapshot {
            zxid: self.zxid,
            path: self.path.clone(),
            bytes: self.at,
        })
    }

    fn complete(&mut self, trailer: Trailer) -> Result<(), SnapshotWriteError> {
        self.seal();
        if let Some(digest) = &trailer.digest {
            digest.encode(&mut self.buffer);
            self.seal();
        }
        if let Some(zxid) = &trailer.last_zxid {
            zxid.encode(&mut self.buffer);
            self.seal();
        }
        self.flush()?;
        let compressor = std::mem::replace(&mut self.compressor, Compressor::None);
        let last = compressor.end().map_err(|source| self.failed(source))?;
        self.append(&last)?;
        self.sync()
    }

    fn seal(&mut self) {
        self.sum_up();
        u64::from(self.sum.checksum()).encode(&mut self.buffer);
        self.buffer.extend_from_slice(&SEAL_END);
    }

    fn sum_up(&mut self) {
        self.sum.write_slice(&self.buffer[self.summed..]);
        self.summed = self.buffer.len();
    }

    fn flush_when_full(&mut self) -> Result<(), SnapshotWriteError> {
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        if self.at - self.synced >= self.sync_every {
            self.sync()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SnapshotWriteError> {
        self.sum_up();
        let mut bytes = std::mem::take(&mut self.buffer);
        self.compressor
            .compress(&mut bytes)
            .map_err(|source| self.failed(source))?;
        self.append(&bytes)?;
        bytes.clear();
        self.buffer = bytes;
        self.summed = 0;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), SnapshotWriteError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.file
            .write_at(bytes, self.at)
            .map_err(|source| self.failed(source))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SnapshotWriteError> {
        self.file
            .sync()
            .map_err(|source| SnapshotWriteError::Sync {
                path: self.path.clone(),
                source,
            })?;
        self.synced = self.at;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> SnapshotWriteError {
        SnapshotWriteError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

impl<D: Disk> Drop for SnapshotWriter<D> {
    fn drop(&mut self) {
        if !self.kept {
            // Only space is at stake: the next start removes what is left over.
            let _ = self.disk.remove(&self.path);
        }
    }
}

fn sync_dir<D: Disk>(disk: &D, dir: &Path) -> Result<(), SnapshotWriteError> {
    disk.sync_dir(dir)
        .map_err(|source| SnapshotWriteError::Sync {
            path: dir.to_owned(),
            source,
        })
}

/// Large enough that system calls do not count.
const BUFFER: usize = 256 * 1024;
