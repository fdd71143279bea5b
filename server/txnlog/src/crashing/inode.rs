//! A file's content, with what it was when it was last synced.

use std::collections::{BTreeMap, BTreeSet};

use super::Rng;
use crate::disk::SECTOR;

/// A file.
#[derive(Debug, Default)]
pub(super) struct Inode {
    /// As a reader sees it.
    pub(super) data: Vec<u8>,
    /// The length when last synced.
    durable_len: usize,
    /// What the sectors changed since the last sync hold on the disk.
    old: BTreeMap<usize, Vec<u8>>,
    /// Changed sectors that no sync writes any more, since one failed on them.
    stuck: BTreeSet<usize>,
}

const SIZE: usize = SECTOR as usize;

impl Inode {
    pub(super) fn durable(data: Vec<u8>) -> Self {
        Self {
            durable_len: data.len(),
            data,
            ..Self::default()
        }
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let from = (offset as usize).min(self.data.len());
        let n = buffer.len().min(self.data.len() - from);
        buffer[..n].copy_from_slice(&self.data[from..from + n]);
        n
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let from = offset as usize;
        let to = from + bytes.len();
        self.remember(from.min(self.data.len()), to);
        if self.data.len() < to {
            self.data.resize(to, 0);
        }
        self.data[from..to].copy_from_slice(bytes);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        let len = len as usize;
        self.remember(len.min(self.data.len()), len.max(self.data.len()));
        self.data.resize(len, 0);
    }

    pub(super) fn sync(&mut self) {
        let stuck = &self.stuck;
        self.old.retain(|sector, _| stuck.contains(sector));
        self.durable_len = self.data.len();
    }

    /// Some of the changed sectors are written, the others never.
    pub(super) fn fail_sync(&mut self, rng: &mut Rng) {
        let changed: Vec<usize> = self.old.keys().copied().collect();
        for sector in changed {
            if rng.chance(2) {
                self.stuck.insert(sector);
            }
        }
    }

    pub(super) fn lose_power(&mut self, rng: &mut Rng) {
        let now = self.data.len();
        let len = match rng.below(4) {
            0 => self.durable_len,
            1 if now > self.durable_len => {
                self.durable_len + rng.below((now - self.durable_len) as u64 + 1) as usize
            }
            _ => now,
        };
        let loses_all = rng.chance(8);
        let keeps_all = !loses_all && rng.chance(8);
        let mut data = std::mem::take(&mut self.data);
        data.resize(len.max(now), 0);
        for (sector, old) in std::mem::take(&mut self.old) {
            let keeps = keeps_all || (!loses_all && rng.chance(2));
            let keeps = keeps && !self.stuck.contains(&sector);
            let start = sector * SIZE;
            for i in start..(start + SIZE).min(data.len()) {
                // Behind a cut that did not reach the disk everything is as it was.
                if !keeps || i >= now {
                    data[i] = old.get(i - start).copied().unwrap_or(0);
                }
            }
        }
        data.truncate(len);
        self.stuck.clear();
        self.durable_len = data.len();
        self.data = data;
    }

    /// Keeps what the sectors of `from..to` hold on the disk.
    fn remember(&mut self, from: usize, to: usize) {
        if from == to {
            return;
        }
        for sector in from / SIZE..to.div_ceil(SIZE) {
            let start = (sector * SIZE).min(self.data.len());
            let end = (start + SIZE).min(self.data.len());
            let data = &self.data;
            self.old
                .entry(sector)
                .or_insert_with(|| data[start..end].to_vec());
        }
    }
}
