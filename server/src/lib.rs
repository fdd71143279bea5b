//! One ZooKeeper-compatible ensemble member: the shell around the state machine, and the tools.

pub mod bench;
pub mod config;
