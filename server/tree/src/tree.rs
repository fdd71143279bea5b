//! [`Tree`]: its parts, and what can be asked about it as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wire::snapshot::ZxidDigest;
use wire::{Acl, Id, Perms, SessionId, Stat, StatPersisted, Zxid};

use crate::acl::{self, AclTable, Schemes};
use crate::cut::Cuts;
use crate::hashing::Hashing;
use crate::owner::Owner;
use crate::quota::Limited;
use crate::znodes::{ROOT, Znodes};
use crate::{DigestMismatch, digest, path};

/// What an operator may choose about the tree. All members of an ensemble should agree.
#[derive(Clone, Debug)]
pub struct Options {
    /// Apache's `digest.enabled`: transactions carry the tree's digest, and it is compared.
    pub digest: bool,
    /// Apache's `zookeeper.extendedTypesEnabled`: TTL znodes may be made.
    pub extended_types: bool,
    /// Apache's `zookeeper.emulate353TTLNodes`: TTL znodes that 3.5.3 made are TTL znodes.
    pub emulate_353: bool,
    /// Apache's `skipACL`: nothing is refused for lack of permission.
    pub skip_acl: bool,
    /// Apache's `enforceQuota`: what goes beyond a hard quota is refused.
    pub enforce_quota: bool,
    /// Which authentication schemes exist, beside `world` and `auth`.
    pub schemes: Schemes,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            digest: true,
            extended_types: false,
            emulate_353: false,
            skip_acl: false,
            enforce_quota: false,
            schemes: Schemes::default(),
        }
    }
}

/// Who reads.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The connection's session.
    pub session: SessionId,
    /// All identities of the connection, `ip` included.
    pub identities: &'a [Id],
}

/// Znodes, ACLs and sessions as of one zxid.
#[derive(Debug)]
pub struct Tree {
    pub(crate) options: Options,
    pub(crate) znodes: Znodes,
    pub(crate) acls: AclTable,
    /// Timeouts in milliseconds.
    pub(crate) sessions: BTreeMap<SessionId, i32>,
    /// Which znodes go with which session.
    pub(crate) ephemerals: BTreeSet<(SessionId, u32)>,
    /// Containers and TTL znodes.
    pub(crate) lapsing: BTreeSet<u32>,
    pub(crate) limited: Limited,
    pub(crate) cuts: Cuts,
    pub(crate) last_zxid: Zxid,
    pub(crate) digest: u64,
    pub(crate) data_size: u64,
    /// What the snapshot that this tree comes from says of its end.
    pub(crate) expected: Option<ZxidDigest>,
    /// Below it the tree may hold changes of later transactions.
    pub(crate) fuzzy_until: Zxid,
}

impl Tree {
    /// The tree of a fresh server: `/`, `/zookeeper`, `/zookeeper/quota` and `/zookeeper/config`,
    /// which is readable by everyone. `seed` keys the hashing of names.
    #[must_use]
    pub fn new(seed: u64, options: Options) -> Self {
        let mut tree = Self::with_root_only(seed, options);
        tree.set_root(Some(&[]), acl::OPEN, &StatPersisted::default());
        tree.add_special_znodes();
        tree
    }

    pub(crate) fn with_root_only(seed: u64, options: Options) -> Self {
        Self {
            options,
            znodes: Znodes::new(Hashing::new(seed)),
            acls: AclTable::new(Hashing::new(seed)),
            sessions: BTreeMap::new(),
            ephemerals: BTreeSet::new(),
            lapsing: BTreeSet::new(),
            limited: Limited::default(),
            cuts: Cuts::default(),
            last_zxid: Zxid::ZERO,
            digest: 0,
            // Apache counts the root a second time, as "/".
            data_size: 1,
            expected: None,
            fuzzy_until: Zxid::ZERO,
        }
    }

    pub(crate) fn set_root(&mut self, data: Option<&[u8]>, acl: u32, stat: &StatPersisted) {
        self.znodes.set_data(ROOT, data);
        self.znodes.set_acl(ROOT, acl);
        self.znodes.set_stat(ROOT, stat);
        self.data_size += data.map_or(0, <[u8]>::len) as u64;
        self.redigest(ROOT, "", stat);
    }

    /// Adds what every server has, where it is missing.
    pub(crate) fn add_special_znodes(&mut self) {
        let blank = StatPersisted::default();
        self.add_missing("", "zookeeper", acl::OPEN, &blank);
        if self.znodes.find(path::CONFIG).is_none() {
            let read_only = self.acls.intern(&Acl::read_only());
            let stat = StatPersisted {
                aversion: -1,
                ..blank
            };
            self.add_missing("/zookeeper", "config", read_only, &stat);
        }
        self.add_missing("/zookeeper", "quota", acl::OPEN, &blank);
    }

    fn add_missing(&mut self, parent: &str, name: &str, acl: u32, stat: &StatPersisted) {
        let id = self.znodes.find(parent).expect("added before its children");
        if self.znodes.child(id, name).is_none() {
            let path = format!("{parent}/{name}");
            self.add(id, &path, name, Some(&[]), stat, acl);
        }
    }

    /// Adds a znode and all that is known about it elsewhere. Its parent's state is the caller's
    /// business.
    pub(crate) fn add(
        &mut self,
        parent: u32,
        path: &str,
        name: &str,
        data: Option<&[u8]>,
        stat: &StatPersisted,
        acl: u32,
    ) -> u32 {
        let id = self.znodes.insert(parent, name, data, stat, acl);
        match self.owner(stat) {
            Owner::Nobody => {}
            Owner::Session(session) => {
                self.ephemerals.insert((session, id));
            }
            Owner::Container | Owner::Ttl(_) => {
                self.lapsing.insert(id);
            }
        }
        self.data_size += (path.len() + data.map_or(0, <[u8]>::len)) as u64;
        self.redigest(id, path, stat);
        id
    }

    /// Brings the digest up to date with a znode's new state.
    pub(crate) fn redigest(&mut self, id: u32, path: &str, stat: &StatPersisted) {
        if !self.options.digest {
            return;
        }
        let crc = digest::of(path, self.znodes.data(id), stat);
        let old = self.znodes.crc(id);
        self.znodes.set_crc(id, crc);
        self.digest = self
            .digest
            .wrapping_sub(u64::from(old))
            .wrapping_add(u64::from(crc));
    }

    /// Puts the configuration that a member boots with into `/zookeeper/config`, outside any
    /// transaction. `version` is the configuration's version, `time` the wall clock.
    pub fn set_initial_config(&mut self, text: &str, version: Zxid, time: i64) {
        self.add_special_znodes();
        let config = self.znodes.find(path::CONFIG).expect("just added");
        self.cuts.keep(&self.znodes, config);
        self.replace_data(config, Some(text.as_bytes()));
        let stat = StatPersisted {
            version: -1,
            mzxid: version,
            mtime: time,
            ..self.znodes.stat(config)
        };
        self.znodes.set_stat(config, &stat);
    }

    pub(crate) fn replace_data(&mut self, id: u32, data: Option<&[u8]>) {
        let length = |data: Option<&[u8]>| data.map_or(0, <[u8]>::len) as u64;
        self.data_size -= length(self.znodes.data(id));
        self.data_size += length(data);
        self.znodes.set_data(id, data);
    }

    /// What `/zookeeper/config` holds.
    #[must_use]
    pub fn config(&self) -> &[u8] {
        let id = self.znodes.find(path::CONFIG);
        id.and_then(|id| self.znodes.data(id)).unwrap_or_default()
    }

    /// The options.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The last transaction applied.
    #[must_use]
    pub const fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// The digest of all znodes outside `/zookeeper/`; 0 if digests are off.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// As Apache counts: the root counts twice.
    #[must_use]
    pub const fn znode_count(&self) -> u64 {
        self.znodes.count() + 1
    }

    /// How many znodes belong to sessions.
    #[must_use]
    pub fn ephemerals_count(&self) -> u64 {
        self.ephemerals.len() as u64
    }

    /// Bytes of all paths and data.
    #[must_use]
    pub const fn approximate_data_size(&self) -> u64 {
        self.data_size
    }

    /// How many global sessions there are.
    #[must_use]
    pub fn session_count(&self) -> u64 {
        self.sessions.len() as u64
    }

    /// A session's timeout in milliseconds.
    #[must_use]
    pub fn session(&self, session: SessionId) -> Option<i32> {
        self.sessions.get(&session).copied()
    }

    /// All sessions with their timeouts.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, i32)> + '_ {
        self.sessions.iter().map(|(&id, &timeout)| (id, timeout))
    }

    /// The paths of a session's ephemerals, in a stable order.
    pub fn ephemerals(&self, session: SessionId) -> impl Iterator<Item = String> + '_ {
        self.ephemeral_ids(session).map(|id| self.znodes.path(id))
    }

    /// Sessions that own ephemerals, each once.
    pub fn ephemeral_owners(&self) -> impl Iterator<Item = SessionId> + '_ {
        let mut last = None;
        self.ephemerals
            .iter()
            .map(|&(session, _)| session)
            .filter(move |&session| last.replace(session) != Some(session))
    }

    pub(crate) fn ephemeral_ids(&self, session: SessionId) -> impl Iterator<Item = u32> + '_ {
        self.ephemerals
            .range((session, 0)..=(session, u32::MAX))
            .map(|&(_, id)| id)
    }

    /// The ACL of the znode at `path`: outer `None` without such a znode, inner `None` if it is
    /// open to everyone.
    #[must_use]
    pub fn acl_of(&self, path: &str) -> Option<Option<&[Acl]>> {
        let id = self.znodes.find(path)?;
        Some(self.acl(id).map(|acl| &**acl))
    }

    pub(crate) fn acl(&self, id: u32) -> Option<&Arc<[Acl]>> {
        self.acls.get(self.znodes.acl(id))
    }

    /// Whether one of `identities` has one of `perms` under `acl` here.
    #[must_use]
    pub fn allows(&self, acl: Option<&[Acl]>, perms: Perms, identities: &[Id]) -> bool {
        self.options.skip_acl || acl::allows(acl, perms, identities)
    }

    pub(crate) const fn owner(&self, stat: &StatPersisted) -> Owner {
        Owner::of(stat.ephemeral_owner, &self.options)
    }

    /// A znode's state as clients see it.
    pub(crate) fn stat(&self, id: u32) -> Stat {
        let stat = self.znodes.stat(id);
        let children = self.znodes.child_count(id) as i32;
        Stat {
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            ctime: stat.ctime,
            mtime: stat.mtime,
            version: stat.version,
            // Creates and deletes: those created, and those of them that are not there any more.
            cversion: stat.cversion.wrapping_mul(2).wrapping_sub(children),
            aversion: stat.aversion,
            ephemeral_owner: match self.owner(&stat) {
                Owner::Session(session) => session.0,
                Owner::Nobody | Owner::Container | Owner::Ttl(_) => 0,
            },
            data_length: self.znodes.data(id).map_or(0, |data| data.len() as i32),
            num_children: children,
            pzxid: stat.pzxid,
        }
    }

    /// Tells the digest that a loaded snapshot was written with. Until the tree reaches its zxid
    /// by replay, no digest is compared. A mismatch that shows at once is returned.
    pub fn expect_digest(&mut self, digest: ZxidDigest) -> Option<DigestMismatch> {
        self.expected = Some(digest);
        self.fuzzy_until = digest.zxid;
        self.compare_with_snapshot(self.last_zxid)
    }

    /// For a snapshot without digest, such as a SNAP from a Java leader: the snapshot may hold
    /// changes up to `zxid`, so no digest is compared before it.
    pub fn fuzzy_until(&mut self, zxid: Zxid) {
        self.fuzzy_until = self.fuzzy_until.max(zxid);
    }

    /// Whether the tree may hold changes of transactions that it has not applied yet.
    #[must_use]
    pub fn is_fuzzy(&self) -> bool {
        self.last_zxid < self.fuzzy_until
    }

    /// Compares with the snapshot's digest if `zxid`, just reached, is the one that it is for.
    pub(crate) fn compare_with_snapshot(&mut self, zxid: Zxid) -> Option<DigestMismatch> {
        let expected = self.expected.take_if(|expected| expected.zxid <= zxid)?;
        let comparable = self.options.digest
            && expected.zxid == zxid
            && expected.version == digest::VERSION
            && expected.digest != self.digest;
        comparable.then_some(DigestMismatch {
            zxid,
            expected: expected.digest,
            actual: self.digest,
        })
    }

    /// How many znodes have an ACL that their snapshot did not contain. A fuzzy snapshot of
    /// Apache may have some; replaying the log resolves them. If some are left after the replay,
    /// the snapshot is damaged. Until then only the super user can reach them.
    #[must_use]
    pub fn unresolved_acls(&self) -> u32 {
        self.acls.uses(&unresolved_acl())
    }

    /// Containers and TTL znodes that may go at wall time `now`: candidates for deleteContainer,
    /// in a stable order. A container that never had children goes after `never_used_ms`
    /// milliseconds, or never if that is 0.
    #[must_use]
    pub fn lapsed(&self, now: i64, never_used_ms: i64, limit: usize) -> Vec<String> {
        let is_due = |&id: &u32| {
            let stat = self.znodes.stat(id);
            let age = now.saturating_sub(stat.mtime);
            self.znodes.child_count(id) == 0
                && match self.owner(&stat) {
                    Owner::Container => {
                        stat.cversion > 0 || (never_used_ms != 0 && age > never_used_ms)
                    }
                    // 3.5.3 could write what is no TTL here.
                    Owner::Ttl(ttl) => ttl != 0 && age > ttl,
                    Owner::Nobody | Owner::Session(_) => false,
                }
        };
        let due = self.lapsing.iter().copied().filter(is_due);
        due.take(limit).map(|id| self.znodes.path(id)).collect()
    }
}

/// Stands for an ACL that the snapshot lacks: it grants nothing to anybody.
pub(crate) fn unresolved_acl() -> [Acl; 1] {
    [Acl {
        perms: Perms(0),
        id: Id::new("world", "unresolved"),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_tree_has_the_digest_and_size_of_a_fresh_apache_server() {
        let tree = Tree::new(1, Options::default());
        assert_eq!(tree.digest(), 1_371_985_504);
        assert_eq!(tree.znode_count(), 5);
        assert_eq!(tree.approximate_data_size(), 44);
        let id = tree.znodes.find("/zookeeper").unwrap();
        let stat = Stat {
            cversion: -2,
            num_children: 2,
            ..Stat::default()
        };
        assert_eq!(tree.stat(id), stat);
    }
}
