//! The built-in certificate authority: it signs the operator's certificate and those of the
//! sidecars. Where it is kept is not its business: [`secret`] does it in a cluster.

pub mod secret;

use std::time::Duration;

use api::sidecar::OPERATOR;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;

use crate::kubernetes;
use crate::sidecars::Credentials;

/// Certificates are valid from this long before they are made, since clocks differ.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// How long certificates live that can be renewed: long enough for an operator to be away for a
/// month in the worst case.
pub const LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// Signs certificates. It does not expire: whoever wants another one replaces it.
#[derive(Debug)]
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Whose certificate is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    /// The operator's own: it opens connections under [`OPERATOR`] and accepts none.
    Operator,
    /// A sidecar's, or several sidecars': it accepts connections under these DNS names and can
    /// open none, so no member can order another one about.
    Sidecar(&'a [String]),
}

/// A certificate, its key, and the authority that vouches for it.
#[derive(Clone, Debug)]
pub struct Issued {
    /// What to present and whom to believe.
    pub credentials: Credentials,
    /// When two thirds of its life are over: another one should be in place by its end.
    pub renew_at: Timestamp,
}

/// Why an authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Its key is no PEM of a private key, or of a kind that is not supported.
    #[error("the key of the certificate authority cannot be used")]
    Key(#[source] rcgen::Error),
    /// A key or certificate could not be made.
    #[error("a certificate cannot be made")]
    Make(#[source] rcgen::Error),
}

impl Authority {
    /// A new one. `name` is what certificates say of their issuer.
    ///
    /// # Errors
    /// If this machine has no randomness.
    pub fn make(name: &str) -> Result<Self, AuthorityError> {
        let made = KeyPair::generate()
            .and_then(|key| CertifiedIssuer::self_signed(parameters(name), key))
            .map_err(AuthorityError::Make)?;
        Self::read(name, made.pem(), &made.key().serialize_pem())
    }

    /// One that was made before under the same `name`.
    ///
    /// # Errors
    /// If the key is none.
    pub fn read(name: &str, certificate: String, key: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(key).map_err(AuthorityError::Key)?;
        Ok(Self {
            pem: certificate,
            issuer: Issuer::new(parameters(name), key),
        })
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.pem
    }

    /// Its private key, PEM.
    #[must_use]
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate with a key of its own, for `life` from `now` on.
    ///
    /// # Errors
    /// If a name is no DNS name.
    pub fn issue(
        &self,
        holder: Holder<'_>,
        now: Timestamp,
        life: Duration,
    ) -> Result<Issued, AuthorityError> {
        let (names, usage) = match holder {
            Holder::Operator => (
                vec![OPERATOR.to_owned()],
                ExtendedKeyUsagePurpose::ClientAuth,
            ),
            Holder::Sidecar(names) => (names.to_vec(), ExtendedKeyUsagePurpose::ServerAuth),
        };
        let common_name = names.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(names).map_err(AuthorityError::Make)?;
        // A common name has at most 64 characters; what counts is the DNS name.
        if common_name.len() <= 64 {
            params
                .distinguished_name
                .push(DnType::CommonName, common_name);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date(now - CLOCK_SKEW);
        params.not_after = date(now + life);
        let key = KeyPair::generate().map_err(AuthorityError::Make)?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(AuthorityError::Make)?;
        Ok(Issued {
            credentials: Credentials {
                authority: self.pem.clone(),
                certificate: certificate.pem(),
                key: key.serialize_pem(),
            },
            renew_at: now + life / 3 * 2,
        })
    }
}

impl kubernetes::Authority for Authority {
    fn issue(
        &self,
        names: &[String],
    ) -> Result<kubernetes::Issued, Box<dyn std::error::Error + Send + Sync>> {
        let issued = self.issue(Holder::Sidecar(names), Timestamp::now(), LIFE)?;
        let Credentials {
            authority,
            certificate,
            key,
        } = issued.credentials;
        Ok(kubernetes::Issued {
            authority,
            certificate,
            key,
            renew_at: issued.renew_at,
        })
    }
}

/// The same whenever they are asked for, so an authority is known by its name and its key.
fn parameters(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn date(at: Timestamp) -> OffsetDateTime {
    // Every time that jiff can say, this type can.
    OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_read_again_is_the_same_one() {
        let made = Authority::make("test").expect("made");
        let read = Authority::read("test", made.certificate().to_owned(), &made.key());
        let read = read.expect("read");
        assert_eq!(
            (read.certificate(), read.key()),
            (made.certificate(), made.key())
        );
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
        let authority = Authority::make("test").expect("made");
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let issued = authority.issue(Holder::Operator, now, Duration::from_secs(3 * 3600));
        let renew_at = issued.expect("issued").renew_at;
        assert_eq!(renew_at, now + Duration::from_secs(2 * 3600));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let error = Authority::read("test", String::new(), "nothing").expect_err("refused");
        assert!(matches!(error, AuthorityError::Key(_)), "{error:?}");
    }
}
