//! A log entry's bytes, or a proposal's.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wire::txn::{Entry, Txn};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = Entry::decode(Bytes::copy_from_slice(bytes)) {
        // Two empty paths look like a digest behind no list.
        if let Txn::CloseSession(Some(close)) = entry.txn()
            && close.paths_to_delete.iter().any(String::is_empty)
        {
            return;
        }
        let again = Entry::new(entry.header().clone(), entry.txn().clone(), entry.digest());
        let read = Entry::decode(again.bytes().clone());
        assert_eq!(read.as_ref(), Ok(&again));
        assert_eq!(again.txn(), entry.txn());
    }
});
