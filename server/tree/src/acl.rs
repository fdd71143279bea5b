//! Who somebody is, and what they may do.

use std::net::IpAddr;

use wire::client::AuthPacket;
use wire::{Acl, Id, Perms};

/// Which authentication schemes exist, beside `world`, `auth` and `ip`.
#[derive(Clone, Debug)]
pub struct Schemes {
    /// `digest`.
    pub digest: bool,
    /// `sasl`.
    pub sasl: bool,
    /// `x509`.
    pub x509: bool,
    /// The digest (`user:base64`) of the super user.
    pub super_digest: Option<String>,
}

impl Default for Schemes {
    fn default() -> Self {
        Self {
            digest: true,
            sasl: false,
            x509: false,
            super_digest: None,
        }
    }
}

/// Credentials that are not accepted; the connection is to be closed after the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("credentials are not accepted")]
pub struct AuthFailed;

/// The identities that an auth packet proves.
///
/// # Errors
/// If the scheme does not exist or the credentials are not its own.
pub fn authenticate(
    _packet: &AuthPacket,
    _peer: IpAddr,
    _schemes: &Schemes,
) -> Result<Vec<Id>, AuthFailed> {
    todo!()
}

/// Whether one of `identities` has one of `perms` under `acl` (`None`: open to everyone).
#[must_use]
pub fn allows(_acl: Option<&[Acl]>, _perms: Perms, _identities: &[Id]) -> bool {
    todo!()
}
