//! Against the snapshots that Apache wrote.

use std::path::{Path, PathBuf};

use super::compare::{Difference, differences};
use super::summary::{Sum, sums};

fn apache(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("txnlog/testdata/apache")
        .join(name)
}

fn compared(before: &str, after: &str) -> Vec<Difference> {
    let mut found = Vec::new();
    let outcome = differences(&apache(before), &apache(after), |difference| {
        found.push(difference);
        Ok(())
    });
    outcome.expect("two snapshots");
    found
}

#[test]
fn compression_makes_no_difference() {
    for name in ["snapshot.100000003.gz", "snapshot.100000003.snappy"] {
        assert_eq!(compared("snapshot.100000003", name), [], "{name}");
    }
}

#[test]
fn what_is_new_is_told_one_way_and_what_is_gone_the_other() {
    let forth = compared("snapshot.0", "snapshot.100000003");
    let back = compared("snapshot.100000003", "snapshot.0");
    let sorted = |mut paths: Vec<&String>| {
        paths.sort_unstable();
        paths.into_iter().cloned().collect::<Vec<_>>()
    };
    let added = forth.iter().filter_map(|difference| match difference {
        Difference::Added(path) => Some(path),
        _ => None,
    });
    let removed = back.iter().filter_map(|difference| match difference {
        Difference::Removed(path) => Some(path),
        _ => None,
    });
    let added = sorted(added.collect());
    assert!(!added.is_empty());
    assert_eq!(sorted(removed.collect()), added);
    let root = |differences: &[Difference]| {
        differences
            .iter()
            .any(|one| matches!(one, Difference::Changed(path, _) if path == "/"))
    };
    assert!(root(&forth) && root(&back));
}

#[test]
fn sums_hold_what_is_below() {
    let all = sums(&apache("snapshot.100000003.gz"), "/", 1).expect("a snapshot");
    let below: u64 = all
        .iter()
        .filter(|(path, _)| !path.is_empty())
        .map(|(_, sum)| sum.znodes)
        .sum();
    assert_eq!(all[""].znodes, below + 1);
    let system = sums(&apache("snapshot.0"), "/zookeeper", 1).expect("a snapshot");
    let names: Vec<&str> = system.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["/zookeeper", "/zookeeper/config", "/zookeeper/quota"]
    );
    assert_eq!(
        system["/zookeeper/quota"],
        Sum {
            znodes: 1,
            bytes: 0
        }
    );
    assert!(sums(&apache("snapshot.0"), "/none", 1).is_err());
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("snapshot.1");
    let mut bytes = std::fs::read(apache("snapshot.100000003")).expect("a snapshot");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("a copy");
    let refused = sums(&path, "/", 1).expect_err("damage");
    let expected = format!("{} is no valid snapshot", path.display());
    assert_eq!(refused.to_string(), expected);
}
