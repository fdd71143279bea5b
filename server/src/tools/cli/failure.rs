//! Why a command did not do what it should, in the words that scripts know from zkCli.

use std::fmt;

use wire::client::ErrorCode;

/// A request that a server refused, or that did not reach one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// ZooKeeper's number for it.
    pub(crate) code: i32,
    /// What it was about.
    pub(crate) path: Option<String>,
}

impl Refused {
    pub(super) fn new(code: ErrorCode, path: Option<&str>) -> Self {
        Self {
            code: code.code(),
            path: path.map(str::to_owned),
        }
    }

    pub(super) fn is(&self, code: ErrorCode) -> bool {
        self.code == code.code()
    }

    /// What goes for all errors that have no words of their own.
    pub(super) fn general(&self) -> String {
        let name = match ErrorCode::from_code(self.code) {
            Some(code) => code_name(code).to_owned(),
            None => format!("Unknown error {}", self.code),
        };
        match &self.path {
            Some(path) => format!("KeeperErrorCode = {name} for {path}"),
            None => format!("KeeperErrorCode = {name}"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().unwrap_or("null");
        let start = match ErrorCode::from_code(self.code) {
            Some(ErrorCode::NoNode) => "Node does not exist: ",
            Some(ErrorCode::NoChildrenForEphemerals) => "Ephemerals cannot have children: ",
            Some(ErrorCode::NodeExists) => "Node already exists: ",
            Some(ErrorCode::NotEmpty) => "Node not empty: ",
            Some(ErrorCode::NotReadOnly) => "Not a read-only call: ",
            Some(ErrorCode::InvalidAcl) => "Acl is not valid : ",
            Some(ErrorCode::NoAuth) => "Insufficient permission : ",
            Some(ErrorCode::BadArguments) => "Arguments are not valid : ",
            Some(ErrorCode::BadVersion) => "version No is not valid : ",
            Some(ErrorCode::QuotaExceeded) => "Quota has exceeded : ",
            Some(ErrorCode::ReconfigInProgress) => {
                return f.write_str(
                    "Another reconfiguration is in progress -- concurrent reconfigs not \
                     supported (yet)",
                );
            }
            Some(ErrorCode::NewConfigNoQuorum) => {
                return f.write_str(
                    "No quorum of new config is connected and up-to-date with the leader of last \
                     commmitted config - try invoking reconfiguration after new servers are \
                     connected and synced",
                );
            }
            _ => return f.write_str(&self.general()),
        };
        write!(f, "{start}{path}")
    }
}

const fn code_name(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Ok => "ok",
        ErrorCode::SystemError => "SystemError",
        ErrorCode::RuntimeInconsistency => "RuntimeInconsistency",
        ErrorCode::DataInconsistency => "DataInconsistency",
        ErrorCode::ConnectionLoss => "ConnectionLoss",
        ErrorCode::MarshallingError => "MarshallingError",
        ErrorCode::Unimplemented => "Unimplemented",
        ErrorCode::OperationTimeout => "OperationTimeout",
        ErrorCode::BadArguments => "BadArguments",
        ErrorCode::UnknownSession => "UnknownSession",
        ErrorCode::NewConfigNoQuorum => "NewConfigNoQuorum",
        ErrorCode::ReconfigInProgress => "ReconfigInProgress",
        ErrorCode::ApiError => "APIError",
        ErrorCode::NoNode => "NoNode",
        ErrorCode::NoAuth => "NoAuth",
        ErrorCode::BadVersion => "BadVersion",
        ErrorCode::NoChildrenForEphemerals => "NoChildrenForEphemerals",
        ErrorCode::NodeExists => "NodeExists",
        ErrorCode::NotEmpty => "Directory not empty",
        ErrorCode::SessionExpired => "Session expired",
        ErrorCode::InvalidCallback => "Invalid callback",
        ErrorCode::InvalidAcl => "InvalidACL",
        ErrorCode::AuthFailed => "AuthFailed",
        ErrorCode::SessionMoved => "Session moved",
        ErrorCode::NotReadOnly => "Not a read-only call",
        ErrorCode::EphemeralOnLocalSession => "Ephemeral node on local session",
        ErrorCode::NoWatcher => "No such watcher",
        ErrorCode::RequestTimeout => "Request timeout",
        ErrorCode::ReconfigDisabled => "Reconfig is disabled",
        ErrorCode::SessionClosedRequireSaslAuth => {
            "Session closed because client failed to authenticate"
        }
        ErrorCode::QuotaExceeded => "Quota has exceeded",
        ErrorCode::ThrottledOp => "Op throttled due to high load",
    }
}

/// Why a command failed. Its text is what is printed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The words are not the command's; holds how to use it.
    #[error("{0}")]
    Usage(String),
    /// What was asked for makes no sense, or is not so.
    #[error("{0}")]
    Words(String),
    /// Of a server, or of the way to it.
    #[error("{0}")]
    Refused(Refused),
    /// No such command.
    #[error("Command not found: Command not found {0}")]
    Unknown(String),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Failure {
    /// What a shell gets.
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Unknown(_) => 127,
            Self::Usage(_) | Self::Words(_) | Self::Refused(_) => 1,
        }
    }
}
