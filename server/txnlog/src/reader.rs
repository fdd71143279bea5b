//! Reading a part of the log back: for a learner that is behind, and for where to cut.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wire::Zxid;
use wire::txn::Entry;

use crate::disk::Disk;
use crate::error::ReadError;
use crate::names::LogName;
use crate::segment::LogFile;
use crate::tail::Tail;

/// A member's log files, for reading. A handle that may be used by another thread than the log's.
#[derive(Clone, Debug)]
pub struct LogReader<D> {
    disk: D,
    dir: PathBuf,
}

/// A part of the log, see [`LogReader::read`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPart {
    /// As [`LogRange::base`].
    pub base: Option<Zxid>,
    /// In order, no more than fit into the limit but at least one if there is one.
    pub entries: Vec<Entry>,
    /// Whether `entries` ends because of the limit; ask again from the last one.
    pub more: bool,
}

/// A part of the log, read as it is asked for: an iterator over its transactions. An error ends
/// it.
pub struct LogRange<D: Disk> {
    cursor: Cursor<D>,
    base: Option<Zxid>,
    next: Option<Entry>,
    last: Zxid,
    to: Zxid,
}

impl<D: Disk> LogRange<D> {
    /// The last transaction in the log at or before the start that was asked for. When it is the
    /// start itself, the range follows it without a gap. When it is less, the start is not in
    /// this log, and a learner that has it must go back to this one. `None` when the log does not
    /// reach back so far.
    #[must_use]
    pub const fn base(&self) -> Option<Zxid> {
        self.base
    }

    fn advance(&mut self) -> Result<Option<Entry>, ReadError> {
        let Some(entry) = self.next.take() else {
            return Ok(None);
        };
        if self.last < self.to
            && let Some(next) = self.cursor.next_entry()?
        {
            if !next.zxid().follows(self.last) {
                return Err(self.cursor.gap(self.last, next.zxid()));
            }
            self.last = next.zxid();
            self.next = Some(next).filter(|next| next.zxid() <= self.to);
        }
        Ok(Some(entry))
    }
}

impl<D: Disk> Iterator for LogRange<D> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

impl<D: Disk> LogReader<D> {
    pub(crate) const fn new(disk: D, dir: PathBuf) -> Self {
        Self { disk, dir }
    }

    /// The log files, oldest first.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn files(&self) -> io::Result<Vec<LogName>> {
        list(&self.disk, &self.dir)
    }

    /// The transactions after `from` up to and including `to`, which must be synced.
    ///
    /// # Errors
    /// If the log cannot be read, also because it was purged meanwhile.
    pub fn range(&self, from: Zxid, to: Zxid) -> Result<LogRange<D>, ReadError> {
        let mut range = LogRange {
            cursor: self.cursor(from)?,
            base: None,
            next: None,
            last: Zxid::ZERO,
            to,
        };
        // Records up to `to` are synced and so wholly there; behind it the log's thread may be
        // writing at this moment.
        while range.last < to && range.next.is_none() {
            let Some(entry) = range.cursor.next_entry()? else {
                break;
            };
            range.last = entry.zxid();
            if range.last <= from {
                range.base = Some(range.last);
            } else if range.last <= to {
                range.next = Some(entry);
            }
        }
        Ok(range)
    }

    /// The same, all at once if it fits into `limit` bytes.
    ///
    /// # Errors
    /// As [`LogReader::range`].
    pub fn read(&self, from: Zxid, to: Zxid, limit: usize) -> Result<LogPart, ReadError> {
        let mut range = self.range(from, to)?;
        let mut part = LogPart {
            base: range.base(),
            ..LogPart::default()
        };
        let mut size = 0;
        while let Some(entry) = range.next().transpose()? {
            size += entry.bytes().len();
            if size > limit && !part.entries.is_empty() {
                part.more = true;
                break;
            }
            part.entries.push(entry);
        }
        Ok(part)
    }

    /// Reads from the file that has `from`, or else the oldest.
    pub(crate) fn cursor(&self, from: Zxid) -> Result<Cursor<D>, ReadError> {
        let mut files = self.files().map_err(|source| ReadError::Io {
            path: self.dir.clone(),
            source,
        })?;
        let first = files
            .iter()
            .rposition(|file| file.first <= from)
            .unwrap_or(0);
        files.drain(..first);
        files.reverse();
        Ok(Cursor {
            disk: self.disk.clone(),
            files,
            current: None,
            last: Zxid::ZERO,
            offset: 0,
        })
    }
}

/// The last transactions of the log, see [`Store::recent`](crate::Store::recent).
pub(crate) fn recent<D: Disk>(
    log: &LogReader<D>,
    count: usize,
    bytes: usize,
) -> Result<Vec<Arc<Entry>>, ReadError> {
    let files = log.files().map_err(|source| ReadError::Io {
        path: log.dir.clone(),
        source,
    })?;
    let mut recent: VecDeque<Arc<Entry>> = VecDeque::new();
    let mut size = 0;
    // Files are long; the newest two hold what is asked for, or there is not much more.
    let start = files.len().saturating_sub(2);
    let Some(first) = files.get(start) else {
        return Ok(Vec::new());
    };
    let mut cursor = log.cursor(first.first)?;
    while let Some(entry) = cursor.next_entry()? {
        if recent
            .back()
            .is_some_and(|last| !entry.zxid().follows(last.zxid()))
        {
            recent.clear();
            size = 0;
        }
        size += entry.bytes().len();
        recent.push_back(Arc::new(entry));
        while recent.len() > count || size > bytes {
            size -= recent.pop_front().map_or(size, |old| old.bytes().len());
        }
    }
    Ok(recent.into())
}

/// Goes through several log files as if they were one.
pub(crate) struct Cursor<D: Disk> {
    disk: D,
    /// Those to come, the next one last.
    files: Vec<LogName>,
    current: Option<LogFile<D::File>>,
    last: Zxid,
    /// Where the last one is in the current file.
    offset: u64,
}

impl<D: Disk> Cursor<D> {
    /// The next transaction. One that is not newer than the one before, as Apache may log it
    /// twice, is left out.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        loop {
            if let Some(log) = &mut self.current {
                while let Some((offset, entry)) = log.next_entry()? {
                    if entry.zxid() > self.last {
                        self.last = entry.zxid();
                        self.offset = offset;
                        return Ok(Some(entry));
                    }
                }
            }
            let Some(next) = self.files.pop() else {
                return Ok(None);
            };
            if let Some(log) = &self.current
                && let Tail::Rotten { why } = log.tail(true)?
            {
                return Err(log.corrupt(log.position(), why));
            }
            self.current = Some(LogFile::open(&self.disk, &next.path)?);
        }
    }

    /// The last transaction, `found`, should not have come after `after`.
    fn gap(&self, after: Zxid, found: Zxid) -> ReadError {
        let path = self.current.as_ref().map(LogFile::path);
        ReadError::Gap {
            path: path.map(Path::to_owned).unwrap_or_default(),
            offset: self.offset,
            after,
            found,
        }
    }
}

/// The log files in `dir`, oldest first.
pub(crate) fn list<D: Disk>(disk: &D, dir: &Path) -> io::Result<Vec<LogName>> {
    let mut found: Vec<LogName> = disk
        .list(dir)?
        .iter()
        .filter_map(|name| LogName::parse(dir, name))
        .collect();
    found.sort_unstable();
    Ok(found)
}
