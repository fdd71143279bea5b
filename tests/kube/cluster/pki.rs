//! One authority, and a certificate for each part of a cluster.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

use super::addresses::Addresses;

/// Files of keys and certificates, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Pki {
    folder: PathBuf,
}

/// Who a certificate is for.
struct Holder<'a> {
    file: String,
    name: String,
    group: Option<&'a str>,
    addresses: Vec<IpAddr>,
    names: Vec<String>,
}

impl Pki {
    /// Writes all keys and certificates of a cluster with `nodes` nodes.
    pub(crate) fn make(addresses: Addresses, nodes: u8) -> anyhow::Result<Self> {
        let folder = addresses.folder().join("pki");
        std::fs::create_dir_all(&folder).context("the folder of keys")?;
        let pki = Self { folder };
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(DnType::CommonName, "cargo e2e");
        authority.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate().context("a key")?;
        pki.write("ca.key", &key.serialize_pem())?;
        let issuer = CertifiedIssuer::self_signed(authority, key).context("the authority")?;
        pki.write("ca.crt", &issuer.pem())?;
        for holder in holders(addresses, nodes) {
            pki.issue(&issuer, &holder)?;
        }
        let accounts = KeyPair::generate().context("a key")?;
        pki.write("accounts.key", &accounts.serialize_pem())?;
        pki.write("accounts.pub", &accounts.public_key_pem())?;
        Ok(pki)
    }

    /// A certificate's file; `ca` is the authority's.
    pub(crate) fn certificate(&self, name: &str) -> String {
        self.folder
            .join(format!("{name}.crt"))
            .display()
            .to_string()
    }

    /// What checks the tokens of service accounts, which the key `accounts` signs.
    pub(crate) fn accounts(&self) -> String {
        self.folder.join("accounts.pub").display().to_string()
    }

    /// A key's file.
    pub(crate) fn key(&self, name: &str) -> String {
        self.folder
            .join(format!("{name}.key"))
            .display()
            .to_string()
    }

    /// Writes a kubeconfig for the holder `name` and returns its path.
    pub(crate) fn kubeconfig(&self, name: &str, to: &Path, server: &str) -> anyhow::Result<()> {
        let text = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "e2e",
            "contexts": [{ "name": "e2e", "context": { "cluster": "e2e", "user": "e2e" } }],
            "clusters": [{
                "name": "e2e",
                "cluster": { "server": server, "certificate-authority": self.certificate("ca") },
            }],
            "users": [{
                "name": "e2e",
                "user": {
                    "client-certificate": self.certificate(name),
                    "client-key": self.key(name),
                },
            }],
        });
        std::fs::write(to, text.to_string()).with_context(|| to.display().to_string())
    }

    fn issue(
        &self,
        issuer: &CertifiedIssuer<'_, KeyPair>,
        holder: &Holder<'_>,
    ) -> anyhow::Result<()> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, holder.name.as_str());
        if let Some(group) = holder.group {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        for address in &holder.addresses {
            params.subject_alt_names.push(SanType::IpAddress(*address));
        }
        for name in &holder.names {
            let name = name.as_str().try_into().context("a DNS name")?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        let key = KeyPair::generate().context("a key")?;
        let certificate = params.signed_by(&key, issuer).context("a certificate")?;
        self.write(&format!("{}.key", holder.file), &key.serialize_pem())?;
        self.write(&format!("{}.crt", holder.file), &certificate.pem())
    }

    fn write(&self, name: &str, pem: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        std::fs::write(&path, pem).with_context(|| path.display().to_string())
    }
}

fn holders(addresses: Addresses, nodes: u8) -> Vec<Holder<'static>> {
    let masters = Some("system:masters");
    let client = |file: &str, name: &str, group| Holder {
        file: file.to_owned(),
        name: name.to_owned(),
        group,
        addresses: Vec::new(),
        names: Vec::new(),
    };
    let mut holders = vec![
        Holder {
            addresses: [
                addresses.first_service(),
                addresses.host(),
                [127, 0, 0, 1].into(),
            ]
            .map(IpAddr::from)
            .into(),
            names: ["", ".default", ".default.svc", ".default.svc.cluster.local"]
                .map(|rest| format!("kubernetes{rest}"))
                .into(),
            ..client("apiserver", "kube-apiserver", None)
        },
        client(
            "apiserver-kubelet",
            "kube-apiserver-kubelet-client",
            masters,
        ),
        client("front-proxy", "front-proxy-client", None),
        client("admin", "admin", masters),
        client("controllers", "system:kube-controller-manager", None),
        client("scheduler", "system:kube-scheduler", None),
        client("proxy", "system:kube-proxy", None),
    ];
    holders.extend((1..=nodes).map(|number| Holder {
        addresses: vec![addresses.node(number).into()],
        names: vec![format!("node-{number}")],
        ..client(
            &format!("node-{number}"),
            &format!("system:node:node-{number}"),
            Some("system:nodes"),
        )
    }));
    holders
}
