//! Trees at the same zxid are the same, and what all members end with is what the history makes
//! of an empty tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use tree::{Applied, Options, Tree};
use wire::txn::Entry;
use wire::{PeerId, SessionId, Zxid};

use super::{Verdict, violated};

#[derive(Debug, Default)]
pub(super) struct States {
    digests: BTreeMap<Zxid, u64>,
}

impl States {
    pub(super) fn at(&mut self, zxid: Zxid, digest: u64) -> Verdict {
        let known = *self.digests.entry(zxid).or_insert(digest);
        if known == digest {
            return Ok(());
        }
        violated(
            "state",
            format!("trees differ at {zxid}: {known:#x}, {digest:#x}"),
        )
    }
}

pub(super) fn finish(chain: &[&Arc<Entry>], trees: &[(PeerId, &Tree)]) -> Verdict {
    let mut model = Tree::new(1, Options::default());
    let mut applied = Applied::default();
    for entry in chain {
        model.apply(entry, &mut applied);
        if let Some(mismatch) = applied.mismatch() {
            return violated("state", format!("{mismatch:?}"));
        }
    }
    let expected = summary(&model);
    for (peer, tree) in trees {
        let found = summary(tree);
        if found != expected {
            return violated("state", format!("{peer} has {found:?}, not {expected:?}"));
        }
    }
    let configs: BTreeMap<&[u8], PeerId> = trees
        .iter()
        .map(|(peer, tree)| (tree.config(), *peer))
        .collect();
    if configs.len() > 1 {
        return violated("state", format!("configurations differ: {configs:?}"));
    }
    Ok(())
}

/// All that must be equal. The digest covers znodes with data, ACL index apart, and stat.
fn summary(tree: &Tree) -> (Zxid, u64, u64, u64, Vec<(SessionId, i32)>) {
    let mut sessions: Vec<_> = tree.sessions().collect();
    sessions.sort_unstable();
    (
        tree.last_zxid(),
        tree.digest(),
        tree.znode_count(),
        tree.ephemerals_count(),
        sessions,
    )
}
