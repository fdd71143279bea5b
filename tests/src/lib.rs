//! The harness of the whole-product tests: members as real processes, and what to ask of them.
//!
//! Start with [`ensemble::Ensemble`]. `it/` is the one test binary that needs nothing but Rust;
//! `interop/` runs genuine Apache members and foreign clients.
//!
//! Invariants: everything listens on loopback, on ports that no other test has; a process ends
//! with the value that started it; every wait is bounded.

pub mod dump;
pub mod ensemble;
pub mod kubernetes;
pub mod load;
pub mod ports;
pub mod process;
pub mod raw;
pub mod words;
