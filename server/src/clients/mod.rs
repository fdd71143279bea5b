//! The client port: accepting, connections, and what the member thread tells them.
//!
//! Each connection is one task ([`connection::Connection`]); only it writes to its socket. What
//! the member thread has for it (replies to writes, watch events, the fate of its session) waits
//! in its [`mailbox::Mailbox`].

pub(crate) mod accept;
pub(crate) mod admission;
pub(crate) mod audit;
pub(crate) mod connection;
pub(crate) mod exchange;
pub(crate) mod handshake;
pub(crate) mod mailbox;
pub(crate) mod reads;
pub(crate) mod requests;
pub(crate) mod stream;
mod throttle;
pub(crate) mod touched;
