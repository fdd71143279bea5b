//! Carrying out transactions.
//!
//! The leader has validated them, so against the tree that they were prepared for they succeed.
//! They are also replayed over snapshots that already hold changes of later transactions
//! (Apache's are fuzzy); then a create may find its znode there and a delete may miss it, and the
//! replay still ends in the state that the leader had.

use wire::client::{ErrorCode, EventType, MultiHeader, OpCode};
use wire::txn::{CreateContainerTxn, CreateTtlTxn, CreateTxn, Entry, Txn, TxnHeader, kind};
use wire::{Acl, Record, SessionId, StatPersisted, Zxid};

use crate::owner::Owner;
use crate::quota::Usage;
use crate::{Applied, DigestMismatch, Tree, digest, encode, path};

impl Tree {
    /// Carries out a committed transaction. Never fails, and does no harm when repeated over a
    /// snapshot that already has its changes. `out` is cleared first.
    pub fn apply(&mut self, entry: &Entry, out: &mut Applied) {
        let zxid = entry.zxid();
        out.clear(zxid);
        match entry.txn() {
            Txn::Multi(parts) => self.apply_multi(parts, entry.header(), out),
            txn => {
                let header = entry.header();
                if let Err(error) = self.apply_one(header.kind, txn, header, out) {
                    out.error = error;
                    out.body.clear();
                }
            }
        }
        self.last_zxid = self.last_zxid.max(zxid);
        let by_snapshot = self.compare_with_snapshot(zxid);
        out.mismatch = self.compare(entry).or(by_snapshot);
    }

    fn compare(&self, entry: &Entry) -> Option<DigestMismatch> {
        let said = entry.digest()?;
        let contradicts = self.options.digest
            && said.version == digest::VERSION
            && said.digest != self.digest
            && entry.zxid() >= self.fuzzy_until;
        contradicts.then_some(DigestMismatch {
            zxid: entry.zxid(),
            expected: said.digest,
            actual: self.digest,
        })
    }

    fn apply_multi(&mut self, parts: &[(i32, Txn)], header: &TxnHeader, out: &mut Applied) {
        let failed = parts.iter().any(|(kind, _)| *kind == kind::ERROR);
        // The one error of a part that is the whole's: its connection is to be closed.
        let moved = ErrorCode::SessionMoved.code();
        let is_moved = |part: &Txn| matches!(part, Txn::Error(error) if error.err == moved);
        if parts.iter().any(|(_, part)| is_moved(part)) {
            out.error = moved;
            return;
        }
        // Where Apache leads, a failed multi still holds the parts before the failure.
        let mut untried = ErrorCode::Ok;
        for (kind, part) in parts {
            if !failed {
                self.apply_part(*kind, part, header, out);
                continue;
            }
            let err = match part {
                Txn::Error(error) => {
                    untried = ErrorCode::RuntimeInconsistency;
                    error.err
                }
                _ => untried.code(),
            };
            encode::multi_error(err, &mut out.body);
        }
        MultiHeader::END.encode(&mut out.body);
    }

    fn apply_part(&mut self, kind: i32, part: &Txn, header: &TxnHeader, out: &mut Applied) {
        let start = out.body.len();
        let result = match part {
            Txn::Create(_) if kind == kind::CREATE => OpCode::Create.code(),
            Txn::Create(_) | Txn::CreateTtl(_) | Txn::CreateContainer(_) => OpCode::Create2.code(),
            Txn::Delete(_) => OpCode::Delete.code(),
            _ => kind,
        };
        MultiHeader {
            kind: result,
            done: false,
            err: 0,
        }
        .encode(&mut out.body);
        if let Err(error) = self.apply_one(kind, part, header, out) {
            out.body.truncate(start);
            encode::multi_error(error, &mut out.body);
        }
    }

    /// Appends the answer's record.
    fn apply_one(
        &mut self,
        kind: i32,
        txn: &Txn,
        header: &TxnHeader,
        out: &mut Applied,
    ) -> Result<(), i32> {
        let zxid = header.zxid;
        let done = match txn {
            Txn::Create(t) => self.create(kind, &NewZnode::ordinary(t, header), out),
            Txn::CreateTtl(t) => self.create(kind, &NewZnode::ttl(t, header), out),
            Txn::CreateContainer(t) => self.create(kind, &NewZnode::container(t, header), out),
            Txn::Delete(t) => self.delete(&t.path, zxid, out),
            Txn::SetData(t) => self.change_data(&t.path, t.data.as_deref(), t.version, header, out),
            Txn::SetAcl(t) => self.change_acl(&t.path, &t.acl, t.version, out),
            Txn::CreateSession(t) => {
                self.sessions.insert(header.client_id, t.timeout);
                Ok(())
            }
            Txn::CloseSession(t) => {
                let paths = t.as_ref().map_or(&[][..], |t| &t.paths_to_delete);
                self.close_session(header.client_id, paths, zxid, out);
                Ok(())
            }
            // The version was checked when it was prepared.
            Txn::Check(_) => Ok(()),
            Txn::Error(t) if t.err == 0 => Ok(()),
            Txn::Error(t) => return Err(t.err),
            // The decoder lets no multi into a multi.
            Txn::Multi(_) => Err(ErrorCode::MarshallingError),
        };
        done.map_err(ErrorCode::code)?;
        if let (kind::RECONFIG, Txn::SetData(t)) = (kind, txn)
            && let Some(id) = self.znodes.find(&t.path)
        {
            out.body.clear();
            self.encode_data(id, &mut out.body);
        }
        Ok(())
    }

    fn create(
        &mut self,
        kind: i32,
        new: &NewZnode<'_>,
        out: &mut Applied,
    ) -> Result<(), ErrorCode> {
        let (parent_path, name) = path::split(new.path).ok_or(ErrorCode::BadArguments)?;
        let parent = self.znodes.find(parent_path).ok_or(ErrorCode::NoNode)?;
        if let Some(id) = self.znodes.child(parent, name) {
            // A fuzzy snapshot has it already, perhaps without its ACL; what changed later will
            // be replayed. It was not counted if the parent was written before it was made.
            self.replace_acl(id, new.acl);
            self.count_create(parent, parent_path, new);
            return Err(ErrorCode::NodeExists);
        }
        self.count_create(parent, parent_path, new);
        let acl = self.acls.intern(new.acl);
        let stat = new.stat();
        let id = self.add(parent, new.path, name, new.data, &stat, acl);
        out.event(new.path, EventType::NodeCreated, self.acl(id));
        out.event(
            parent_path,
            EventType::NodeChildrenChanged,
            self.acl(parent),
        );
        encode::string(new.path.as_bytes(), &mut out.body);
        if kind != kind::CREATE {
            self.stat(id).encode(&mut out.body);
        }
        // Last, as Apache: the answer tells of a quota's znode as it was sent, not as counted.
        self.count_made(new.path, new.data.map_or(0, <[u8]>::len));
        Ok(())
    }

    /// Replay over a snapshot that has later creates must not turn the counter back.
    fn count_create(&mut self, parent: u32, path: &str, new: &NewZnode<'_>) {
        let mut stat = self.znodes.stat(parent);
        let cversion = match new.parent_cversion {
            -1 => stat.cversion.wrapping_add(1),
            cversion => cversion,
        };
        if cversion > stat.cversion {
            stat.cversion = cversion;
            stat.pzxid = new.zxid;
            self.change_stat(parent, path, &stat);
        }
    }

    fn delete(&mut self, path: &str, zxid: Zxid, out: &mut Applied) -> Result<(), ErrorCode> {
        let (parent_path, name) = path::split(path).ok_or(ErrorCode::BadArguments)?;
        let parent = self.znodes.find(parent_path).ok_or(ErrorCode::NoNode)?;
        let mut stat = self.znodes.stat(parent);
        if zxid > stat.pzxid {
            stat.pzxid = zxid;
            self.change_stat(parent, parent_path, &stat);
        }
        let id = self.znodes.child(parent, name).ok_or(ErrorCode::NoNode)?;
        out.event(path, EventType::NodeDeleted, self.acl(id));
        out.event(
            parent_path,
            EventType::NodeChildrenChanged,
            self.acl(parent),
        );
        // Only a fuzzy snapshot has children here: they are of the path's next life, and their
        // creates will be replayed.
        let below: Vec<u32> = self.znodes.descendants(id).collect();
        for id in below.into_iter().rev() {
            let path = self.znodes.path(id);
            self.remove(id, &path);
        }
        self.remove(id, path);
        Ok(())
    }

    /// Removes a znode without children.
    fn remove(&mut self, id: u32, path: &str) {
        self.cuts.keep(&self.znodes, id);
        match self.owner(&self.znodes.stat(id)) {
            Owner::Nobody => {}
            Owner::Session(session) => {
                self.ephemerals.remove(&(session, id));
            }
            Owner::Container | Owner::Ttl(_) => {
                self.lapsing.remove(&id);
            }
        }
        self.acls.release(self.znodes.acl(id));
        let bytes = self.znodes.data(id).map_or(0, <[u8]>::len);
        self.data_size -= (path.len() + bytes) as u64;
        self.digest = self.digest.wrapping_sub(u64::from(self.znodes.crc(id)));
        self.znodes.remove(id);
        self.count_gone(path, bytes);
    }

    fn change_data(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        header: &TxnHeader,
        out: &mut Applied,
    ) -> Result<(), ErrorCode> {
        let id = self.znodes.find(path).ok_or(ErrorCode::NoNode)?;
        self.cuts.keep(&self.znodes, id);
        let before = self.znodes.data(id).map_or(0, <[u8]>::len);
        self.replace_data(id, data);
        let stat = StatPersisted {
            mzxid: header.zxid,
            mtime: header.time,
            version,
            ..self.znodes.stat(id)
        };
        self.change_stat(id, path, &stat);
        let after = data.map_or(0, <[u8]>::len);
        self.count_change(path, Usage::of_data(before, after));
        out.event(path, EventType::NodeDataChanged, self.acl(id));
        self.stat(id).encode(&mut out.body);
        Ok(())
    }

    fn change_acl(
        &mut self,
        path: &str,
        acl: &[Acl],
        version: i32,
        out: &mut Applied,
    ) -> Result<(), ErrorCode> {
        let id = self.znodes.find(path).ok_or(ErrorCode::NoNode)?;
        self.replace_acl(id, acl);
        let stat = StatPersisted {
            aversion: version,
            ..self.znodes.stat(id)
        };
        self.change_stat(id, path, &stat);
        self.stat(id).encode(&mut out.body);
        Ok(())
    }

    fn replace_acl(&mut self, id: u32, acl: &[Acl]) {
        self.cuts.keep(&self.znodes, id);
        let new = self.acls.intern(acl);
        self.acls.release(self.znodes.acl(id));
        self.znodes.set_acl(id, new);
    }

    fn change_stat(&mut self, id: u32, path: &str, stat: &StatPersisted) {
        self.cuts.keep(&self.znodes, id);
        self.znodes.set_stat(id, stat);
        self.redigest(id, path, stat);
    }

    /// What the transaction lists goes, and then what is left, if it lists nothing or less.
    fn close_session(
        &mut self,
        session: SessionId,
        paths: &[String],
        zxid: Zxid,
        out: &mut Applied,
    ) {
        self.sessions.remove(&session);
        for path in paths {
            // Missing after a fuzzy snapshot.
            let _ = self.delete(path, zxid, out);
        }
        let left: Vec<String> = self.ephemerals(session).collect();
        for path in left {
            let _ = self.delete(&path, zxid, out);
        }
    }
}

/// A create of any kind.
struct NewZnode<'a> {
    path: &'a str,
    data: Option<&'a [u8]>,
    acl: &'a [Acl],
    owner: Owner,
    parent_cversion: i32,
    zxid: Zxid,
    time: i64,
}

impl<'a> NewZnode<'a> {
    fn ordinary(txn: &'a CreateTxn, header: &TxnHeader) -> Self {
        Self {
            path: &txn.path,
            data: txn.data.as_deref(),
            acl: &txn.acl,
            owner: if txn.ephemeral {
                Owner::Session(header.client_id)
            } else {
                Owner::Nobody
            },
            parent_cversion: txn.parent_cversion,
            zxid: header.zxid,
            time: header.time,
        }
    }

    fn ttl(txn: &'a CreateTtlTxn, header: &TxnHeader) -> Self {
        Self {
            path: &txn.path,
            data: txn.data.as_deref(),
            acl: &txn.acl,
            owner: Owner::Ttl(txn.ttl),
            parent_cversion: txn.parent_cversion,
            zxid: header.zxid,
            time: header.time,
        }
    }

    fn container(txn: &'a CreateContainerTxn, header: &TxnHeader) -> Self {
        Self {
            path: &txn.path,
            data: txn.data.as_deref(),
            acl: &txn.acl,
            owner: Owner::Container,
            parent_cversion: txn.parent_cversion,
            zxid: header.zxid,
            time: header.time,
        }
    }

    fn stat(&self) -> StatPersisted {
        created(self.zxid, self.time, self.owner)
    }
}

/// A new znode's state.
pub(crate) fn created(zxid: Zxid, time: i64, owner: Owner) -> StatPersisted {
    StatPersisted {
        czxid: zxid,
        mzxid: zxid,
        ctime: time,
        mtime: time,
        ephemeral_owner: owner.raw(),
        pzxid: zxid,
        ..StatPersisted::default()
    }
}
