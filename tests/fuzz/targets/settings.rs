//! A `zoo.cfg`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::settings(bytes));
