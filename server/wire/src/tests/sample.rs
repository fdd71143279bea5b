//! Random values of every type that has a jute form.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::Union;

use crate::client::{
    ConnectRequest, ConnectResponse, MultiRequest, MultiResponse, MultiResult, Request,
};
use crate::election::{Hello, Notification, PeerState};
use crate::snapshot::Piece;
use crate::txn::{CloseSessionTxn, DIGEST_VERSION, Entry, Txn, TxnDigest, TxnHeader, kind};
use crate::{Epoch, PeerId, Perms, SessionId, Zxid};

/// A type of which there are random values. [`crate::jute::records`] gives it to its records.
pub(crate) trait Sample: Sized + std::fmt::Debug {
    /// Values that encode.
    fn sample() -> BoxedStrategy<Self>;
}

macro_rules! any_of {
    ($($type:ty),*) => {$(
        impl Sample for $type {
            fn sample() -> BoxedStrategy<Self> {
                any::<Self>().boxed()
            }
        }
    )*};
}
any_of!((), bool, u8, i32, i64, u64);

macro_rules! newtypes {
    ($($type:ident),*) => {$(
        impl Sample for $type {
            fn sample() -> BoxedStrategy<Self> {
                Sample::sample().prop_map($type).boxed()
            }
        }
    )*};
}
newtypes!(Zxid, PeerId, SessionId, Perms);

impl Sample for Epoch {
    fn sample() -> BoxedStrategy<Self> {
        any::<u32>().prop_map(Self).boxed()
    }
}

impl Sample for String {
    fn sample() -> BoxedStrategy<Self> {
        vec(any::<char>(), 0..8)
            .prop_map(|chars| chars.into_iter().collect())
            .boxed()
    }
}

impl Sample for Bytes {
    fn sample() -> BoxedStrategy<Self> {
        vec(any::<u8>(), 0..8).prop_map(Self::from).boxed()
    }
}

impl Sample for Option<Bytes> {
    fn sample() -> BoxedStrategy<Self> {
        option::of(Bytes::sample()).boxed()
    }
}

impl<T: Sample + 'static> Sample for Vec<T> {
    fn sample() -> BoxedStrategy<Self> {
        vec(T::sample(), 0..4).boxed()
    }
}

impl Sample for ConnectRequest {
    fn sample() -> BoxedStrategy<Self> {
        let fields = (Sample::sample(), Sample::sample(), Sample::sample());
        (
            fields,
            Sample::sample(),
            Sample::sample(),
            any::<Option<bool>>(),
        )
            .prop_map(|(fields, session_id, password, read_only)| Self {
                protocol_version: fields.0,
                last_zxid_seen: fields.1,
                timeout: fields.2,
                session_id,
                password,
                read_only,
            })
            .boxed()
    }
}

impl Sample for ConnectResponse {
    fn sample() -> BoxedStrategy<Self> {
        let fields = (Sample::sample(), Sample::sample());
        (
            fields,
            Sample::sample(),
            Sample::sample(),
            any::<Option<bool>>(),
        )
            .prop_map(|(fields, session_id, password, read_only)| Self {
                protocol_version: fields.0,
                timeout: fields.1,
                session_id,
                password,
                read_only,
            })
            .boxed()
    }
}

impl Sample for MultiRequest {
    fn sample() -> BoxedStrategy<Self> {
        let write = Union::new([
            Sample::sample().prop_map(Request::Create).boxed(),
            Sample::sample().prop_map(Request::Create2).boxed(),
            Sample::sample().prop_map(Request::CreateTtl).boxed(),
            Sample::sample().prop_map(Request::CreateContainer).boxed(),
            Sample::sample().prop_map(Request::Delete).boxed(),
            Sample::sample().prop_map(Request::SetData).boxed(),
            Sample::sample().prop_map(Request::Check).boxed(),
        ]);
        let read = Union::new([
            Sample::sample().prop_map(Request::GetData).boxed(),
            Sample::sample().prop_map(Request::GetChildren).boxed(),
        ]);
        prop_oneof![vec(write, 0..4), vec(read, 0..4)]
            .prop_map(|ops| Self { ops })
            .boxed()
    }
}

impl Sample for MultiResponse {
    fn sample() -> BoxedStrategy<Self> {
        let result = Union::new([
            Sample::sample().prop_map(MultiResult::Create).boxed(),
            Sample::sample().prop_map(MultiResult::Create2).boxed(),
            Sample::sample().prop_map(MultiResult::SetData).boxed(),
            Just(MultiResult::Check).boxed(),
            Just(MultiResult::Delete).boxed(),
            Sample::sample().prop_map(MultiResult::GetData).boxed(),
            Sample::sample().prop_map(MultiResult::GetChildren).boxed(),
            Sample::sample().prop_map(MultiResult::Error).boxed(),
        ]);
        vec(result, 0..4)
            .prop_map(|results| Self { results })
            .boxed()
    }
}

impl Sample for Hello {
    fn sample() -> BoxedStrategy<Self> {
        (0..=i64::MAX, vec("[a-z0-9.]{1,9}:[0-9]{1,5}", 0..3))
            .prop_map(|(peer, addresses)| Self {
                peer: PeerId(peer),
                addresses,
            })
            .boxed()
    }
}

impl Sample for Notification {
    fn sample() -> BoxedStrategy<Self> {
        let vote = (
            Sample::sample(),
            Sample::sample(),
            any::<i64>(),
            any::<i64>(),
        );
        (0..4, vote, Sample::sample(), Sample::sample())
            .prop_map(
                |(state, (leader, zxid, round, epoch), config, extension)| Self {
                    state: PeerState::from_code(state).expect("one of the four"),
                    leader,
                    zxid,
                    round,
                    epoch,
                    config,
                    extension,
                },
            )
            .boxed()
    }
}

/// Transactions that may stand in a multi, with their kinds.
fn part() -> Union<BoxedStrategy<(i32, Txn)>> {
    let of = |kinds: &'static [i32], txn: BoxedStrategy<Txn>| {
        (proptest::sample::select(kinds), txn).boxed()
    };
    Union::new([
        of(
            &[kind::CREATE, kind::CREATE2],
            Sample::sample().prop_map(Txn::Create).boxed(),
        ),
        of(
            &[kind::CREATE_TTL],
            Sample::sample().prop_map(Txn::CreateTtl).boxed(),
        ),
        of(
            &[kind::CREATE_CONTAINER],
            Sample::sample().prop_map(Txn::CreateContainer).boxed(),
        ),
        of(
            &[kind::DELETE, kind::DELETE_CONTAINER],
            Sample::sample().prop_map(Txn::Delete).boxed(),
        ),
        of(
            &[kind::SET_DATA],
            Sample::sample().prop_map(Txn::SetData).boxed(),
        ),
        of(
            &[kind::CHECK],
            Sample::sample().prop_map(Txn::Check).boxed(),
        ),
        of(
            &[kind::ERROR],
            Sample::sample().prop_map(Txn::Error).boxed(),
        ),
    ])
}

/// Two empty paths would look like a digest behind no list.
fn close_session() -> impl Strategy<Value = CloseSessionTxn> {
    CloseSessionTxn::sample().prop_map(|mut close| {
        for path in &mut close.paths_to_delete {
            path.insert(0, '/');
        }
        close
    })
}

impl Sample for Entry {
    fn sample() -> BoxedStrategy<Self> {
        let with = |kind: i32, txn: BoxedStrategy<Txn>| (Just(kind), txn).boxed();
        let txn = Union::new([
            part().boxed(),
            with(
                kind::RECONFIG,
                Sample::sample().prop_map(Txn::SetData).boxed(),
            ),
            with(
                kind::SET_ACL,
                Sample::sample().prop_map(Txn::SetAcl).boxed(),
            ),
            with(
                kind::CREATE_SESSION,
                Sample::sample().prop_map(Txn::CreateSession).boxed(),
            ),
            with(
                kind::CLOSE_SESSION,
                option::of(close_session())
                    .prop_map(Txn::CloseSession)
                    .boxed(),
            ),
            with(kind::MULTI, vec(part(), 0..4).prop_map(Txn::Multi).boxed()),
        ]);
        let digest = option::of(any::<u64>());
        (TxnHeader::sample(), txn, digest)
            .prop_map(|(header, (kind, txn), digest)| {
                let header = TxnHeader { kind, ..header };
                let digest = digest.map(|digest| TxnDigest {
                    version: DIGEST_VERSION,
                    digest,
                });
                Self::new(header, txn, digest)
            })
            .boxed()
    }
}

/// A whole snapshot's pieces.
pub(super) fn snapshot() -> BoxedStrategy<Vec<Piece>> {
    (
        vec(Sample::sample(), 0..3),
        vec(Sample::sample(), 0..3),
        vec(Sample::sample(), 0..4),
    )
        .prop_map(|(sessions, acls, znodes)| {
            let mut pieces = vec![Piece::Sessions(sessions.len() as u32)];
            pieces.extend(sessions.into_iter().map(Piece::Session));
            pieces.push(Piece::Acls(acls.len() as u32));
            pieces.extend(acls.into_iter().map(Piece::Acl));
            pieces.extend(znodes.into_iter().map(Piece::Znode));
            pieces.push(Piece::End);
            pieces
        })
        // Such a path ends the body and is no znode's.
        .prop_filter("a znode named /", |pieces| {
            !pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Znode(z) if z.path == "/"))
        })
        .boxed()
}
