//! What the sidecar must not forget: one small file in its own folder on the member's volume.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use api::sidecar::{OrderRequest, OrderResponse, Term};
use serde::{Deserialize, Serialize};

use crate::decide::Intent;
use crate::files::write_private;

/// How many answers are kept, so that a repeated order is answered and not executed again. The
/// operator has one operation in flight, so a handful would do; this also serves two operators
/// that contend for the lead.
const ANSWERS_KEPT: usize = 32;

/// The journal's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// Highest fencing term ever seen; orders with a lower one are refused. It never shrinks.
    pub term: Term,
    /// Uid of the `ZooKeeperCluster` that this volume was given to, by the first order to start.
    pub ensemble: Option<String>,
    /// How the server is to start.
    pub intent: Intent,
    /// The latest orders and what came of them, oldest first.
    pub answers: Vec<Answer>,
}

/// An order that was executed or refused, so that it is not executed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// As it was given.
    pub request: OrderRequest,
    /// What came of it.
    pub response: OrderResponse,
}

/// The journal of one volume. What [`Journal::record`] shows is durable.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    record: Record,
}

impl Journal {
    /// Reads the journal of `volume`, or starts one. The folder is `<volume>/ferrokeeper`.
    ///
    /// # Errors
    /// If the folder cannot be made, or the file is there and cannot be understood: starting
    /// afresh could obey a deposed operator.
    pub fn open(volume: &Path) -> io::Result<Self> {
        let folder = volume.join("ferrokeeper");
        fs::create_dir_all(&folder)?;
        let file = folder.join("sidecar.json");
        let record = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "{} is damaged ({error}); move it away to let this member wait for its \
                         operator again",
                        file.display()
                    ),
                )
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Record::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { folder, record })
    }

    /// What is durable.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Makes `record` durable, then visible. Nothing changes on an error.
    ///
    /// # Errors
    /// If the volume cannot be written.
    pub fn write(&mut self, mut record: Record) -> io::Result<()> {
        assert!(record.term >= self.record.term, "terms never shrink");
        let surplus = record.answers.len().saturating_sub(ANSWERS_KEPT);
        record.answers.drain(..surplus);
        if record == self.record {
            return Ok(());
        }
        let file = self.folder.join("sidecar.json");
        write_private(&file, &serde_json::to_vec_pretty(&record)?)?;
        self.record = record;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use api::sidecar::Order;

    use super::*;

    #[test]
    fn what_was_written_is_found_again() {
        let volume = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::open(volume.path()).expect("a new journal");
        assert_eq!(journal.record(), &Record::default());
        let record = Record {
            term: Term(7),
            ensemble: Some("uid".into()),
            ..Record::default()
        };
        journal.write(record.clone()).expect("written");
        let again = Journal::open(volume.path()).expect("the same journal");
        assert_eq!(again.record(), &record);
    }

    #[test]
    fn a_damaged_journal_is_refused_with_its_path() {
        let volume = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(volume.path().join("ferrokeeper")).expect("made");
        fs::write(
            volume.path().join("ferrokeeper/sidecar.json"),
            b"{\"term\":",
        )
        .expect("written");
        let error = Journal::open(volume.path())
            .expect_err("refused")
            .to_string();
        assert!(
            error.contains("ferrokeeper/sidecar.json is damaged"),
            "{error}"
        );
    }

    #[test]
    fn only_the_latest_answers_are_kept() {
        let volume = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::open(volume.path()).expect("a new journal");
        let answer = |n: u64| Answer {
            request: OrderRequest {
                term: Term(n),
                operation_id: n.to_string(),
                order: Order::Snapshot,
            },
            response: OrderResponse::Accepted,
        };
        let record = Record {
            answers: (0..100).map(answer).collect(),
            ..Record::default()
        };
        journal.write(record).expect("written");
        let kept: Vec<_> = (68..100).map(answer).collect();
        assert_eq!(journal.record().answers, kept);
    }
}
