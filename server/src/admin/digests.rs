//! The digests that `hash` tells, for comparing members with each other.

use std::collections::VecDeque;

use tree::Tree;
use wire::Zxid;

/// One digest in this many zxids is kept, as in Apache: members must choose the same ones.
const INTERVAL: u64 = 128;
/// How many are kept, as in Apache.
const KEPT: usize = 1024;

/// The tree's digests at every 128th zxid, the last 1024 of them, oldest first.
#[derive(Debug, Default)]
pub(crate) struct DigestLog {
    known: VecDeque<(Zxid, u64)>,
}

impl DigestLog {
    /// Whether the digest after the transaction `zxid` is one to keep. Not while the tree may
    /// hold later changes.
    pub(crate) fn is_due(tree: &Tree, zxid: Zxid) -> bool {
        zxid.0.is_multiple_of(INTERVAL) && !tree.is_fuzzy()
    }

    /// Keeps a digest; zxids grow.
    pub(crate) fn push(&mut self, zxid: Zxid, digest: u64) {
        if self.known.len() == KEPT {
            self.known.pop_front();
        }
        self.known.push_back((zxid, digest));
    }

    /// All that are kept.
    pub(crate) fn known(&self) -> impl Iterator<Item = (Zxid, u64)> + '_ {
        self.known.iter().copied()
    }

    /// As `hash` tells them: a line each, the zxid in hexadecimal, the digest as a signed number.
    pub(crate) fn text(&self) -> String {
        let line = |&(zxid, digest): &(Zxid, u64)| format!("{:x}: {}\n", zxid.0, digest as i64);
        self.known.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_apache_prints_them() {
        let mut log = DigestLog::default();
        log.push(Zxid(0x80), 35_399_817_230);
        log.push(Zxid(0x1_0000_0080), u64::MAX - 4);
        assert_eq!(log.text(), "80: 35399817230\n100000080: -5\n");
    }

    #[test]
    fn the_last_1024_are_kept() {
        let mut log = DigestLog::default();
        for n in 1..=1030 {
            log.push(Zxid(n * INTERVAL), n);
        }
        let text = log.text();
        assert_eq!(text.lines().count(), 1024);
        assert_eq!(text.lines().next(), Some("380: 7"));
        assert_eq!(text.lines().last(), Some("20300: 1030"));
    }

    #[test]
    fn every_128th_zxid_counts_unless_the_tree_is_fuzzy() {
        let mut tree = Tree::new(1, tree::Options::default());
        let due = |tree: &Tree| {
            (1..=256)
                .map(Zxid)
                .filter(|&z| DigestLog::is_due(tree, z))
                .count()
        };
        assert_eq!(due(&tree), 2);
        tree.fuzzy_until(Zxid(300));
        assert_eq!(due(&tree), 0);
    }
}
