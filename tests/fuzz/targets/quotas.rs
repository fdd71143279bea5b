//! The texts of a quota.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::quotas(bytes));
