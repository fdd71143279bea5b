//! What people and monitors ask of a member.

pub(crate) mod digests;
pub(crate) mod gauges;
pub(crate) mod http;
mod listings;
mod monitor;
mod texts;
pub(crate) mod words;

#[cfg(test)]
mod tests;
