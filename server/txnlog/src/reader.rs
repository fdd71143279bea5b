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

/// A member's log files, for reading. A handle that may be used by another thread than the log's.
#[derive(Clone, Debug)]
pub struct LogReader<D> {
    disk: D,
    dir: PathBuf,
}

/// A part of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPart {
    /// The last transaction in the log at or before the start that was asked for. When it is the
    /// start itself, the entries follow it without a gap as far as the log has none; when it is
    /// less, the start is not in this log, and a learner that has it must go back to this one;
    /// `None` when the log does not reach back so far.
    pub base: Option<Zxid>,
    /// In order, no more than fit into the limit but at least one if there is one.
    pub entries: Vec<Entry>,
    /// Whether `entries` ends because of the limit; ask again from the last one.
    pub more: bool,
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

    /// The transactions after `from` up to and including `to`, which must be synced, in at most
    /// `limit` bytes.
    ///
    /// # Errors
    /// If the log cannot be read, also because it was purged meanwhile.
    pub fn read(&self, from: Zxid, to: Zxid, limit: usize) -> Result<LogPart, ReadError> {
        let mut part = LogPart::default();
        let mut size = 0;
        let mut cursor = self.cursor(from)?;
        // Records up to `to` are synced and so wholly there; behind it the log's thread may be
        // writing at this moment.
        let mut last = Zxid::ZERO;
        while last < to
            && let Some(entry) = cursor.next_entry()?
        {
            last = entry.zxid();
            if last <= from {
                part.base = Some(last);
            } else if last <= to {
                size += entry.bytes().len();
                if size > limit && !part.entries.is_empty() {
                    part.more = true;
                    break;
                }
                part.entries.push(entry);
            }
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
}

impl<D: Disk> Cursor<D> {
    /// The next transaction. One that is not newer than the one before, as Apache may log it
    /// twice, is left out.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        loop {
            if let Some(log) = &mut self.current {
                while let Some((_, entry)) = log.next_entry()? {
                    if entry.zxid() > self.last {
                        self.last = entry.zxid();
                        return Ok(Some(entry));
                    }
                }
            }
            let Some(next) = self.files.pop() else {
                return Ok(None);
            };
            self.current = Some(LogFile::open(&self.disk, &next.path)?);
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
