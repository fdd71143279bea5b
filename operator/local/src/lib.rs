//! WIP
#[allow(missing_docs)]
pub mod authority;
pub mod folder;
pub mod tether;
mod pod;
mod process;
mod remote;
mod supervisor;
pub mod world;
