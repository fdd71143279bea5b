//! A Kubernetes for tests, and what a Kubernetes is.
//!
//! [`memory`] is one that lives in this process and does nothing by itself. [`script`] says how a
//! Kubernetes behaves, as far as the operator relies on it, and runs on both it and a real one: a
//! difference fails.

pub mod intercept;
pub mod members;
pub mod memory;
pub mod script;
