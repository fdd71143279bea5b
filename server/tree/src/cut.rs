//! Exact snapshots beside the work.
//!
//! A cut walks over the places of the znodes in slices and remembers in a bitmap which it has
//! written. A znode is written after its ancestors, which Apache needs. Before `apply` changes or
//! removes a znode that is not written yet, [`Cuts::keep`] writes its old form. A znode made
//! after the cut shows by its czxid, so places may be used again meanwhile.

use std::collections::BTreeMap;

use wire::snapshot::SessionRecord;
use wire::{Record, SessionId, Zxid};

use crate::acl::{AclTable, OPEN};
use crate::znodes::Znodes;
use crate::{Tree, encode};

/// Names a cut within its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CutId(pub u64);

/// Whether there is more to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutProgress {
    /// Call again.
    More,
    /// The end mark is written, and the cut is gone.
    Done,
}

impl Tree {
    /// Starts a snapshot of the tree as it is now. Takes time for sessions and ACLs, not for
    /// znodes.
    pub fn begin_cut(&mut self) -> CutId {
        let id = CutId(self.cuts.begun);
        self.cuts.begun += 1;
        let mut ready = Vec::new();
        encode_sessions(&self.sessions, &mut ready);
        encode_acls(&self.acls, &mut ready);
        let places = self.znodes.places();
        self.cuts.open.push(Cut {
            id,
            zxid: self.last_zxid,
            digest: self.digest,
            ready,
            written: vec![0; places.div_ceil(64) as usize],
            next: 0,
            places,
        });
        id
    }

    /// The zxid and the digest of the tree in this cut; `None` for a cut that is gone.
    #[must_use]
    pub fn cut_position(&self, cut: CutId) -> Option<(Zxid, u64)> {
        self.cuts.get(cut).map(|cut| (cut.zxid, cut.digest))
    }

    /// Appends the next part of the snapshot's body to `out`: sessions, ACLs, what `apply` has
    /// set aside, and about `budget` znodes more; at the end the end mark (the path `/`).
    ///
    /// # Panics
    /// If the cut is done or abandoned.
    pub fn cut_next(&mut self, cut: CutId, budget: usize, out: &mut Vec<u8>) -> CutProgress {
        let at = self.cuts.open.iter().position(|open| open.id == cut);
        let at = at.expect("a cut is fetched until it is done");
        let open = &mut self.cuts.open[at];
        out.append(&mut open.ready);
        if open.walk(&self.znodes, budget, out) == CutProgress::Done {
            encode::string(b"/", out);
            self.cuts.open.remove(at);
            return CutProgress::Done;
        }
        CutProgress::More
    }

    /// Bytes that `apply` has set aside for this cut and that `cut_next` has not fetched yet. Who
    /// writes a snapshot slowly watches it, and gives up when it grows too large.
    #[must_use]
    pub fn cut_backlog(&self, cut: CutId) -> usize {
        self.cuts.get(cut).map_or(0, |cut| cut.ready.len())
    }

    /// Ends a cut early.
    pub fn abandon_cut(&mut self, cut: CutId) {
        self.cuts.open.retain(|open| open.id != cut);
    }
}

/// The cuts that are being written.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    open: Vec<Cut>,
    begun: u64,
}

impl Cuts {
    /// To be called before a znode that exists changes or goes.
    pub(crate) fn keep(&mut self, znodes: &Znodes, id: u32) {
        for cut in &mut self.open {
            let mut ready = std::mem::take(&mut cut.ready);
            cut.write(znodes, id, &mut ready);
            cut.ready = ready;
        }
    }

    fn get(&self, id: CutId) -> Option<&Cut> {
        self.open.iter().find(|cut| cut.id == id)
    }
}

#[derive(Debug)]
struct Cut {
    id: CutId,
    zxid: Zxid,
    digest: u64,
    /// Encoded, and not fetched.
    ready: Vec<u8>,
    /// One bit for each place.
    written: Vec<u64>,
    /// The walk is past all places below.
    next: u32,
    /// There were so many places when the cut began.
    places: u32,
}

impl Cut {
    fn walk(&mut self, znodes: &Znodes, budget: usize, out: &mut Vec<u8>) -> CutProgress {
        let mut passed = 0;
        while self.next < self.places {
            if passed >= budget {
                return CutProgress::More;
            }
            // To pass a place costs something even if there is nothing to write.
            passed += self.write(znodes, self.next, out).max(1);
            self.next += 1;
        }
        CutProgress::Done
    }

    /// Writes a znode unless it is written or not part of the cut, its ancestors first. Returns
    /// how many it wrote.
    fn write(&mut self, znodes: &Znodes, id: u32, out: &mut Vec<u8>) -> usize {
        if id >= self.places || self.is_written(id) || !znodes.exists(id) {
            return 0;
        }
        if znodes.czxid(id) > self.zxid {
            return 0;
        }
        let mut line = vec![id];
        let mut at = id;
        while let Some(parent) = znodes.parent(at).filter(|&parent| !self.is_written(parent)) {
            line.push(parent);
            at = parent;
        }
        for &id in line.iter().rev() {
            self.written[id as usize / 64] |= 1 << (id % 64);
            encode_znode(znodes, id, out);
        }
        line.len()
    }

    fn is_written(&self, id: u32) -> bool {
        self.written[id as usize / 64] & 1 << (id % 64) != 0
    }
}

fn encode_sessions(sessions: &BTreeMap<SessionId, i32>, out: &mut Vec<u8>) {
    encode::count(sessions.len(), out);
    for (&session, &timeout) in sessions {
        SessionRecord { session, timeout }.encode(out);
    }
}

fn encode_acls(acls: &AclTable, out: &mut Vec<u8>) {
    encode::count(acls.iter().count(), out);
    for (id, acl) in acls.iter() {
        acl_index(id).encode(out);
        encode::count(acl.len(), out);
        acl.iter().for_each(|entry| entry.encode(out));
    }
}

fn encode_znode(znodes: &Znodes, id: u32, out: &mut Vec<u8>) {
    encode::string(znodes.path(id).as_bytes(), out);
    encode::buffer(znodes.data(id), out);
    acl_index(znodes.acl(id)).encode(out);
    znodes.stat(id).encode(out);
}

/// Apache numbers ACLs from 1.
fn acl_index(id: u32) -> i64 {
    if id == OPEN {
        wire::snapshot::OPEN_ACL
    } else {
        i64::from(id) + 1
    }
}
