//! Four-letter words.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::words(bytes));
