//! A snapshot's body, as a leader sends it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::snapshots(bytes));
