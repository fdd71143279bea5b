//! A quorum connection's bytes, in pieces and at once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::DecodeError;
use wire::quorum::{Capabilities, Packet, PacketDecoder, decode_ack_epoch};

fuzz_target!(|bytes: &[u8]| {
    let at_once = cut(bytes, bytes.len().max(1));
    assert_eq!(cut(bytes, 1), at_once);
    for packet in at_once.0 {
        let _ = packet.touches();
        let _ = decode_ack_epoch(&packet);
        let _ = Capabilities::decode(packet.data.as_deref().unwrap_or_default());
    }
});

fn cut(bytes: &[u8], step: usize) -> (Vec<Packet>, Option<DecodeError>) {
    let mut decoder = PacketDecoder::new(1 << 20);
    let mut packets = Vec::new();
    for piece in bytes.chunks(step) {
        decoder.feed(piece);
        loop {
            match decoder.poll() {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}
