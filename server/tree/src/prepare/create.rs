//! Creates of all kinds.

use bytes::Bytes;
use wire::client::{CreateMode, CreateRequest, CreateTtlRequest, ErrorCode};
use wire::txn::{CreateContainerTxn, CreateTtlTxn, CreateTxn, Txn, kind};
use wire::{Acl, Perms};

use super::pending::{AclSource, DataSource, Live};
use super::{Preparation, Prepared, Standing, require_valid};
use crate::apply::created;
use crate::owner::Owner;
use crate::path;
use crate::quota::Usage;

/// What all creates ask for.
struct Wanted<'r> {
    path: &'r str,
    data: &'r Option<Bytes>,
    acl: &'r [Acl],
    mode: CreateMode,
    owner: Owner,
}

/// What all create transactions say.
struct Created {
    path: String,
    acl: Vec<Acl>,
    parent_cversion: i32,
}

impl Preparation<'_> {
    pub(super) fn create(&mut self, kind: i32, request: &CreateRequest) -> Prepared {
        let mode = self.mode(request.flags, None)?;
        let owner = if mode.is_ephemeral() {
            Owner::Session(self.session)
        } else {
            Owner::Nobody
        };
        let made = self.create_any(&Wanted {
            path: &request.path,
            data: &request.data,
            acl: &request.acl,
            mode,
            owner,
        })?;
        let txn = CreateTxn {
            path: made.path,
            data: request.data.clone(),
            acl: made.acl,
            ephemeral: mode.is_ephemeral(),
            parent_cversion: made.parent_cversion,
        };
        Ok((kind, Txn::Create(txn)))
    }

    pub(super) fn create_container(&mut self, request: &CreateRequest) -> Prepared {
        let mode = self.mode(request.flags, None)?;
        let made = self.create_any(&Wanted {
            path: &request.path,
            data: &request.data,
            acl: &request.acl,
            mode,
            owner: Owner::Container,
        })?;
        let txn = CreateContainerTxn {
            path: made.path,
            data: request.data.clone(),
            acl: made.acl,
            parent_cversion: made.parent_cversion,
        };
        Ok((kind::CREATE_CONTAINER, Txn::CreateContainer(txn)))
    }

    pub(super) fn create_ttl(&mut self, request: &CreateTtlRequest) -> Prepared {
        let mode = self.mode(request.flags, Some(request.ttl))?;
        let made = self.create_any(&Wanted {
            path: &request.path,
            data: &request.data,
            acl: &request.acl,
            mode,
            owner: Owner::Ttl(request.ttl),
        })?;
        let txn = CreateTtlTxn {
            path: made.path,
            data: request.data.clone(),
            acl: made.acl,
            parent_cversion: made.parent_cversion,
            ttl: request.ttl,
        };
        Ok((kind::CREATE_TTL, Txn::CreateTtl(txn)))
    }

    /// The mode that the flags name, if it goes with the session.
    fn mode(&self, flags: i32, ttl: Option<i64>) -> Result<CreateMode, ErrorCode> {
        let mode = CreateMode::from_code(flags).ok_or(ErrorCode::BadArguments)?;
        if (is_ttl(mode) || ttl.is_some()) && !self.tree.options.extended_types {
            return Err(ErrorCode::Unimplemented);
        }
        if mode_of(flags, ttl).is_none() {
            return Err(ErrorCode::BadArguments);
        }
        self.require_session()?;
        match self.ctx.session {
            Standing::Local if mode.is_ephemeral() => Err(ErrorCode::EphemeralOnLocalSession),
            Standing::LocalElsewhere if mode.is_ephemeral() => Err(ErrorCode::SessionExpired),
            _ => Ok(mode),
        }
    }

    fn create_any(&mut self, wanted: &Wanted<'_>) -> Result<Created, ErrorCode> {
        let parent_path = path::parent(wanted.path).ok_or(ErrorCode::BadArguments)?;
        let acl = self.resolve(wanted.acl)?;
        let mut parent = self.live(parent_path)?;
        self.require(&parent, Perms::CREATE)?;
        let cversion = parent.stat.cversion;
        let path = if wanted.mode.is_sequential() {
            format!("{}{cversion:010}", wanted.path)
        } else {
            wanted.path.to_owned()
        };
        require_valid(&path)?;
        if self.live(&path).is_ok() {
            return Err(ErrorCode::NodeExists);
        }
        if let Owner::Session(_) = self.tree.owner(&parent.stat) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let made = Usage::of_znode(wanted.data.as_ref().map_or(0, Bytes::len));
        self.require_quota(&path, made)?;
        self.count_use(&path, made);
        let parent_cversion = cversion.wrapping_add(1);
        // Where the counter overflows, the tree keeps its parent as it is, as Apache does.
        if parent_cversion > cversion {
            parent.stat.cversion = parent_cversion;
            parent.stat.pzxid = self.ctx.zxid;
        }
        parent.children += 1;
        self.put(parent_path, parent);
        let znode = Live {
            stat: created(self.ctx.zxid, self.ctx.time, wanted.owner),
            children: 0,
            data: DataSource::New(wanted.data.clone()),
            acl: AclSource::New(acl.as_slice().into()),
            crc: 0,
        };
        self.put(&path, znode);
        Ok(Created {
            path,
            acl,
            parent_cversion,
        })
    }
}

/// The mode that the flags name, if there is one and it goes with there being a TTL or not.
pub(super) fn mode_of(flags: i32, ttl: Option<i64>) -> Option<CreateMode> {
    let goes_with = |mode: &CreateMode| is_ttl(*mode) == ttl.is_some();
    CreateMode::from_code(flags)
        .filter(goes_with)
        .filter(|_| ttl.is_none_or(Owner::is_ttl))
}

const fn is_ttl(mode: CreateMode) -> bool {
    matches!(
        mode,
        CreateMode::PersistentWithTtl | CreateMode::PersistentSequentialWithTtl
    )
}
