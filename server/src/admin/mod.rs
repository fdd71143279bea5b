//! What people and monitors ask of a member.

mod commands;
pub(crate) mod digests;
mod ensemble;
pub(crate) mod gauges;
pub(crate) mod http;
mod idle;
mod json;
mod listings;
mod monitor;
mod snapshot;
mod texts;
pub(crate) mod words;

/// What the program calls itself where clients read a version.
pub(crate) fn version() -> &'static str {
    &texts::VERSION
}

#[cfg(test)]
mod tests;
