//! Java's properties format, as far as anybody writes it in a zoo.cfg: `key=value`, `key: value`
//! or `key value`, comments with `#` or `!`, a backslash at a line's end that joins the next.

use super::Origin;

/// One setting and where it stands; of a joined line, the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) origin: Origin,
    pub(super) key: String,
    pub(super) value: String,
}

/// All settings, in the order of the file.
pub(super) fn parse(text: &str) -> Vec<Property> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let mut logical = first.trim().to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while ends_in_continuation(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim()),
                None => break,
            }
        }
        let (key, value) = split(&logical);
        found.push(Property {
            origin: Origin::Line(index + 1),
            key,
            value,
        });
    }
    found
}

/// An odd number of backslashes at the end.
fn ends_in_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// The key ends at the first unescaped `=`, `:` or blank.
fn split(line: &str) -> (String, String) {
    let mut key = String::new();
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => key.extend(characters.next().map(|(_, escaped)| escaped)),
            '=' | ':' => return (key, unescape(line[at + 1..].trim_start())),
            blank if blank.is_whitespace() => {
                let rest = line[at..].trim_start();
                let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
                return (key, unescape(rest.trim_start()));
            }
            other => key.push(other),
        }
    }
    (key, String::new())
}

fn unescape(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next().map(|escaped| match escaped {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                other => other,
            })),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_that_java_takes_is_taken() {
        let text = "# comment\n! comment\n\ntickTime=2000\n initLimit : 10 \nsyncLimit 5\n\
                    a\\:b = c\\\\d\njoined = one,\\\n   two\nempty=\nserver.1=h:1:2;3\n";
        let found: Vec<(Origin, String, String)> = parse(text)
            .into_iter()
            .map(|p| (p.origin, p.key, p.value))
            .collect();
        let expected = [
            (4, "tickTime", "2000"),
            (5, "initLimit", "10"),
            (6, "syncLimit", "5"),
            (7, "a:b", "c\\d"),
            (8, "joined", "one,two"),
            (10, "empty", ""),
            (11, "server.1", "h:1:2;3"),
        ]
        .map(|(line, key, value)| (Origin::Line(line), key.to_owned(), value.to_owned()));
        assert_eq!(found, expected);
    }
}
