//! Who somebody is, and what they may do.

mod table;

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use wire::client::{AuthPacket, ClientInfo, ErrorCode};
use wire::{Acl, Id, Perms};

pub(crate) use table::{AclTable, OPEN};

/// Which authentication schemes exist, beside `world`, `auth` and `ip`.
#[derive(Clone, Debug)]
pub struct Schemes {
    /// `digest`: user and password.
    pub digest: bool,
    /// `sasl`: what a SASL exchange proved.
    pub sasl: bool,
    /// `x509`: the subject of a client's certificate.
    pub x509: bool,
    /// The digest (`user:base64`) of the super user, to whom nothing is refused.
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

impl Schemes {
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

/// Credentials that are not accepted; the connection is to be closed after the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("credentials are not accepted")]
pub struct AuthFailed;

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
            let credentials = packet.auth.as_deref().ok_or(AuthFailed)?;
            let digest = digest_of(&String::from_utf8_lossy(credentials));
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
        _ => Err(AuthFailed),
    }
}

/// The identity that each connection has from the start.
#[must_use]
pub fn ip_identity(peer: IpAddr) -> Id {
    Id {
        scheme: "ip".to_owned(),
        id: peer.to_canonical().to_string(),
    }
}

/// The digest scheme's name for `user:password`: `user:base64(sha1(user:password))`.
#[must_use]
pub fn digest_of(credentials: &str) -> String {
    let user = credentials.split(':').next().unwrap_or_default();
    let hash = Sha1::digest(credentials.as_bytes());
    format!("{user}:{}", STANDARD.encode(hash))
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
        "ip" => match (Network::parse(&granted.id), id.id.parse()) {
            (Some(network), Ok(address)) => network.contains(address),
            _ => false,
        },
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

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|&bits| bits <= all)?,
            None => all,
        };
        Some(Self { address, bits })
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (a.to_bits() ^ b.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
