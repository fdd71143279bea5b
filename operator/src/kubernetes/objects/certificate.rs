use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::kubernetes::Issued;
use crate::kubernetes::names::Names;

/// The type of the Secrets with the sidecars' certificates. A Secret's type never changes, so one
/// that somebody else made under this name refuses what is applied to it.
pub(crate) const SECRET_TYPE: &str = "ferrokeeper.io/order-tls";

/// The Secret that the sidecars read their certificate from.
pub(crate) fn certificate(names: &Names, uid: &str, issued: &Issued) -> Secret {
    let file = |name: &str, text: &str| (name.to_owned(), ByteString(text.as_bytes().to_vec()));
    Secret {
        metadata: names.metadata(names.certificate(), names.labels(), uid),
        type_: Some(SECRET_TYPE.to_owned()),
        data: Some(
            [
                file("ca.pem", &issued.authority),
                file("tls.crt", &issued.certificate),
                file("tls.key", &issued.key),
            ]
            .into(),
        ),
        ..Secret::default()
    }
}
