//! What people and monitors ask of a member.

pub(crate) mod digests;
pub(crate) mod gauges;
mod monitor;
mod texts;
pub(crate) mod words;
