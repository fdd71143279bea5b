//! Transactions: what is logged, replicated and applied.
//!
//! A log entry, a PROPOSAL's data and an INFORM's data are the same bytes: [`TxnHeader`], the
//! transaction, and optionally a [`TxnDigest`]. [`Entry`] keeps them together with what they
//! decode to, so that they are encoded once and shared.

use bytes::Bytes;

use crate::acl::Acl;
use crate::frame::encode_frame;
use crate::ids::{SessionId, Zxid};
use crate::jute::{DecodeError, Reader, Record, records};

/// Transaction types, which share their numbers with the client's opcodes, and their records.
pub mod kind {
    /// [`CreateTxn`](super::CreateTxn).
    pub const CREATE: i32 = 1;
    /// [`DeleteTxn`](super::DeleteTxn).
    pub const DELETE: i32 = 2;
    /// [`SetDataTxn`](super::SetDataTxn).
    pub const SET_DATA: i32 = 5;
    /// [`SetAclTxn`](super::SetAclTxn).
    pub const SET_ACL: i32 = 7;
    /// [`CheckVersionTxn`](super::CheckVersionTxn).
    pub const CHECK: i32 = 13;
    /// [`SubTxn`](super::SubTxn)s.
    pub const MULTI: i32 = 14;
    /// [`CreateTxn`](super::CreateTxn), from a client that wants the Stat.
    pub const CREATE2: i32 = 15;
    /// [`SetDataTxn`](super::SetDataTxn) of `/zookeeper/config`.
    pub const RECONFIG: i32 = 16;
    /// [`CreateContainerTxn`](super::CreateContainerTxn).
    pub const CREATE_CONTAINER: i32 = 19;
    /// [`DeleteTxn`](super::DeleteTxn) by the leader itself.
    pub const DELETE_CONTAINER: i32 = 20;
    /// [`CreateTtlTxn`](super::CreateTtlTxn).
    pub const CREATE_TTL: i32 = 21;
    /// [`CreateSessionTxn`](super::CreateSessionTxn).
    pub const CREATE_SESSION: i32 = -10;
    /// [`CloseSessionTxn`](super::CloseSessionTxn).
    pub const CLOSE_SESSION: i32 = -11;
    /// [`ErrorTxn`](super::ErrorTxn).
    pub const ERROR: i32 = -1;
}

records! {
    /// Who asked for a transaction, and its place in the order.
    TxnHeader {
        /// The session that asked.
        client_id: SessionId,
        /// The client's number for the request.
        cxid: i32,
        /// The place in the total order.
        zxid: Zxid,
        /// When the leader prepared it, milliseconds since 1970.
        time: i64,
        /// One of [`kind`].
        kind: i32,
    }
    /// The tree's digest after the transaction, as the leader predicts it.
    #[derive(Copy)]
    TxnDigest {
        /// [`DIGEST_VERSION`].
        version: i32,
        /// See the tree's digest.
        digest: u64,
    }
    /// A new znode, persistent or ephemeral.
    CreateTxn {
        /// Its path, sequence suffix included.
        path: String,
        /// Its data.
        data: Option<Bytes>,
        /// Its ACL, `auth` already resolved.
        acl: Vec<Acl>,
        /// Owned by the session in the header.
        ephemeral: bool,
        /// The parent's persisted cversion after the create; -1 means "one more".
        parent_cversion: i32,
    }
    /// A new znode with a time to live.
    CreateTtlTxn {
        /// As in [`CreateTxn`].
        path: String,
        /// As in [`CreateTxn`].
        data: Option<Bytes>,
        /// As in [`CreateTxn`].
        acl: Vec<Acl>,
        /// As in [`CreateTxn`].
        parent_cversion: i32,
        /// Milliseconds that it lives without change or children.
        ttl: i64,
    }
    /// A new container.
    CreateContainerTxn {
        /// As in [`CreateTxn`].
        path: String,
        /// As in [`CreateTxn`].
        data: Option<Bytes>,
        /// As in [`CreateTxn`].
        acl: Vec<Acl>,
        /// As in [`CreateTxn`].
        parent_cversion: i32,
    }
    /// A znode goes.
    DeleteTxn {
        /// Its path.
        path: String,
    }
    /// New data.
    SetDataTxn {
        /// Whose.
        path: String,
        /// What.
        data: Option<Bytes>,
        /// The data version after the change.
        version: i32,
    }
    /// A version that must hold, inside a multi.
    CheckVersionTxn {
        /// Whose.
        path: String,
        /// The version that it must have.
        version: i32,
    }
    /// A new ACL.
    SetAclTxn {
        /// Whose.
        path: String,
        /// What.
        acl: Vec<Acl>,
        /// The ACL version after the change.
        version: i32,
    }
    /// A new session.
    CreateSessionTxn {
        /// Its timeout in milliseconds.
        timeout: i32,
    }
    /// A session ends.
    CloseSessionTxn {
        /// Its ephemerals, all deleted with it.
        paths_to_delete: Vec<String>,
    }
    /// A request that failed.
    ErrorTxn {
        /// The error's code.
        err: i32,
    }
    /// One part of a multi.
    SubTxn {
        /// One of [`kind`].
        kind: i32,
        /// The part's own record.
        data: Bytes,
    }
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Txn {
    /// [`kind::CREATE`] or [`kind::CREATE2`].
    Create(CreateTxn),
    /// [`kind::CREATE_TTL`].
    CreateTtl(CreateTtlTxn),
    /// [`kind::CREATE_CONTAINER`].
    CreateContainer(CreateContainerTxn),
    /// [`kind::DELETE`] or [`kind::DELETE_CONTAINER`].
    Delete(DeleteTxn),
    /// [`kind::SET_DATA`], or [`kind::RECONFIG`], which sets `/zookeeper/config`.
    SetData(SetDataTxn),
    /// [`kind::CHECK`], only inside a multi.
    Check(CheckVersionTxn),
    /// [`kind::SET_ACL`].
    SetAcl(SetAclTxn),
    /// [`kind::CREATE_SESSION`].
    CreateSession(CreateSessionTxn),
    /// [`kind::CLOSE_SESSION`]; `None` where a member with `closeSessionTxn.enabled=false` wrote
    /// no list: then the ephemerals known to the tree go.
    CloseSession(Option<CloseSessionTxn>),
    /// [`kind::ERROR`].
    Error(ErrorTxn),
    /// [`kind::MULTI`], with each part's kind. A failed multi consists of errors only.
    Multi(Vec<(i32, Self)>),
}

/// [`TxnDigest::version`] of every member since there are digests.
pub const DIGEST_VERSION: i32 = 2;

/// The fewest bytes that a part of a multi takes: kind, length, and at least 4 bytes of record.
const PART_LEAST: usize = 12;

/// Parts are reserved by count, so this is how many bytes of memory a byte of input may cost.
const _: () = assert!(size_of::<(i32, Txn)>() <= 10 * PART_LEAST);

impl Txn {
    /// Appends the record, without kind or header.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Create(t) => t.encode(out),
            Self::CreateTtl(t) => t.encode(out),
            Self::CreateContainer(t) => t.encode(out),
            Self::Delete(t) => t.encode(out),
            Self::SetData(t) => t.encode(out),
            Self::Check(t) => t.encode(out),
            Self::SetAcl(t) => t.encode(out),
            Self::CreateSession(t) => t.encode(out),
            Self::CloseSession(t) => {
                if let Some(t) = t {
                    t.encode(out);
                }
            }
            Self::Error(t) => t.encode(out),
            Self::Multi(parts) => {
                crate::jute::length_of(parts.len()).encode(out);
                for (kind, part) in parts {
                    kind.encode(out);
                    // A buffer has the form of a frame: its length and its bytes.
                    encode_frame(out, |out| part.encode(out));
                }
            }
        }
    }

    /// Takes the record of this kind off the front of `reader`.
    ///
    /// # Errors
    /// If the kind is unknown or the bytes are not its record.
    pub fn decode(kind: i32, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            kind::SET_ACL => Self::SetAcl(reader.read()?),
            kind::RECONFIG => Self::SetData(reader.read()?),
            kind::CREATE_SESSION => Self::CreateSession(reader.read()?),
            kind::CLOSE_SESSION if lacks_list(reader)? => Self::CloseSession(None),
            kind::CLOSE_SESSION => Self::CloseSession(Some(reader.read()?)),
            kind::MULTI => {
                let count = reader.count(PART_LEAST)?;
                let mut parts = Vec::with_capacity(count);
                for _ in 0..count {
                    let part: SubTxn = reader.read()?;
                    let mut record = Reader::new(&part.data);
                    parts.push((part.kind, Self::decode_part(part.kind, &mut record)?));
                }
                Self::Multi(parts)
            }
            kind => Self::decode_part(kind, reader)?,
        })
    }

    /// Those that may stand inside a multi, which are also all that Apache reads there.
    fn decode_part(kind: i32, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            kind::CREATE | kind::CREATE2 => Self::Create(decode_create(reader)?),
            kind::CREATE_TTL => Self::CreateTtl(reader.read()?),
            kind::CREATE_CONTAINER => Self::CreateContainer(reader.read()?),
            kind::DELETE | kind::DELETE_CONTAINER => Self::Delete(reader.read()?),
            kind::SET_DATA => Self::SetData(reader.read()?),
            kind::CHECK => Self::Check(reader.read()?),
            kind::ERROR => Self::Error(reader.read()?),
            other => {
                return Err(DecodeError::Value {
                    field: "txn type",
                    value: other.into(),
                });
            }
        })
    }
}

/// Whether a closeSession has no list: nothing follows, or the digest alone. As a list those 12
/// bytes would be two empty paths, which do not exist.
fn lacks_list(reader: &Reader<'_>) -> Result<bool, DecodeError> {
    match reader.remaining() {
        0 => Ok(true),
        TxnDigest::LEAST => {
            let digest: TxnDigest = reader.clone().read()?;
            Ok(digest.version == DIGEST_VERSION)
        }
        _ => Ok(false),
    }
}

/// Logs of ZooKeeper before 3.3 end a create after `ephemeral`.
fn decode_create(reader: &mut Reader<'_>) -> Result<CreateTxn, DecodeError> {
    Ok(CreateTxn {
        path: reader.read()?,
        data: reader.read()?,
        acl: reader.read()?,
        ephemeral: reader.read()?,
        parent_cversion: if reader.remaining() == 0 {
            -1
        } else {
            reader.read()?
        },
    })
}

/// A transaction with its header and digest, and the bytes that all members share.
///
/// `bytes` always decodes to the other fields; they are private so that it stays so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    header: TxnHeader,
    txn: Txn,
    digest: Option<TxnDigest>,
    bytes: Bytes,
}

impl Entry {
    /// Encodes a new transaction.
    #[must_use]
    pub fn new(header: TxnHeader, txn: Txn, digest: Option<TxnDigest>) -> Self {
        let mut out = Vec::with_capacity(128);
        header.encode(&mut out);
        txn.encode(&mut out);
        if let Some(digest) = &digest {
            digest.encode(&mut out);
        }
        Self {
            header,
            txn,
            digest,
            bytes: out.into(),
        }
    }

    /// Decodes one from a log or a peer; the bytes are kept verbatim.
    ///
    /// # Errors
    /// If they are not a transaction.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&bytes);
        let header: TxnHeader = reader.read()?;
        let txn = Txn::decode(header.kind, &mut reader)?;
        let digest = if reader.remaining() >= 12 {
            Some(reader.read()?)
        } else {
            None
        };
        Ok(Self {
            header,
            txn,
            digest,
            bytes,
        })
    }

    /// Its place in the order.
    #[must_use]
    pub const fn zxid(&self) -> Zxid {
        self.header.zxid
    }

    /// Who asked, and when.
    #[must_use]
    pub const fn header(&self) -> &TxnHeader {
        &self.header
    }

    /// What it does.
    #[must_use]
    pub const fn txn(&self) -> &Txn {
        &self.txn
    }

    /// The digest that the tree should have afterwards, if the leader said.
    #[must_use]
    pub const fn digest(&self) -> Option<TxnDigest> {
        self.digest
    }

    /// The encoded form.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}
