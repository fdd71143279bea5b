//! Bytes captured from Apache ZooKeeper 3.9.5.

use bytes::Bytes;

use super::hex;
use crate::client::{
    ClientInfo, ConnectRequest, ConnectResponse, CreateResponse, ErrorCode, ErrorResponse,
    MultiResponse, MultiResult, WhoAmIResponse,
};
use crate::config::EnsembleConfig;
use crate::election::{Hello, Notification, PeerState};
use crate::quorum::{LearnerInfo, PROTOCOL_VERSION, Packet, PacketDecoder, Revalidated, packet};
use crate::snapshot::{
    AclRecord, FileHeader, LOG_MAGIC, OPEN_ACL, Piece, PieceDecoder, SNAPSHOT_MAGIC, ZnodeRecord,
    encode_piece, encode_stream_end,
};
use crate::txn::{
    CloseSessionTxn, CreateSessionTxn, CreateTxn, Entry, ErrorTxn, Txn, TxnDigest, TxnHeader, kind,
};
use crate::{Acl, PeerId, Record, SessionId, StatPersisted, Zxid};

const CONFIG: &str = "server.1=127.0.0.1:32881:33881:participant;127.0.0.1:31281\n\
    server.2=127.0.0.1:32882:33882:participant;127.0.0.1:31282\n\
    server.3=127.0.0.1:32883:33883:participant;127.0.0.1:31283\n\
    version=";

const SESSION: SessionId = SessionId(0x0100_001a_4a6a_0000);

/// `value` is written as `bytes`, and `bytes` are read as `value`.
#[track_caller]
fn assert_form<T: Record + PartialEq + std::fmt::Debug>(value: &T, bytes: &str) {
    let bytes = Bytes::from(hex(bytes));
    assert_eq!(value.to_bytes(), bytes);
    assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(value));
}

#[track_caller]
fn assert_entry(header: TxnHeader, txn: Txn, digest: Option<u64>, bytes: &str) {
    let digest = digest.map(|digest| TxnDigest { version: 2, digest });
    let bytes = Bytes::from(hex(bytes));
    let entry = Entry::new(header, txn, digest);
    assert_eq!(entry.bytes(), &bytes);
    assert_eq!(Entry::decode(bytes), Ok(entry));
}

#[test]
fn session_passwords_are_those_of_java() {
    // As new java.util.Random(id ^ 0xB3415C00).nextBytes gave them under OpenJDK 17.
    for (id, password) in [
        (0x100_001a_4a6a_0000, "04c4ec8e413f308b82204cf2f2eb18d9"),
        (0x200_001b_cb36_0001, "5b5d12ded5d74e6a5b5fba32da8ca5ce"),
        (-1, "20f62cb5648dc2d771471c8a2486a9ee"),
        (0, "f22acd4a97e69d6d20a49bb638eadb38"),
    ] {
        assert_eq!(
            SessionId(id).password()[..],
            hex(password),
            "session {id:#x}"
        );
    }
}

#[test]
fn session_ids_start_with_member_and_time() {
    let first = SessionId::first(PeerId(200), 1_795_149_486_000);
    assert_eq!(first, SessionId(0xc8a1_f73f_57b0_0000_u64 as i64));
    assert_eq!(first.next(), SessionId(first.0 + 1));
    let not_a_container = SessionId::first(PeerId(128), 0);
    assert_eq!(not_a_container, SessionId(i64::MIN + 1));
}

#[test]
fn connect_frames() {
    let password = Bytes::copy_from_slice(&SESSION.password());
    let request = |read_only| ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid(7),
        timeout: 10_000,
        session_id: SESSION,
        password: password.clone(),
        read_only,
    };
    let bytes = "00000000 0000000000000007 00002710 0100001a4a6a0000
        00000010 04c4ec8e413f308b82204cf2f2eb18d9";
    assert_form(&request(None), bytes);
    assert_form(&request(Some(false)), &format!("{bytes} 00"));
    let response = |read_only| ConnectResponse {
        protocol_version: 0,
        timeout: 10_000,
        session_id: SESSION,
        password: password.clone(),
        read_only,
    };
    let bytes = "00000000 00002710 0100001a4a6a0000 00000010 04c4ec8e413f308b82204cf2f2eb18d9";
    assert_form(&response(None), bytes);
    assert_form(&response(Some(false)), &format!("{bytes} 00"));
}

#[test]
fn answer_to_a_failed_multi() {
    let response = MultiResponse {
        results: [
            ErrorCode::Ok,
            ErrorCode::NoNode,
            ErrorCode::RuntimeInconsistency,
        ]
        .map(|error| MultiResult::Error(error.code()))
        .into(),
    };
    assert_form(
        &response,
        "ffffffff 00 00000000 00000000 ffffffff 00 ffffff9b ffffff9b
         ffffffff 00 fffffffe fffffffe ffffffff 01 ffffffff",
    );
}

#[test]
fn answer_to_a_multi_names_each_kind() {
    let response = MultiResponse {
        results: vec![
            MultiResult::Create(CreateResponse {
                path: "/a".to_owned(),
            }),
            MultiResult::Check,
            MultiResult::Delete,
        ],
    };
    assert_form(
        &response,
        r#"00000001 00 00000000 00000002 "/a" 0000000d 00 00000000 00000002 00 00000000
           ffffffff 01 ffffffff"#,
    );
}

#[test]
fn answers_to_add_watch_and_who_am_i() {
    assert_form(&ErrorResponse { err: 0 }, "00000000");
    let who = WhoAmIResponse {
        infos: vec![ClientInfo {
            scheme: "ip".to_owned(),
            user: "127.0.0.1".to_owned(),
        }],
    };
    assert_form(&who, r#"00000001 00000002 "ip" 00000009 "127.0.0.1""#);
}

#[test]
fn election_hello() {
    let hello = Hello {
        peer: PeerId(3),
        addresses: vec!["127.0.0.1:33883".to_owned()],
    };
    assert_form(
        &hello,
        r#"ffffffffffff0000 0000000000000003 0000000f "127.0.0.1:33883""#,
    );
    let several = Hello {
        peer: PeerId(3),
        addresses: vec!["a:1".to_owned(), "b:2".to_owned()],
    };
    assert_form(
        &several,
        r#"ffffffffffff0001 0000000000000003 00000007 "a:1|b:2""#,
    );
    let old = Hello {
        peer: PeerId(3),
        addresses: Vec::new(),
    };
    assert_form(&old, "0000000000000003");
}

#[test]
fn notification_of_the_first_round() {
    let config = format!("{CONFIG}0");
    let notification = Notification {
        state: PeerState::Looking,
        leader: PeerId(2),
        zxid: Zxid::ZERO,
        round: 1,
        epoch: 0,
        config: config.clone().into(),
        extension: Bytes::new(),
    };
    assert_eq!(notification.to_bytes().len(), 230);
    assert_form(
        &notification,
        &format!(
            r#"00000000 0000000000000002 0000000000000000 0000000000000001 0000000000000000
               00000002 000000ba "{config}""#
        ),
    );
    let parsed: EnsembleConfig = config.parse().expect("a configuration");
    assert_eq!(parsed.to_string(), config);
}

#[test]
fn notifications_of_old_members_are_read() {
    let bytes = "00000001 0000000000000002 0000000500000000 0000000000000001";
    let expected = |epoch| Notification {
        state: PeerState::Following,
        leader: PeerId(2),
        zxid: Zxid(0x5_0000_0000),
        round: 1,
        epoch,
        config: Bytes::new(),
        extension: Bytes::new(),
    };
    let read = |text: &str| Notification::from_bytes(&hex(text).into());
    assert_eq!(read(bytes), Ok(expected(5)));
    assert_eq!(read(&format!("{bytes} 0000000000000006")), Ok(expected(6)));
    assert!(read(&bytes[..bytes.len() - 2]).is_err());
}

#[test]
fn handshake_packets() {
    let info = LearnerInfo {
        peer: PeerId(3),
        protocol_version: PROTOCOL_VERSION,
        config_version: 0,
    };
    assert_form(
        &Packet::with(packet::FOLLOWER_INFO, Zxid::ZERO, info.to_bytes()),
        "0000000b 0000000000000000 00000014 0000000000000003 00010000 0000000000000000 00000000",
    );
    let new_leader = Packet::with(
        packet::NEW_LEADER,
        Zxid(0x1_0000_0000),
        format!("{CONFIG}100000000").into(),
    );
    let bytes = format!(r#"0000000a 0000000100000000 000000c2 "{CONFIG}100000000" 00000000"#);
    assert_form(&new_leader, &bytes);
    let valid = Revalidated {
        session: SESSION,
        valid: true,
    };
    assert_form(&valid, "0100001a4a6a0000 01");
}

/// Java leaves identities null where a client is not involved.
#[test]
fn packet_without_identities_reads_as_one_with_none() {
    let mut decoder = PacketDecoder::new(100);
    decoder.feed(&hex("00000005 0000000100000002 ffffffff ffffffff"));
    let ping = Packet::bare(packet::PING, Zxid(0x1_0000_0002));
    assert_eq!(decoder.poll(), Ok(Some(ping)));
    assert_eq!(decoder.poll(), Ok(None));
}

#[test]
fn log_entries() {
    let header = |cxid, zxid, time, kind| TxnHeader {
        client_id: SESSION,
        cxid,
        zxid: Zxid(zxid),
        time,
        kind,
    };
    assert_entry(
        header(0, 0x1_0000_0001, 0x1a1_f737_6a67, kind::CREATE_SESSION),
        Txn::CreateSession(CreateSessionTxn { timeout: 10_000 }),
        Some(1_371_985_504),
        "0100001a4a6a0000 00000000 0000000100000001 000001a1f7376a67 fffffff6
         00002710 00000002 0000000051c6d660",
    );
    let create = CreateTxn {
        path: "/f1795148966".to_owned(),
        data: Some(Bytes::from_static(b"hello")),
        acl: Acl::open(),
        ephemeral: false,
        parent_cversion: 1,
    };
    assert_entry(
        header(1, 0x1_0000_0002, 0x1a1_f737_6a7a, kind::CREATE),
        Txn::Create(create),
        Some(0x1_fb6e_9ce3),
        r#"0100001a4a6a0000 00000001 0000000100000002 000001a1f7376a7a 00000001
           0000000c "/f1795148966" 00000005 "hello" 00000001 0000001f 00000005 "world"
           00000006 "anyone" 00 00000001 00000002 00000001fb6e9ce3"#,
    );
    let none = CloseSessionTxn {
        paths_to_delete: Vec::new(),
    };
    assert_entry(
        header(2, 0x1_0000_0003, 0, kind::CLOSE_SESSION),
        Txn::CloseSession(Some(none)),
        Some(0x1_fb6e_9ce3),
        "0100001a4a6a0000 00000002 0000000100000003 0000000000000000 fffffff5
         00000000 00000002 00000001fb6e9ce3",
    );
    assert_entry(
        header(3, 0x1_0000_0004, 0, kind::ERROR),
        Txn::Error(ErrorTxn { err: -5 }),
        None,
        "0100001a4a6a0000 00000003 0000000100000004 0000000000000000 ffffffff fffffffb",
    );
}

#[test]
fn file_headers() {
    let log = FileHeader {
        magic: LOG_MAGIC,
        version: 2,
        dbid: 0,
    };
    assert_form(&log, "5a4b4c47 00000002 0000000000000000");
    let snapshot = FileHeader {
        magic: SNAPSHOT_MAGIC,
        version: 2,
        dbid: -1,
    };
    assert_form(&snapshot, "5a4b534e 00000002 ffffffffffffffff");
}

/// The body of a snapshot of a server that has seen nothing but its own start.
fn pristine(config: &'static str, config_stat: StatPersisted) -> Vec<Piece> {
    let znode = |path: &str, data: &'static str, acl, stat| {
        Piece::Znode(ZnodeRecord {
            path: path.to_owned(),
            data: Some(Bytes::from_static(data.as_bytes())),
            acl,
            stat,
        })
    };
    let empty = StatPersisted::default();
    vec![
        Piece::Sessions(0),
        Piece::Acls(1),
        Piece::Acl(AclRecord {
            index: 1,
            acl: Acl::read_only(),
        }),
        znode("", "", OPEN_ACL, empty),
        znode("/zookeeper", "", OPEN_ACL, empty),
        znode("/zookeeper/config", config, 1, config_stat),
        znode("/zookeeper/quota", "", OPEN_ACL, empty),
        Piece::End,
    ]
}

#[test]
fn snapshot_of_a_fresh_server() {
    let mut body = Vec::new();
    for piece in &pristine("", StatPersisted::default()) {
        encode_piece(piece, &mut body);
    }
    let start = hex(
        r#"00000000 00000001 0000000000000001 00000001 00000001 00000005 "world" 00000006 "anyone"
           00000000 00000000"#,
    );
    assert_eq!(body[..start.len()], start);
    // The genuine file has 424 bytes: 16 of header, the body, and a seal of 8 + 5.
    assert_eq!(16 + body.len() + 8 + 5, 424);
}

#[test]
fn snapshot_behind_a_snap_packet() {
    let config = "server.1=a:1:2:participant;0.0.0.0:3\nversion=100000000";
    let stat = StatPersisted {
        version: -1,
        mzxid: Zxid(0x1_0000_0000),
        ..StatPersisted::default()
    };
    let mut stream = Packet::bare(packet::SNAP, Zxid(0x1_0000_0000))
        .to_bytes()
        .to_vec();
    for piece in &pristine(config, stat) {
        encode_piece(piece, &mut stream);
    }
    encode_stream_end(&mut stream);
    let end = hex(r#"00000001 "/" 0000000a "BenWasHere""#);
    assert!(stream.ends_with(&end));
    let new_leader = Packet::bare(packet::NEW_LEADER, Zxid(0x1_0000_0000));
    stream.extend_from_slice(&new_leader.to_bytes());

    let mut packets = PacketDecoder::new(100);
    packets.feed(&stream);
    let snap = packets.poll().expect("a packet").expect("a whole packet");
    assert_eq!(snap.kind, packet::SNAP);
    let mut rest = packets.take_rest();
    let mut pieces = PieceDecoder::of_stream(1000);
    let found: Vec<_> =
        std::iter::from_fn(|| pieces.poll(&mut rest).expect("a snapshot")).collect();
    assert_eq!(found, pristine(config, stat));
    packets.feed(&rest);
    assert_eq!(packets.poll(), Ok(Some(new_leader)));
}

/// An ACL's id as a Java member writes it to its log: each half of a surrogate pair by itself.
#[test]
fn text_outside_the_basic_plane_is_read_as_java_writes_it() {
    let java = Bytes::from(hex(r#"0000000b "user:" eda0bd edb880"#));
    let utf8 = Bytes::from(hex(r#"00000009 "user:" f09f9880"#));
    let text = "user:\u{1f600}".to_owned();
    assert_eq!(String::from_bytes(&java), Ok(text.clone()));
    assert_eq!(String::from_bytes(&utf8), Ok(text.clone()));
    assert_eq!(text.to_bytes(), utf8);
    for broken in ["00000003 eda0bd", "00000003 edb880", "00000001 ff"] {
        assert!(String::from_bytes(&hex(broken).into()).is_err(), "{broken}");
    }
}
