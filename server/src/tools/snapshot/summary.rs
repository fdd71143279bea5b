//! How many znodes and bytes lie below each path, down to some depth.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _, stdout};
use std::path::Path;

use anyhow::ensure;
use serde_json::json;
use wire::snapshot::Piece;

use super::{Source, shown};

/// What lies at and below a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// The znode itself included.
    pub(super) znodes: u64,
    pub(super) bytes: u64,
}

/// Sums by path, of the root and of those at most `depth` levels below it.
pub(super) fn sums(path: &Path, root: &str, depth: usize) -> anyhow::Result<BTreeMap<String, Sum>> {
    ensure!(
        root.starts_with('/'),
        "--root takes a path from / on, not {root:?}"
    );
    let root = root.trim_end_matches('/');
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    Source::open(path, false)?.each(|piece| {
        let Piece::Znode(znode) = piece else {
            return Ok(());
        };
        let below = znode.path.strip_prefix(root);
        let Some(below) = below.filter(|below| below.is_empty() || below.starts_with('/')) else {
            return Ok(());
        };
        let size = znode.data.as_ref().map_or(0, bytes::Bytes::len) as u64;
        let ends = below
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([below.len()]);
        for end in ends.take(depth + 1) {
            let at = &znode.path[..root.len() + end];
            let sum = match sums.get_mut(at) {
                Some(sum) => sum,
                None => sums.entry(at.to_owned()).or_default(),
            };
            sum.znodes += 1;
            sum.bytes += size;
        }
        Ok(())
    })?;
    ensure!(!sums.is_empty(), "there is no znode {}", shown(root));
    Ok(sums)
}

pub(super) fn summary(path: &Path, root: &str, depth: usize, json: bool) -> anyhow::Result<()> {
    let sums = sums(path, root, depth)?;
    let mut out = BufWriter::new(stdout().lock());
    if !json {
        writeln!(out, "{:>12} {:>16}  path", "znodes", "bytes")?;
    }
    for (path, sum) in sums {
        let (path, znodes, bytes) = (shown(&path), sum.znodes, sum.bytes);
        if json {
            let line = json!({ "path": path, "znodes": znodes, "bytes": bytes });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{znodes:>12} {bytes:>16}  {path}")?;
        }
    }
    out.flush()?;
    Ok(())
}
