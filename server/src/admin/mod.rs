//! What people and monitors ask of a member.

pub(crate) mod digests;
pub(crate) mod gauges;
pub(crate) mod http;
mod listings;
mod monitor;
mod texts;
pub(crate) mod words;

/// What the program calls itself where clients read a version.
pub(crate) fn version() -> &'static str {
    &texts::VERSION
}

#[cfg(test)]
mod tests;
