//! Against the logs that Apache wrote, whole, torn and damaged.

use std::path::{Path, PathBuf};

use super::show::Lines;
use super::{DAMAGED, TORN, check, open, repair};

fn apache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("txnlog/testdata/apache")
}

fn lines(path: &Path) -> Vec<String> {
    let mut log = open(path).expect("a log");
    let mut shown = Lines::new(false, true);
    std::iter::from_fn(|| log.next_record().expect("records"))
        .map(|record| shown.record(record.offset, record.bytes))
        .collect()
}

/// Apache's last log, cut or changed, and where its records end.
fn damaged(dir: &Path, change: impl FnOnce(&mut Vec<u8>, usize)) -> PathBuf {
    let source = apache().join("log.100000004");
    let mut log = open(&source).expect("a log");
    while log.next_record().expect("records").is_some() {}
    let end = usize::try_from(log.position()).expect("a short file");
    let mut bytes = std::fs::read(&source).expect("a log");
    change(&mut bytes, end);
    let path = dir.join("log.100000004");
    std::fs::write(&path, bytes).expect("a copy");
    path
}

#[test]
fn apaches_logs_are_sound_and_follow_each_other() {
    assert_eq!(check(&[apache()], true).expect("logs"), 0);
    let shown = lines(&apache().join("log.100000001"));
    assert!(shown[0].starts_with("0x100000001 "), "{}", shown[0]);
    assert!(shown[0].contains(" createSession timeout "), "{}", shown[0]);
}

#[test]
fn a_missing_file_is_noticed() {
    let dir = tempfile::tempdir().expect("a directory");
    let name = "log.100000001";
    std::fs::copy(apache().join(name), dir.path().join(name)).expect("a copy");
    // Its transactions begin at 4; as if 2 and 3 had been lost, the first file has but one.
    let mut first = open(&apache().join(name)).expect("a log");
    let end = first.next_record().expect("records").expect("one").end();
    let cut = std::fs::File::options()
        .write(true)
        .open(dir.path().join(name));
    cut.expect("the copy").set_len(end).expect("cut");
    let later = "log.100000004";
    std::fs::copy(apache().join(later), dir.path().join(later)).expect("a copy");
    assert_eq!(
        check(&[dir.path().to_owned()], false).expect("logs"),
        DAMAGED
    );
}

#[test]
fn a_torn_tail_is_left_out_of_the_copy() {
    let dir = tempfile::tempdir().expect("a directory");
    let torn = damaged(dir.path(), |bytes, end| bytes.truncate(end - 3));
    let before = std::fs::read(&torn).expect("the log");
    assert_eq!(
        check(std::slice::from_ref(&torn), false).expect("a log"),
        TORN
    );
    let copy = dir.path().join("copy");
    assert_eq!(repair::repair(&torn, &copy).expect("a copy"), 0);
    assert_eq!(check(std::slice::from_ref(&copy), false).expect("a log"), 0);
    let whole = lines(&apache().join("log.100000004"));
    assert_eq!(lines(&copy), whole[..whole.len() - 1]);
    assert_eq!(std::fs::read(&torn).expect("the log"), before);
    assert!(repair::repair(&torn, &copy).is_err(), "the copy exists");
}

#[test]
fn damage_is_not_repaired_by_cutting() {
    let dir = tempfile::tempdir().expect("a directory");
    // Within the first record, with whole ones behind it.
    let rotten = damaged(dir.path(), |bytes, _| bytes[40] ^= 1);
    assert_eq!(
        check(std::slice::from_ref(&rotten), false).expect("a log"),
        DAMAGED
    );
    let copy = dir.path().join("copy");
    assert_eq!(repair::repair(&rotten, &copy).expect("a verdict"), DAMAGED);
    assert!(!copy.exists());
}
