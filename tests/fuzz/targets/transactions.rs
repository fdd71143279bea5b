//! A log's or a leader's transactions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::transactions(bytes));
