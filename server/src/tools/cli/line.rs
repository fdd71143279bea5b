//! Taking a line apart: into words, and words into options and the rest.

use super::failure::Failure;

/// The words of a line. Quotes of either kind keep spaces together when they begin a word.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let quoted = matches!(first, '"' | '\'')
            .then(|| rest[1..].find(first).map(|end| (&rest[1..=end], end + 2)))
            .flatten();
        let (word, taken) = quoted.unwrap_or_else(|| {
            // A quote that nothing closes is left out.
            let start = usize::from(matches!(first, '"' | '\''));
            let end = rest[start..].find(char::is_whitespace);
            let end = end.map_or(rest.len(), |end| start + end);
            (&rest[start..end], end)
        });
        if !word.is_empty() || taken > 1 {
            words.push(word.to_owned());
        }
        rest = rest[taken..].trim_start();
    }
    words
}

/// An option that a command has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    name: &'static str,
    has_value: bool,
}

/// An option without a value.
pub(super) const fn flag(name: &'static str) -> Known {
    Known {
        name,
        has_value: false,
    }
}

/// An option with a value.
pub(super) const fn value(name: &'static str) -> Known {
    Known {
        name,
        has_value: true,
    }
}

/// The words behind a command, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    given: Vec<(&'static str, String)>,
    /// What is no option.
    pub(super) plain: Vec<String>,
}

impl Words {
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let found = self.given.iter().find(|(given, _)| *given == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The only one that is given of options of which at most one may be.
    pub(super) fn one_of(&self) -> Result<Option<(&'static str, &str)>, Failure> {
        match &self.given[..] {
            [] => Ok(None),
            [(name, value)] => Ok(Some((name, value))),
            [(first, _), (second, _), ..] => Err(Failure::Words(format!(
                "org.apache.commons.cli.AlreadySelectedException: The option '{second}' was \
                 specified but an option from this group has already been selected: '{first}'"
            ))),
        }
    }
}

/// Tells options from the rest, wherever they stand. Messages are those that zkCli prints.
pub(super) fn sort(words: &[String], known: &[Known]) -> Result<Words, Failure> {
    let mut sorted = Words::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            sorted.plain.extend(words.cloned());
            break;
        }
        let is_number = word.parse::<f64>().is_ok();
        let Some(option) = word
            .strip_prefix('-')
            .filter(|rest| !rest.is_empty() && !is_number)
        else {
            sorted.plain.push(word.clone());
            continue;
        };
        let option = option.strip_prefix('-').unwrap_or(option);
        let (name, equals) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        if let Some(found) = known.iter().find(|known| known.name == name) {
            let text = match (found.has_value, equals) {
                (false, _) => String::new(),
                (true, Some(text)) => text.to_owned(),
                (true, None) => words.next().cloned().ok_or_else(|| missing(name))?,
            };
            sorted.given.push((found.name, text));
        } else {
            bundle(word, option, known, &mut words, &mut sorted)?;
        }
    }
    Ok(sorted)
}

/// Several options of one letter in one word, the last one perhaps with its value.
fn bundle<'a>(
    word: &str,
    letters: &str,
    known: &[Known],
    words: &mut impl Iterator<Item = &'a String>,
    sorted: &mut Words,
) -> Result<(), Failure> {
    let mut rest = letters;
    while let Some(letter) = rest.chars().next() {
        let name = &rest[..letter.len_utf8()];
        rest = &rest[letter.len_utf8()..];
        let Some(found) = known.iter().find(|known| known.name == name) else {
            return Err(Failure::Words(format!(
                "org.apache.commons.cli.UnrecognizedOptionException: Unrecognized option: {word}"
            )));
        };
        if !found.has_value {
            sorted.given.push((found.name, String::new()));
            continue;
        }
        let text = match rest {
            "" => words.next().cloned().ok_or_else(|| missing(name))?,
            rest => rest.strip_prefix('=').unwrap_or(rest).to_owned(),
        };
        sorted.given.push((found.name, text));
        break;
    }
    Ok(())
}

fn missing(name: &str) -> Failure {
    Failure::Words(format!(
        "org.apache.commons.cli.MissingArgumentException: Missing argument for option: {name}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_spaces_at_the_start_of_a_word_only() {
        for (line, expected) in [
            ("  create /a  x ", &["create", "/a", "x"][..]),
            (
                "create /a \"two words\" 'and more'",
                &["create", "/a", "two words", "and more"],
            ),
            ("set /a \"\"", &["set", "/a", ""]),
            ("set /a x\"y z\"", &["set", "/a", "x\"y", "z\""]),
            ("get \"/unclosed", &["get", "/unclosed"]),
            (
                "create /dq \"a \\\"b\\\" c\"",
                &["create", "/dq", "a \\", "b\\\"", "c\""],
            ),
            ("", &[]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    const KNOWN: &[Known] = &[flag("s"), flag("w"), value("v"), value("add")];

    fn sorted(line: &str) -> Result<Words, Failure> {
        sort(&words(line), KNOWN)
    }

    #[test]
    fn options_stand_anywhere_alone_or_together() {
        let expected = Words {
            given: vec![("s", String::new()), ("v", "3".to_owned())],
            plain: vec!["/a".to_owned(), "-1".to_owned()],
        };
        for line in [
            "-s -v 3 /a -1",
            "/a -sv 3 -1",
            "/a -sv3 -1",
            "--s -v=3 -- /a -1",
        ] {
            assert_eq!(sorted(line).expect(line), expected, "{line}");
        }
        assert_eq!(sorted("-v -1").expect("a number").value("v"), Some("-1"));
        assert_eq!(sorted("-add x").expect("long").value("add"), Some("x"));
    }

    #[test]
    fn unknown_options_and_missing_values_are_refused() {
        for (line, message) in [
            (
                "-x /a",
                "org.apache.commons.cli.UnrecognizedOptionException: Unrecognized option: -x",
            ),
            (
                "/a -v",
                "org.apache.commons.cli.MissingArgumentException: Missing argument for option: v",
            ),
        ] {
            assert_eq!(sorted(line).expect_err(line).to_string(), message);
        }
    }
}
