//! The built-in certificate authority: made once for a state folder, it signs the operator's
//! certificate and one for each member's sidecar.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use crate::folder::write_private;

/// Signs certificates for the processes of one state folder.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Reads the authority of `folder`, or makes it.
    ///
    /// # Errors
    /// If the folder cannot be used or what is in it is no certificate authority.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        if !certificate.exists() {
            let made = make().context("certificate authority")?;
            write_private(&key, made.key().serialize_pem().as_bytes())?;
            write_private(&certificate, made.pem().as_bytes())?;
        }
        let pem =
            fs::read_to_string(&certificate).with_context(|| certificate.display().to_string())?;
        let key_pem = fs::read_to_string(&key).with_context(|| key.display().to_string())?;
        let key = KeyPair::from_pem(&key_pem).with_context(|| key.display().to_string())?;
        Ok(Self {
            pem,
            issuer: Issuer::new(parameters()?, key),
        })
    }

    /// Writes `ca.pem`, `tls.crt` and `tls.key` for `name` into `folder`, unless they are there
    /// and of this authority.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn issue(&self, folder: &Path, name: &str) -> anyhow::Result<()> {
        let authority = folder.join("ca.pem");
        let there = |file: &str| folder.join(file).exists();
        let same = fs::read_to_string(&authority).is_ok_and(|pem| pem == self.pem);
        if same && there("tls.crt") && there("tls.key") {
            return Ok(());
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&key, &self.issuer)?;
        let write = |file: PathBuf, pem: &str| {
            write_private(&file, pem.as_bytes()).with_context(|| file.display().to_string())
        };
        write(folder.join("tls.key"), &key.serialize_pem())?;
        write(folder.join("tls.crt"), &certificate.pem())?;
        write(authority, &self.pem)
    }
}

fn make() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    CertifiedIssuer::self_signed(parameters()?, KeyPair::generate()?)
}

/// The same whenever they are asked for, so the authority is known by its key alone.
fn parameters() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "ferrokeeper local authority");
    Ok(params)
}

#[cfg(test)]
mod tests {
    use ferrokeeper_sidecar::tls::{Certificates, OPERATOR, is_operator};

    use super::*;

    #[test]
    fn only_the_operators_certificate_bears_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::open(folder.path()).expect("made");
        for (name, may_order) in [(OPERATOR, true), ("demo-0", false)] {
            let own = folder.path().join(name);
            fs::create_dir(&own).expect("made");
            authority.issue(&own, name).expect("issued");
            let certificates = Certificates::read(&own).expect("read");
            assert_eq!(is_operator(Some(&certificates.chain)), may_order, "{name}");
            certificates.into_server().expect("usable");
        }
    }

    #[test]
    fn authority_and_certificates_are_made_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let read = |file: &str| fs::read(folder.path().join(file)).expect("there");
        Authority::open(folder.path())
            .expect("made")
            .issue(folder.path(), "a")
            .expect("issued");
        let before = (read("ca.pem"), read("tls.crt"));
        Authority::open(folder.path())
            .expect("found")
            .issue(folder.path(), "a")
            .expect("kept");
        assert_eq!((read("ca.pem"), read("tls.crt")), before);
    }
}
