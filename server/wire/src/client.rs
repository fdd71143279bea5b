//! What clients and servers say to each other.
//!
//! Each frame is a 32-bit length and its payload. The first frame of a connection is a
//! [`ConnectRequest`], answered by a [`ConnectResponse`]; after it each request is a
//! [`RequestHeader`] and the record of its [`OpCode`], each reply a [`ReplyHeader`] and, if its
//! error is 0, the record of the answer.

mod codes;
mod multi;

use bytes::Bytes;

use crate::acl::{Acl, Id};
use crate::ids::{SessionId, Zxid};
use crate::jute::{DecodeError, Reader, Record, records};
use crate::stat::Stat;

pub use codes::{CreateMode, ErrorCode, EventType, OpCode};
pub use multi::{MultiHeader, MultiRequest, MultiResponse, MultiResult};

/// Request numbers with a fixed meaning.
pub mod xid {
    /// A watch event.
    pub const NOTIFICATION: i32 = -1;
    /// A ping.
    pub const PING: i32 = -2;
    /// Credentials.
    pub const AUTH: i32 = -4;
    /// Watches set again after a reconnect.
    pub const SET_WATCHES: i32 = -8;
}

/// The first frame of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// Always 0.
    pub protocol_version: i32,
    /// The newest zxid that this client has seen; a server that is behind it refuses.
    pub last_zxid_seen: Zxid,
    /// The session timeout wanted, milliseconds.
    pub timeout: i32,
    /// The session to go on with, 0 for a new one.
    pub session_id: SessionId,
    /// The session's password, 16 bytes.
    pub password: Bytes,
    /// Whether a read-only server will do; `None` from clients older than 3.4, which must not be
    /// sent the flag either.
    pub read_only: Option<bool>,
}

impl Record for ConnectRequest {
    fn encode(&self, out: &mut Vec<u8>) {
        self.protocol_version.encode(out);
        self.last_zxid_seen.encode(out);
        self.timeout.encode(out);
        self.session_id.encode(out);
        self.password.encode(out);
        if let Some(read_only) = self.read_only {
            read_only.encode(out);
        }
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: reader.read()?,
            last_zxid_seen: reader.read()?,
            timeout: reader.read()?,
            session_id: reader.read()?,
            password: reader.read()?,
            read_only: if reader.remaining() == 0 {
                None
            } else {
                Some(reader.read()?)
            },
        })
    }
}

/// The answer to a [`ConnectRequest`]. All zero for a session that is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectResponse {
    /// Always 0.
    pub protocol_version: i32,
    /// The session timeout granted, milliseconds.
    pub timeout: i32,
    /// The session.
    pub session_id: SessionId,
    /// Its password, 16 bytes.
    pub password: Bytes,
    /// Whether this server is read-only; `None` if the client did not send its own flag.
    pub read_only: Option<bool>,
}

impl Record for ConnectResponse {
    fn encode(&self, out: &mut Vec<u8>) {
        self.protocol_version.encode(out);
        self.timeout.encode(out);
        self.session_id.encode(out);
        self.password.encode(out);
        if let Some(read_only) = self.read_only {
            read_only.encode(out);
        }
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: reader.read()?,
            timeout: reader.read()?,
            session_id: reader.read()?,
            password: reader.read()?,
            read_only: if reader.remaining() == 0 {
                None
            } else {
                Some(reader.read()?)
            },
        })
    }
}

records! {
    /// Before each request.
    #[derive(Copy)]
    RequestHeader {
        /// The client's number for the request, or one of [`xid`].
        xid: i32,
        /// An [`OpCode`], perhaps one that does not exist.
        op: i32,
    }
    /// Before each reply and event.
    #[derive(Copy)]
    ReplyHeader {
        /// The request's number, or one of [`xid`].
        xid: i32,
        /// The newest zxid that the answer reflects.
        zxid: Zxid,
        /// An [`ErrorCode`].
        err: i32,
    }
    /// create, create2 and createContainer.
    CreateRequest {
        /// The path wanted, without sequence suffix.
        path: String,
        /// Its data.
        data: Option<Bytes>,
        /// Its ACL.
        acl: Vec<Acl>,
        /// A [`CreateMode`].
        flags: i32,
    }
    /// createTTL.
    CreateTtlRequest {
        /// As in [`CreateRequest`].
        path: String,
        /// As in [`CreateRequest`].
        data: Option<Bytes>,
        /// As in [`CreateRequest`].
        acl: Vec<Acl>,
        /// As in [`CreateRequest`].
        flags: i32,
        /// Milliseconds.
        ttl: i64,
    }
    /// The answer to create.
    CreateResponse {
        /// The path made.
        path: String,
    }
    /// The answer to create2 and its kin.
    Create2Response {
        /// The path made.
        path: String,
        /// Its state.
        stat: Stat,
    }
    /// delete.
    DeleteRequest {
        /// Whom.
        path: String,
        /// The version that it must have, -1 for any.
        version: i32,
    }
    /// exists, getData, getChildren, getChildren2: a path, and whether to watch it.
    PathRequest {
        /// Whose.
        path: String,
        /// Whether to set a watch.
        watch: bool,
    }
    /// getACL, sync, getEphemerals (a prefix), getAllChildrenNumber, deleteContainer.
    BarePath {
        /// Whose.
        path: String,
    }
    /// The answer to exists, setData and setACL.
    StatResponse {
        /// The state.
        stat: Stat,
    }
    /// The answer to getData and reconfig.
    GetDataResponse {
        /// The data.
        data: Option<Bytes>,
        /// The state.
        stat: Stat,
    }
    /// setData.
    SetDataRequest {
        /// Whose.
        path: String,
        /// What.
        data: Option<Bytes>,
        /// The version that it must have, -1 for any.
        version: i32,
    }
    /// setACL.
    SetAclRequest {
        /// Whose.
        path: String,
        /// What.
        acl: Vec<Acl>,
        /// The ACL version that it must have, -1 for any.
        version: i32,
    }
    /// The answer to getACL.
    GetAclResponse {
        /// The list, digests masked for those without ADMIN.
        acl: Vec<Acl>,
        /// The state.
        stat: Stat,
    }
    /// The answer to getChildren.
    GetChildrenResponse {
        /// Names, in no promised order.
        children: Vec<String>,
    }
    /// The answer to getChildren2.
    GetChildren2Response {
        /// Names, in no promised order.
        children: Vec<String>,
        /// The state.
        stat: Stat,
    }
    /// check, inside a multi.
    CheckVersionRequest {
        /// Whose.
        path: String,
        /// The version that it must have, -1 for any.
        version: i32,
    }
    /// The answer to sync.
    SyncResponse {
        /// The path asked for.
        path: String,
    }
    /// auth.
    AuthPacket {
        /// Always 0.
        kind: i32,
        /// The scheme's name.
        scheme: String,
        /// What the scheme wants to know.
        auth: Option<Bytes>,
    }
    /// sasl, both ways.
    SaslToken {
        /// The mechanism's own bytes.
        token: Option<Bytes>,
    }
    /// setWatches.
    SetWatches {
        /// What the client has seen.
        relative_zxid: Zxid,
        /// Paths with data watches.
        data: Vec<String>,
        /// Paths with exists watches on absent znodes.
        exist: Vec<String>,
        /// Paths with child watches.
        child: Vec<String>,
    }
    /// setWatches2.
    SetWatches2 {
        /// What the client has seen.
        relative_zxid: Zxid,
        /// As in [`SetWatches`].
        data: Vec<String>,
        /// As in [`SetWatches`].
        exist: Vec<String>,
        /// As in [`SetWatches`].
        child: Vec<String>,
        /// Paths with persistent watches.
        persistent: Vec<String>,
        /// Paths with persistent recursive watches.
        persistent_recursive: Vec<String>,
    }
    /// addWatch.
    AddWatchRequest {
        /// Whom.
        path: String,
        /// 0 persistent, 1 persistent recursive.
        mode: i32,
    }
    /// removeWatches and checkWatches.
    WatchesRequest {
        /// Whose.
        path: String,
        /// 1 children, 2 data, 3 any, 4 persistent, 5 persistent recursive.
        kind: i32,
    }
    /// The answer to addWatch, and to a failed part of a multi.
    #[derive(Copy)]
    ErrorResponse {
        /// An [`ErrorCode`].
        err: i32,
    }
    /// The answer to getEphemerals.
    GetEphemeralsResponse {
        /// Paths.
        ephemerals: Vec<String>,
    }
    /// The answer to getAllChildrenNumber.
    #[derive(Copy)]
    GetAllChildrenNumberResponse {
        /// Descendants, the znode itself not counted.
        total: i32,
    }
    /// One identity of a connection.
    ClientInfo {
        /// The scheme's name.
        scheme: String,
        /// The user within it.
        user: String,
    }
    /// The answer to whoAmI.
    WhoAmIResponse {
        /// All identities of the connection.
        infos: Vec<ClientInfo>,
    }
    /// reconfig. Either `new_members` or the other two are used.
    ReconfigRequest {
        /// `server.N=…`, separated by commas.
        joining: String,
        /// Ids, separated by commas.
        leaving: String,
        /// A whole configuration.
        new_members: String,
        /// The version that must be current, -1 for any.
        config_id: i64,
    }
    /// A watch event.
    WatcherEvent {
        /// An [`EventType`].
        kind: i32,
        /// The session's state: 3 connected.
        state: i32,
        /// The path that changed.
        path: String,
    }
    /// What a session's creation asks of the leader (the record of [`OpCode::CreateSession`]).
    #[derive(Copy)]
    CreateSessionRequest {
        /// Milliseconds, negotiated.
        timeout: i32,
    }
}

macro_rules! requests {
    ($( $variant:ident($record:ty) ),* $(,)?) => {
        /// A request, decoded. The variant's name is its [`OpCode`]'s.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Request {
            $( #[doc = concat!("See [`OpCode::", stringify!($variant), "`].")] $variant($record), )*
            /// A write that has null for a path or for whom an ACL names, which Apache reads and
            /// cannot prepare: its operation, its record as it came.
            Null(OpCode, Bytes),
        }

        impl Request {
            /// What it asks for.
            #[must_use]
            pub const fn op(&self) -> OpCode {
                match self {
                    $( Self::$variant(_) => OpCode::$variant, )*
                    Self::Null(op, _) => *op,
                }
            }

            /// Appends the record, without header.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $( Self::$variant(r) => r.encode(out), )*
                    Self::Null(_, record) => out.extend_from_slice(record),
                }
            }

            /// Takes the record of `op` off the front of `reader`.
            ///
            /// # Errors
            /// If the bytes are not its record, or no request has this code.
            pub fn decode(op: OpCode, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let (start, nulls) = (reader.position(), reader.nulls());
                let request = match op {
                    $( OpCode::$variant => Self::$variant(reader.read()?), )*
                    OpCode::Notification | OpCode::Error => {
                        return Err(DecodeError::Value { field: "opcode", value: op.code().into() });
                    }
                };
                if reader.nulls() > nulls && request.needs_what_is_empty() {
                    return Ok(Self::Null(op, reader.since(start)));
                }
                Ok(request)
            }
        }

        #[cfg(test)]
        impl crate::tests::Sample for Request {
            fn sample() -> proptest::strategy::BoxedStrategy<Self> {
                use proptest::strategy::Strategy;
                proptest::strategy::Union::new([
                    $( <$record as crate::tests::Sample>::sample().prop_map(Self::$variant).boxed(), )*
                ])
                .boxed()
            }
        }
    };
}

requests! {
    Create(CreateRequest),
    Delete(DeleteRequest),
    Exists(PathRequest),
    GetData(PathRequest),
    SetData(SetDataRequest),
    GetAcl(BarePath),
    SetAcl(SetAclRequest),
    GetChildren(PathRequest),
    Sync(BarePath),
    Ping(()),
    GetChildren2(PathRequest),
    Check(CheckVersionRequest),
    Multi(MultiRequest),
    Create2(CreateRequest),
    Reconfig(ReconfigRequest),
    CheckWatches(WatchesRequest),
    RemoveWatches(WatchesRequest),
    CreateContainer(CreateRequest),
    DeleteContainer(BarePath),
    CreateTtl(CreateTtlRequest),
    MultiRead(MultiRequest),
    Auth(AuthPacket),
    SetWatches(SetWatches),
    Sasl(SaslToken),
    GetEphemerals(BarePath),
    GetAllChildrenNumber(BarePath),
    SetWatches2(SetWatches2),
    AddWatch(AddWatchRequest),
    WhoAmI(()),
    CreateSession(CreateSessionRequest),
    CloseSession(()),
}

impl Request {
    /// Whether, were what is empty null, Apache could not prepare it. It refuses unknown modes
    /// before it looks, and a setData or setACL without a path in an orderly way.
    fn needs_what_is_empty(&self) -> bool {
        let names_nobody = |acl: &[Acl]| {
            let ids = acl.iter().map(|entry| &entry.id);
            // Whom `auth` names is not looked at, and kazoo sends null there.
            let mut schemes = ids
                .filter(|id| id.id.is_empty())
                .map(|id| id.scheme.as_str());
            schemes.any(|scheme| !matches!(scheme, "" | "auth"))
        };
        let create = |path: &str, acl: &[Acl], flags| {
            let is_empty = path.is_empty() || names_nobody(acl);
            is_empty && CreateMode::from_code(flags).is_some()
        };
        match self {
            Self::Create(r) | Self::Create2(r) | Self::CreateContainer(r) => {
                create(&r.path, &r.acl, r.flags)
            }
            Self::CreateTtl(r) => create(&r.path, &r.acl, r.flags),
            Self::Delete(r) => r.path.is_empty(),
            Self::SetAcl(r) => !r.path.is_empty() && names_nobody(&r.acl),
            Self::Multi(multi) => multi.ops.iter().any(|part| match part {
                Self::SetData(r) => r.path.is_empty(),
                Self::Check(r) => r.path.is_empty(),
                Self::Null(..) => true,
                _ => false,
            }),
            _ => false,
        }
    }

    /// Whether, were what is empty null, Apache could not serve it: it looks up the path.
    #[must_use]
    pub fn looks_up_what_is_empty(&self) -> bool {
        let any = |paths: &[String]| paths.iter().any(String::is_empty);
        match self {
            Self::Exists(r) | Self::GetData(r) | Self::GetChildren(r) | Self::GetChildren2(r) => {
                r.path.is_empty()
            }
            Self::GetAcl(r) | Self::GetAllChildrenNumber(r) => r.path.is_empty(),
            Self::SetWatches(r) => any(&r.data) || any(&r.exist) || any(&r.child),
            Self::SetWatches2(r) => any(&r.data) || any(&r.exist) || any(&r.child),
            Self::MultiRead(multi) => multi.ops.iter().any(Self::looks_up_what_is_empty),
            _ => false,
        }
    }
}

/// A request that changes something, on its way to the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Who asks.
    pub session: SessionId,
    /// The client's number for it.
    pub cxid: i32,
    /// What is asked, as the client sent it. An operation that is unknown or malformed does not
    /// get this far.
    pub request: Request,
    /// All identities of the connection, for ACL checks at the leader.
    pub identities: std::sync::Arc<[Id]>,
}
