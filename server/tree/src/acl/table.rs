//! Each distinct ACL once.

use std::sync::Arc;

use wire::Acl;

use crate::hashing::Hashing;
use crate::index::Index;
use crate::slab::{Slab, Vacant};

/// The number of the ACL that is open to everyone; it is not in the table.
pub(crate) const OPEN: u32 = u32::MAX;

#[derive(Debug)]
struct Interned {
    acl: Arc<[Acl]>,
    /// How many znodes have it, or the next empty place if there is no entry in the ACL.
    uses: u32,
}

impl Vacant for Interned {
    fn vacant(next: u32) -> Self {
        Self {
            acl: Arc::new([]),
            uses: next,
        }
    }
    fn next_vacant(&self) -> u32 {
        self.uses
    }
}

#[derive(Debug)]
pub(crate) struct AclTable {
    lists: Slab<Interned>,
    index: Index,
    hashing: Hashing,
}

impl AclTable {
    pub(crate) fn new(hashing: Hashing) -> Self {
        Self {
            lists: Slab::new(),
            index: Index::new(),
            hashing,
        }
    }

    /// The number of `acl`, counted as used once more.
    pub(crate) fn intern(&mut self, acl: &[Acl]) -> u32 {
        if is_open(acl) {
            return OPEN;
        }
        let id = self.find(acl).unwrap_or_else(|| {
            let id = self.lists.insert(Interned {
                acl: acl.into(),
                uses: 0,
            });
            let (lists, hashing) = (&self.lists, &self.hashing);
            let hash_of = |id| hashing.of(&*lists.at(id).acl);
            self.index.insert(hash_of(id), id, hash_of);
            id
        });
        self.lists.at_mut(id).uses += 1;
        id
    }

    /// Counts one use more.
    pub(crate) fn share(&mut self, id: u32) {
        if id != OPEN {
            self.lists.at_mut(id).uses += 1;
        }
    }

    /// Counts one use less.
    pub(crate) fn release(&mut self, id: u32) {
        if id == OPEN {
            return;
        }
        let interned = self.lists.at_mut(id);
        interned.uses -= 1;
        if interned.uses == 0 {
            let interned = self.lists.remove(id);
            self.index.remove(self.hashing.of(&*interned.acl), id);
        }
    }

    /// The list, `None` if it is open to everyone.
    pub(crate) fn get(&self, id: u32) -> Option<&Arc<[Acl]>> {
        (id != OPEN).then(|| &self.lists.at(id).acl)
    }

    /// How often `acl` is used.
    pub(crate) fn uses(&self, acl: &[Acl]) -> u32 {
        self.find(acl).map_or(0, |id| self.lists.at(id).uses)
    }

    fn find(&self, acl: &[Acl]) -> Option<u32> {
        let hash = self.hashing.of(acl);
        self.index.find(hash, |id| *self.lists.at(id).acl == *acl)
    }

    /// All lists with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Arc<[Acl]>)> {
        (0..self.lists.places())
            .map(|id| (id, &self.lists.at(id).acl))
            .filter(|(_, acl)| !acl.is_empty())
    }
}

/// Whether it grants everything to everyone, and says nothing else.
fn is_open(acl: &[Acl]) -> bool {
    match acl {
        [] => true,
        [only] => {
            only.perms == wire::Perms::ALL && only.id.scheme == "world" && only.id.id == "anyone"
        }
        _ => false,
    }
}
