//! A membership's text.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::configurations(bytes));
