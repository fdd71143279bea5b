//! Access control lists: who may do what to one znode.

use std::fmt;

use crate::jute::{DecodeError, Reader, Record, records};

/// A set of permissions, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Perms(pub i32);

impl Perms {
    /// Read data and children.
    pub const READ: Self = Self(1);
    /// Write data.
    pub const WRITE: Self = Self(2);
    /// Create children.
    pub const CREATE: Self = Self(4);
    /// Delete children.
    pub const DELETE: Self = Self(8);
    /// Change the list itself.
    pub const ADMIN: Self = Self(16);
    /// All of them.
    pub const ALL: Self = Self(31);

    /// Whether at least one of `wanted` is granted.
    #[must_use]
    pub const fn intersects(self, wanted: Self) -> bool {
        self.0 & wanted.0 != 0
    }
}

impl std::ops::BitOr for Perms {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Record for Perms {
    const LEAST: usize = 4;
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.read()?))
    }
}

records! {
    /// An identity within an authentication scheme.
    #[derive(Hash, PartialOrd, Ord)]
    Id {
        /// `world`, `auth`, `digest`, `ip`, `x509`, `sasl`, `super`.
        scheme: String,
        /// The identity, in the scheme's own form.
        id: String,
    }
    /// One entry of a list.
    #[derive(Hash, PartialOrd, Ord)]
    Acl {
        /// What is granted.
        perms: Perms,
        /// To whom.
        id: Id,
    }
}

impl Id {
    /// An identity from its two parts.
    #[must_use]
    pub fn new(scheme: &str, id: &str) -> Self {
        Self {
            scheme: scheme.to_owned(),
            id: id.to_owned(),
        }
    }

    /// Everyone.
    #[must_use]
    pub fn anyone() -> Self {
        Self::new("world", "anyone")
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.id)
    }
}

impl Acl {
    /// All permissions for everyone: `world:anyone:cdrwa`.
    #[must_use]
    pub fn open() -> Vec<Self> {
        vec![Self {
            perms: Perms::ALL,
            id: Id::anyone(),
        }]
    }

    /// Read for everyone: what `/zookeeper/config` is created with.
    #[must_use]
    pub fn read_only() -> Vec<Self> {
        vec![Self {
            perms: Perms::READ,
            id: Id::anyone(),
        }]
    }
}
