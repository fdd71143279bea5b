//! A snapshot's body, in pieces and at once.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wire::DecodeError;
use wire::snapshot::{Piece, PieceDecoder};

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(cut(bytes, 1), cut(bytes, bytes.len().max(1)));
});

fn cut(bytes: &[u8], step: usize) -> (Vec<Piece>, Option<DecodeError>) {
    let mut decoder = PieceDecoder::of_stream(1 << 20);
    let mut pieces = Vec::new();
    for piece in bytes.chunks(step) {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match decoder.poll(&mut input) {
                Ok(Some(piece)) => pieces.push(piece),
                Ok(None) => break,
                Err(error) => return (pieces, Some(error)),
            }
        }
    }
    (pieces, None)
}
