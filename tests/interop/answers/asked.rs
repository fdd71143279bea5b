//! What a test asks: requests, and bytes that are none.

use bytes::Bytes;

use wire::client::{AuthPacket, OpCode, Request, xid};
use wire::{Reader, Record as _};

/// A record under an operation's number.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// One that a client could mean.
    Request(Request),
    /// One that is cut short, goes on for too long, or has a number that is no operation's.
    Raw {
        /// In the table.
        name: &'static str,
        op: i32,
        record: Bytes,
    },
}

impl Asked {
    /// The record of `request`, changed.
    pub(super) fn changed(request: &Request, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut record = Vec::new();
        request.encode(&mut record);
        change(&mut record);
        Self::Raw {
            name: name(request.op()),
            op: request.op().code(),
            record: record.into(),
        }
    }

    /// The record of `request` without its last byte.
    pub(super) fn cut(request: &Request) -> Self {
        Self::changed(request, |record| {
            record.pop();
        })
    }

    pub(super) fn auth(scheme: &str, auth: Option<&[u8]>) -> Self {
        Self::Request(Request::Auth(AuthPacket {
            kind: 0,
            scheme: scheme.to_owned(),
            auth: auth.map(Bytes::copy_from_slice),
        }))
    }

    /// A reconfig; what is `None` is null on the wire.
    pub(super) fn reconfig(
        joining: Option<&str>,
        leaving: Option<&str>,
        members: Option<&str>,
        config: i64,
    ) -> Self {
        let mut record = Vec::new();
        for text in [joining, leaving, members] {
            match text {
                Some(text) => text.to_owned().encode(&mut record),
                None => (-1_i32).encode(&mut record),
            }
        }
        config.encode(&mut record);
        Self::Raw {
            name: "reconfig",
            op: OpCode::Reconfig.code(),
            record: record.into(),
        }
    }

    pub(super) const fn op(&self) -> i32 {
        match self {
            Self::Request(request) => request.op().code(),
            Self::Raw { op, .. } => *op,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Request(request) => name(request.op()),
            Self::Raw { name, .. } => name,
        }
    }

    /// The number that clients give to such a request whatever came before.
    pub(super) const fn fixed_number(&self) -> Option<i32> {
        match OpCode::from_code(self.op()) {
            Some(OpCode::SetWatches | OpCode::SetWatches2) => Some(xid::SET_WATCHES),
            Some(OpCode::Auth) => Some(xid::AUTH),
            Some(OpCode::Ping) => Some(xid::PING),
            _ => None,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Request(request) => request.encode(out),
            Self::Raw { record, .. } => out.extend_from_slice(record),
        }
    }

    /// The parts, in a multi.
    pub(super) fn parts(&self) -> &[Request] {
        match self {
            Self::Request(Request::Multi(multi) | Request::MultiRead(multi)) => &multi.ops,
            _ => &[],
        }
    }

    /// Whether it makes a local session one of the ensemble, where that is allowed.
    pub(super) fn wants_ephemeral(&self) -> bool {
        let is_ephemeral = |request: &Request| match request {
            Request::Create(create) | Request::Create2(create) => matches!(create.flags, 1 | 3),
            _ => false,
        };
        match self {
            Self::Request(Request::Multi(multi)) => {
                // One that fails as a whole makes nothing.
                !self.is_half_done() && multi.ops.iter().any(is_ephemeral)
            }
            Self::Request(request) => is_ephemeral(request),
            // Those that are only too long count.
            Self::Raw { op, record, .. } => OpCode::from_code(*op)
                .and_then(|op| Request::decode(op, &mut Reader::new(record)).ok())
                .is_some_and(|request| Self::Request(request).wants_ephemeral()),
        }
    }

    /// Whether it needs a leader, and is not the end of a session.
    pub(super) const fn is_write(&self) -> bool {
        match OpCode::from_code(self.op()) {
            Some(OpCode::CloseSession) | None => false,
            Some(op) => op.is_write(),
        }
    }

    /// Whether its answer has a zxid of its own, and is not the end of a session.
    pub(super) const fn is_change(&self) -> bool {
        self.is_write() && !self.is(OpCode::Sync)
    }

    /// Whether it is a write that cannot be read. Apache's leader gives it the zxid of the one
    /// before, which is committed already, and never answers it; a multi gets one of its own.
    pub(super) fn is_lost(&self) -> bool {
        let Self::Raw { op, record, .. } = self else {
            return false;
        };
        let Some(op) = OpCode::from_code(*op) else {
            return false;
        };
        self.is_write() && Request::decode(op, &mut Reader::new(record)).is_err()
    }

    /// Whether it is a multi that Apache cannot read to its end. Of a local session at the leader
    /// it does what comes before that.
    pub(super) fn is_half_done(&self) -> bool {
        let is_unreadable = |request: &Request| match request {
            Request::Create(create)
            | Request::Create2(create)
            | Request::CreateContainer(create) => !(0..=4).contains(&create.flags),
            Request::CreateTtl(create) => !(0..=6).contains(&create.flags),
            _ => false,
        };
        self.is(OpCode::Multi) && self.parts().iter().any(is_unreadable)
    }

    /// Whether it asks for what is there, and leaves no watch.
    pub(super) const fn is_read(&self) -> bool {
        matches!(
            OpCode::from_code(self.op()),
            Some(
                OpCode::Exists
                    | OpCode::GetData
                    | OpCode::GetAcl
                    | OpCode::GetChildren
                    | OpCode::GetChildren2
                    | OpCode::GetEphemerals
                    | OpCode::GetAllChildrenNumber
                    | OpCode::MultiRead
                    | OpCode::WhoAmI
                    | OpCode::CheckWatches
            )
        )
    }

    /// Whether a quota may be counted against it.
    pub(super) fn meets_quota(&self) -> bool {
        let meets = |request: &Request| {
            let path = match request {
                Request::Create(create)
                | Request::Create2(create)
                | Request::CreateContainer(create) => &create.path,
                Request::CreateTtl(create) => &create.path,
                Request::SetData(set) => &set.path,
                _ => return false,
            };
            ["/q", "/f/"].iter().any(|root| path.starts_with(root))
        };
        match self {
            Self::Request(request) => meets(request) || self.parts().iter().any(meets),
            Self::Raw { .. } => false,
        }
    }

    /// Whether it is a request that never ends a connection when it is done.
    pub(super) const fn keeps_open(&self) -> bool {
        let Self::Request(request) = self else {
            return false;
        };
        !matches!(
            request.op(),
            OpCode::Auth | OpCode::Sasl | OpCode::CloseSession
        )
    }

    pub(super) const fn is(&self, op: OpCode) -> bool {
        self.op() == op.code()
    }
}

impl From<Request> for Asked {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

/// As the table names it.
pub(super) const fn name(op: OpCode) -> &'static str {
    match op {
        OpCode::Create => "create",
        OpCode::Create2 => "create2",
        OpCode::CreateContainer => "createContainer",
        OpCode::CreateTtl => "createTTL",
        OpCode::Delete => "delete",
        OpCode::Exists => "exists",
        OpCode::GetData => "getData",
        OpCode::SetData => "setData",
        OpCode::GetAcl => "getACL",
        OpCode::SetAcl => "setACL",
        OpCode::GetChildren => "getChildren",
        OpCode::GetChildren2 => "getChildren2",
        OpCode::Sync => "sync",
        OpCode::Ping => "ping",
        OpCode::Check => "check",
        OpCode::Multi => "multi",
        OpCode::MultiRead => "multiRead",
        OpCode::CheckWatches => "checkWatches",
        OpCode::RemoveWatches => "removeWatches",
        OpCode::AddWatch => "addWatch",
        OpCode::SetWatches => "setWatches",
        OpCode::SetWatches2 => "setWatches2",
        OpCode::GetEphemerals => "getEphemerals",
        OpCode::GetAllChildrenNumber => "getAllChildrenNumber",
        OpCode::WhoAmI => "whoAmI",
        OpCode::Reconfig => "reconfig",
        OpCode::Auth => "auth",
        OpCode::Sasl => "sasl",
        OpCode::CloseSession => "closeSession",
        _ => "unknown",
    }
}

/// As the table names it inside a multi.
pub(super) const fn part_name(op: OpCode) -> &'static str {
    match op {
        OpCode::Create => "multi: create",
        OpCode::Create2 => "multi: create2",
        OpCode::CreateContainer => "multi: createContainer",
        OpCode::CreateTtl => "multi: createTTL",
        OpCode::Delete => "multi: delete",
        OpCode::SetData => "multi: setData",
        OpCode::Check => "multi: check",
        OpCode::GetData => "multi: getData",
        OpCode::GetChildren => "multi: getChildren",
        _ => "multi: unknown",
    }
}
