//! What a request is about.

use std::collections::BTreeMap;

use http::Uri;

use super::failure::Failure;
use super::kinds::{KINDS, Kind, NAMESPACE};

/// The object or the list that a path names.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Of which kind.
    pub(crate) kind: &'static Kind,
    /// In which namespace; `None` for all of them, or for a kind without.
    pub(crate) namespace: Option<String>,
    /// Which object; `None` for the list.
    pub(crate) name: Option<String>,
    /// Which part of the object.
    pub(crate) part: Option<String>,
    /// The query's parameters.
    pub(crate) query: BTreeMap<String, String>,
}

impl Route {
    /// Reads a path and its query.
    pub(crate) fn parse(uri: &Uri) -> Result<Self, Failure> {
        let parts: Vec<_> = uri
            .path()
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(Failure::no_such_path()),
        };
        let find = |plural: &str| {
            KINDS
                .into_iter()
                .find(|kind| (kind.group, kind.version, kind.plural) == (group, version, plural))
                .ok_or_else(Failure::no_such_path)
        };
        let (kind, namespace, rest) = match rest {
            ["namespaces", namespace, plural, rest @ ..]
                if !["status", "finalize"].contains(plural) =>
            {
                (find(plural)?, Some((*namespace).to_owned()), rest)
            }
            ["namespaces", rest @ ..] => (&NAMESPACE, None, rest),
            [plural, rest @ ..] => (find(plural)?, None, rest),
            [] => return Err(Failure::no_such_path()),
        };
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Ok(Self {
            kind,
            namespace,
            name: rest.first().map(|name| (*name).to_owned()),
            part: rest.get(1).map(|part| (*part).to_owned()),
            query: query.into_owned().collect(),
        })
    }

    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A parameter that says yes or no.
    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.parameter(name), Some("true" | "1"))
    }
}
