//! An election connection's bytes: a hello, or a notification.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wire::Record;
use wire::election::{Hello, Notification};

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(hello) = Hello::from_bytes(&bytes) {
        assert_eq!(Hello::from_bytes(&hello.to_bytes()), Ok(hello));
    }
    if let Ok(vote) = Notification::from_bytes(&bytes) {
        assert_eq!(Notification::from_bytes(&vote.to_bytes()), Ok(vote));
    }
});
