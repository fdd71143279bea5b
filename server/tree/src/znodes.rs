//! Where znodes are kept.
//!
//! A znode that was created and never changed takes one cache line here and one allocation for
//! its name and data. The rest of its state is made when the first change or child comes. The
//! children of a znode form a list through themselves. A znode is found by its parent and its
//! name, so that a path is looked up component by component: the upper components stay in the
//! cache, and no path is stored.

use wire::{StatPersisted, Zxid};

use crate::hashing::Hashing;
use crate::index::Index;
use crate::slab::{NONE, Slab, Vacant};

/// The root's number.
pub(crate) const ROOT: u32 = 0;

/// In [`Znode::name`]: there is no data, as distinct from empty data.
const NULL_DATA: u32 = 1 << 31;
/// In [`Znode::name`]: the place is empty.
const VACANT: u32 = u32::MAX;

#[derive(Debug)]
struct Znode {
    /// Name and data.
    body: Box<[u8]>,
    czxid: Zxid,
    ctime: i64,
    parent: u32,
    /// The sibling made before, or the next empty place.
    next: u32,
    /// The sibling made after.
    prev: u32,
    /// Length of the name, and [`NULL_DATA`].
    name: u32,
    acl: u32,
    crc: u32,
    changed: u32,
}

/// What differs from a znode that was only created.
#[derive(Debug)]
struct Changed {
    mzxid: Zxid,
    mtime: i64,
    pzxid: Zxid,
    owner: i64,
    version: i32,
    cversion: i32,
    aversion: i32,
    first_child: u32,
    children: u32,
}

impl Vacant for Znode {
    fn vacant(next: u32) -> Self {
        Self {
            body: Box::default(),
            czxid: Zxid::ZERO,
            ctime: 0,
            parent: NONE,
            next,
            prev: NONE,
            name: VACANT,
            acl: 0,
            crc: 0,
            changed: NONE,
        }
    }
    fn next_vacant(&self) -> u32 {
        self.next
    }
}

impl Vacant for Changed {
    fn vacant(next: u32) -> Self {
        Self {
            mzxid: Zxid::ZERO,
            mtime: 0,
            pzxid: Zxid::ZERO,
            owner: 0,
            version: 0,
            cversion: 0,
            aversion: 0,
            first_child: next,
            children: 0,
        }
    }
    fn next_vacant(&self) -> u32 {
        self.first_child
    }
}

impl Znode {
    const fn name_len(&self) -> usize {
        (self.name & !NULL_DATA) as usize
    }

    fn name(&self) -> &[u8] {
        &self.body[..self.name_len()]
    }
}

#[derive(Debug)]
pub(crate) struct Znodes {
    slots: Slab<Znode>,
    changed: Slab<Changed>,
    index: Index,
    hashing: Hashing,
    count: u64,
}

impl Znodes {
    /// With a root without data.
    pub(crate) fn new(hashing: Hashing) -> Self {
        let mut znodes = Self {
            slots: Slab::new(),
            changed: Slab::new(),
            index: Index::new(),
            hashing,
            count: 1,
        };
        let root = znodes.slots.insert(Znode {
            name: 0,
            ..Znode::vacant(NONE)
        });
        assert_eq!(root, ROOT);
        znodes
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// All numbers are below this one.
    pub(crate) const fn places(&self) -> u32 {
        self.slots.places()
    }

    pub(crate) fn exists(&self, id: u32) -> bool {
        self.slots.at(id).name != VACANT
    }

    /// The znode at `path`; the empty path is the root.
    pub(crate) fn find(&self, path: &str) -> Option<u32> {
        if path.is_empty() || path == "/" {
            return Some(ROOT);
        }
        path.strip_prefix('/')?
            .split('/')
            .try_fold(ROOT, |at, name| self.child(at, name))
    }

    /// The child of that name. No child has an empty name.
    pub(crate) fn child(&self, parent: u32, name: &str) -> Option<u32> {
        let hash = self.hashing.within(parent, name.as_bytes());
        self.index.find(hash, |id| {
            let znode = self.slots.at(id);
            znode.parent == parent && znode.name() == name.as_bytes()
        })
    }

    /// Adds a child that is not there yet. Its parent's state is the caller's business.
    pub(crate) fn insert(
        &mut self,
        parent: u32,
        name: &str,
        data: Option<&[u8]>,
        stat: &StatPersisted,
        acl: u32,
    ) -> u32 {
        let id = self.slots.insert(Znode {
            body: [name.as_bytes(), data.unwrap_or_default()].concat().into(),
            czxid: stat.czxid,
            ctime: stat.ctime,
            parent,
            next: NONE,
            prev: NONE,
            name: name_field(name.len(), data),
            acl,
            crc: 0,
            changed: NONE,
        });
        self.set_stat(id, stat);
        let hash = self.hashing.within(parent, name.as_bytes());
        let (slots, hashing) = (&self.slots, &self.hashing);
        self.index.insert(hash, id, |id| {
            let znode = slots.at(id);
            hashing.within(znode.parent, znode.name())
        });
        let family = self.changed_mut(parent);
        let sibling = std::mem::replace(&mut family.first_child, id);
        family.children += 1;
        self.slots.at_mut(id).next = sibling;
        if sibling != NONE {
            self.slots.at_mut(sibling).prev = id;
        }
        self.count += 1;
        id
    }

    /// Removes a znode without children. Its parent's state is the caller's business.
    pub(crate) fn remove(&mut self, id: u32) {
        assert!(id != ROOT && self.child_count(id) == 0, "only leaves go");
        let hash = {
            let znode = self.slots.at(id);
            self.hashing.within(znode.parent, znode.name())
        };
        self.index.remove(hash, id);
        let znode = self.slots.remove(id);
        if znode.changed != NONE {
            self.changed.remove(znode.changed);
        }
        if znode.next != NONE {
            self.slots.at_mut(znode.next).prev = znode.prev;
        }
        if znode.prev != NONE {
            self.slots.at_mut(znode.prev).next = znode.next;
        }
        let family = self.changed_mut(znode.parent);
        family.children -= 1;
        if znode.prev == NONE {
            family.first_child = znode.next;
        }
        self.count -= 1;
    }

    /// The parent, `None` for the root.
    pub(crate) fn parent(&self, id: u32) -> Option<u32> {
        let parent = self.slots.at(id).parent;
        (parent != NONE).then_some(parent)
    }

    pub(crate) fn name(&self, id: u32) -> &[u8] {
        self.slots.at(id).name()
    }

    pub(crate) fn data(&self, id: u32) -> Option<&[u8]> {
        let znode = self.slots.at(id);
        (znode.name & NULL_DATA == 0).then(|| &znode.body[znode.name_len()..])
    }

    pub(crate) fn set_data(&mut self, id: u32, data: Option<&[u8]>) {
        let znode = self.slots.at_mut(id);
        let bytes = data.unwrap_or_default();
        let name = znode.name_len();
        if name + bytes.len() == znode.body.len() {
            znode.body[name..].copy_from_slice(bytes);
        } else {
            znode.body = [znode.name(), bytes].concat().into();
        }
        znode.name = name_field(name, data);
    }

    pub(crate) fn acl(&self, id: u32) -> u32 {
        self.slots.at(id).acl
    }

    pub(crate) fn set_acl(&mut self, id: u32, acl: u32) {
        self.slots.at_mut(id).acl = acl;
    }

    pub(crate) fn crc(&self, id: u32) -> u32 {
        self.slots.at(id).crc
    }

    pub(crate) fn set_crc(&mut self, id: u32, crc: u32) {
        self.slots.at_mut(id).crc = crc;
    }

    pub(crate) fn czxid(&self, id: u32) -> Zxid {
        self.slots.at(id).czxid
    }

    pub(crate) fn stat(&self, id: u32) -> StatPersisted {
        let znode = self.slots.at(id);
        if znode.changed == NONE {
            return StatPersisted {
                czxid: znode.czxid,
                mzxid: znode.czxid,
                ctime: znode.ctime,
                mtime: znode.ctime,
                pzxid: znode.czxid,
                ..StatPersisted::default()
            };
        }
        let changed = self.changed.at(znode.changed);
        StatPersisted {
            czxid: znode.czxid,
            mzxid: changed.mzxid,
            ctime: znode.ctime,
            mtime: changed.mtime,
            version: changed.version,
            cversion: changed.cversion,
            aversion: changed.aversion,
            ephemeral_owner: changed.owner,
            pzxid: changed.pzxid,
        }
    }

    pub(crate) fn set_stat(&mut self, id: u32, stat: &StatPersisted) {
        let znode = self.slots.at_mut(id);
        znode.czxid = stat.czxid;
        znode.ctime = stat.ctime;
        if znode.changed == NONE && self.stat(id) == *stat {
            return;
        }
        let changed = self.changed_mut(id);
        changed.mzxid = stat.mzxid;
        changed.mtime = stat.mtime;
        changed.pzxid = stat.pzxid;
        changed.owner = stat.ephemeral_owner;
        changed.version = stat.version;
        changed.cversion = stat.cversion;
        changed.aversion = stat.aversion;
    }

    fn changed_mut(&mut self, id: u32) -> &mut Changed {
        let znode = self.slots.at_mut(id);
        if znode.changed == NONE {
            znode.changed = self.changed.insert(Changed {
                mzxid: znode.czxid,
                mtime: znode.ctime,
                pzxid: znode.czxid,
                ..Changed::vacant(NONE)
            });
        }
        self.changed.at_mut(znode.changed)
    }

    pub(crate) fn child_count(&self, id: u32) -> u32 {
        match self.slots.at(id).changed {
            NONE => 0,
            changed => self.changed.at(changed).children,
        }
    }

    /// The children, the youngest first.
    pub(crate) fn children(&self, id: u32) -> impl Iterator<Item = u32> + '_ {
        let first = match self.slots.at(id).changed {
            NONE => NONE,
            changed => self.changed.at(changed).first_child,
        };
        let some = |id: u32| (id != NONE).then_some(id);
        std::iter::successors(some(first), move |&id| some(self.slots.at(id).next))
    }

    /// All below `id`, parents before their children.
    pub(crate) fn descendants(&self, id: u32) -> impl Iterator<Item = u32> + '_ {
        let mut open: Vec<u32> = self.children(id).collect();
        std::iter::from_fn(move || {
            let next = open.pop()?;
            open.extend(self.children(next));
            Some(next)
        })
    }

    /// The path; empty for the root.
    pub(crate) fn path(&self, id: u32) -> String {
        let mut line = Vec::new();
        let mut at = id;
        while let Some(parent) = self.parent(at) {
            line.push(at);
            at = parent;
        }
        let mut path = String::new();
        for id in line.into_iter().rev() {
            path.push('/');
            path.push_str(std::str::from_utf8(self.name(id)).expect("names are made from strings"));
        }
        path
    }
}

/// # Panics
/// For a name of 2 GiB, which no frame or record can hold.
fn name_field(length: usize, data: Option<&[u8]>) -> u32 {
    let length = u32::try_from(length).expect("names are short");
    assert!(length < NULL_DATA);
    if data.is_none() {
        length | NULL_DATA
    } else {
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_znode_takes_a_cache_line() {
        assert_eq!(size_of::<Znode>(), 64);
        assert_eq!(size_of::<Changed>(), 56);
    }
}
