//! The objects of an ensemble as they should be: from values, without asking anybody.
//!
//! One file per object. Each is built anew in each pass and applied where the live one differs.

mod budget;
mod certificate;
mod claim;
mod client;
mod peers;
mod pod;
mod stateful_set;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use certificate::certificate;
pub(crate) use pod::{SERVER, SIDECAR};

use api::{MemberAddress, MemberId};
use plan::Desired;

use super::names::Names;

/// Everything that the objects are made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blueprint<'a> {
    pub(crate) names: &'a Names,
    /// Uid of the resource.
    pub(crate) uid: &'a str,
    pub(crate) desired: &'a Desired,
    pub(crate) server_image: &'a str,
    pub(crate) sidecar_image: &'a str,
    /// All members that there are or should be.
    pub(crate) addresses: &'a BTreeMap<MemberId, MemberAddress>,
    /// `host:port,…` of the members, for clients.
    pub(crate) connection_string: &'a str,
    /// Uid and gid of the containers, unless the platform assigns them.
    pub(crate) user: Option<i64>,
}
