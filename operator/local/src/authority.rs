//! Where the built-in certificate authority and its certificates are kept: made once for a state
//! folder, for the operator and for each member's sidecar.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use ferrokeeper_operator::authority::{self, Holder};
use ferrokeeper_sidecar::files::write_private;
use jiff::Timestamp;

/// What certificates say of their issuer.
const NAME: &str = "ferrokeeper local authority";

/// Ten years: a state folder's certificates are made once and leave this machine never.
const LIFE: Duration = Duration::from_secs(3650 * 24 * 3600);

/// Signs certificates for the processes of one state folder.
pub struct Authority(authority::Authority);

impl Authority {
    /// Reads the authority of `folder`, or makes it.
    ///
    /// # Errors
    /// If the folder cannot be used or what is in it is no certificate authority.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        if !certificate.exists() {
            let made = authority::Authority::make(NAME)?;
            write_private(&key, made.key().as_bytes())?;
            write_private(&certificate, made.certificate().as_bytes())?;
        }
        let read =
            |path: &Path| fs::read_to_string(path).with_context(|| path.display().to_string());
        let (certificate, key_pem) = (read(&certificate)?, read(&key)?);
        let found = authority::Authority::read(NAME, certificate, &key_pem)
            .with_context(|| key.display().to_string())?;
        Ok(Self(found))
    }

    /// Writes `ca.pem`, `tls.crt` and `tls.key` for `holder` into `folder`, unless they are there
    /// and of this authority.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn issue(&self, folder: &Path, holder: Holder<'_>) -> anyhow::Result<()> {
        let authority = folder.join("ca.pem");
        let there = |file: &str| folder.join(file).exists();
        let same = fs::read_to_string(&authority).is_ok_and(|pem| pem == self.0.certificate());
        if same && there("tls.crt") && there("tls.key") {
            return Ok(());
        }
        let issued = self.0.issue(holder, Timestamp::now(), LIFE)?.credentials;
        let write = |file: PathBuf, pem: &str| {
            write_private(&file, pem.as_bytes()).with_context(|| file.display().to_string())
        };
        write(folder.join("tls.key"), &issued.key)?;
        write(folder.join("tls.crt"), &issued.certificate)?;
        write(authority, &issued.authority)
    }
}

#[cfg(test)]
mod tests {
    use ferrokeeper_sidecar::tls::{Certificates, is_operator};

    use super::*;

    #[test]
    fn only_the_operators_certificate_bears_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::open(folder.path()).expect("made");
        let member = ["demo-0".to_owned()];
        let holders = [
            ("operator", Holder::Operator, true),
            ("member", Holder::Sidecar(&member), false),
        ];
        for (name, holder, may_order) in holders {
            let own = folder.path().join(name);
            fs::create_dir(&own).expect("made");
            authority.issue(&own, holder).expect("issued");
            let certificates = Certificates::read(&own).expect("read");
            assert_eq!(is_operator(Some(&certificates.chain)), may_order, "{name}");
            certificates.into_server().expect("usable");
        }
    }

    #[test]
    fn authority_and_certificates_are_made_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let read = |file: &str| fs::read(folder.path().join(file)).expect("there");
        let member = ["a".to_owned()];
        Authority::open(folder.path())
            .expect("made")
            .issue(folder.path(), Holder::Sidecar(&member))
            .expect("issued");
        let before = (read("ca.pem"), read("tls.crt"));
        Authority::open(folder.path())
            .expect("found")
            .issue(folder.path(), Holder::Sidecar(&member))
            .expect("kept");
        assert_eq!((read("ca.pem"), read("tls.crt")), before);
    }
}
