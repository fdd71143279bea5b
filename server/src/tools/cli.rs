//! `ferrokeeper cli`: a shell for znodes, with the commands and answers of zkCli.
//!
//! Start with [`run`]. A `session` is kept by a thread of its own, which also prints events;
//! `commands` turns words into requests and answers, `output` prints them, as zkCli does or as
//! JSON; `line` takes a line apart; `editor` is what a person types into.
//!
//! Scripts that parse zkCli's output go on working: what goes to standard output and what to
//! standard error, and the exit code, are zkCli's. A script on standard input gets no prompts.

mod acl;
mod arguments;
mod commands;
mod editor;
mod failure;
mod line;
mod output;
mod quota;
mod session;
mod shell;
mod watches;

use std::io::{IsTerminal as _, stdin, stdout};
use std::process::ExitCode;

use anyhow::Context;

pub use arguments::Arguments;

pub(super) use acl::text as acl_text;

use output::Output;
use shell::Shell;

/// Does what the arguments say: one command, or all lines of standard input.
///
/// # Errors
/// If the arguments make no sense, or the terminal cannot be used.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let plan = arguments.plan()?;
    let output = Output::new(plan.json);
    if plan.help {
        output.notice(arguments::HELP);
        return Ok(ExitCode::SUCCESS);
    }
    output.notice(&format!("Connecting to {}", plan.server));
    let one_shot = !plan.command.is_empty();
    let mut shell = Shell::connect(plan, output.clone())?;
    if one_shot {
        shell.run_command();
    } else {
        output.notice("Welcome to ZooKeeper!");
        if stdin().is_terminal() && stdout().is_terminal() {
            editor::converse(&mut shell).context("use the terminal")?;
        } else {
            shell.run_lines(stdin().lock()).context("read commands")?;
        }
    }
    Ok(ExitCode::from(shell.end()))
}
