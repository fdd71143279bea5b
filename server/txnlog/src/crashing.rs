//! A disk in memory that loses what was not synced: for tests and the simulator.
//!
//! A power loss keeps or loses each unsynced sector of a file by itself, not only the last ones;
//! a file's length, and each change of a directory, likewise. Operations that change something
//! are counted, and a fault can be set for any of them. What is kept is decided by seeds that are
//! arguments, so that everything repeats.

mod inode;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};
use inode::Inode;

/// The disk. Clones are handles on the same one.
#[derive(Clone, Debug, Default)]
pub struct CrashingDisk(Arc<Mutex<State>>);

/// What happens instead of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes while it is under way: it and all later operations fail, until
    /// [`CrashingDisk::lose_power`] or [`CrashingDisk::kill`].
    Crash,
    /// It fails with this error. Of a write, the first half is done. Of a failed sync, some
    /// sectors are never written any more, though later syncs succeed, as Linux does it.
    Fail(io::ErrorKind),
}

#[derive(Debug, Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    dirs: BTreeMap<PathBuf, Dir>,
    /// Handles of earlier ones fail: their process is gone.
    incarnation: u64,
    operations: u64,
    faults: BTreeMap<u64, Fault>,
    is_down: bool,
}

#[derive(Debug, Default)]
struct Dir {
    names: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    /// What leads from `durable` to `names`.
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Link(String, u64),
    Unlink(String),
    Rename(String, String, u64),
}

impl CrashingDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many changing operations there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Sets what happens at the changing operation of this number, the first being 0.
    pub fn set_fault(&self, operation: u64, fault: Fault) {
        self.state().faults.insert(operation, fault);
    }

    /// The power goes and comes back: of what was not synced, `seed` decides what is left. Open
    /// files are of no use afterwards; faults not reached are forgotten.
    pub fn lose_power(&self, seed: u64) {
        let mut rng = Rng(seed);
        let mut state = self.state();
        for inode in state.inodes.values_mut() {
            inode.lose_power(&mut rng);
        }
        for dir in state.dirs.values_mut() {
            dir.lose_power(&mut rng);
        }
        state.drop_unreachable();
        state.restart();
    }

    /// The process ends and nothing is lost. Open files are of no use afterwards; faults not
    /// reached are forgotten.
    pub fn kill(&self) {
        self.state().restart();
    }

    /// A file's content, if there is such a file.
    #[must_use]
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let id = state.lookup(path).ok()?;
        state.inodes.get(&id).map(|inode| inode.data.clone())
    }

    /// Puts a file there durably, in place of any other, without counting as an operation: to
    /// prepare a disk, or to damage it.
    ///
    /// # Panics
    /// If the path is not below a directory or not UTF-8.
    pub fn put(&self, path: &Path, content: Vec<u8>) {
        let (dir, name) = split(path).expect("a path below a directory");
        let mut state = self.state();
        let id = state.add_inode(Inode::durable(content));
        let dir = state.dirs.entry(dir).or_default();
        dir.names.insert(name.clone(), id);
        dir.durable.insert(name, id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn restart(&mut self) {
        self.is_down = false;
        self.faults.clear();
        self.incarnation += 1;
    }

    fn check_up(&self) -> io::Result<()> {
        if self.is_down {
            Err(io::Error::other("the power is gone"))
        } else {
            Ok(())
        }
    }

    /// Counts an operation. `Some` is how it ends instead of well.
    fn begin(&mut self) -> io::Result<Option<Fault>> {
        self.check_up()?;
        let fault = self.faults.remove(&self.operations);
        self.operations += 1;
        if fault == Some(Fault::Crash) {
            self.is_down = true;
        }
        Ok(fault)
    }

    fn add_inode(&mut self, inode: Inode) -> u64 {
        let id = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(id, inode);
        id
    }

    fn dir(&mut self, path: &Path) -> io::Result<&mut Dir> {
        self.dirs.get_mut(path).ok_or_else(not_found)
    }

    fn lookup(&self, path: &Path) -> io::Result<u64> {
        let (dir, name) = split(path)?;
        let dir = self.dirs.get(&dir).ok_or_else(not_found)?;
        dir.names.get(&name).copied().ok_or_else(not_found)
    }

    fn drop_unreachable(&mut self) {
        let mut reachable: Vec<u64> = self
            .dirs
            .values()
            .flat_map(|dir| dir.names.values().copied())
            .collect();
        reachable.sort_unstable();
        self.inodes
            .retain(|id, _| reachable.binary_search(id).is_ok());
    }
}

impl Dir {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn sync(&mut self) {
        self.durable = self.names.clone();
        self.changes.clear();
    }

    /// Half of the time the changes reach the disk in order, as a journal has it, else in any
    /// selection.
    fn lose_power(&mut self, rng: &mut Rng) {
        let in_order = rng.chance(2);
        let kept = rng.below(self.changes.len() as u64 + 1) as usize;
        for (i, change) in std::mem::take(&mut self.changes).into_iter().enumerate() {
            if if in_order { i < kept } else { rng.chance(2) } {
                change.apply(&mut self.durable);
            }
        }
        self.names = self.durable.clone();
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Link(name, id) => {
                names.insert(name.clone(), *id);
            }
            Self::Unlink(name) => {
                names.remove(name);
            }
            Self::Rename(from, to, id) => {
                if names.get(from) == Some(id) {
                    names.remove(from);
                }
                names.insert(to.clone(), *id);
            }
        }
    }
}

impl Disk for CrashingDisk {
    type File = CrashingFile;
    type Lock = ();

    /// Nobody else is there to be kept out.
    fn lock(&self, _dir: &Path) -> io::Result<()> {
        self.state().check_up()
    }

    fn create(&self, path: &Path) -> io::Result<CrashingFile> {
        let (dir, name) = split(path)?;
        let mut state = self.state();
        let fault = state.begin()?;
        if let Some(Fault::Fail(kind)) = fault {
            return Err(kind.into());
        }
        state.dir(&dir)?;
        let id = match state.lookup(path) {
            Ok(id) => {
                if let Some(inode) = state.inodes.get_mut(&id) {
                    inode.set_len(0);
                }
                id
            }
            Err(_) => {
                let id = state.add_inode(Inode::default());
                state.dir(&dir)?.change(Change::Link(name, id));
                id
            }
        };
        finish(fault)?;
        Ok(self.handle(&state, id))
    }

    fn open(&self, path: &Path) -> io::Result<CrashingFile> {
        let state = self.state();
        state.check_up()?;
        let id = state.lookup(path)?;
        Ok(self.handle(&state, id))
    }

    fn open_read(&self, path: &Path) -> io::Result<CrashingFile> {
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_dir, from_name) = split(from)?;
        let (to_dir, to_name) = split(to)?;
        if from_dir != to_dir {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let mut state = self.state();
        let fault = state.begin()?;
        if let Some(Fault::Fail(kind)) = fault {
            return Err(kind.into());
        }
        let id = state.lookup(from)?;
        state
            .dir(&from_dir)?
            .change(Change::Rename(from_name, to_name, id));
        finish(fault)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = split(path)?;
        let mut state = self.state();
        let fault = state.begin()?;
        if let Some(Fault::Fail(kind)) = fault {
            return Err(kind.into());
        }
        state.lookup(path)?;
        state.dir(&dir)?.change(Change::Unlink(name));
        finish(fault)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.check_up()?;
        Ok(state.dir(dir)?.names.keys().cloned().collect())
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check_up()?;
        for dir in dir.ancestors() {
            state.dirs.entry(dir.to_owned()).or_default();
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let fault = state.begin()?;
        finish(fault)?;
        state.dir(dir)?.sync();
        Ok(())
    }
}

impl CrashingDisk {
    fn handle(&self, state: &State, inode: u64) -> CrashingFile {
        CrashingFile {
            disk: self.clone(),
            inode,
            incarnation: state.incarnation,
        }
    }
}

/// An open file of a [`CrashingDisk`].
#[derive(Debug)]
pub struct CrashingFile {
    disk: CrashingDisk,
    inode: u64,
    incarnation: u64,
}

impl CrashingFile {
    fn with<T>(
        &self,
        state: &mut State,
        work: impl FnOnce(&mut Inode) -> io::Result<T>,
    ) -> io::Result<T> {
        if state.incarnation != self.incarnation {
            return Err(io::Error::other("a file of a process that is gone"));
        }
        match state.inodes.get_mut(&self.inode) {
            Some(inode) => work(inode),
            None => Err(not_found()),
        }
    }
}

impl DiskFile for CrashingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.check_up()?;
        self.with(&mut state, |inode| Ok(inode.read(buffer, offset)))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let fault = state.begin()?;
        let done = match fault {
            Some(Fault::Fail(_)) => &bytes[..bytes.len() / 2],
            _ => bytes,
        };
        self.with(&mut state, |inode| {
            inode.write(done, offset);
            finish(fault)
        })
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let fault = state.begin()?;
        let operations = state.operations;
        self.with(&mut state, |inode| match fault {
            None => {
                inode.sync();
                Ok(())
            }
            Some(Fault::Crash) => finish(fault),
            Some(Fault::Fail(_)) => {
                inode.fail_sync(&mut Rng(operations));
                finish(fault)
            }
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let fault = state.begin()?;
        self.with(&mut state, |inode| {
            if !matches!(fault, Some(Fault::Fail(_))) {
                inode.set_len(len);
            }
            finish(fault)
        })
    }

    fn size(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.check_up()?;
        self.with(&mut state, |inode| Ok(inode.data.len() as u64))
    }
}

/// How an operation with this fault ends.
fn finish(fault: Option<Fault>) -> io::Result<()> {
    match fault {
        None => Ok(()),
        Some(Fault::Crash) => Err(io::Error::other("the power is gone")),
        Some(Fault::Fail(kind)) => Err(kind.into()),
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn split(path: &Path) -> io::Result<(PathBuf, String)> {
    match (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) {
        (Some(dir), Some(name)) => Ok((dir.to_owned(), name.to_owned())),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Splitmix64: small, and good enough to choose what a crash keeps.
#[derive(Clone, Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}
