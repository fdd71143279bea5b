//! Which operations met which errors in which state of their session, and how often.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use wire::client::{ErrorCode, MultiResult, OpCode, Request};

use super::session::Answer;

/// What a session has been through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// On its first connection.
    Fresh,
    /// On another connection to the same member.
    Back,
    /// On a connection to another member than before.
    Moved,
}

const STATES: [State; 3] = [State::Fresh, State::Back, State::Moved];

/// Counts by operation, error code and state.
#[derive(Debug, Default)]
pub(super) struct Tally {
    cells: BTreeMap<(&'static str, i32), BTreeMap<State, u64>>,
    all: u64,
    succeeded: u64,
}

impl Tally {
    pub(super) fn count(&mut self, request: &Request, answer: &Answer, state: State) {
        self.all += 1;
        self.succeeded += u64::from(answer.is_success());
        self.add(name(request.op()), answer.err, state);
        // The parts of a multi are cells of their own: up to the first error each was tried.
        let parts = match request {
            Request::Multi(multi) | Request::MultiRead(multi) => &multi.ops[..],
            _ => &[],
        };
        for (part, result) in parts.iter().zip(&answer.parts) {
            let err = match result {
                MultiResult::Error(err) => *err,
                _ => 0,
            };
            self.add(part_name(part.op()), err, state);
        }
    }

    fn add(&mut self, name: &'static str, err: i32, state: State) {
        let cell = self.cells.entry((name, err)).or_default();
        *cell.entry(state).or_default() += 1;
    }

    pub(super) const fn all(&self) -> u64 {
        self.all
    }

    pub(super) const fn succeeded(&self) -> u64 {
        self.succeeded
    }

    /// All cells as a table.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = format!("{:<24} {:<26}", "operation", "error");
        for state in STATES {
            let _ = write!(text, " {:>8}", format!("{state:?}"));
        }
        text.push('\n');
        for ((name, err), cell) in &self.cells {
            let error = match ErrorCode::from_code(*err) {
                Some(error) => format!("{error:?}"),
                None => err.to_string(),
            };
            let _ = write!(text, "{name:<24} {error:<26}");
            for state in STATES {
                let _ = write!(text, " {:>8}", cell.get(&state).copied().unwrap_or(0));
            }
            text.push('\n');
        }
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }

    /// How many succeeded, how many cells there are, and those that were met seldom.
    pub(super) fn summary(&self) -> String {
        let counts: Vec<u64> = self
            .cells
            .values()
            .flat_map(BTreeMap::values)
            .copied()
            .collect();
        let seldom = counts.iter().filter(|count| **count < 20).count();
        let share = self.succeeded * 100 / self.all.max(1);
        format!(
            "        {share} % succeeded; {} cells of operation, error and state, {seldom} of them \
             met less than 20 times",
            counts.len()
        )
    }
}

fn name(op: OpCode) -> &'static str {
    match op {
        OpCode::Create => "create",
        OpCode::Create2 => "create2",
        OpCode::CreateContainer => "createContainer",
        OpCode::CreateTtl => "createTTL",
        OpCode::Delete => "delete",
        OpCode::Exists => "exists",
        OpCode::GetData => "getData",
        OpCode::SetData => "setData",
        OpCode::GetAcl => "getACL",
        OpCode::SetAcl => "setACL",
        OpCode::GetChildren => "getChildren",
        OpCode::GetChildren2 => "getChildren2",
        OpCode::Sync => "sync",
        OpCode::Multi => "multi",
        OpCode::MultiRead => "multiRead",
        OpCode::CheckWatches => "checkWatches",
        OpCode::RemoveWatches => "removeWatches",
        OpCode::AddWatch => "addWatch",
        OpCode::SetWatches => "setWatches",
        OpCode::SetWatches2 => "setWatches2",
        OpCode::GetEphemerals => "getEphemerals",
        OpCode::GetAllChildrenNumber => "getAllChildrenNumber",
        OpCode::WhoAmI => "whoAmI",
        OpCode::Reconfig => "reconfig",
        OpCode::CloseSession => "closeSession",
        _ => "other",
    }
}

fn part_name(op: OpCode) -> &'static str {
    match op {
        OpCode::Create => "multi: create",
        OpCode::Create2 => "multi: create2",
        OpCode::CreateContainer => "multi: createContainer",
        OpCode::CreateTtl => "multi: createTTL",
        OpCode::Delete => "multi: delete",
        OpCode::SetData => "multi: setData",
        OpCode::Check => "multi: check",
        OpCode::GetData => "multi: getData",
        OpCode::GetChildren => "multi: getChildren",
        _ => "multi: other",
    }
}
