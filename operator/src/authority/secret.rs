//! The authority in a Secret of the operator's own namespace: made by whoever leads first, read
//! by everybody after.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};

use super::{Authority, AuthorityError};

/// What certificates say of their issuer.
const NAME: &str = "ferrokeeper authority";

/// The certificate's key in the Secret.
const CERTIFICATE: &str = "ca.pem";

/// The private key's key in the Secret.
const KEY: &str = "ca.key";

/// Why there is no authority yet.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The Secret cannot be read or made.
    #[error("Secret {name}")]
    Api {
        /// Its name.
        name: String,
        /// Why.
        source: Box<Error>,
    },
    /// There is a Secret of this name, and something else is in it.
    #[error(
        "Secret {name} holds no {CERTIFICATE} and {KEY}; delete it to have a new authority made"
    )]
    Content {
        /// Its name.
        name: String,
    },
    /// What is in it cannot be used.
    #[error("Secret {name}; delete it to have a new authority made")]
    Authority {
        /// Its name.
        name: String,
        /// Why.
        source: AuthorityError,
    },
}

/// Reads the authority, or makes it. Nobody else writes this Secret: it is immutable, and who
/// deletes it gets a new authority at the operator's next start.
///
/// # Errors
/// If the Secret can be neither read nor made, or holds something else.
pub async fn open(client: Client, namespace: &str, name: &str) -> Result<Authority, SecretError> {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let failed = |source| SecretError::Api {
        name: format!("{namespace}/{name}"),
        source: Box::new(source),
    };
    let found = match api.get_opt(name).await.map_err(failed)? {
        Some(found) => found,
        None => {
            let made = make(name).map_err(|source| SecretError::Authority {
                name: format!("{namespace}/{name}"),
                source,
            })?;
            match api.create(&PostParams::default(), &made).await {
                Err(Error::Api(status)) if status.is_already_exists() => {
                    api.get(name).await.map_err(failed)?
                }
                created => created.map_err(failed)?,
            }
        }
    };
    read(&found, &format!("{namespace}/{name}"))
}

fn make(name: &str) -> Result<Secret, AuthorityError> {
    let authority = Authority::make(NAME)?;
    let entry = |key: &str, pem: &str| (key.to_owned(), ByteString(pem.as_bytes().to_vec()));
    let labels = [("app.kubernetes.io/managed-by", "ferrokeeper-operator")];
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.map(|(k, v)| (k.into(), v.into())).into()),
            ..ObjectMeta::default()
        },
        type_: Some("ferrokeeper.io/authority".to_owned()),
        immutable: Some(true),
        data: Some(
            [
                entry(CERTIFICATE, authority.certificate()),
                entry(KEY, &authority.key()),
            ]
            .into(),
        ),
        ..Secret::default()
    })
}

fn read(secret: &Secret, name: &str) -> Result<Authority, SecretError> {
    let text = |key: &str| {
        let bytes = &secret.data.as_ref()?.get(key)?.0;
        String::from_utf8(bytes.clone()).ok()
    };
    let (Some(certificate), Some(key)) = (text(CERTIFICATE), text(KEY)) else {
        return Err(SecretError::Content {
            name: name.to_owned(),
        });
    };
    Authority::read(NAME, certificate, &key).map_err(|source| SecretError::Authority {
        name: name.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again() {
        let secret = make("authority").expect("made");
        let first = read(&secret, "authority").expect("read");
        let again = read(&secret, "authority").expect("read");
        assert_eq!(first.key(), again.key());
        assert_eq!(first.certificate(), again.certificate());
    }

    #[test]
    fn a_secret_of_somebody_else_is_named() {
        let error = read(&Secret::default(), "ns/authority").expect_err("refused");
        assert_eq!(
            error.to_string(),
            "Secret ns/authority holds no ca.pem and ca.key; delete it to have a new authority made"
        );
    }
}
