//! Reading one log file, record by record.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use wire::snapshot::FileHeader;
use wire::txn::{Entry, TxnHeader};
use wire::{Record, Zxid};

use crate::disk::{Disk, DiskFile};
use crate::error::ReadError;
use crate::record::{self, FILE_HEADER, Flaw, HEADER, Head, LOG_HEADER};
use crate::tail::{self, Tail};

/// A log file, read from its start. Yields each transaction with its offset in the file; ends
/// before the first record that is not valid, for which [`LogFile::tail`] says what it is.
///
/// For tools, and for all reading in this crate. A file that another thread appends to must only
/// be read up to a transaction that is known to be appended.
pub struct LogFile<F> {
    path: PathBuf,
    file: F,
    len: u64,
    /// Where the next record starts.
    at: u64,
    /// Bytes read ahead, from `at` on.
    ahead: BytesMut,
    /// What ended the records.
    stop: Option<Flaw>,
}

/// A record with a valid checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its transaction.
    pub zxid: Zxid,
    /// The entry's bytes.
    pub bytes: Bytes,
}

impl RawRecord {
    /// Where the next record starts.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset + record::OVERHEAD + self.bytes.len() as u64
    }
}

impl<F: DiskFile> LogFile<F> {
    /// Opens a log file for reading.
    ///
    /// # Errors
    /// If it cannot be read, or does not start as log files do; a file that ends within the
    /// header, or has zeros for it, is one without records.
    pub fn open<D: Disk<File = F>>(disk: &D, path: &Path) -> Result<Self, ReadError> {
        let failed = |source| ReadError::Io {
            path: path.to_owned(),
            source,
        };
        let file = disk.open_read(path).map_err(failed)?;
        let mut log = Self {
            path: path.to_owned(),
            len: file.size().map_err(failed)?,
            file,
            at: 0,
            ahead: BytesMut::new(),
            stop: None,
        };
        log.fill(FILE_HEADER).map_err(failed)?;
        let header = log
            .ahead
            .split_to(log.ahead.len().min(FILE_HEADER as usize))
            .freeze();
        if header.len() < FILE_HEADER as usize || header.iter().all(|b| *b == 0) {
            log.ahead.clear();
            log.stop = Some(Flaw::Short);
            return Ok(log);
        }
        let is_log = FileHeader::from_bytes(&header).is_ok_and(|header| {
            header.magic == LOG_HEADER.magic && header.version == LOG_HEADER.version
        });
        if !is_log {
            return Err(log.corrupt(0, "it is not the header of a log".to_owned()));
        }
        log.at = FILE_HEADER;
        Ok(log)
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next record starts, or the last valid one ends.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.at
    }

    /// The file's length when it was opened.
    #[must_use]
    pub const fn file_len(&self) -> u64 {
        self.len
    }

    /// The next record; `None` where no valid one follows.
    ///
    /// # Errors
    /// If the disk fails, or an intact record is too short for a transaction's header.
    pub fn next_record(&mut self) -> Result<Option<RawRecord>, ReadError> {
        if self.stop.is_some() {
            return Ok(None);
        }
        match self.step() {
            Ok(Ok(bytes)) => {
                let offset = self.at;
                let header =
                    TxnHeader::from_bytes(&bytes).map_err(|source| ReadError::Undecodable {
                        path: self.path.clone(),
                        offset,
                        source,
                    })?;
                let record = RawRecord {
                    offset,
                    zxid: header.zxid,
                    bytes,
                };
                self.at = record.end();
                Ok(Some(record))
            }
            Ok(Err(flaw)) => {
                self.stop = Some(flaw);
                Ok(None)
            }
            Err(source) => Err(ReadError::Io {
                path: self.path.clone(),
                source,
            }),
        }
    }

    /// The next transaction and its offset; `None` where no valid record follows.
    ///
    /// # Errors
    /// As [`LogFile::next_record`], and if an intact record is no transaction.
    pub fn next_entry(&mut self) -> Result<Option<(u64, Entry)>, ReadError> {
        let Some(record) = self.next_record()? else {
            return Ok(None);
        };
        match Entry::decode(record.bytes) {
            Ok(entry) => Ok(Some((record.offset, entry))),
            Err(source) => Err(ReadError::Undecodable {
                path: self.path.clone(),
                offset: record.offset,
                source,
            }),
        }
    }

    /// What follows the last valid record, see [`Tail`]. Reads the rest of the file.
    ///
    /// `closed` says that a younger log file exists.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn tail(&self, closed: bool) -> Result<Tail, ReadError> {
        let flaw = self.stop.unwrap_or(Flaw::Short);
        tail::judge(&self.file, self.at, self.len, flaw, closed).map_err(|source| ReadError::Io {
            path: self.path.clone(),
            source,
        })
    }

    /// Whether a valid record follows, as far as the file has been looked at: `false` once
    /// [`LogFile::next_record`] has found none.
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.stop.is_none()
    }

    /// Looks again for records behind the last valid one, in a file that another process appends
    /// to. Of no use while [`LogFile::position`] is 0: such a file has to be opened again.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn look_again(&mut self) -> Result<(), ReadError> {
        self.len = self.file.size().map_err(|source| ReadError::Io {
            path: self.path.clone(),
            source,
        })?;
        self.ahead.clear();
        if self.at > 0 {
            self.stop = None;
        }
        Ok(())
    }

    pub(crate) fn corrupt(&self, offset: u64, why: String) -> ReadError {
        ReadError::Corrupt {
            path: self.path.clone(),
            offset,
            why,
        }
    }

    fn step(&mut self) -> io::Result<Result<Bytes, Flaw>> {
        self.fill(HEADER)?;
        let Some(&head) = self.ahead.first_chunk() else {
            return Ok(Err(Flaw::Short));
        };
        let head = Head::parse(head);
        let Some(len) = u64::try_from(head.len).ok().filter(|len| *len > 0) else {
            return Ok(Err(Flaw::Length(head.len)));
        };
        if self.at + record::OVERHEAD + len > self.len {
            return Ok(Err(Flaw::Short));
        }
        let size = HEADER + len + 1;
        self.fill(size)?;
        if (self.ahead.len() as u64) < size {
            return Ok(Err(Flaw::Short));
        }
        if let Err(flaw) = record::check(head, &self.ahead[HEADER as usize..size as usize]) {
            return Ok(Err(flaw));
        }
        let record = self.ahead.split_to(size as usize).freeze();
        Ok(Ok(record.slice(HEADER as usize..size as usize - 1)))
    }

    /// Reads ahead until `n` bytes are there, or all that the file has.
    fn fill(&mut self, n: u64) -> io::Result<()> {
        let n = n as usize;
        if self.ahead.len() >= n {
            return Ok(());
        }
        let from = self.at + self.ahead.len() as u64;
        let have = self.ahead.len();
        // The caller has checked `n` against the file's length, so a damaged length allocates no
        // more than the file is long.
        let want = n
            .max(READ_AHEAD)
            .min(have + self.len.saturating_sub(from) as usize);
        self.ahead.resize(want.max(have), 0);
        let mut filled = have;
        while filled < self.ahead.len() {
            let offset = self.at + filled as u64;
            match self.file.read_at(&mut self.ahead[filled..], offset)? {
                0 => break,
                read => filled += read,
            }
        }
        self.ahead.truncate(filled);
        Ok(())
    }
}

impl<F: DiskFile> Iterator for LogFile<F> {
    type Item = Result<(u64, Entry), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().transpose()
    }
}

/// How much is read at once: large enough that system calls do not count.
const READ_AHEAD: usize = 256 * 1024;
