//! Desired and observed to a plan: what the operator does, without doing it.
//!
//! Start in [`pass`]: [`plan`] is a pass from end to end. `steps` holds the order in which a pass
//! looks for something to do. [`birth`] and [`boot`] decide how an ensemble begins and how a
//! server starts, [`guard`] whether a member may be disturbed, [`term`] who may give orders.
//! [`observed`] and [`desired`] are what goes in, [`action`] what comes out.
//!
//! Invariants:
//! - nothing here reads a clock, a file or a socket; equal arguments give an equal plan;
//! - the status that a plan returns is written before anything of it is done, so that whoever
//!   comes after a crash knows at least as much as whoever crashed;
//! - a birth is decided at most once, over volumes that were each seen blank, and its grant
//!   never goes to another volume;
//! - no report is no proof: silence neither lets a member be disturbed nor an ensemble be born;
//! - a pass has at most one step, and no step while a member is bad except on that member.
//!
//! It knows members, volumes and orders. It does not know Kubernetes, processes or directories,
//! nor how a report was obtained.

pub mod action;
pub mod birth;
pub mod boot;
mod conditions;
pub mod desired;
pub mod guard;
mod health;
pub mod observed;
pub mod pass;
mod steps;
mod summary;
pub mod term;
mod words;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod world;

pub use action::{Converge, MemberOrder, Plan, Step};
pub use desired::{Desired, validate};
pub use observed::Observed;
pub use pass::plan;
