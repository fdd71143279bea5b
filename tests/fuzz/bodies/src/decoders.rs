//! Decoders of what comes by sockets: the same in any pieces, and what they read can be written.

use bytes::Bytes;
use tree::{Loader, Options};
use wire::client::{ConnectRequest, OpCode, Request, RequestHeader};
use wire::election::{Hello, Notification};
use wire::frame::FrameDecoder;
use wire::quorum::{
    Capabilities, ForwardHeader, LearnerInfo, Packet, PacketDecoder, Revalidated, SaslMessage,
    decode_ack_epoch,
};
use wire::snapshot::{Piece, PieceDecoder, encode_piece, encode_stream_end};
use wire::{DecodeError, Reader, Record};

use crate::{FRAME, read_again};

/// Bytes of the longest record inside a packet or a snapshot.
const LIMIT: usize = 1 << 20;

/// A client's bytes: frames, the first a connect request, then requests.
pub fn requests(bytes: &[u8]) {
    let (frames, error) = cut(bytes, bytes.len(), || {
        let mut decoder = FrameDecoder::new(FRAME);
        move |piece: &[u8]| {
            decoder.feed(piece);
            decoder.poll()
        }
    });
    let step = 1 + frames.len() % 7;
    let in_pieces = cut(bytes, step, || {
        let mut decoder = FrameDecoder::new(FRAME);
        move |piece: &[u8]| {
            decoder.feed(piece);
            decoder.poll()
        }
    });
    assert_eq!(in_pieces, (frames.clone(), error));
    let mut frames = frames.into_iter();
    if let Some(first) = frames.next() {
        let _ = read_again::<ConnectRequest>(&mut Reader::new(&first));
    }
    for frame in frames {
        let mut reader = Reader::new(&frame);
        let Ok(header) = reader.read::<RequestHeader>() else {
            continue;
        };
        let Some(op) = OpCode::from_code(header.op) else {
            continue;
        };
        if let Ok(request) = Request::decode(op, &mut reader) {
            assert_eq!(request.op(), op);
            let mut out = Vec::new();
            request.encode(&mut out);
            let out = out.into();
            assert_eq!(Request::decode(op, &mut Reader::new(&out)), Ok(request));
        }
    }
}

/// A quorum connection's bytes, and what its packets carry.
pub fn packets(bytes: &[u8]) {
    let decode = || {
        let mut decoder = PacketDecoder::new(LIMIT);
        move |piece: &[u8]| {
            decoder.feed(piece);
            decoder.poll()
        }
    };
    let at_once = cut(bytes, bytes.len(), decode);
    assert_eq!(cut(bytes, 1, decode), at_once);
    for packet in at_once.0 {
        assert_eq!(Packet::from_bytes(&packet.to_bytes()).as_ref(), Ok(&packet));
        let data = packet.data.clone().unwrap_or_default();
        if let Ok(touches) = packet.touches() {
            assert!(touches.len() * wire::quorum::SessionTimeout::LEAST <= data.len());
        }
        let _ = decode_ack_epoch(&packet);
        let _ = read_again::<LearnerInfo>(&mut Reader::new(&data));
        let _ = read_again::<Revalidated>(&mut Reader::new(&data));
        let _ = read_again::<SaslMessage>(&mut Reader::new(&data));
        let mut reader = Reader::new(&data);
        if let Ok(header) = reader.read::<ForwardHeader>()
            && let Some(op) = OpCode::from_code(header.op)
        {
            let _ = Request::decode(op, &mut reader);
        }
        if let Some(capabilities) = Capabilities::decode(&data) {
            let mut out = Vec::new();
            capabilities.encode(&mut out);
            assert_eq!(Capabilities::decode(&out), Some(capabilities));
        }
    }
}

/// An election connection's bytes: a hello of any version, or a notification of any.
pub fn votes(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let _ = read_again::<Hello>(&mut Reader::new(&bytes));
    if let Ok(vote) = Notification::from_bytes(&bytes) {
        assert_eq!(
            Notification::from_bytes(&vote.to_bytes()).as_ref(),
            Ok(&vote)
        );
        let _ = vote.peer_epoch();
        let _ = Capabilities::decode(&vote.extension);
        let config = String::from_utf8_lossy(&vote.config);
        let _ = config.parse::<wire::config::EnsembleConfig>();
    }
}

/// A snapshot's body as a leader sends it: in any pieces the same, and if it is a tree, that tree's
/// own snapshot makes it again.
pub fn snapshots(bytes: &[u8]) {
    let at_once = pieces(bytes, bytes.len(), PieceDecoder::of_stream(LIMIT));
    assert_eq!(pieces(bytes, 1, PieceDecoder::of_stream(LIMIT)), at_once);
    let (pieces, error) = at_once;
    if error.is_some() || pieces.last() != Some(&Piece::End) {
        return;
    }
    let mut out = Vec::new();
    pieces
        .iter()
        .for_each(|piece| encode_piece(piece, &mut out));
    encode_stream_end(&mut out);
    assert_eq!(out, bytes[..out.len()], "what is read can be written");
    load(pieces);
}

/// Makes a tree of pieces, if they are one, and sees that it is sound.
pub(crate) fn load(pieces: Vec<Piece>) {
    let mut loader = Loader::new(1, Options::default());
    for piece in pieces {
        if loader.push(piece).is_err() {
            return;
        }
    }
    if let Ok(mut tree) = loader.finish(wire::Zxid(u64::MAX >> 1)) {
        crate::connection::laws::loaded(&mut tree);
    }
}

/// All pieces of a body that comes `step` bytes at a time, and the error that ends it.
pub(crate) fn pieces(
    bytes: &[u8],
    step: usize,
    mut decoder: PieceDecoder,
) -> (Vec<Piece>, Option<DecodeError>) {
    let mut found = Vec::new();
    for chunk in bytes.chunks(step.max(1)) {
        let mut input = Bytes::copy_from_slice(chunk);
        loop {
            match decoder.poll(&mut input) {
                Ok(Some(piece)) => found.push(piece),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
        if decoder.is_done() {
            break;
        }
    }
    (found, None)
}

/// All that a decoder finds in bytes that come `step` at a time, and the error that ends it.
fn cut<T, D: FnMut(&[u8]) -> Result<Option<T>, DecodeError>>(
    bytes: &[u8],
    step: usize,
    decoder: impl Fn() -> D,
) -> (Vec<T>, Option<DecodeError>) {
    let mut next = decoder();
    let mut found = Vec::new();
    for piece in bytes.chunks(step.max(1)) {
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
