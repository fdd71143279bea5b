//! JSON in the order and the shape in which Apache's AdminServer prints it.

use std::fmt::{self, Write as _};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    /// Printed with a point, as Java's.
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Object(Fields),
}

/// An object's fields, in order.
pub(super) type Fields = Vec<(String, Json)>;

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Json {
    /// As Java, which has no unsigned numbers.
    fn from(value: u64) -> Self {
        Self::Int(value as i64)
    }
}

impl From<usize> for Json {
    fn from(value: usize) -> Self {
        Self::Int(value as i64)
    }
}

impl From<f64> for Json {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Fields> for Json {
    fn from(fields: Fields) -> Self {
        Self::Object(fields)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Json {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

/// A field.
pub(super) fn field(name: &str, value: impl Into<Json>) -> (String, Json) {
    (name.to_owned(), value.into())
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, 0)
    }
}

impl Json {
    fn print(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) if value.is_finite() => write!(f, "{value:?}"),
            Self::Float(_) => f.write_str("\"NaN\""),
            Self::Text(value) => quote(value, f),
            Self::List(values) if values.is_empty() => f.write_str("[ ]"),
            Self::List(values) => {
                for (at, value) in values.iter().enumerate() {
                    f.write_str(if at == 0 { "[ " } else { ", " })?;
                    value.print(f, depth)?;
                }
                f.write_str(" ]")
            }
            Self::Object(fields) if fields.is_empty() => f.write_str("{ }"),
            Self::Object(fields) => {
                for (at, (name, value)) in fields.iter().enumerate() {
                    f.write_str(if at == 0 { "{" } else { "," })?;
                    new_line(f, depth + 1)?;
                    quote(name, f)?;
                    f.write_str(" : ")?;
                    value.print(f, depth + 1)?;
                }
                new_line(f, depth)?;
                f.write_char('}')
            }
        }
    }
}

fn new_line(f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
    write!(f, "\n{:1$}", "", depth * 2)
}

fn quote(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let quoted = serde_json::Value::from(text);
    write!(f, "{quoted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_printed_as_apache_prints_them() {
        let value = Json::Object(vec![
            field("empty", Fields::new()),
            field("none", Vec::<i64>::new()),
            field("numbers", vec![1_i64, -2]),
            field("mean", 0.0),
            field(
                "list",
                vec![vec![field("a \"b\"", "c\n")], vec![field("d", true)]],
            ),
            field("error", Json::Null),
        ]);
        let expected = "{\n  \"empty\" : { },\n  \"none\" : [ ],\n  \"numbers\" : [ 1, -2 ],\n  \
            \"mean\" : 0.0,\n  \"list\" : [ {\n    \"a \\\"b\\\"\" : \"c\\n\"\n  }, {\n    \
            \"d\" : true\n  } ],\n  \"error\" : null\n}";
        assert_eq!(value.to_string(), expected);
        let read: serde_json::Value = serde_json::from_str(&value.to_string()).unwrap();
        assert_eq!(read["numbers"][1], -2);
    }
}
