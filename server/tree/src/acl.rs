//! Who somebody is, and what they may do.

mod hash;
mod network;
mod table;

use std::collections::BTreeSet;
use std::net::IpAddr;

use wire::client::{AuthPacket, ClientInfo, ErrorCode};
use wire::{Acl, Id, Perms};

pub use hash::{PasswordHash, UnknownHash};
use network::Network;
pub(crate) use table::{AclTable, OPEN};

/// Which authentication schemes exist, beside `world`, `auth` and `ip`, and how they decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schemes {
    /// `digest`: user and password.
    pub digest: bool,
    /// How it hashes.
    pub password_hash: PasswordHash,
    /// `sasl`: what a SASL exchange proved.
    pub sasl: bool,
    /// `x509`: the subject of a client's certificate.
    pub x509: bool,
    /// The digest (`user:base64`) of the super user, to whom nothing is refused.
    pub super_digest: Option<String>,
    /// `ensemble`: the names of this ensemble, so that a client that was sent to the wrong one
    /// finds out; any name if there are none.
    pub ensemble: Option<BTreeSet<String>>,
    /// If there are some: a connection needs an identity of one of these schemes before anything
    /// is done for it.
    pub required: Vec<String>,
}

impl Default for Schemes {
    fn default() -> Self {
        Self {
            digest: true,
            password_hash: PasswordHash::default(),
            sasl: false,
            x509: false,
            super_digest: None,
            ensemble: None,
            required: Vec::new(),
        }
    }
}

impl Schemes {
    /// Whether credentials of this scheme are taken.
    #[must_use]
    pub fn has(&self, scheme: &str) -> bool {
        match scheme {
            "ip" => true,
            "ensemble" => self.ensemble.is_some(),
            scheme => self.is_authenticated(scheme),
        }
    }

    /// Whether somebody who is `identities` has shown enough to be served.
    #[must_use]
    pub fn admits(&self, identities: &[Id]) -> bool {
        self.required.is_empty()
            || identities
                .iter()
                .any(|id| self.required.contains(&id.scheme))
    }

    /// Whether identities of this scheme are known by more than an address.
    fn is_authenticated(&self, scheme: &str) -> bool {
        match scheme {
            "digest" => self.digest,
            "sasl" => self.sasl,
            "x509" => self.x509,
            _ => false,
        }
    }

    /// Whether `id` may stand in an ACL.
    fn is_valid(&self, id: &Id) -> bool {
        match id.scheme.as_str() {
            "ip" => Network::parse(&id.id).is_some(),
            // As Java splits: empty parts at the end do not count.
            "digest" => self.digest && id.id.trim_end_matches(':').split(':').count() == 2,
            "sasl" => self.sasl && !id.id.is_empty(),
            "x509" => self.x509 && id.id.contains('='),
            _ => false,
        }
    }
}

/// Why credentials do not do. The connection is to be closed either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailed {
    /// They are not accepted, as the reply says.
    #[error("credentials are not accepted")]
    Refused,
    /// The client looks for another ensemble. It gets no reply: it would take it for final.
    #[error("the client looks for another ensemble")]
    WrongEnsemble,
}

/// The identities that an auth packet proves, to be added to those of the connection unless it
/// has them.
///
/// # Errors
/// If the scheme does not exist or the credentials are not of its form.
pub fn authenticate(
    packet: &AuthPacket,
    peer: IpAddr,
    schemes: &Schemes,
) -> Result<Vec<Id>, AuthFailed> {
    match packet.scheme.as_str() {
        "ip" => Ok(vec![ip_identity(peer)]),
        "digest" if schemes.digest => {
            let credentials = packet.auth.as_deref().ok_or(AuthFailed::Refused)?;
            let credentials = String::from_utf8_lossy(credentials);
            let digest = schemes.password_hash.identity(&credentials);
            let mut identities = Vec::new();
            if schemes.super_digest.as_deref() == Some(digest.as_str()) {
                identities.push(Id::new("super", ""));
            }
            identities.push(Id {
                scheme: "digest".to_owned(),
                id: digest,
            });
            Ok(identities)
        }
        "ensemble" => {
            let names = schemes.ensemble.as_ref().ok_or(AuthFailed::Refused)?;
            let name = String::from_utf8_lossy(packet.auth.as_deref().unwrap_or_default());
            if name.is_empty() || names.is_empty() || names.contains(&*name) {
                return Ok(Vec::new());
            }
            Err(AuthFailed::WrongEnsemble)
        }
        _ => Err(AuthFailed::Refused),
    }
}

/// The identity that each connection has from the start.
#[must_use]
pub fn ip_identity(peer: IpAddr) -> Id {
    Id {
        scheme: "ip".to_owned(),
        id: network::text(peer),
    }
}

/// Whether one of `identities` has one of `perms` under `acl`. `None` and the empty list are open
/// to everyone.
#[must_use]
pub fn allows(acl: Option<&[Acl]>, perms: Perms, identities: &[Id]) -> bool {
    let Some(acl) = acl else { return true };
    acl.is_empty()
        || identities.iter().any(|id| id.scheme == "super")
        || acl
            .iter()
            .filter(|entry| entry.perms.intersects(perms))
            .any(|entry| is_anyone(&entry.id) || identities.iter().any(|id| covers(&entry.id, id)))
}

fn is_anyone(id: &Id) -> bool {
    id.scheme == "world" && id.id == "anyone"
}

fn covers(granted: &Id, id: &Id) -> bool {
    if granted.scheme != id.scheme {
        return false;
    }
    match id.scheme.as_str() {
        "ip" => Network::parse(&granted.id).is_some_and(|network| network.contains(&id.id)),
        "digest" | "sasl" | "x509" => granted.id == id.id,
        _ => false,
    }
}

/// The ACL to store for one that a client asks for: each entry once, `auth` replaced by the
/// client's own identities.
pub(crate) fn resolve(
    wanted: &[Acl],
    identities: &[Id],
    schemes: &Schemes,
) -> Result<Vec<Acl>, ErrorCode> {
    let mut acl: Vec<Acl> = Vec::with_capacity(wanted.len());
    for (i, entry) in wanted.iter().enumerate() {
        if wanted[..i].contains(entry) {
            continue;
        }
        if entry.id.scheme == "auth" {
            let before = acl.len();
            acl.extend(
                identities
                    .iter()
                    .filter(|id| schemes.is_authenticated(&id.scheme))
                    .map(|id| Acl {
                        perms: entry.perms,
                        id: id.clone(),
                    }),
            );
            if acl.len() == before {
                return Err(ErrorCode::InvalidAcl);
            }
        } else if is_anyone(&entry.id) || schemes.is_valid(&entry.id) {
            acl.push(entry.clone());
        } else {
            return Err(ErrorCode::InvalidAcl);
        }
    }
    if acl.is_empty() {
        return Err(ErrorCode::InvalidAcl);
    }
    Ok(acl)
}

/// The entry as it is shown to those who may not change it: without the password's hash.
pub(crate) fn masked(entry: &Acl) -> Acl {
    let mut entry = entry.clone();
    if entry.id.scheme == "digest"
        && let Some(colon) = entry.id.id.find(':')
    {
        entry.id.id.replace_range(colon.., ":x");
    }
    entry
}

/// What whoAmI shows of an identity: no password hash.
pub(crate) fn client_info(id: &Id) -> ClientInfo {
    let user = match id.scheme.as_str() {
        "digest" => id.id.split(':').next().unwrap_or_default(),
        _ => &id.id,
    };
    ClientInfo {
        scheme: id.scheme.clone(),
        user: user.to_owned(),
    }
}

#[cfg(test)]
mod tests;
