//! A snapshot file, compressed or not.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::snapshot_files(bytes));
