//! Numbers with names: operations, errors, events, kinds of znodes.

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $( $(#[$vmeta:meta])* $variant:ident = $value:literal ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        pub enum $name { $( $(#[$vmeta])* $variant = $value, )* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$( Self::$variant, )*];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> i32 {
                self as i32
            }

            /// The one with this number.
            #[must_use]
            pub const fn from_code(code: i32) -> Option<Self> {
                match code {
                    $( $value => Some(Self::$variant), )*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// What a request asks for.
    OpCode {
        /// Not a request: the type of events.
        Notification = 0,
        /// [`CreateRequest`](super::CreateRequest), answered by [`CreateResponse`](super::CreateResponse).
        Create = 1,
        /// [`DeleteRequest`](super::DeleteRequest), answered by the header alone.
        Delete = 2,
        /// [`PathRequest`](super::PathRequest), answered by [`StatResponse`](super::StatResponse).
        Exists = 3,
        /// [`PathRequest`](super::PathRequest), answered by [`GetDataResponse`](super::GetDataResponse).
        GetData = 4,
        /// [`SetDataRequest`](super::SetDataRequest), answered by [`StatResponse`](super::StatResponse).
        SetData = 5,
        /// [`BarePath`](super::BarePath), answered by [`GetAclResponse`](super::GetAclResponse).
        GetAcl = 6,
        /// [`SetAclRequest`](super::SetAclRequest), answered by [`StatResponse`](super::StatResponse).
        SetAcl = 7,
        /// [`PathRequest`](super::PathRequest), answered by [`GetChildrenResponse`](super::GetChildrenResponse).
        GetChildren = 8,
        /// [`BarePath`](super::BarePath), answered by [`SyncResponse`](super::SyncResponse).
        Sync = 9,
        /// Nothing, answered by the header alone.
        Ping = 11,
        /// [`PathRequest`](super::PathRequest), answered by [`GetChildren2Response`](super::GetChildren2Response).
        GetChildren2 = 12,
        /// [`CheckVersionRequest`](super::CheckVersionRequest), only inside a multi.
        Check = 13,
        /// [`MultiRequest`](super::MultiRequest) of writes, answered by [`MultiResponse`](super::MultiResponse).
        Multi = 14,
        /// [`CreateRequest`](super::CreateRequest), answered by [`Create2Response`](super::Create2Response).
        Create2 = 15,
        /// [`ReconfigRequest`](super::ReconfigRequest), answered by [`GetDataResponse`](super::GetDataResponse).
        Reconfig = 16,
        /// [`WatchesRequest`](super::WatchesRequest), answered by the header alone.
        CheckWatches = 17,
        /// [`WatchesRequest`](super::WatchesRequest), answered by the header alone.
        RemoveWatches = 18,
        /// [`CreateRequest`](super::CreateRequest), answered by [`Create2Response`](super::Create2Response).
        CreateContainer = 19,
        /// [`BarePath`](super::BarePath); the leader asks it of itself, clients may not.
        DeleteContainer = 20,
        /// [`CreateTtlRequest`](super::CreateTtlRequest), answered by [`Create2Response`](super::Create2Response).
        CreateTtl = 21,
        /// [`MultiRequest`](super::MultiRequest) of reads, answered by [`MultiResponse`](super::MultiResponse).
        MultiRead = 22,
        /// [`AuthPacket`](super::AuthPacket), answered by the header alone.
        Auth = 100,
        /// [`SetWatches`](super::SetWatches), answered by the header alone.
        SetWatches = 101,
        /// [`SaslToken`](super::SaslToken), answered by one.
        Sasl = 102,
        /// [`BarePath`](super::BarePath), answered by [`GetEphemeralsResponse`](super::GetEphemeralsResponse).
        GetEphemerals = 103,
        /// [`BarePath`](super::BarePath), answered by
        /// [`GetAllChildrenNumberResponse`](super::GetAllChildrenNumberResponse).
        GetAllChildrenNumber = 104,
        /// [`SetWatches2`](super::SetWatches2), answered by the header alone.
        SetWatches2 = 105,
        /// [`AddWatchRequest`](super::AddWatchRequest), answered by [`ErrorResponse`](super::ErrorResponse).
        AddWatch = 106,
        /// Nothing, answered by [`WhoAmIResponse`](super::WhoAmIResponse).
        WhoAmI = 107,
        /// [`CreateSessionRequest`](super::CreateSessionRequest), from a member to the leader only.
        CreateSession = -10,
        /// Nothing, answered by the header alone before the connection closes.
        CloseSession = -11,
        /// Not a request: the type of failed transactions.
        Error = -1,
    }
}

impl OpCode {
    /// Whether what a client asks goes to the leader, whichever member it is connected to: what
    /// changes something, `closeSession` included, and `sync`.
    #[must_use]
    pub const fn is_write(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Create2
                | Self::CreateContainer
                | Self::CreateTtl
                | Self::Delete
                | Self::SetData
                | Self::SetAcl
                | Self::Multi
                | Self::Reconfig
                | Self::Sync
                | Self::CloseSession
        )
    }
}

codes! {
    /// What a reply's header says went wrong.
    ErrorCode {
        /// Done.
        Ok = 0,
        /// The server failed in a way that no other code names.
        SystemError = -1,
        /// Not done, since another part of the multi failed.
        RuntimeInconsistency = -2,
        /// The data is not what it must be.
        DataInconsistency = -3,
        /// The connection broke.
        ConnectionLoss = -4,
        /// The request could not be read.
        MarshallingError = -5,
        /// The operation is unknown, or not offered as this server is configured.
        Unimplemented = -6,
        /// It took too long.
        OperationTimeout = -7,
        /// A path, mode or other argument is not allowed.
        BadArguments = -8,
        /// The session is not known.
        UnknownSession = -12,
        /// No quorum of the new configuration is connected and synced.
        NewConfigNoQuorum = -13,
        /// Another reconfiguration is not finished.
        ReconfigInProgress = -14,
        /// Never sent: below it are the errors of requests, above it those of the system.
        ApiError = -100,
        /// The znode does not exist.
        NoNode = -101,
        /// The ACL does not allow it.
        NoAuth = -102,
        /// The version is not the one expected.
        BadVersion = -103,
        /// The parent is ephemeral.
        NoChildrenForEphemerals = -108,
        /// The znode exists already.
        NodeExists = -110,
        /// The znode has children.
        NotEmpty = -111,
        /// The session is no more.
        SessionExpired = -112,
        /// Only clients give it to themselves.
        InvalidCallback = -113,
        /// The ACL is empty or has an entry that is not allowed.
        InvalidAcl = -114,
        /// The credentials are wrong; the connection closes.
        AuthFailed = -115,
        /// The session is at another member; the connection closes instead.
        SessionMoved = -118,
        /// A write or sync reached a read-only server.
        NotReadOnly = -119,
        /// A local session that may not become global wants an ephemeral.
        EphemeralOnLocalSession = -120,
        /// There is no such watch.
        NoWatcher = -121,
        /// Only clients give it to themselves.
        RequestTimeout = -122,
        /// Reconfiguration is switched off.
        ReconfigDisabled = -123,
        /// The connection must authenticate by SASL first.
        SessionClosedRequireSaslAuth = -124,
        /// A hard quota would be exceeded.
        QuotaExceeded = -125,
        /// The request waited too long to be served.
        ThrottledOp = -127,
    }
}

codes! {
    /// What happened to a watched path.
    EventType {
        /// Nothing happened to a path: the session's state changed.
        None = -1,
        /// The znode was created.
        NodeCreated = 1,
        /// The znode was deleted.
        NodeDeleted = 2,
        /// Its data changed.
        NodeDataChanged = 3,
        /// A child came or went.
        NodeChildrenChanged = 4,
        /// A data watch was removed; clients give it to themselves.
        DataWatchRemoved = 5,
        /// A child watch was removed; likewise.
        ChildWatchRemoved = 6,
        /// A persistent watch was removed; likewise.
        PersistentWatchRemoved = 7,
    }
}

codes! {
    /// What kind of znode a create makes.
    CreateMode {
        /// Stays until it is deleted.
        Persistent = 0,
        /// Goes with its session.
        Ephemeral = 1,
        /// Stays; the parent's counter is appended to its name.
        PersistentSequential = 2,
        /// Goes with its session; the counter is appended.
        EphemeralSequential = 3,
        /// The server deletes it once its last child is gone.
        Container = 4,
        /// The server deletes it when it had neither change nor children for its time to live.
        PersistentWithTtl = 5,
        /// Likewise; the counter is appended.
        PersistentSequentialWithTtl = 6,
    }
}

impl CreateMode {
    /// Whether the parent's counter is appended to the name.
    #[must_use]
    pub const fn is_sequential(self) -> bool {
        matches!(
            self,
            Self::PersistentSequential
                | Self::EphemeralSequential
                | Self::PersistentSequentialWithTtl
        )
    }

    /// Whether the znode goes with its session.
    #[must_use]
    pub const fn is_ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral | Self::EphemeralSequential)
    }
}
