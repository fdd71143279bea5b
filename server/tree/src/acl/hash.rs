//! How passwords become what ACLs show.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha1::{Digest, Sha1};
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_256};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

/// How the `digest` scheme hashes (`DigestAuthenticationProvider.digestAlg`). All members of an
/// ensemble must do it alike, or a client's password opens at one what it does not at another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PasswordHash {
    /// As ever.
    #[default]
    Sha1,
    /// Weaker still.
    Md5,
    /// SHA-2, 224 bits.
    Sha224,
    /// SHA-2, 256 bits.
    Sha256,
    /// SHA-2, 384 bits.
    Sha384,
    /// SHA-2, 512 bits.
    Sha512,
    /// SHA-2, 512 bits cut to 256.
    Sha512To256,
    /// SHA-3, 224 bits.
    Sha3With224,
    /// SHA-3, 256 bits.
    Sha3With256,
    /// SHA-3, 384 bits.
    Sha3With384,
    /// SHA-3, 512 bits.
    Sha3With512,
}

/// No hash has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write SHA1, MD5, SHA-224, SHA-256, SHA-384, SHA-512, SHA-512/256, SHA3-224, SHA3-256, \
     SHA3-384 or SHA3-512"
)]
pub struct UnknownHash;

impl FromStr for PasswordHash {
    type Err = UnknownHash;

    /// Takes Java's names.
    fn from_str(name: &str) -> Result<Self, UnknownHash> {
        Ok(match name.to_ascii_uppercase().as_str() {
            "SHA" | "SHA1" | "SHA-1" => Self::Sha1,
            "MD5" => Self::Md5,
            "SHA224" | "SHA-224" => Self::Sha224,
            "SHA256" | "SHA-256" => Self::Sha256,
            "SHA384" | "SHA-384" => Self::Sha384,
            "SHA512" | "SHA-512" => Self::Sha512,
            "SHA512/256" | "SHA-512/256" => Self::Sha512To256,
            "SHA3-224" => Self::Sha3With224,
            "SHA3-256" => Self::Sha3With256,
            "SHA3-384" => Self::Sha3With384,
            "SHA3-512" => Self::Sha3With512,
            _ => return Err(UnknownHash),
        })
    }
}

impl PasswordHash {
    /// The digest scheme's name for `user:password`: `user:` and the hash of both.
    #[must_use]
    pub fn identity(self, credentials: &str) -> String {
        let user = credentials.split(':').next().unwrap_or_default();
        let bytes = credentials.as_bytes();
        let hash = match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Md5 => Md5::digest(bytes).to_vec(),
            Self::Sha224 => Sha224::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
            Self::Sha512To256 => Sha512_256::digest(bytes).to_vec(),
            Self::Sha3With224 => Sha3_224::digest(bytes).to_vec(),
            Self::Sha3With256 => Sha3_256::digest(bytes).to_vec(),
            Self::Sha3With384 => Sha3_384::digest(bytes).to_vec(),
            Self::Sha3With512 => Sha3_512::digest(bytes).to_vec(),
        };
        format!("{user}:{}", STANDARD.encode(hash))
    }
}
