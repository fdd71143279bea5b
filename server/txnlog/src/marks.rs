//! The small files in `dataDir` that say whose data this is and what may be done with it.

use std::io;
use std::path::PathBuf;

use wire::PeerId;

use crate::disk::{Disk, read_small, remove_durably, replace_small};
use crate::names::Paths;

/// One of the small text files. Each is replaced as a whole and durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// This member's number, written by whoever set it up.
    MyId,
    /// Apache's permission to begin with an empty disk (`db.autocreate=false`).
    Initialize,
    /// Names the volume: random, written on first sight of it.
    VolumeId,
    /// Names the ensemble whose data this is.
    ClusterId,
    /// This member is parked: it must not start from what is on the disk.
    Parked,
    /// This member may have lost what it had promised: it has no vote until it is synced.
    Rejoin,
}

impl Mark {
    /// The file's name.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::MyId => "myid",
            Self::Initialize => "initialize",
            Self::VolumeId => "volume.id",
            Self::ClusterId => "cluster.id",
            Self::Parked => "parked",
            Self::Rejoin => "rejoin",
        }
    }
}

/// The marks of one member.
#[derive(Clone, Debug)]
pub struct Marks<D> {
    disk: D,
    dir: PathBuf,
}

impl<D: Disk> Marks<D> {
    /// Those in `paths.data`, which need not exist yet.
    #[must_use]
    pub fn new(disk: D, paths: &Paths) -> Self {
        Self {
            disk,
            dir: paths.data.clone(),
        }
    }

    /// What the mark says, without white space around it; `None` if it is not there.
    ///
    /// # Errors
    /// If it cannot be read or is not text.
    pub fn get(&self, mark: Mark) -> io::Result<Option<String>> {
        let Some(bytes) = read_small(&self.disk, &self.path(mark))? else {
            return Ok(None);
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    /// Writes a mark durably.
    ///
    /// # Errors
    /// If the disk fails; then the old or the new one is there.
    pub fn set(&self, mark: Mark, text: &str) -> io::Result<()> {
        self.disk.create_dir(&self.dir)?;
        replace_small(&self.disk, &self.path(mark), format!("{text}\n").as_bytes())
    }

    /// Removes a mark durably; without one nothing happens.
    ///
    /// # Errors
    /// If the disk fails; then it may be there or not.
    pub fn clear(&self, mark: Mark) -> io::Result<()> {
        remove_durably(&self.disk, &self.path(mark))
    }

    /// The number in `myid`.
    ///
    /// # Errors
    /// If it cannot be read, or is not a number.
    pub fn my_id(&self) -> io::Result<Option<PeerId>> {
        let Some(text) = self.get(Mark::MyId)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(id) => Ok(Some(PeerId(id))),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{} holds {text:?} where a number is expected",
                    self.path(Mark::MyId).display()
                ),
            )),
        }
    }

    fn path(&self, mark: Mark) -> PathBuf {
        self.dir.join(mark.file())
    }
}
