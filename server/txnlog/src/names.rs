//! How the files of a data directory are called.

use std::fmt;
use std::path::{Path, PathBuf};

use wire::Zxid;

/// The directories of one member, as zoo.cfg names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `dataDir`: snapshots, epochs, `myid`, and what the sidecar and the member agree on.
    pub data: PathBuf,
    /// `dataLogDir`: logs. The same as `data` unless configured.
    pub log: PathBuf,
}

impl Paths {
    /// One directory for everything.
    #[must_use]
    pub fn single(dir: impl Into<PathBuf>) -> Self {
        let data = dir.into();
        Self {
            log: data.clone(),
            data,
        }
    }

    /// Where snapshots and epochs are.
    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.data.join(VERSION)
    }

    /// Where logs are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.log.join(VERSION)
    }
}

const VERSION: &str = "version-2";

/// How a snapshot file is compressed, told by its name's ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// Not at all.
    None,
    /// `.gz`
    Gzip,
    /// `.snappy`, in the framing of snappy-java.
    Snappy,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Snappy => ".snappy",
        })
    }
}

/// A snapshot in the directory; not known to be valid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotFile {
    /// The state that it holds at least: the last transaction applied when it was begun.
    pub zxid: Zxid,
    /// How it is compressed.
    pub compression: Compression,
    /// Where it is.
    pub path: PathBuf,
}

impl SnapshotFile {
    /// What this name in this directory would be, if it is a snapshot's.
    #[must_use]
    pub fn parse(dir: &Path, name: &str) -> Option<Self> {
        let rest = name.strip_prefix(SNAPSHOT)?;
        let (hex, compression) = if let Some(hex) = rest.strip_suffix(".gz") {
            (hex, Compression::Gzip)
        } else if let Some(hex) = rest.strip_suffix(".snappy") {
            (hex, Compression::Snappy)
        } else {
            (rest, Compression::None)
        };
        Some(Self {
            zxid: parse_zxid(hex)?,
            compression,
            path: dir.join(name),
        })
    }
}

/// A log file in the directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogName {
    /// Its first transaction.
    pub first: Zxid,
    /// Where it is.
    pub path: PathBuf,
}

impl LogName {
    /// What this name in this directory would be, if it is a log's.
    #[must_use]
    pub fn parse(dir: &Path, name: &str) -> Option<Self> {
        Some(Self {
            first: parse_zxid(name.strip_prefix(LOG)?)?,
            path: dir.join(name),
        })
    }

    pub(crate) fn new(dir: &Path, first: Zxid) -> Self {
        Self {
            first,
            path: dir.join(format!("{LOG}{:x}", first.0)),
        }
    }
}

pub(crate) fn snapshot_path(dir: &Path, zxid: Zxid, compression: Compression) -> PathBuf {
    dir.join(format!("{SNAPSHOT}{:x}{compression}", zxid.0))
}

const SNAPSHOT: &str = "snapshot.";
const LOG: &str = "log.";

/// Hexadecimal without prefix. A sign, which `from_str_radix` would take, is refused.
fn parse_zxid(hex: &str) -> Option<Zxid> {
    if hex.is_empty() || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(hex, 16).ok().map(Zxid)
}
