//! What an API server answers when it does not do something.

use serde_json::{Value, json};

use super::kinds::Kind;

/// A refusal, with the code, the reason and the words that clients go by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    /// The HTTP status.
    pub(crate) code: u16,
    reason: &'static str,
    message: String,
    details: Value,
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: json!({}),
        }
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        self.details = json!({ "name": name, "group": kind.group, "kind": kind.plural });
        self
    }

    fn because(mut self, causes: Value) -> Self {
        self.details["causes"] = causes;
        self
    }

    /// There is no such object.
    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.resource());
        Self::new(404, "NotFound", message).about(kind, name)
    }

    /// There is no such path.
    pub(crate) fn no_such_path() -> Self {
        Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    /// An object of this name is there already.
    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", kind.resource());
        Self::new(409, "AlreadyExists", message).about(kind, name)
    }

    /// The object is not the one that the write was meant for.
    pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {why}",
            kind.resource()
        );
        Self::new(409, "Conflict", message).about(kind, name)
    }

    /// The object changed since it was read.
    pub(crate) fn modified(kind: &Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(kind, name, why)
    }

    /// Fields that are applied belong to others.
    pub(crate) fn owned_by_others(fields: &[(String, String)]) -> Self {
        let list: Vec<_> = fields
            .iter()
            .map(|(manager, field)| format!("conflict with \"{manager}\": {field}"))
            .collect();
        let cause = |(manager, field): &(String, String)| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with \"{manager}\""),
                "field": field,
            })
        };
        let causes: Vec<_> = fields.iter().map(cause).collect();
        let message = format!(
            "Apply failed with {} conflict{}: {}",
            list.len(),
            if list.len() == 1 { "" } else { "s" },
            list.join(", ")
        );
        Self::new(409, "Conflict", message).because(causes.into())
    }

    /// The object breaks a rule; `wrong` names fields and what is wrong with each.
    pub(crate) fn invalid(kind: &Kind, name: &str, wrong: &[(String, String)]) -> Self {
        let list: Vec<_> = wrong
            .iter()
            .map(|(field, why)| format!("{field}: {why}"))
            .collect();
        let message = format!(
            "{} \"{name}\" is invalid: {}",
            if kind.group.is_empty() {
                kind.kind.to_owned()
            } else {
                format!("{}.{}", kind.kind, kind.group)
            },
            list.join(", ")
        );
        let cause = |(field, why): &(String, String)| json!({ "reason": "FieldValueInvalid", "message": why, "field": field });
        let causes: Vec<_> = wrong.iter().map(cause).collect();
        Self::new(422, "Invalid", message)
            .about(kind, name)
            .because(causes.into())
    }

    /// Not allowed, whatever the object says.
    pub(crate) fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", kind.resource());
        Self::new(403, "Forbidden", message).about(kind, name)
    }

    /// The request makes no sense.
    pub(crate) fn bad_request(why: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", why)
    }

    /// This path does not do that.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// A body of this type is not understood.
    pub(crate) fn unsupported(content_type: &str) -> Self {
        let message = format!("the body of the request was in an unknown format: {content_type}");
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// A budget forbids an eviction for now.
    pub(crate) fn over_budget(needs: u64, healthy: u64, name: &str) -> Self {
        let cause = json!([{
            "reason": "DisruptionBudget",
            "message": format!(
                "The disruption budget {name} needs {needs} healthy pods and has {healthy} currently"
            ),
        }]);
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        Self::new(429, "TooManyRequests", message).because(cause)
    }

    /// Whether a pod may be evicted is not known: more than one budget covers it.
    pub(crate) fn several_budgets() -> Self {
        let message = "This pod has more than one PodDisruptionBudget, which the eviction \
                       subresource does not support.";
        Self::new(500, "", message)
    }

    /// The server itself is at a loss.
    pub(crate) fn internal(why: &str) -> Self {
        Self::new(500, "InternalError", why)
    }

    /// What was to be watched from then on is forgotten.
    pub(crate) fn expired(asked: u64, oldest: u64) -> Self {
        let message = format!("too old resource version: {asked} ({oldest})");
        Self::new(410, "Expired", message)
    }

    /// As the body of a response.
    pub(crate) fn status(&self) -> Value {
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        })
    }

    /// For the events of controllers.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}
