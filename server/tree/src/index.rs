//! A hash index over numbered values, in shards that grow one at a time.

use hashbrown::HashTable;

const SHARDS: usize = 64;

#[derive(Debug)]
pub(crate) struct Index {
    shards: Vec<HashTable<u32>>,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
        }
    }

    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.shards[shard(hash)].find(hash, |&id| is(id)).copied()
    }

    /// `hash_of` gives the hash of each value that is in the index.
    pub(crate) fn insert(&mut self, hash: u64, id: u32, hash_of: impl Fn(u32) -> u64) {
        self.shards[shard(hash)].insert_unique(hash, id, |&id| hash_of(id));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(HashTable::len).sum()
    }

    pub(crate) fn remove(&mut self, hash: u64, id: u32) {
        let found = self.shards[shard(hash)].find_entry(hash, |&other| other == id);
        found.expect("what is removed is in the index").remove();
    }
}

/// From the middle of the hash: the table takes its buckets from the low end and its tags from
/// the high end.
const fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}
