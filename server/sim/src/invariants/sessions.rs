//! In the final history every session begins once and ends at most once, and nothing is done in
//! the name of one that does not exist.

use std::collections::BTreeSet;
use std::sync::Arc;

use wire::SessionId;
use wire::txn::{Entry, Txn, kind};

use super::{Verdict, violated};

pub(super) fn check(chain: &[&Arc<Entry>]) -> Verdict {
    let mut live = BTreeSet::new();
    for entry in chain {
        let session = entry.header().client_id;
        let holds = match entry.txn() {
            Txn::CreateSession(_) => live.insert(session),
            Txn::CloseSession(_) => live.remove(&session),
            Txn::Error(_) => true,
            Txn::Multi(parts) if parts.iter().all(|(kind, _)| *kind == kind::ERROR) => true,
            _ => session == SessionId::NONE || live.contains(&session),
        };
        if !holds {
            return violated(
                "sessions",
                format!("{entry:?} of a session in the wrong state"),
            );
        }
    }
    Ok(())
}
