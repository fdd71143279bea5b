//! Desired and observed to a plan.
//!
//! Start in [`action`] for what comes out and in [`observed`] for what goes in.
//! [`validate`](desired::validate) turns a resource into [`Desired`].

pub mod action;
pub mod desired;
pub mod observed;

pub use action::{Converge, MemberOrder, Plan, Step};
pub use desired::{Desired, validate};
pub use observed::Observed;
