//! What a person types into: editing, history, completion of commands and paths.

use std::path::PathBuf;
use std::sync::Arc;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Editor, ExternalPrinter as _, Helper};
use wire::Record as _;
use wire::client::{GetChildrenResponse, PathRequest, Request};

use super::session::Session;
use super::shell::{Shell, names};

/// Lines kept from one use to the next.
const KEPT: usize = 1000;

/// Reads lines and carries them out, until the person has enough.
pub(super) fn converse(shell: &mut Shell) -> anyhow::Result<()> {
    let config = Config::builder()
        .max_history_size(KEPT)?
        .history_ignore_dups(true)?
        .auto_add_history(true)
        .build();
    let mut editor: Editor<Completion, FileHistory> = Editor::with_config(config)?;
    let kept = history_file();
    if let Some(file) = &kept {
        // There is none the first time.
        let _ = editor.load_history(file);
    }
    let mut printer = editor.create_external_printer()?;
    shell.output().set_aside(Some(Box::new(move |text| {
        let _ = printer.print(text);
    })));
    while !shell.is_over() {
        editor.set_helper(Some(Completion {
            session: shell.session(),
        }));
        let line = editor.readline(&shell.prompt());
        editor.set_helper(None);
        match line {
            Ok(line) => shell.run_line(&line),
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        }
    }
    shell.output().set_aside(None);
    if let Some(file) = &kept {
        editor.save_history(file)?;
    }
    Ok(())
}

fn history_file() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(PathBuf::from(home).join(".ferrokeeper_history"))
}

/// Completes the first word to a command, others to paths.
struct Completion {
    session: Option<Arc<Session>>,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let before = &line[..at];
        let start = before
            .rfind(char::is_whitespace)
            .map_or(0, |space| space + 1);
        let word = &before[start..];
        if before[..start].trim().is_empty() {
            let mut found: Vec<String> = names()
                .filter(|name| name.starts_with(word))
                .map(|name| format!("{name} "))
                .collect();
            found.sort_unstable();
            return Ok((start, found));
        }
        let Some((parent, begun)) = word.rsplit_once('/').filter(|_| word.starts_with('/')) else {
            return Ok((at, Vec::new()));
        };
        let children = self.children(if parent.is_empty() { "/" } else { parent });
        let found = children.into_iter().filter(|name| name.starts_with(begun));
        Ok((at - begun.len(), found.collect()))
    }
}

impl Completion {
    /// None where they cannot be known.
    fn children(&self, path: &str) -> Vec<String> {
        let Some(session) = self
            .session
            .as_ref()
            .filter(|session| session.state().is_alive())
        else {
            return Vec::new();
        };
        let path = path.to_owned();
        let watch = false;
        let reply = session.call(Request::GetChildren(PathRequest { path, watch }));
        let found = reply
            .ok()
            .and_then(|reply| GetChildrenResponse::from_bytes(&reply.body).ok());
        let mut children = found.map(|found| found.children).unwrap_or_default();
        children.sort_unstable();
        children
    }
}

impl Helper for Completion {}
impl Hinter for Completion {
    type Hint = String;
}
impl Highlighter for Completion {}
impl Validator for Completion {}
