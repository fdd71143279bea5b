//! Random work on a disk that crashes after every prefix of its operations: what recovery finds
//! is always a promised state.

use std::sync::Arc;

use wire::txn::Entry;
use wire::{Epoch, Zxid};

use super::{entry_of, paths, write_state, zxid};
use crate::crashing::{CrashingDisk, Fault, Rng};
use crate::{Compression, Options, Refusal, Rejected, Replay, SnapshotWriteError, Store, Trailer};

const OPTIONS: Options = Options {
    pre_alloc: 6000,
    trust_empty: false,
    snapshot_sync_every: 200,
    snapshot_compression: Compression::None,
};

/// One member's state, as the promises have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    /// The state that the log goes on from.
    base: Zxid,
    /// Everything appended since.
    log: Vec<Arc<Entry>>,
    /// How much of it is synced.
    synced: usize,
    accepted: Option<Epoch>,
    current: Option<Epoch>,
    /// There is a first snapshot.
    born: bool,
}

impl Model {
    fn last(&self) -> Zxid {
        self.log.last().map_or(self.base, |entry| entry.zxid())
    }

    fn synced_zxid(&self) -> Zxid {
        match self.synced.checked_sub(1) {
            Some(i) => self.log[i].zxid(),
            None => self.base,
        }
    }

    /// Whether a recovery may find `found` when this was the state at the crash.
    fn allows(&self, found: &Found) -> bool {
        let whole = self.log.len();
        (self.accepted, self.current) == (found.accepted, found.current)
            && self.born == found.snapshot.is_some()
            && (self.synced..=whole).any(|n| self.is_at(n, found))
    }

    /// Whether `found` is the base and the first `n` entries.
    fn is_at(&self, n: usize, found: &Found) -> bool {
        let log = &self.log[..n];
        let start = found.snapshot.unwrap_or(Zxid::ZERO);
        let from = log.partition_point(|entry| entry.zxid() <= start);
        let covered = from
            .checked_sub(1)
            .map_or(self.base, |last| log[last].zxid());
        covered == start
            && found.last_zxid == log.last().map_or(self.base, |entry| entry.zxid())
            && found.entries.iter().eq(log[from..].iter().map(|e| &**e))
    }
}

/// What a recovery finds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    snapshot: Option<Zxid>,
    entries: Vec<Entry>,
    last_zxid: Zxid,
    accepted: Option<Epoch>,
    current: Option<Epoch>,
}

impl Replay for Found {
    fn snapshot(&mut self, zxid: Zxid) {
        self.snapshot = Some(zxid);
    }

    fn piece(&mut self, piece: wire::snapshot::Piece) -> Result<(), Refusal> {
        if let wire::snapshot::Piece::Znode(root) = piece {
            assert_eq!(Some(root.stat.czxid), self.snapshot);
        }
        Ok(())
    }

    fn trailer(&mut self, trailer: Trailer) -> Result<(), Refusal> {
        assert_eq!(trailer.last_zxid, self.snapshot);
        Ok(())
    }

    fn snapshot_rejected(&mut self, rejected: &Rejected) {
        panic!("our snapshots are whole or not there: {rejected:?}");
    }

    fn entry(&mut self, entry: Entry) -> Result<(), Refusal> {
        self.entries.push(entry);
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Arc<Entry>>),
    Sync,
    Roll,
    Spare,
    Snapshot,
    Truncate(Zxid),
    Install(Zxid),
    Discard,
    Accept(Epoch),
    Current(Epoch),
    Purge,
    Reopen,
}

/// What was under way when the disk gave up: the state before, and the one that the step led to.
struct Ended {
    before: Model,
    after: Model,
    step: Step,
}

struct World {
    disk: CrashingDisk,
    store: Option<Store<CrashingDisk>>,
    model: Model,
    rng: Rng,
    epoch: u32,
}

impl World {
    fn new(seed: u64, fault: Option<(u64, Fault)>) -> Self {
        let disk = CrashingDisk::new();
        if let Some((at, fault)) = fault {
            disk.set_fault(at, fault);
        }
        Self {
            disk,
            store: None,
            model: Model::default(),
            rng: Rng(seed),
            epoch: 1,
        }
    }

    /// Works until the disk gives up.
    fn run(&mut self, steps: usize) -> Option<Ended> {
        let mut first = vec![Step::Reopen, Step::Snapshot, Step::Accept(Epoch(1))];
        first.reverse();
        for _ in 0..steps {
            let step = match first.pop() {
                Some(step) => step,
                None => self.next_step(),
            };
            let before = self.model.clone();
            let after = self.outcome(&step);
            match self.carry_out(&step) {
                Ok(()) => self.model = after,
                Err(()) => {
                    return Some(Ended {
                        before,
                        after,
                        step,
                    });
                }
            }
        }
        None
    }

    fn next_step(&mut self) -> Step {
        let last = self.model.last();
        if !self.model.born {
            // A member without a snapshot logs nothing.
            return match self.rng.below(3) {
                0 => Step::Reopen,
                1 => Step::Snapshot,
                _ => Step::Accept(Epoch(self.epoch)),
            };
        }
        match self.rng.below(24) {
            0..=8 => {
                let mut next = match last.epoch() < Epoch(self.epoch) {
                    true => zxid(self.epoch, 1),
                    false => Zxid(last.0 + 1),
                };
                let mut batch = Vec::new();
                for _ in 0..=self.rng.below(5) {
                    let len = match self.rng.below(6) {
                        0 => self.rng.below(3000),
                        1 => 0,
                        _ => self.rng.below(300),
                    };
                    batch.push(entry_of(next, len as usize));
                    next = Zxid(next.0 + 1);
                }
                Step::Append(batch)
            }
            9..=13 => Step::Sync,
            14 => Step::Roll,
            15 | 16 => Step::Spare,
            17 | 18 => Step::Snapshot,
            19 => {
                self.epoch += 1;
                let bound = self.oldest_snapshot();
                let log = &self.model.log;
                let oldest = log.partition_point(|entry| entry.zxid() <= bound);
                let to = oldest + self.rng.below((log.len() - oldest) as u64 + 1) as usize;
                Step::Truncate(match to.checked_sub(1) {
                    Some(i) => log[i].zxid(),
                    None => self.model.base,
                })
            }
            20 if self.rng.chance(2) => {
                self.epoch += 2;
                // A leader's state may be behind what this member has logged.
                let logged = self.rng.below(2 * self.model.log.len() as u64 + 1) as usize;
                Step::Install(match self.model.log.get(logged) {
                    Some(entry) => entry.zxid(),
                    None => zxid(self.epoch - 1, 1 + self.rng.below(9) as u32),
                })
            }
            20 if self.rng.chance(8) => Step::Discard,
            20 | 21 => Step::Accept(Epoch(self.epoch)),
            22 => match self.model.accepted {
                Some(accepted) => Step::Current(accepted),
                None => Step::Purge,
            },
            _ if self.rng.chance(2) => Step::Purge,
            _ => Step::Reopen,
        }
    }

    fn oldest_snapshot(&self) -> Zxid {
        let snapshots = self.store.as_ref().map(|store| store.snapshots().list());
        match snapshots {
            Some(Ok(list)) => list.last().map_or(Zxid::ZERO, |oldest| oldest.zxid),
            _ => Zxid::ZERO,
        }
    }

    /// The state after a step that goes well.
    fn outcome(&self, step: &Step) -> Model {
        let mut model = self.model.clone();
        match step {
            Step::Append(batch) => model.log.extend(batch.iter().cloned()),
            // The steps that need everything to be synced sync first.
            Step::Sync | Step::Roll | Step::Reopen | Step::Truncate(_) => {
                model.synced = model.log.len();
            }
            Step::Snapshot => model.born = true,
            Step::Install(at) => {
                model.base = *at;
                model.log.clear();
                model.synced = 0;
            }
            Step::Discard => {
                model.base = Zxid::ZERO;
                model.log.clear();
                model.synced = 0;
                model.born = false;
            }
            Step::Accept(epoch) => model.accepted = Some(*epoch),
            Step::Current(epoch) => model.current = Some(*epoch),
            Step::Spare | Step::Purge => {}
        }
        if let Step::Truncate(to) = step {
            model.log.retain(|entry| entry.zxid() <= *to);
            model.synced = model.log.len();
        }
        model
    }

    fn carry_out(&mut self, step: &Step) -> Result<(), ()> {
        if let Step::Reopen = step {
            if let Some(mut store) = self.store.take() {
                store.sync().map_err(drop)?;
            }
            let (store, _) = Store::open(self.disk.clone(), &paths(), OPTIONS).map_err(drop)?;
            self.store = Some(store);
            return Ok(());
        }
        let store = self.store.as_mut().expect("opened first");
        let result = match step {
            Step::Append(batch) => store.append(batch).map_err(drop),
            Step::Sync => store.sync().map_err(drop),
            Step::Roll => store.roll().map_err(drop),
            Step::Spare => match store.spare_job() {
                Some(job) => return job.run().map_err(drop),
                None => Ok(()),
            },
            Step::Snapshot => {
                return snapshot(store, self.model.synced_zxid()).map_err(drop);
            }
            Step::Truncate(to) => store.truncate(*to).map(drop).map_err(drop),
            Step::Install(at) => install(store, *at),
            Step::Discard => store.discard().map_err(drop),
            Step::Accept(epoch) => store.store_accepted(*epoch).map_err(drop),
            Step::Current(epoch) => store.store_current(*epoch).map_err(drop),
            Step::Purge => return store.purge(3).map(drop).map_err(drop),
            Step::Reopen => Ok(()),
        };
        if result.is_ok() {
            assert!(store.synced_zxid() <= store.last_zxid());
        }
        result
    }
}

fn snapshot(store: &Store<CrashingDisk>, at: Zxid) -> Result<(), SnapshotWriteError> {
    let mut writer = store.snapshots().begin(at)?;
    let trailer = write_state(&mut writer, at)?;
    writer.finish(trailer).map(drop)
}

fn install(store: &mut Store<CrashingDisk>, at: Zxid) -> Result<(), ()> {
    let mut writer = store.snapshots().begin_staged(at).map_err(drop)?;
    let trailer = write_state(&mut writer, at).map_err(drop)?;
    let staged = writer.finish_staged(trailer).map_err(drop)?;
    store.install_snapshot(&staged).map_err(drop)
}

/// Opens the data and reads it.
fn recover(disk: &CrashingDisk) -> Result<(Store<CrashingDisk>, Found), crate::OpenError> {
    let (mut store, recovered) = Store::open(disk.clone(), &paths(), OPTIONS)?;
    let mut found = Found {
        accepted: recovered.accepted_epoch,
        current: recovered.current_epoch,
        ..Found::default()
    };
    let replayed = store.replay(&mut found)?;
    found.last_zxid = replayed.last_zxid;
    assert_eq!(store.last_zxid(), replayed.last_zxid);
    Ok((store, found))
}

/// One crash, or one failing operation, then a loss of power; perhaps another one while
/// recovering; then work goes on.
fn survives(seed: u64, at: u64, fault: Fault, loss: u64) {
    let replay = format!("seed {seed}, {fault:?} at operation {at}, loss {loss}");
    let mut world = World::new(seed, Some((at, fault)));
    let Some(ended) = world.run(STEPS) else {
        panic!("{replay}: the fault was not reached");
    };
    let disk = world.disk.clone();
    drop(world);
    disk.lose_power(loss);
    if loss % 2 == 1 {
        disk.set_fault(disk.operations() + loss / 2 % 6, Fault::Crash);
        let _ = recover(&disk);
        disk.lose_power(loss + 1);
    }
    let found = match recover(&disk) {
        Ok((mut store, found)) => {
            assert!(
                ended.before.allows(&found) || ended.after.allows(&found),
                "{replay}, during {:?}:\n{found:#?}\nis neither {:#?}\nnor {:#?}",
                ended.step,
                ended.before,
                ended.after
            );
            if found.snapshot.is_none() {
                return;
            }
            let next = zxid(100, 1);
            store.append(&[entry_of(next, 700)]).unwrap();
            store.sync().unwrap();
            found
        }
        Err(error) => panic!("{replay}, during {:?}: {error:?}", ended.step),
    };
    disk.lose_power(loss);
    match recover(&disk) {
        Ok((_, again)) => {
            let mut expected = found.entries;
            expected.push((*entry_of(zxid(100, 1), 700)).clone());
            assert_eq!(again.entries, expected, "{replay}");
        }
        Err(error) => panic!("{replay}, after going on: {error:?}"),
    }
}

const STEPS: usize = 60;

fn operations(seed: u64) -> u64 {
    let mut world = World::new(seed, None);
    if let Some(ended) = world.run(STEPS) {
        panic!("seed {seed}: {:?} failed on a sound disk", ended.step);
    }
    world.disk.operations()
}

#[test]
fn every_crash_leaves_a_promised_state() {
    for seed in 0..SEEDS {
        for at in 0..operations(seed) {
            for loss in 0..3 {
                survives(seed, at, Fault::Crash, 7 * at + loss);
            }
        }
    }
}

#[test]
fn every_failing_operation_leaves_a_promised_state() {
    for seed in 100..100 + SEEDS {
        for at in 0..operations(seed) {
            let kind = std::io::ErrorKind::StorageFull;
            survives(seed, at, Fault::Fail(kind), 3 * at + seed);
        }
    }
}

const SEEDS: u64 = 12;
