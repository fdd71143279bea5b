//! A Kubernetes for tests, and what a Kubernetes is.
//!
//! [`memory`] is one that lives in this process and does nothing by itself. [`script`] says how a
//! Kubernetes behaves, as far as the operator relies on it, and runs on both it and a real one: a
//! difference fails. [`members`] are sidecars and servers for its pods, and [`intercept`] stands
//! before it, counts what an operator writes, and fails when told to.

pub mod intercept;
pub mod members;
pub mod memory;
pub mod script;
