//! The sockets between members.
//!
//! [`election`] carries votes, [`links`] what a leader and its learners say.

pub(crate) mod directory;
pub(crate) mod election;
pub(crate) mod link_queue;
pub(crate) mod links;
pub(crate) mod staging;
