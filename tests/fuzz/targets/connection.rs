//! A whole server, a few clients, and anything that they may do.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::connection(bytes));
