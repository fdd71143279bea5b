//! Mutual TLS of the order port: who may give orders, and how a member proves who it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::sidecar::OPERATOR;
use parking_lot::{Mutex, RwLock};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

/// Between two looks at the folder. A kubelet takes a minute or more to bring new files.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Why the certificates in a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file is absent, or is not PEM of the right kind.
    #[error("certificate file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// `ca.pem` holds no certificate.
    #[error("{0} holds no certificate")]
    NoAuthority(PathBuf),
    /// Key and certificate do not fit, or the authority cannot be used.
    #[error("certificates in {folder}: {reason}")]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What is in a folder's `ca.pem`, `tls.crt` and `tls.key`.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
    /// Whom to trust.
    pub authority: RootCertStore,
    /// Our own chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

/// The three files of a folder, as they are.
#[derive(PartialEq, Eq)]
struct Files {
    authority: Vec<u8>,
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(folder: &Path) -> Result<Self, CertificateError> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|error| CertificateError::File {
                path,
                source: pem::Error::Io(error),
            })
        };
        Ok(Self {
            authority: read("ca.pem")?,
            chain: read("tls.crt")?,
            key: read("tls.key")?,
        })
    }

    fn parse(&self, folder: &Path) -> Result<Certificates, CertificateError> {
        let wrong = |name: &str| {
            let path = folder.join(name);
            |source| CertificateError::File { path, source }
        };
        let chain = |pem: &[u8]| CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let mut authority = RootCertStore::empty();
        let trusted = chain(&self.authority).map_err(wrong("ca.pem"))?;
        authority.add_parsable_certificates(trusted);
        if authority.is_empty() {
            return Err(CertificateError::NoAuthority(folder.join("ca.pem")));
        }
        Ok(Certificates {
            folder: folder.to_owned(),
            authority,
            chain: chain(&self.chain).map_err(wrong("tls.crt"))?,
            key: PrivateKeyDer::from_pem_slice(&self.key).map_err(wrong("tls.key"))?,
        })
    }
}

/// The order port's side of a handshake, with the certificates that are in the folder now: they
/// are renewed while the sidecar runs. Connections that are open stay as they are.
pub struct Acceptor {
    folder: PathBuf,
    seen: Mutex<Files>,
    current: RwLock<TlsAcceptor>,
}

impl Acceptor {
    /// With what is in the folder.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn open(folder: &Path) -> Result<Self, CertificateError> {
        let files = Files::read(folder)?;
        let config = files.parse(folder)?.into_server()?;
        Ok(Self {
            folder: folder.to_owned(),
            seen: Mutex::new(files),
            current: RwLock::new(TlsAcceptor::from(Arc::new(config))),
        })
    }

    /// For the next handshake.
    pub fn current(&self) -> TlsAcceptor {
        self.current.read().clone()
    }

    /// Takes over what comes into the folder, for ever. Files that cannot be used change nothing:
    /// they may be half replaced.
    pub async fn follow(&self) {
        loop {
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            match self.look() {
                Ok(false) => {}
                Ok(true) => info!(folder = %self.folder.display(), "new certificates"),
                Err(error) => warn!(%error, "the certificates from before are kept"),
            }
        }
    }

    /// Answers whether there was anything new.
    fn look(&self) -> Result<bool, CertificateError> {
        let files = Files::read(&self.folder)?;
        let mut seen = self.seen.lock();
        if *seen == files {
            return Ok(false);
        }
        let config = files.parse(&self.folder)?.into_server()?;
        *self.current.write() = TlsAcceptor::from(Arc::new(config));
        *seen = files;
        Ok(true)
    }
}

impl Certificates {
    /// Reads the folder.
    ///
    /// # Errors
    /// If a file is absent or is not what its name says.
    pub fn read(folder: &Path) -> Result<Self, CertificateError> {
        Files::read(folder)?.parse(folder)
    }

    /// The TLS configuration of the order port: a client certificate of our authority is asked
    /// for. The name on it is checked by [`is_operator`].
    ///
    /// # Errors
    /// If key and certificate do not fit.
    pub fn into_server(self) -> Result<ServerConfig, CertificateError> {
        let unusable = |reason: String| CertificateError::Unusable {
            folder: self.folder.clone(),
            reason,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(self.authority),
            Arc::clone(&provider),
        )
        .build()
        .map_err(|error| unusable(error.to_string()))?;
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain, self.key)
            .map_err(|error| unusable(error.to_string()))
    }
}

/// True if the verified chain that a client presented is the operator's.
#[must_use]
pub fn is_operator(chain: Option<&[CertificateDer<'_>]>) -> bool {
    let Some(leaf) = chain.and_then(|chain| chain.first()) else {
        return false;
    };
    let Ok(leaf) = webpki::EndEntityCert::try_from(leaf) else {
        return false;
    };
    let Ok(name) = ServerName::try_from(OPERATOR) else {
        return false;
    };
    leaf.verify_is_valid_for_subject_name(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    fn issue(folder: &Path) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["demo-0".to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &authority).expect("signed");
        let write = |name: &str, pem: String| fs::write(folder.join(name), pem).expect("written");
        write("ca.pem", authority.pem());
        write("tls.crt", certificate.pem());
        write("tls.key", key.serialize_pem());
    }

    #[test]
    fn certificates_are_taken_over_when_they_are_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        issue(folder.path());
        let acceptor = Acceptor::open(folder.path()).expect("usable");
        let config = |acceptor: &Acceptor| Arc::as_ptr(acceptor.current().config());
        let first = config(&acceptor);
        assert!(!acceptor.look().expect("looked"), "nothing is new");

        let other = KeyPair::generate().expect("a key").serialize_pem();
        fs::write(folder.path().join("tls.key"), other).expect("written");
        acceptor.look().expect_err("key and certificate differ");
        assert_eq!(config(&acceptor), first);

        issue(folder.path());
        assert!(acceptor.look().expect("looked"), "new ones");
        assert_ne!(config(&acceptor), first);
    }
}
