//! A member's log file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::logs(bytes));
