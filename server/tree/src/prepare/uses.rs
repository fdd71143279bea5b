//! What is proposed and not applied yet of what quotas count.

use std::collections::{BTreeMap, VecDeque};

use wire::Zxid;

use crate::quota::Usage;

/// Changes by quota, oldest first, and their sums.
#[derive(Debug, Default)]
pub(super) struct Uses {
    changes: VecDeque<(Zxid, Box<str>, Usage)>,
    sums: BTreeMap<Box<str>, Usage>,
}

impl Uses {
    pub(super) fn add(&mut self, zxid: Zxid, quota: &str, change: Usage) {
        let sum = self.sums.entry(quota.into()).or_default();
        *sum = sum.plus(change);
        self.changes.push_back((zxid, quota.into(), change));
    }

    pub(super) fn sum(&self, quota: &str) -> Usage {
        self.sums.get(quota).copied().unwrap_or_default()
    }

    /// What was proposed up to here is applied.
    pub(super) fn committed(&mut self, zxid: Zxid) {
        while self.changes.front().is_some_and(|first| first.0 <= zxid)
            && let Some((_, quota, change)) = self.changes.pop_front()
        {
            self.take_back(&quota, change);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Forgets all but the first `length` changes.
    pub(super) fn truncate(&mut self, length: usize) {
        while self.changes.len() > length
            && let Some((_, quota, change)) = self.changes.pop_back()
        {
            self.take_back(&quota, change);
        }
    }

    fn take_back(&mut self, quota: &str, change: Usage) {
        if let Some(sum) = self.sums.get_mut(quota) {
            *sum = sum.minus(change);
        }
        if self.changes.is_empty() {
            self.sums.clear();
        }
    }
}
