//! The server's side of the talk with its sidecar: how to start, what to do, how it goes.
//!
//! Lines of JSON over a Unix socket, see [`wire::control`]. [`plan`] asks how to start; after
//! that [`attend`] keeps the connection, or makes it again, as long as the member runs.

mod lines;
mod orders;
mod plan;

pub(crate) use lines::Lines;
pub(crate) use orders::{Attended, attend};
pub(crate) use plan::{Found, ask};
