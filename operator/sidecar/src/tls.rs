//! Mutual TLS of the order port: who may give orders, and how a member proves who it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::sidecar::OPERATOR;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Why the certificates in a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file is absent, or is not PEM of the right kind.
    #[error("certificate file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
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

/// The three files of a folder: `ca.pem`, `tls.crt`, `tls.key`.
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

impl Certificates {
    /// Reads the folder.
    ///
    /// # Errors
    /// If a file is absent or is not what its name says.
    pub fn read(folder: &Path) -> Result<Self, CertificateError> {
        let chain = read_chain(&folder.join("tls.crt"))?;
        let path = folder.join("tls.key");
        let key = PrivateKeyDer::from_pem_slice(&read(&path)?)
            .map_err(|source| CertificateError::File { path, source })?;
        let path = folder.join("ca.pem");
        let mut authority = RootCertStore::empty();
        authority.add_parsable_certificates(read_chain(&path)?);
        if authority.is_empty() {
            return Err(CertificateError::NoAuthority(path));
        }
        Ok(Self {
            folder: folder.to_owned(),
            authority,
            chain,
            key,
        })
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

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|error| CertificateError::File {
        path: path.to_owned(),
        source: rustls::pki_types::pem::Error::Io(error),
    })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| CertificateError::File {
            path: path.to_owned(),
            source,
        })
}
