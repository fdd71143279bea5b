//! The command line of `ferrokeeper cli`, which also takes zkCli's options with one dash.

use std::time::Duration;

use anyhow::{Context, bail};

/// `cli`'s arguments.
#[derive(clap::Args, Clone, Debug)]
#[command(disable_help_flag = true)]
pub struct Arguments {
    /// Options, then a command; without a command, commands are read from standard input.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// What `ferrokeeper cli --help` says.
pub(super) const HELP: &str = "\
A shell for znodes, with zkCli's commands and answers

Usage: ferrokeeper cli [OPTIONS] [COMMAND [ARGUMENTS]...]

Without a command it reads commands, one a line, from the terminal or from standard input.
`ferrokeeper cli help` lists the commands.

Options, with one dash or two:
  -server HOST:PORT[,HOST:PORT...][/ROOT]  Servers, and where paths start [default: localhost:2181]
  -timeout MILLISECONDS   Session timeout that is asked for [default: 30000]
  -r, -readonly           Also use a server that is cut off from the others, for reading
  -waitforconnection      Wait for a connection, at most the session timeout, before the command
  -json                   One JSON object a line for each answer, event and error
  -h, -help               Print this

Exit codes: 0 done, 1 refused or failed, 127 no such command.

Examples:
  ferrokeeper cli -server zk1:2181,zk2:2181 ls -s /
  ferrokeeper cli -json get -s /config | jq -r .data
  printf 'create /a x\\nls -R /\\n' | ferrokeeper cli
";

/// What the arguments mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) server: String,
    pub(super) timeout: Duration,
    pub(super) read_only: bool,
    pub(super) wait: bool,
    pub(super) json: bool,
    /// Only [`HELP`] is wanted.
    pub(super) help: bool,
    /// A command and its arguments; none to read commands.
    pub(super) command: Vec<String>,
}

impl Arguments {
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let mut plan = Plan {
            server: "localhost:2181".to_owned(),
            timeout: Duration::from_secs(30),
            read_only: false,
            wait: false,
            json: false,
            help: false,
            command: Vec::new(),
        };
        let mut words = self.words.iter();
        while let Some(word) = words.next() {
            let Some(option) = word.strip_prefix('-') else {
                plan.command = std::iter::once(word).chain(words).cloned().collect();
                return Ok(plan);
            };
            let option = option.strip_prefix('-').unwrap_or(option);
            let (option, glued) = match option.split_once('=') {
                Some((option, value)) => (option, Some(value.to_owned())),
                None => (option, None),
            };
            let mut value = || {
                let next = glued.clone().or_else(|| words.next().cloned());
                next.with_context(|| format!("-{option} needs a value"))
            };
            match option {
                "server" | "s" => plan.server = value()?,
                "timeout" => plan.timeout = milliseconds(&value()?)?,
                "r" | "readonly" | "read-only" => plan.read_only = true,
                "waitforconnection" | "wait-for-connection" => plan.wait = true,
                "json" => plan.json = true,
                "h" | "help" => plan.help = true,
                "secure" | "client-configuration" => bail!(
                    "-{option} is about TLS, which this version's cli does not speak; connect to \
                     the plain clientPort"
                ),
                _ => bail!("there is no option {word}; see ferrokeeper cli --help"),
            }
        }
        Ok(plan)
    }
}

fn milliseconds(text: &str) -> anyhow::Result<Duration> {
    let number: i32 = text
        .parse()
        .ok()
        .filter(|number| *number > 0)
        .with_context(|| format!("-timeout takes milliseconds, not {text:?}"))?;
    Ok(Duration::from_millis(number.unsigned_abs().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> anyhow::Result<Plan> {
        let words = line.split_whitespace().map(str::to_owned).collect();
        Arguments { words }.plan()
    }

    #[test]
    fn options_have_one_dash_or_two_and_end_with_the_command() {
        let expected = Plan {
            server: "a:1,b:2/root".to_owned(),
            timeout: Duration::from_millis(700),
            read_only: true,
            wait: true,
            json: true,
            help: false,
            command: ["ls", "-s", "/"].map(str::to_owned).to_vec(),
        };
        for line in [
            "-server a:1,b:2/root -timeout 700 -r -waitforconnection -json ls -s /",
            "--server=a:1,b:2/root --timeout 700 --read-only --wait-for-connection --json ls -s /",
        ] {
            assert_eq!(plan(line).expect(line), expected);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, message) in [
            ("-server", "-server needs a value"),
            ("-timeout 0 ls /", "-timeout takes milliseconds, not \"0\""),
            (
                "-bogus ls /",
                "there is no option -bogus; see ferrokeeper cli --help",
            ),
        ] {
            assert_eq!(plan(line).expect_err(line).to_string(), message);
        }
    }
}
