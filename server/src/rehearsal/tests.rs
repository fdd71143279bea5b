use std::path::Path;

use wire::client::{BarePath, ConnectRequest, ConnectResponse, PathRequest, ReplyHeader, Request};
use wire::client::{CreateRequest, RequestHeader};
use wire::frame::{FrameDecoder, encode_frame};
use wire::{Acl, Reader, Record, SessionId};

use super::*;
use crate::config::Overrides;

fn rehearsal() -> Rehearsal {
    let text = "dataDir=/nonexistent\nclientPort=2181\ntickTime=1000\n";
    let config = Config::parse(Path::new("zoo.cfg"), text, &Overrides::default());
    Rehearsal::new(config.expect("a configuration")).expect("a server")
}

fn connect(rehearsal: &mut Rehearsal) -> usize {
    let client = rehearsal.connect(([127, 0, 0, 1], 1).into());
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid::ZERO,
        timeout: 4000,
        session_id: SessionId::NONE,
        password: Default::default(),
        read_only: Some(false),
    };
    let mut frame = Vec::new();
    encode_frame(&mut frame, |out| request.encode(out));
    rehearsal.send(client, &frame);
    client
}

fn ask(rehearsal: &mut Rehearsal, client: usize, xid: i32, request: &Request) {
    let op = request.op().code();
    let mut frame = Vec::new();
    encode_frame(&mut frame, |out| {
        RequestHeader { xid, op }.encode(out);
        request.encode(out);
    });
    rehearsal.send(client, &frame);
}

fn create(path: &str) -> Request {
    Request::Create(CreateRequest {
        path: path.to_owned(),
        data: None,
        acl: Acl::open(),
        flags: 1,
    })
}

/// The answers' headers: number, zxid, error.
fn answers(rehearsal: &mut Rehearsal, client: usize, skip: usize) -> Vec<(i32, u64, i32)> {
    let mut frames = FrameDecoder::new(1 << 20);
    frames.feed(&rehearsal.received(client));
    let frames = std::iter::from_fn(|| frames.poll().expect("frames"));
    let header = |frame| Reader::new(&frame).read::<ReplyHeader>().expect("a header");
    let headers = frames.skip(skip).map(header);
    headers.map(|h| (h.xid, h.zxid.0, h.err)).collect()
}

#[test]
fn requests_are_answered_in_order_and_a_silent_session_ends() {
    let mut rehearsal = rehearsal();
    let client = connect(&mut rehearsal);
    rehearsal.settle();
    let mut frames = FrameDecoder::new(1 << 20);
    frames.feed(&rehearsal.received(client));
    let frame = frames.poll().expect("a frame").expect("an answer");
    let response = ConnectResponse::from_bytes(&frame).expect("an answer");
    assert_eq!(response.timeout, 4000);
    let exists = Request::Exists(PathRequest {
        path: "/a".to_owned(),
        watch: true,
    });
    ask(&mut rehearsal, client, 1, &exists);
    ask(&mut rehearsal, client, 2, &create("/a"));
    ask(&mut rehearsal, client, 3, &exists);
    rehearsal.settle();
    let expected = [(1, 1, -101), (-1, 2, 0), (2, 2, 0), (3, 2, 0)];
    assert_eq!(answers(&mut rehearsal, client, 0), expected);
    assert_eq!(rehearsal.with_watches(WatchTable::len), 1);
    rehearsal.pass(10_000);
    assert!(rehearsal.is_over(client));
    assert_eq!(rehearsal.with_watches(WatchTable::len), 0);
    assert!(rehearsal.with_tree(|tree| tree.acl_of("/a").is_none()));
    let idle = Load {
        sessions: Some(0),
        ..Load::default()
    };
    assert_eq!(rehearsal.load(), idle);
}

#[test]
fn what_is_not_run_does_not_happen() {
    let mut rehearsal = rehearsal();
    let client = connect(&mut rehearsal);
    rehearsal.settle();
    let sync = Request::Sync(BarePath {
        path: "/".to_owned(),
    });
    ask(&mut rehearsal, client, 1, &create("/a"));
    ask(&mut rehearsal, client, 2, &sync);
    assert!(rehearsal.run_client(client));
    assert!(rehearsal.run_member());
    // Not logged yet.
    assert_eq!(answers(&mut rehearsal, client, 1), []);
    assert!(rehearsal.with_tree(|tree| tree.acl_of("/a").is_none()));
    rehearsal.settle();
    let found = answers(&mut rehearsal, client, 0);
    assert_eq!(found, [(1, 2, 0), (2, 2, 0)]);
}
