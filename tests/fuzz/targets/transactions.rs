//! A log entry's bytes, or a proposal's.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wire::txn::Entry;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = Entry::decode(Bytes::copy_from_slice(bytes)) {
        let again = Entry::new(entry.header().clone(), entry.txn().clone(), entry.digest());
        let read = Entry::decode(again.bytes().clone());
        assert_eq!(read.as_ref(), Ok(&again));
        assert_eq!(again.txn(), entry.txn());
    }
});
