//! A client connection's bytes: frames, the first of them a ConnectRequest, then requests.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::client::{ConnectRequest, OpCode, Request, RequestHeader};
use wire::frame::FrameDecoder;
use wire::{Reader, Record};

fuzz_target!(|bytes: &[u8]| {
    let mut frames = FrameDecoder::new(0xf_ffff);
    frames.feed(bytes);
    let mut connected = false;
    while let Ok(Some(frame)) = frames.poll() {
        if !connected {
            connected = true;
            let _ = ConnectRequest::from_bytes(&frame);
            continue;
        }
        let mut reader = Reader::new(&frame);
        let Ok(header) = reader.read::<RequestHeader>() else {
            continue;
        };
        let Some(op) = OpCode::from_code(header.op) else {
            continue;
        };
        if let Ok(request) = Request::decode(op, &mut reader) {
            let mut out = Vec::new();
            request.encode(&mut out);
            let out = out.into();
            assert_eq!(Request::decode(op, &mut Reader::new(&out)), Ok(request));
        }
    }
});
