//! What is known of a suite beforehand.

use std::collections::BTreeSet;

use anyhow::{Context, bail, ensure};

use super::{Outcome, Outcomes};

/// What became of a suite's tests on Apache, and which of them ours may not pass yet.
///
/// Written as a header `tests COUNT on DATE`, then sections: `[skipped: WHY]`, `[flaky: WHY]`,
/// `[excepted: WHY]`, each with the names of tests, a line each. What is named nowhere passes on
/// both.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// How many tests there are.
    pub(super) tests: usize,
    /// When they ran on Apache.
    pub(super) date: String,
    /// On Apache and on ours.
    pub(super) skipped: BTreeSet<String>,
    /// Those that fail now and then, on Apache too.
    pub(super) flaky: BTreeSet<String>,
    /// Those that fail on ours.
    pub(super) excepted: BTreeSet<String>,
}

impl Known {
    /// Reads the list.
    ///
    /// # Errors
    /// If a line is not understood.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let header = lines.next().and_then(|line| line.strip_prefix("tests "));
        let (tests, date) = header
            .and_then(|header| header.split_once(" on "))
            .context("the first line is not `tests COUNT on DATE`")?;
        let mut known = Self {
            tests: tests.parse().context("the number of tests")?,
            date: date.to_owned(),
            ..Self::default()
        };
        let mut section = "";
        for line in lines {
            if let Some(header) = line.strip_prefix('[') {
                let (kind, why) = header.split_once(": ").unwrap_or_default();
                ensure!(why.len() > 1, "no reason: {line}");
                section = kind;
                continue;
            }
            let names = match section {
                "skipped" => &mut known.skipped,
                "flaky" => &mut known.flaky,
                "excepted" => &mut known.excepted,
                _ => bail!("in no section: {line}"),
            };
            ensure!(names.insert(line.to_owned()), "named twice: {line}");
        }
        Ok(known)
    }

    /// What the list says wrongly of a run on Apache. There what is flaky may fail whenever it ran.
    pub(super) fn on_apache(&self, found: &Outcomes) -> Vec<String> {
        self.wrong(found, &BTreeSet::new(), &self.flaky)
    }

    /// What is wrong with a run on ours.
    pub(super) fn on_ours(&self, found: &Outcomes) -> Vec<String> {
        self.wrong(found, &self.excepted, &self.excepted)
    }

    /// The tests that must fail are among those that may.
    fn wrong(
        &self,
        found: &Outcomes,
        must_fail: &BTreeSet<String>,
        may_fail: &BTreeSet<String>,
    ) -> Vec<String> {
        let like = |wanted| -> BTreeSet<String> {
            let all = found.iter().filter(|(_, outcome)| **outcome == wanted);
            all.map(|(name, _)| name.clone()).collect()
        };
        let (failed, skipped) = (like(Outcome::Failed), like(Outcome::Skipped));
        let mut wrong = Vec::new();
        let mut say = |names: Vec<&String>, what: &str| {
            wrong.extend(names.into_iter().map(|name| format!("{what}: {name}")));
        };
        say(failed.difference(may_fail).collect(), "failed");
        say(
            must_fail.difference(&failed).collect(),
            "excepted and did not fail, take it off the list",
        );
        say(skipped.difference(&self.skipped).collect(), "was skipped");
        say(
            self.skipped.difference(&skipped).collect(),
            "was not skipped, take it off the list",
        );
        if found.len() != self.tests {
            let (found, known) = (found.len(), self.tests);
            wrong.push(format!("{found} tests have an outcome, not {known}"));
        }
        wrong
    }
}
