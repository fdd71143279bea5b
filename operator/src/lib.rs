//! Reconciles `ZooKeeperCluster` resources: observe, validate, plan, apply, report.
//!
//! Start in [`reconcile`]: one pass is five calls. [`platform`] is where an ensemble runs, behind
//! one trait with two implementations; [`sidecars`] speaks to the order ports; [`drive`] makes
//! pass after pass. [`run`] is the operator's process in a cluster: [`lease`] decides whether it
//! acts, [`fleet`] has a `drive` for each ensemble.
//!
//! Invariants:
//! - the operator decides nothing: `plan` does, from values;
//! - the status, with the intent in it, is written before anything is done, conditional on the
//!   version it was planned on, and a conflict ends the pass;
//! - no order is given before a term was written that is higher than all that were seen.
//!
//! It knows neither ZooKeeper's protocols nor anybody's data: sidecars tell it what there is.

pub mod authority;
pub mod drive;
pub mod fleet;
pub mod kubernetes;
pub mod lease;
pub mod metrics;
pub mod notices;
pub mod platform;
pub mod reconcile;
pub mod run;
pub mod serve;
pub mod sidecars;
