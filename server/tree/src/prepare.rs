//! From requests to transactions.
//!
//! The leader validates each request against the tree as it will be when the request's turn
//! comes: the committed tree, and over it what is proposed and not applied yet ([`Pending`]). It
//! also foretells the tree's digest. What it yields, `apply` carries out without fail.

mod create;
mod multi;
mod pending;
mod uses;

use wire::client::{ErrorCode, Request, SetAclRequest, SetDataRequest, Write};
use wire::txn::{
    CheckVersionTxn, CloseSessionTxn, CreateSessionTxn, DeleteTxn, Entry, ErrorTxn, SetAclTxn,
    SetDataTxn, Txn, TxnDigest, TxnHeader, kind,
};
use wire::{Id, Perms, SessionId, Zxid};

use crate::owner::Owner;
use crate::quota::{Quota, Usage};
use crate::{Tree, acl, digest, path};
use pending::{AclSource, DataSource, Live};

pub use multi::is_well_formed;
pub use pending::Pending;

/// What the leader knows of a request's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may write.
    Global,
    /// It may write, but own no ephemerals.
    Local,
    /// The same, at another member, which knows better than this one why it may not own any.
    LocalElsewhere,
    /// It is gone, or closing.
    Expired,
    /// It belongs to another member by now.
    Moved,
}

/// The circumstances of a request.
#[derive(Clone, Copy, Debug)]
pub struct PrepareContext {
    /// The zxid that the transaction gets, whatever becomes of the request.
    pub zxid: Zxid,
    /// Wall time, milliseconds since 1970.
    pub time: i64,
    /// The session's standing. Not looked at for createSession and closeSession, nor for
    /// deleteContainer, which is the leader's own.
    pub session: Standing,
}

/// Validates a request against the tree and what is pending, and yields its transaction: an
/// error transaction if it is refused. `deleteContainer` is taken for the leader's own; a client
/// must not get it this far.
pub fn prepare(tree: &Tree, pending: &mut Pending, ctx: &PrepareContext, write: &Write) -> Entry {
    let mut work = Preparation::new(tree, pending, ctx, write);
    let result = work.request(&write.request);
    work.entry(result)
}

/// The transaction of a reconfig that the member found valid: sets `/zookeeper/config` to
/// `config`. Refused without WRITE permission there.
pub fn prepare_reconfig(
    tree: &Tree,
    pending: &mut Pending,
    ctx: &PrepareContext,
    write: &Write,
    config: &str,
) -> Entry {
    let mut work = Preparation::new(tree, pending, ctx, write);
    let result = work.reconfig(config);
    work.entry(result)
}

/// The transaction of a request that failed before it came here.
#[must_use]
pub fn prepare_error(
    ctx: &PrepareContext,
    session: SessionId,
    cxid: i32,
    error: ErrorCode,
) -> Entry {
    let header = TxnHeader {
        client_id: session,
        cxid,
        zxid: ctx.zxid,
        time: ctx.time,
        kind: kind::ERROR,
    };
    Entry::new(header, Txn::Error(ErrorTxn { err: error.code() }), None)
}

type Prepared = Result<(i32, Txn), ErrorCode>;

/// One request's preparation. Each operation changes `pending` only after its last check.
struct Preparation<'a> {
    tree: &'a Tree,
    pending: &'a mut Pending,
    ctx: &'a PrepareContext,
    session: SessionId,
    cxid: i32,
    identities: &'a [Id],
}

impl<'a> Preparation<'a> {
    fn new(
        tree: &'a Tree,
        pending: &'a mut Pending,
        ctx: &'a PrepareContext,
        write: &'a Write,
    ) -> Self {
        Self {
            tree,
            pending,
            ctx,
            session: write.session,
            cxid: write.cxid,
            identities: &write.identities,
        }
    }

    fn entry(self, prepared: Prepared) -> Entry {
        let (kind, txn) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return prepare_error(self.ctx, self.session, self.cxid, error),
        };
        let header = TxnHeader {
            client_id: self.session,
            cxid: self.cxid,
            zxid: self.ctx.zxid,
            time: self.ctx.time,
            kind,
        };
        let digest = self.tree.options.digest.then(|| TxnDigest {
            version: digest::VERSION,
            digest: self.pending.digest(self.tree),
        });
        Entry::new(header, txn, digest)
    }

    fn request(&mut self, request: &Request) -> Prepared {
        match request {
            Request::Multi(multi) => self.multi(&multi.ops),
            Request::CreateSession(r) => {
                let timeout = r.timeout;
                let txn = Txn::CreateSession(CreateSessionTxn { timeout });
                Ok((kind::CREATE_SESSION, txn))
            }
            Request::CloseSession(()) => Ok((kind::CLOSE_SESSION, self.close_session())),
            Request::DeleteContainer(r) => self.delete_container(&r.path),
            Request::Null(..) => Err(ErrorCode::MarshallingError),
            // Alone it was never more than an oversight, which Apache closed in 3.9.3.
            Request::Check(_) => Err(ErrorCode::Unimplemented),
            one => self.one(one),
        }
    }

    /// What may also be a part of a multi.
    fn one(&mut self, request: &Request) -> Prepared {
        match request {
            Request::Create(r) => self.create(kind::CREATE, r),
            Request::Create2(r) => self.create(kind::CREATE2, r),
            Request::CreateContainer(r) => self.create_container(r),
            Request::CreateTtl(r) => self.create_ttl(r),
            Request::Delete(r) => self.delete(&r.path, r.version),
            Request::SetData(r) => self.set_data(r),
            Request::SetAcl(r) => self.set_acl(r),
            Request::Check(r) => self.check(&r.path, r.version),
            _ => Err(ErrorCode::Unimplemented),
        }
    }

    fn delete(&mut self, path: &str, version: i32) -> Prepared {
        self.require_session()?;
        let (parent_path, parent) = self.parent_for_delete(path)?;
        self.require(&parent, Perms::DELETE)?;
        let znode = self.live(path)?;
        next_version(znode.stat.version, version)?;
        if znode.children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        self.remove(path, parent_path, parent);
        Ok((kind::DELETE, delete_txn(path)))
    }

    /// The candidate is looked at once more: it may have been used or changed since it was found.
    fn delete_container(&mut self, path: &str) -> Prepared {
        let (parent_path, parent) = self.parent_for_delete(path)?;
        let znode = self.live(path)?;
        if znode.children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        let is_due = match self.tree.owner(&znode.stat) {
            Owner::Container => true,
            Owner::Ttl(ttl) => ttl != 0 && self.ctx.time.saturating_sub(znode.stat.mtime) > ttl,
            Owner::Nobody | Owner::Session(_) => false,
        };
        if !is_due {
            return Err(ErrorCode::BadVersion);
        }
        self.remove(path, parent_path, parent);
        Ok((kind::DELETE_CONTAINER, delete_txn(path)))
    }

    fn parent_for_delete<'p>(&self, path: &'p str) -> Result<(&'p str, Live), ErrorCode> {
        let parent = path::parent(path).filter(|_| !path::is_special(path));
        let parent = parent.ok_or(ErrorCode::BadArguments)?;
        Ok((parent, self.live(parent)?))
    }

    fn remove(&mut self, path: &str, parent_path: &str, mut parent: Live) {
        if self.counts_quotas()
            && let Ok(znode) = self.live(path)
        {
            let gone = Usage::of_znode(self.data_length(&znode));
            self.count_use(path, Usage::default().minus(gone));
        }
        parent.children -= 1;
        // The tree keeps the greater one, too.
        parent.stat.pzxid = parent.stat.pzxid.max(self.ctx.zxid);
        self.put(parent_path, parent);
        self.pending.put(self.tree, self.ctx.zxid, path, None);
    }

    fn set_data(&mut self, request: &SetDataRequest) -> Prepared {
        self.require_session()?;
        require_valid(&request.path)?;
        let mut znode = self.live(&request.path)?;
        self.require(&znode, Perms::WRITE)?;
        let after = request.data.as_ref().map_or(0, bytes::Bytes::len);
        let change = Usage::of_data(self.data_length(&znode), after);
        self.require_quota(&request.path, change)?;
        let version = next_version(znode.stat.version, request.version)?;
        self.count_use(&request.path, change);
        znode.stat.version = version;
        znode.stat.mtime = self.ctx.time;
        znode.stat.mzxid = self.ctx.zxid;
        znode.data = DataSource::New(request.data.clone());
        self.put(&request.path, znode);
        let txn = SetDataTxn {
            path: request.path.clone(),
            data: request.data.clone(),
            version,
        };
        Ok((kind::SET_DATA, Txn::SetData(txn)))
    }

    fn set_acl(&mut self, request: &SetAclRequest) -> Prepared {
        self.require_session()?;
        require_valid(&request.path)?;
        let acl = self.resolve(&request.acl)?;
        let mut znode = self.live(&request.path)?;
        self.require(&znode, Perms::ADMIN)?;
        let version = next_version(znode.stat.aversion, request.version)?;
        znode.stat.aversion = version;
        znode.acl = AclSource::New(acl.as_slice().into());
        self.put(&request.path, znode);
        let txn = SetAclTxn {
            path: request.path.clone(),
            acl,
            version,
        };
        Ok((kind::SET_ACL, Txn::SetAcl(txn)))
    }

    fn check(&self, path: &str, version: i32) -> Prepared {
        self.require_session()?;
        require_valid(path)?;
        let znode = self.live(path)?;
        self.require(&znode, Perms::READ)?;
        // The transaction carries the version after the one that was found, as Apache's does.
        let version = next_version(znode.stat.version, version)?;
        let path = path.to_owned();
        Ok((kind::CHECK, Txn::Check(CheckVersionTxn { path, version })))
    }

    fn reconfig(&mut self, config: &str) -> Prepared {
        let mut znode = self.live(path::CONFIG)?;
        self.require(&znode, Perms::WRITE)?;
        let data = Some(bytes::Bytes::copy_from_slice(config.as_bytes()));
        znode.stat.version = -1;
        znode.stat.mtime = self.ctx.time;
        znode.stat.mzxid = self.ctx.zxid;
        znode.data = DataSource::New(data.clone());
        self.put(path::CONFIG, znode);
        let txn = SetDataTxn {
            path: path::CONFIG.to_owned(),
            data,
            version: -1,
        };
        Ok((kind::RECONFIG, Txn::SetData(txn)))
    }

    /// Lists the session's ephemerals as they will be: the committed ones that are not being
    /// deleted, and those being created.
    fn close_session(&mut self) -> Txn {
        let paths = self.pending.ephemerals(self.tree, self.session);
        for path in &paths {
            if let Some((parent_path, _)) = path::split(path)
                && let Ok(parent) = self.live(parent_path)
            {
                self.remove(path, parent_path, parent);
            }
        }
        Txn::CloseSession(Some(CloseSessionTxn {
            paths_to_delete: paths,
        }))
    }

    fn require_session(&self) -> Result<(), ErrorCode> {
        match self.ctx.session {
            Standing::Global | Standing::Local | Standing::LocalElsewhere => Ok(()),
            Standing::Expired => Err(ErrorCode::SessionExpired),
            Standing::Moved => Err(ErrorCode::SessionMoved),
        }
    }

    fn live(&self, path: &str) -> Result<Live, ErrorCode> {
        self.pending.live(self.tree, path).ok_or(ErrorCode::NoNode)
    }

    fn put(&mut self, path: &str, live: Live) {
        self.pending.put(self.tree, self.ctx.zxid, path, Some(live));
    }

    fn require(&self, znode: &Live, perms: Perms) -> Result<(), ErrorCode> {
        let acl = match &znode.acl {
            AclSource::Committed(id) => self.tree.acls.get(*id).map(|acl| &**acl),
            AclSource::New(acl) => Some(&**acl),
        };
        if self.tree.allows(acl, perms, self.identities) {
            Ok(())
        } else {
            Err(ErrorCode::NoAuth)
        }
    }

    /// Whether anything is refused for a quota's sake. Where not, nothing is kept for it.
    fn counts_quotas(&self) -> bool {
        self.tree.options.enforce_quota && !self.tree.limited.is_empty()
    }

    /// Refuses what goes beyond a hard limit, counting also what is proposed and not applied. A
    /// quota counts from when its znodes are applied.
    fn require_quota(&self, path: &str, change: Usage) -> Result<(), ErrorCode> {
        if !self.counts_quotas() {
            return Ok(());
        }
        let Some(quota) = self.tree.quota_above(path) else {
            return Ok(());
        };
        let on_the_way = self.pending.uses.sum(quota.path);
        let quota = Quota {
            used: quota.used.plus(on_the_way),
            ..quota
        };
        if quota.forbids(change) {
            return Err(ErrorCode::QuotaExceeded);
        }
        Ok(())
    }

    fn count_use(&mut self, path: &str, change: Usage) {
        if self.counts_quotas()
            && let Some(limited) = self.tree.limited.above(path)
        {
            self.pending.uses.add(self.ctx.zxid, limited, change);
        }
    }

    fn data_length(&self, znode: &Live) -> usize {
        match &znode.data {
            DataSource::Committed(id) => self.tree.znodes.data(*id).map_or(0, <[u8]>::len),
            DataSource::New(data) => data.as_ref().map_or(0, bytes::Bytes::len),
        }
    }

    fn resolve(&self, acl: &[wire::Acl]) -> Result<Vec<wire::Acl>, ErrorCode> {
        acl::resolve(acl, self.identities, &self.tree.options.schemes)
    }
}

impl Tree {
    /// Why a request of `identities` would be refused for what ACLs say now, as far as that can
    /// be told without the leader (`enableEagerACLCheck`).
    #[must_use]
    pub fn early_refusal(&self, request: &Request, identities: &[Id]) -> Option<ErrorCode> {
        let parent = |path| path::parent(path).filter(|_| !path::is_special(path));
        let (path, perms, acl) = match request {
            Request::Create(r) | Request::Create2(r) => {
                (parent(&r.path)?, Perms::CREATE, Some(&r.acl))
            }
            Request::Delete(r) => (parent(&r.path)?, Perms::DELETE, None),
            Request::SetData(r) => (&*r.path, Perms::WRITE, None),
            Request::SetAcl(r) => (&*r.path, Perms::ADMIN, Some(&r.acl)),
            _ => return None,
        };
        if let Some(acl) = acl
            && let Err(error) = acl::resolve(acl, identities, &self.options.schemes)
        {
            return Some(error);
        }
        let acl = self.acl_of(path)?;
        (!self.allows(acl, perms, identities)).then_some(ErrorCode::NoAuth)
    }
}

fn require_valid(path: &str) -> Result<(), ErrorCode> {
    if path::is_valid(path) {
        Ok(())
    } else {
        Err(ErrorCode::BadArguments)
    }
}

/// The version after `current`, if `expected` is `current` or any (-1).
fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected == -1 || expected == current {
        Ok(current.wrapping_add(1))
    } else {
        Err(ErrorCode::BadVersion)
    }
}

fn delete_txn(path: &str) -> Txn {
    Txn::Delete(DeleteTxn {
        path: path.to_owned(),
    })
}
