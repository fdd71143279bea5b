//! WIP
#[allow(missing_docs)]
pub mod authority;
pub mod folder;
pub mod tether;
pub mod world;
