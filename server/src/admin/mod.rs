//! What people and monitors ask of a member.

pub(crate) mod words;
