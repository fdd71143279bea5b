//! See DESIGN.
pub mod control;
