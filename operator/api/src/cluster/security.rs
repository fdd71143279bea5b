use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Encryption. The sidecars' order port has mutual TLS whatever stands here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Between clients and members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientTls>,
    /// Among the members; `Disabled` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<TlsMode>,
    /// Who issues the certificates; a CA of the operator's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<CertificateIssuer>,
}

/// Encryption between clients and members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientTls {
    /// Whether it is used; `Disabled` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// Whether a client must show a certificate; false if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_certificate: Option<bool>,
}

/// Whether connections are encrypted; `Disabled` if absent. Not `on` and `off`: in YAML 1.1 those are booleans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// None is.
    #[default]
    Disabled,
    /// Those are that ask for it, on the same port.
    Optional,
    /// All are.
    Required,
}

/// A cert-manager issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateIssuer {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `Issuer` or `ClusterIssuer`; `Issuer` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
    /// Its API group; `cert-manager.io` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub group: Option<String>,
}

/// Who may connect, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// A Secret with `username` and `password` of the superuser. There is none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superuser: Option<SecretName>,
    /// A client may do nothing before it has authenticated; false if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// The schemes that count as authentication, if `required`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemes: Vec<AuthScheme>,
}

/// A Secret of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretName {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// A way to say who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthScheme {
    /// Name and password.
    Digest,
    /// A certificate.
    X509,
    /// Kerberos or DIGEST-MD5.
    Sasl,
}
