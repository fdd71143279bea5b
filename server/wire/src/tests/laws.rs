//! What holds for every record, whatever it contains and however its bytes are damaged.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use super::Sample;
use super::sample::snapshot;
use crate::client::*;
use crate::election::{Hello, Notification};
use crate::frame::{FrameDecoder, encode_frame};
use crate::quorum::{
    Capabilities, ForwardHeader, LearnerInfo, Packet, PacketDecoder, Revalidated, SaslMessage,
    SessionTimeout,
};
use crate::snapshot::{
    AclRecord, FileHeader, PieceDecoder, SessionRecord, ZnodeRecord, ZxidDigest, encode_piece,
};
use crate::txn::*;
use crate::{Acl, DecodeError, Id, Reader, Record, Stat, StatPersisted};

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A way to damage bytes: which ones, and with what.
type Damage = Vec<(Index, u8)>;

/// Little of it: what is damaged much fails at once.
fn damage() -> impl Strategy<Value = Damage> {
    proptest::collection::vec(any::<(Index, u8)>(), 1..4)
}

fn damaged(bytes: &[u8], damage: &Damage) -> Bytes {
    let mut bytes = bytes.to_vec();
    if !bytes.is_empty() {
        for (at, with) in damage {
            *at.get_mut(&mut bytes) ^= with;
        }
    }
    bytes.into()
}

/// Reads back what is written; refuses or reads, and never panics, when it is damaged; what it
/// reads then can be written and read again.
fn hold_laws<T, D>(encode: fn(&T) -> Bytes, decode: D, least: usize)
where
    T: Sample + PartialEq + 'static,
    D: Fn(&Bytes) -> Result<T, DecodeError>,
{
    let values = (T::sample(), damage(), any::<Index>());
    let mut runner = TestRunner::new(config());
    let result = runner.run(&values, |(value, damage, cut)| {
        let bytes = encode(&value);
        prop_assert!(bytes.len() >= least);
        prop_assert_eq!(decode(&bytes), Ok(value));
        let cut = cut.index(bytes.len() + 1);
        for bytes in [bytes.slice(..cut), damaged(&bytes, &damage)] {
            if let Ok(value) = decode(&bytes) {
                let again = decode(&encode(&value));
                prop_assert_eq!(again, Ok(value));
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{}: {error}\n{runner}", std::any::type_name::<T>());
    }
}

macro_rules! records_hold_laws {
    ($($test:ident: $($type:ty),+;)*) => {$(
        #[test]
        fn $test() {
            $( hold_laws(<$type>::to_bytes, <$type>::from_bytes, <$type>::LEAST); )+
        }
    )*};
}
records_hold_laws! {
    plain_values: bool, u8, i32, i64, u64, String, Bytes, Option<Bytes>, Vec<String>;
    acls_and_stats: Id, Acl, Vec<Acl>, Stat, StatPersisted;
    connects: ConnectRequest, ConnectResponse;
    headers: RequestHeader, ReplyHeader, MultiHeader, TxnHeader, ForwardHeader, FileHeader;
    answers: CreateResponse, Create2Response, StatResponse, GetDataResponse, GetAclResponse,
        GetChildrenResponse, GetChildren2Response, SyncResponse, ErrorResponse,
        GetEphemeralsResponse, GetAllChildrenNumberResponse, WhoAmIResponse, WatcherEvent;
    multis: MultiRequest, MultiResponse;
    election: Hello, Notification;
    quorum: Packet, LearnerInfo, SaslMessage, SessionTimeout, Revalidated;
    transactions: CreateTxn, CreateTtlTxn, CreateContainerTxn, DeleteTxn, SetDataTxn,
        CheckVersionTxn, SetAclTxn, CreateSessionTxn, CloseSessionTxn, ErrorTxn, SubTxn, TxnDigest;
    snapshots: SessionRecord, AclRecord, ZnodeRecord, ZxidDigest;
}

#[test]
fn requests() {
    let encode = |request: &Request| {
        let mut out = request.op().code().to_bytes().to_vec();
        request.encode(&mut out);
        out.into()
    };
    let decode = |bytes: &Bytes| {
        let mut reader = Reader::new(bytes);
        let code = reader.read()?;
        let op = OpCode::from_code(code).ok_or(DecodeError::Trailing(0))?;
        Request::decode(op, &mut reader)
    };
    hold_laws(encode, decode, 4);
}

/// Entries compare with their bytes, which may end in what nobody reads: so this compares the
/// rest of them.
#[test]
fn entries() {
    let values = (Entry::sample(), damage(), any::<Index>());
    let mut runner = TestRunner::new(config());
    let result = runner.run(&values, |(entry, damage, cut)| {
        let bytes = entry.bytes().clone();
        prop_assert_eq!(Entry::decode(bytes.clone()), Ok(entry));
        for bytes in [
            bytes.slice(..cut.index(bytes.len() + 1)),
            damaged(&bytes, &damage),
        ] {
            if let Ok(entry) = Entry::decode(bytes.clone()) {
                prop_assert_eq!(entry.bytes(), &bytes);
                prop_assert_eq!(entry.zxid(), entry.header().zxid);
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}\n{runner}");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn packets_are_the_same_in_any_pieces(
        packets in Vec::<Packet>::sample(),
        step in 1..40usize,
        damage in damage(),
    ) {
        let bytes: Vec<u8> = packets.iter().flat_map(Record::to_bytes).collect();
        prop_assert_eq!(cut_packets(&bytes, step), (packets, None));
        let bytes = damaged(&bytes, &damage);
        prop_assert_eq!(cut_packets(&bytes, step), cut_packets(&bytes, bytes.len().max(1)));
    }

    #[test]
    fn frames_are_the_same_in_any_pieces(
        payloads in Vec::<Bytes>::sample(),
        step in 1..40usize,
        damage in damage(),
    ) {
        let mut bytes = Vec::new();
        for payload in &payloads {
            encode_frame(&mut bytes, |out| out.extend_from_slice(payload));
        }
        prop_assert_eq!(cut_frames(&bytes, step), (payloads, None));
        let bytes = damaged(&bytes, &damage);
        prop_assert_eq!(cut_frames(&bytes, step), cut_frames(&bytes, bytes.len().max(1)));
    }

    #[test]
    fn snapshots_are_the_same_in_any_pieces(
        pieces in snapshot(),
        step in 1..40usize,
        damage in damage(),
    ) {
        let mut bytes = Vec::new();
        for piece in &pieces {
            encode_piece(piece, &mut bytes);
        }
        prop_assert_eq!(cut_pieces(&bytes, step), (pieces, None));
        let bytes = damaged(&bytes, &damage);
        prop_assert_eq!(cut_pieces(&bytes, step), cut_pieces(&bytes, bytes.len().max(1)));
    }

    #[test]
    fn capabilities_are_read_back_and_damage_is_no_panic(
        ensemble in any::<Option<String>>(),
        features in any::<u64>(),
        damage in damage(),
    ) {
        let capabilities = Capabilities { ensemble, features };
        let mut bytes = Vec::new();
        capabilities.encode(&mut bytes);
        prop_assert_eq!(Capabilities::decode(&bytes), Some(capabilities));
        let _ = Capabilities::decode(&damaged(&bytes, &damage));
    }

    #[test]
    fn touches_of_any_bytes_are_bounded(data in Bytes::sample()) {
        let packet = Packet::with(5, crate::Zxid::ZERO, data.clone());
        if let Ok(touches) = packet.touches() {
            prop_assert_eq!(touches.len() * SessionTimeout::LEAST, data.len());
        }
    }

    #[test]
    fn configuration_text_survives_damage(damage in damage()) {
        let text = "server.1=[::1]:1:2|b:3:4:observer;5\nserver.2=c:1:2\ngroup.1=2\nversion=a";
        let bytes = damaged(text.as_bytes(), &damage);
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(config) = text.parse::<crate::config::EnsembleConfig>() {
            prop_assert_eq!(config.to_string().parse(), Ok(config));
        }
    }
}

fn cut_packets(bytes: &[u8], step: usize) -> (Vec<Packet>, Option<DecodeError>) {
    let mut decoder = PacketDecoder::new(1000);
    cut(bytes, step, |bytes| decoder.feed_and_poll(bytes))
}

fn cut_frames(bytes: &[u8], step: usize) -> (Vec<Bytes>, Option<DecodeError>) {
    let mut decoder = FrameDecoder::new(1000);
    cut(bytes, step, |bytes| {
        decoder.feed(bytes);
        decoder.poll()
    })
}

fn cut_pieces(bytes: &[u8], step: usize) -> (Vec<crate::snapshot::Piece>, Option<DecodeError>) {
    let mut decoder = PieceDecoder::of_file(1000);
    let mut input = Bytes::new();
    cut(bytes, step, |bytes| {
        if !bytes.is_empty() {
            input = Bytes::copy_from_slice(bytes);
        }
        decoder.poll(&mut input)
    })
}

impl PacketDecoder {
    fn feed_and_poll(&mut self, bytes: &[u8]) -> Result<Option<Packet>, DecodeError> {
        self.feed(bytes);
        self.poll()
    }
}

/// All that `next` finds in `bytes`, which it gets `step` at a time, and the error that ends it.
fn cut<T>(
    bytes: &[u8],
    step: usize,
    mut next: impl FnMut(&[u8]) -> Result<Option<T>, DecodeError>,
) -> (Vec<T>, Option<DecodeError>) {
    let mut found = Vec::new();
    for piece in bytes.chunks(step) {
        let mut fed = piece;
        loop {
            match next(fed) {
                Ok(Some(one)) => found.push(one),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
            fed = &[];
        }
    }
    (found, None)
}

#[test]
fn counts_reserve_what_their_bytes_justify() {
    let mut bytes = i32::MAX.to_bytes().to_vec();
    bytes.extend_from_slice(&[0; 40]);
    let bytes = Bytes::from(bytes);
    assert!(Vec::<String>::from_bytes(&bytes).is_err());
    assert!(Vec::<Acl>::from_bytes(&bytes).is_err());
    let mut bytes = 10i32.to_bytes().to_vec();
    bytes.extend_from_slice(&[0; 40]);
    let strings = Vec::<String>::from_bytes(&bytes.into()).expect("ten empty strings");
    assert_eq!((strings.len(), strings.capacity()), (10, 10));
}

#[test]
fn what_is_null_is_told_from_what_is_empty() {
    let decode = |op: OpCode, parts: &[&[u8]]| {
        let bytes = Bytes::from(parts.concat());
        let request = Request::decode(op, &mut Reader::new(&bytes)).expect("a request");
        (matches!(request, Request::Null(..)), request, bytes)
    };
    let (null, empty, any) = ([0xff; 4], [0; 4], [0xff; 4]);
    let set = [&null[..], &empty, &any].concat();
    let header = |op: OpCode| MultiHeader {
        kind: op.code(),
        done: false,
        err: -1,
    };
    let set = [
        &header(OpCode::SetData).to_bytes()[..],
        &set,
        &MultiHeader::END.to_bytes(),
    ];
    for (op, parts) in [
        (OpCode::Delete, &[&null[..], &any][..]),
        (OpCode::Multi, &set),
    ] {
        let (is_null, request, bytes) = decode(op, parts);
        assert!(is_null && request.op() == op, "{request:?}");
        let mut again = Vec::new();
        request.encode(&mut again);
        assert_eq!(again, bytes);
    }
    let acl = |scheme: &[u8]| {
        let length = u32::try_from(scheme.len()).expect("short").to_be_bytes();
        [&[0, 0, 0, 1], &[0, 0, 0, 31], &length[..], scheme, &null].concat()
    };
    for (scheme, expected) in [(&b"auth"[..], false), (b"world", true), (b"digest", true)] {
        let path = [0, 0, 0, 2, b'/', b'a'];
        let parts: [&[u8]; 4] = [&path, &empty, &acl(scheme), &[0; 4]];
        assert_eq!(decode(OpCode::Create, &parts).0, expected, "{scheme:?}");
    }
    assert!(!decode(OpCode::Delete, &[&empty, &any]).0);
    assert!(!decode(OpCode::SetData, &[&null, &empty, &any]).0);
    let bytes = Bytes::from([&null[..], &[1]].concat());
    let mut reader = Reader::new(&bytes);
    let read = Request::decode(OpCode::GetData, &mut reader).expect("a request");
    assert!(reader.nulls() == 1 && read.looks_up_what_is_empty());
}

#[test]
fn multis_are_neither_nested_nor_mixed() {
    let get = Request::GetData(PathRequest {
        path: "/a".to_owned(),
        watch: false,
    });
    let delete = Request::Delete(DeleteRequest {
        path: "/a".to_owned(),
        version: -1,
    });
    let ping = Request::Ping(());
    let nested = Request::Multi(MultiRequest {
        ops: vec![delete.clone()],
    });
    for ops in [
        vec![get.clone(), delete.clone()],
        vec![delete.clone(), get],
        vec![ping],
        vec![nested],
    ] {
        let bytes = MultiRequest { ops }.to_bytes();
        assert!(MultiRequest::from_bytes(&bytes).is_err());
    }
    let header = TxnHeader {
        client_id: crate::SessionId(1),
        cxid: 1,
        zxid: crate::Zxid(1),
        time: 1,
        kind: kind::MULTI,
    };
    let nested = Txn::Multi(vec![(kind::MULTI, Txn::Multi(Vec::new()))]);
    let entry = Entry::new(header, nested, None);
    assert!(Entry::decode(entry.bytes().clone()).is_err());
}

#[test]
fn packet_that_comes_by_single_bytes_is_looked_at_once() {
    let packet = Packet {
        kind: 1,
        zxid: crate::Zxid(1),
        data: None,
        auth: vec![Id::new("", ""); 50_000],
    };
    let bytes = packet.to_bytes();
    let mut decoder = PacketDecoder::new(0);
    for byte in &bytes[..bytes.len() - 1] {
        decoder.feed(&[*byte]);
        assert_eq!(decoder.poll(), Ok(None));
    }
    decoder.feed(&bytes[bytes.len() - 1..]);
    assert_eq!(decoder.poll(), Ok(Some(packet)));
}
