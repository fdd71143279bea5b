//! Which operations met which errors in which state of their session, and how often.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use wire::client::{ErrorCode, MultiResult};

use super::asked::{Asked, part_name};
use super::session::{Answer, CLOSED};

macro_rules! states {
    ($( $(#[$meta:meta])* $variant:ident = $name:literal, )*) => {
        /// What a session has been through.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum State { $( $(#[$meta])* $variant, )* }

        const STATES: &[(State, &str)] = &[$( (State::$variant, $name), )*];
    };
}

states! {
    /// On its first connection.
    Fresh = "fresh",
    /// On another connection to the same member.
    Back = "back",
    /// On a connection to another member than before.
    Moved = "moved",
    /// On a connection that the session left for one to another member.
    Left = "left",
    /// Behind the request that ends it.
    Closing = "closing",
    /// Over, by its own wish or for its silence.
    Ended = "ended",
    /// Known to one member.
    Local = "local",
    /// Known to one member at first.
    Upgraded = "upgraded",
    /// With a member that has no quorum.
    ReadOnly = "readonly",
    /// Without the credentials that are asked of everybody.
    Unauthenticated = "unauth",
}

/// An operation that met an error in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub(super) name: &'static str,
    pub(super) err: i32,
    pub(super) state: State,
}

/// Counts by operation, error code and state.
#[derive(Debug, Default)]
pub(super) struct Tally {
    cells: BTreeMap<Cell, u64>,
    /// What met a cell first.
    first: BTreeMap<Cell, String>,
    all: u64,
    succeeded: u64,
}

impl Tally {
    pub(super) fn count(&mut self, asked: &Asked, answer: &Answer, state: State) {
        self.all += 1;
        self.succeeded += u64::from(answer.is_success());
        self.add(asked.name(), answer.err, state, asked);
        // The parts of a multi are cells of their own: up to the first error each was tried.
        for (part, result) in asked.parts().iter().zip(&answer.parts) {
            let err = match result {
                MultiResult::Error(err) => *err,
                _ => 0,
            };
            self.add(part_name(part.op()), err, state, asked);
        }
    }

    pub(super) fn add(&mut self, name: &'static str, err: i32, state: State, by: &dyn Debug) {
        let cell = Cell { name, err, state };
        *self.cells.entry(cell).or_default() += 1;
        self.first.entry(cell).or_insert_with(|| format!("{by:?}"));
    }

    pub(super) const fn all(&self) -> u64 {
        self.all
    }

    pub(super) const fn succeeded(&self) -> u64 {
        self.succeeded
    }

    pub(super) fn met(&self, cell: &Cell) -> u64 {
        self.cells.get(cell).copied().unwrap_or(0)
    }

    /// All cells as a table.
    pub(super) fn table(&self) -> String {
        let mut text = format!("{:<24} {:<28}", "operation", "error");
        for (_, name) in STATES {
            let _ = write!(text, " {name:>8}");
        }
        let mut row = None;
        for Cell { name, err, .. } in self.cells.keys() {
            if row.replace((name, err)) == Some((name, err)) {
                continue;
            }
            let _ = write!(text, "\n{name:<24} {:<28}", error_name(*err));
            for (state, _) in STATES {
                let cell = Cell {
                    name,
                    err: *err,
                    state: *state,
                };
                match self.met(&cell) {
                    0 => text.push_str("        -"),
                    count => {
                        let _ = write!(text, " {count:>8}");
                    }
                }
            }
        }
        text.push('\n');
        text
    }

    /// Writes the table, and what met each cell first.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let mut first = String::new();
        for (cell, by) in &self.first {
            let _ = writeln!(first, "{}: {by}", cell.text());
        }
        for (name, text) in [("table.txt", self.table()), ("first.txt", first)] {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }

    /// How many succeeded, how many cells there are, and how often the rarest was met.
    pub(super) fn summary(&self) -> String {
        let share = self.succeeded * 100 / self.all.max(1);
        let rarest = self.cells.values().min().copied().unwrap_or(0);
        format!(
            "        {} requests, {share} % succeeded; {} cells of operation, error and state, \
             each met {rarest} times or more",
            self.all,
            self.cells.len()
        )
    }

    /// Fails if a cell that is expected was met less than `least` times, or one that is not listed
    /// was met.
    pub(super) fn check(
        &self,
        listed: &[Cell],
        expected: &[Cell],
        least: u64,
    ) -> anyhow::Result<()> {
        let mut wrong = String::new();
        for cell in expected {
            let met = self.met(cell);
            if met < least {
                let _ = writeln!(wrong, "{}: met {met} times, not {least}", cell.text());
            }
        }
        for cell in self.cells.keys() {
            if !listed.contains(cell) {
                let by = &self.first[cell];
                let _ = writeln!(wrong, "{}: is not in cells.txt; first by {by}", cell.text());
            }
        }
        ensure!(wrong.is_empty(), "cells of the table:\n{wrong}");
        Ok(())
    }
}

impl Cell {
    fn text(&self) -> String {
        let Self { name, err, state } = self;
        format!("{name} {} {state:?}", error_name(*err))
    }
}

fn error_name(err: i32) -> String {
    match ErrorCode::from_code(err) {
        Some(error) => format!("{error:?}"),
        None if err == CLOSED => "Closed".to_owned(),
        None => err.to_string(),
    }
}

/// The cells that can be met, as `cells.txt` lists them: states in brackets, and what all of them
/// have, an operation and its errors on each line.
pub(super) fn listed() -> anyhow::Result<Vec<Cell>> {
    let mut cells = Vec::new();
    let mut states = Vec::new();
    for line in include_str!("cells.txt").lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(names) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            states = names.split(' ').map(state).collect::<Result<Vec<_>, _>>()?;
        } else if let Some((name, errors)) = line.rsplit_once(": ") {
            for error in errors.split_whitespace() {
                let err = error_code(error)?;
                cells.extend(states.iter().map(|state| Cell {
                    name,
                    err,
                    state: *state,
                }));
            }
        } else if !line.is_empty() {
            bail!("cells.txt has the line {line:?}");
        }
    }
    Ok(cells)
}

fn state(name: &str) -> anyhow::Result<State> {
    let found = STATES.iter().find(|(_, other)| *other == name);
    Ok(found
        .with_context(|| format!("no state is called {name:?}"))?
        .0)
}

fn error_code(name: &str) -> anyhow::Result<i32> {
    if name == "Closed" {
        return Ok(CLOSED);
    }
    let found = ErrorCode::ALL
        .iter()
        .find(|error| format!("{error:?}") == name);
    Ok(found
        .with_context(|| format!("no error is called {name:?}"))?
        .code())
}
