//! Label and field selectors.

use std::collections::BTreeMap;

use serde_json::Value;

use super::failure::Failure;
use super::object::Object;

/// What a list or a watch is limited to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<Term>,
    fields: Vec<Term>,
}

#[derive(Clone, Debug)]
enum Term {
    Is(String, Vec<String>),
    IsNot(String, Vec<String>),
    Exists(String),
    Lacks(String),
}

impl Selector {
    /// From the query's `labelSelector` and `fieldSelector`.
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, Failure> {
        Ok(Self {
            labels: terms(labels)?,
            fields: terms(fields)?,
        })
    }

    /// Whether an object is selected.
    pub(crate) fn selects(&self, object: &Value) -> bool {
        let labels = object.texts("/metadata/labels");
        let field = |name: &str| {
            let text = object.text(&format!("/{}", name.replace('.', "/")));
            Some(text.to_owned())
        };
        self.labels
            .iter()
            .all(|t| t.holds(|k| labels.get(k).cloned()))
            && self.fields.iter().all(|term| term.holds(field))
    }
}

impl Term {
    fn holds(&self, value: impl Fn(&str) -> Option<String>) -> bool {
        match self {
            Self::Is(key, any) => value(key).is_some_and(|found| any.contains(&found)),
            Self::IsNot(key, any) => value(key).is_none_or(|found| !any.contains(&found)),
            Self::Exists(key) => value(key).is_some(),
            Self::Lacks(key) => value(key).is_none(),
        }
    }
}

fn terms(text: &str) -> Result<Vec<Term>, Failure> {
    let mut depth = 0;
    let parts = text.split(|c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        c == ',' && depth == 0
    });
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    parts.map(term).collect()
}

fn term(text: &str) -> Result<Term, Failure> {
    let any = |list: &str| -> Vec<String> {
        let list = list.trim().trim_start_matches('(').trim_end_matches(')');
        list.split(',')
            .map(|value| value.trim().to_owned())
            .collect()
    };
    if let Some((key, list)) = text.split_once(" notin ") {
        return Ok(Term::IsNot(key.trim().to_owned(), any(list)));
    }
    if let Some((key, list)) = text.split_once(" in ") {
        return Ok(Term::Is(key.trim().to_owned(), any(list)));
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Ok(Term::IsNot(
            key.trim().to_owned(),
            vec![value.trim().to_owned()],
        ));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Term::Is(
            key.trim().to_owned(),
            vec![value.trim().to_owned()],
        ));
    }
    if text.contains(' ') {
        return Err(Failure::bad_request(format!(
            "unable to parse requirement: {text}"
        )));
    }
    Ok(match text.strip_prefix('!') {
        Some(key) => Term::Lacks(key.to_owned()),
        None => Term::Exists(text.to_owned()),
    })
}

/// Whether labels are matched by a `LabelSelector`.
pub(crate) fn matches(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let wanted = selector.texts("/matchLabels");
    let expressions = selector.list("/matchExpressions");
    let holds = |expression: &Value| {
        let found = labels.get(expression.text("/key"));
        let listed =
            || found.is_some_and(|f| expression.list("/values").contains(&f.clone().into()));
        match expression.text("/operator") {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => found.is_some(),
            _ => found.is_none(),
        }
    };
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
        && expressions.iter().all(holds)
}
