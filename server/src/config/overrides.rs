//! Settings that do not stand in the file: flags and environment variables.
//!
//! A flag counts more than a variable, and that more than the file. Flags are Java's
//! `-Dzookeeper.key=value`, or `--set key=value`. Variables are named `FERROKEEPER_SET_` and the
//! key, in any case and with `_` for what a shell does not take in a name:
//! `FERROKEEPER_SET_4LW_COMMANDS_WHITELIST='*'`. What a Java installation keeps in
//! `SERVER_JVMFLAGS` and `JVMFLAGS` is read as well, as far as it is `-D`.

use super::Origin;
use super::keys;
use super::properties::Property;

const PREFIX: &str = "FERROKEEPER_SET_";
/// What Apache's scripts hand to the Java machine, the latter in every program of theirs.
const JAVA_FLAGS: [&str; 2] = ["JVMFLAGS", "SERVER_JVMFLAGS"];

/// Settings that do not stand in the file, weakest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    settings: Vec<Property>,
}

/// A flag that is no setting.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag:?} is no setting: write key=value")]
pub struct OverrideError {
    flag: String,
}

impl Overrides {
    /// From environment variables, and from flags of the form `key=value`.
    ///
    /// # Errors
    /// If a flag is no setting.
    pub fn new(
        variables: impl IntoIterator<Item = (String, String)>,
        flags: &[String],
    ) -> Result<Self, OverrideError> {
        let variables: Vec<(String, String)> = variables.into_iter().collect();
        let mut settings = Vec::new();
        for name in JAVA_FLAGS {
            let given = variables.iter().find(|(variable, _)| variable == name);
            let flags = given.map_or("", |(_, flags)| flags).split_whitespace();
            let defined = flags.filter_map(|flag| flag.strip_prefix("-D")?.split_once('='));
            settings.extend(defined.map(|(key, value)| Property {
                origin: Origin::Variable(name.to_owned()),
                key: key.to_owned(),
                value: value.trim_matches(['"', '\'']).to_owned(),
            }));
        }
        let mut named: Vec<Property> = variables.into_iter().filter_map(from_variable).collect();
        named.sort_by(|a, b| a.key.cmp(&b.key));
        settings.append(&mut named);
        for flag in flags {
            let (key, value) = flag
                .split_once('=')
                .filter(|(key, _)| !key.trim().is_empty())
                .ok_or_else(|| OverrideError { flag: flag.clone() })?;
            settings.push(Property {
                origin: Origin::Flag,
                key: key.trim().to_owned(),
                value: value.to_owned(),
            });
        }
        Ok(Self { settings })
    }

    pub(super) fn settings(&self) -> &[Property] {
        &self.settings
    }
}

fn from_variable((name, value): (String, String)) -> Option<Property> {
    let wanted = name.strip_prefix(PREFIX)?;
    Some(Property {
        key: keys::by_variable(wanted).unwrap_or_else(|| wanted.to_owned()),
        origin: Origin::Variable(name),
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)], flags: &[&str]) -> Vec<(String, String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        let found = Overrides::new(variables.iter().map(owned), &flags).expect("settings");
        let told = |p: &Property| (p.key.clone(), p.value.clone(), p.origin.to_string());
        found.settings().iter().map(told).collect()
    }

    #[test]
    fn flags_come_after_variables_and_those_after_java_flags() {
        let variables = [
            ("FERROKEEPER_SET_4LW_COMMANDS_WHITELIST", "*"),
            ("FERROKEEPER_SET_server_1", "a:1:2;3"),
            ("FERROKEEPER_SET_tickTime", "300"),
            ("SERVER_JVMFLAGS", "-Xmx1g -Dzookeeper.skipACL=yes -Dflag"),
            ("PATH", "/bin"),
        ];
        let expected = [
            ("zookeeper.skipACL", "yes", "SERVER_JVMFLAGS"),
            (
                "4lw.commands.whitelist",
                "*",
                "FERROKEEPER_SET_4LW_COMMANDS_WHITELIST",
            ),
            ("server.1", "a:1:2;3", "FERROKEEPER_SET_server_1"),
            ("tickTime", "300", "FERROKEEPER_SET_tickTime"),
            ("jute.maxbuffer", "4=4", "command line"),
        ]
        .map(|(key, value, origin)| (key.to_owned(), value.to_owned(), origin.to_owned()));
        assert_eq!(read(&variables, &["jute.maxbuffer=4=4"]), expected);
    }

    #[test]
    fn a_flag_without_value_is_refused() {
        let refused = Overrides::new([], &["=x".to_owned()]).expect_err("no key");
        assert_eq!(refused.to_string(), "\"=x\" is no setting: write key=value");
    }
}
