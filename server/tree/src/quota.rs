//! Quotas: how much of a part of the tree is used, and how much may be.
//!
//! They lie in znodes, as with Apache: `/zookeeper/quota<path>/zookeeper_limits` is written by
//! clients and says what is allowed below and at `path`. `zookeeper_stats` beside it says what is
//! there; each member keeps it up to date by itself, outside transactions, so no digest covers
//! it. Of quotas inside one another the innermost counts alone. The root has none.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Tree, path};

const FOLDER: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// Znodes and their bytes of data: what is there, or what comes and goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Znodes.
    pub count: i64,
    /// Bytes of data.
    pub bytes: i64,
}

impl Usage {
    /// A znode with so many bytes of data.
    pub(crate) fn of_znode(bytes: usize) -> Self {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        Self { count: 1, bytes }
    }

    /// A znode whose data grew or shrank.
    pub(crate) fn of_data(before: usize, after: usize) -> Self {
        let change = Self::of_znode(after).minus(Self::of_znode(before));
        Self { count: 0, ..change }
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            count: self.count.wrapping_add(other.count),
            bytes: self.bytes.wrapping_add(other.bytes),
        }
    }

    pub(crate) const fn minus(self, other: Self) -> Self {
        Self {
            count: self.count.wrapping_sub(other.count),
            bytes: self.bytes.wrapping_sub(other.bytes),
        }
    }
}

/// One quota, as its znodes say. A limit that is not set is -1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota<'a> {
    /// What it is for.
    pub path: &'a str,
    /// Limits that are advice.
    pub soft: Usage,
    /// Limits that are enforced, if the ensemble enforces any.
    pub hard: Usage,
    /// What is there.
    pub used: Usage,
}

impl Quota<'_> {
    /// Whether `change`, which is to come on top of `used`, goes beyond what is enforced. What
    /// does not change is not looked at.
    pub(crate) const fn forbids(&self, change: Usage) -> bool {
        let total = self.used.plus(change);
        (change.count != 0 && self.hard.count > -1 && total.count > self.hard.count)
            || (change.bytes != 0 && self.hard.bytes > -1 && total.bytes > self.hard.bytes)
    }
}

/// The paths that have limits.
#[derive(Debug, Default)]
pub(crate) struct Limited(BTreeSet<String>);

impl Limited {
    /// The innermost path with limits at or above `path`.
    pub(crate) fn above(&self, path: &str) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
        let mut at = path;
        while !at.is_empty() {
            if let Some(found) = self.0.get(at) {
                return Some(found);
            }
            at = at.rsplit_once('/')?.0;
        }
        None
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a znode of quotas says: `count=1,bytes=2`, and if there is more, `=;key=3` for each.
struct Track(BTreeMap<String, i64>);

impl Track {
    /// Reads what can be read; clients may write anything.
    fn parse(data: Option<&[u8]>) -> Self {
        let text = String::from_utf8_lossy(data.unwrap_or_default());
        let pairs = text.split([',', ';']).filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let value = value.split('=').next().unwrap_or_default();
            Some((key.to_owned(), value.parse().ok()?))
        });
        Self(pairs.collect())
    }

    fn get(&self, count: &str, bytes: &str) -> Usage {
        let value = |key| self.0.get(key).copied().unwrap_or(-1);
        Usage {
            count: value(count),
            bytes: value(bytes),
        }
    }

    fn used(&self) -> Usage {
        self.get("count", "bytes")
    }

    fn set_used(&mut self, used: Usage) {
        self.0.insert("count".to_owned(), used.count);
        self.0.insert("bytes".to_owned(), used.bytes);
    }

    fn text(&self) -> String {
        let used = self.used();
        let mut text = format!("count={},bytes={}", used.count, used.bytes);
        let mut mark = "=";
        for (key, value) in &self.0 {
            if key != "count" && key != "bytes" {
                text.push_str(&format!("{mark};{key}={value}"));
                mark = "";
            }
        }
        text
    }
}

impl Tree {
    /// All quotas, by path.
    pub fn quotas(&self) -> impl Iterator<Item = Quota<'_>> {
        self.limited.0.iter().filter_map(|path| self.quota_of(path))
    }

    /// The quota that changes at `path` count for.
    pub(crate) fn quota_above(&self, path: &str) -> Option<Quota<'_>> {
        self.quota_of(self.limited.above(path)?)
    }

    /// `None` if one of its two znodes is missing: then nothing is counted or refused.
    fn quota_of<'a>(&'a self, path: &'a str) -> Option<Quota<'a>> {
        let read = |name| {
            let id = self.znodes.find(&format!("{FOLDER}{path}/{name}"))?;
            Some(Track::parse(self.znodes.data(id)))
        };
        let limits = read(LIMITS)?;
        Some(Quota {
            path,
            soft: limits.used(),
            hard: limits.get("countHardLimit", "byteHardLimit"),
            used: read(STATS)?.used(),
        })
    }

    /// A znode was made.
    pub(crate) fn count_made(&mut self, path: &str, bytes: usize) {
        match limited_by(path) {
            Some((limited, LIMITS)) => {
                self.limited.0.insert(limited.to_owned());
            }
            Some((limited, STATS)) => self.count_anew(limited),
            _ => {}
        }
        self.count_change(path, Usage::of_znode(bytes));
    }

    /// A znode is gone.
    pub(crate) fn count_gone(&mut self, path: &str, bytes: usize) {
        if let Some((limited, LIMITS)) = limited_by(path) {
            self.limited.0.remove(limited);
        }
        self.count_change(path, Usage::default().minus(Usage::of_znode(bytes)));
    }

    /// What is at `path`, or its data, changed by so much.
    pub(crate) fn count_change(&mut self, path: &str, change: Usage) {
        let Some(limited) = self.limited.above(path) else {
            return;
        };
        let stats = format!("{FOLDER}{limited}/{STATS}");
        let Some(id) = self.znodes.find(&stats) else {
            return;
        };
        let mut track = Track::parse(self.znodes.data(id));
        track.set_used(track.used().plus(change));
        self.write_stats(id, &track);
    }

    /// Finds all limits, and counts what is there: for a tree that was loaded.
    pub(crate) fn count_quotas(&mut self) {
        let Some(folder) = self.znodes.find(FOLDER) else {
            return;
        };
        let all = self.znodes.descendants(folder);
        let paths: Vec<String> = all.map(|id| self.znodes.path(id)).collect();
        for path in paths {
            if let Some((limited, LIMITS)) = limited_by(&path) {
                self.limited.0.insert(limited.to_owned());
                self.count_anew(limited);
            }
        }
    }

    fn count_anew(&mut self, limited: &str) {
        let Some(stats) = self.znodes.find(&format!("{FOLDER}{limited}/{STATS}")) else {
            return;
        };
        let usage = |id| Usage::of_znode(self.znodes.data(id).map_or(0, <[u8]>::len));
        let used = self.znodes.find(limited).map_or_else(Usage::default, |id| {
            let below = self.znodes.descendants(id);
            below.map(usage).fold(usage(id), Usage::plus)
        });
        let mut track = Track(BTreeMap::new());
        track.set_used(used);
        self.write_stats(stats, &track);
    }

    fn write_stats(&mut self, id: u32, track: &Track) {
        self.cuts.keep(&self.znodes, id);
        self.replace_data(id, Some(track.text().as_bytes()));
    }
}

/// For a znode of quotas: the path that it is about, and its name.
fn limited_by(path: &str) -> Option<(&str, &str)> {
    let (limited, name) = path::split(path.strip_prefix(FOLDER)?)?;
    limited.starts_with('/').then_some((limited, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_apache() {
        for text in [
            "count=-1,bytes=-1",
            "count=4,bytes=5",
            "count=1,bytes=2=;byteHardLimit=10;countHardLimit=9",
        ] {
            assert_eq!(Track::parse(Some(text.as_bytes())).text(), text);
        }
    }

    #[test]
    fn anything_may_stand_in_a_text() {
        for text in ["", "count", "=", "count=x,bytes=;;", "\u{fffd}"] {
            let used = Track::parse(Some(text.as_bytes())).used();
            assert_eq!((used.count, used.bytes), (-1, -1), "{text:?}");
        }
        assert_eq!(Track::parse(None).text(), "count=-1,bytes=-1");
    }

    #[test]
    fn the_innermost_counts_and_a_longer_name_is_another_path() {
        let limited = Limited(["/a".to_owned(), "/a/b/c".to_owned()].into());
        let above = |path| limited.above(path);
        assert_eq!(above("/a"), Some("/a"));
        assert_eq!(above("/a/b"), Some("/a"));
        assert_eq!(above("/a/b/c/d"), Some("/a/b/c"));
        assert_eq!(above("/ab"), None);
        assert_eq!(above(""), None);
        assert_eq!(limited_by("/zookeeper/quota/a/b/x"), Some(("/a/b", "x")));
        assert_eq!(limited_by("/zookeeper/quota/zookeeper_limits"), None);
        assert_eq!(limited_by("/zookeeper/quotas/a/zookeeper_limits"), None);
    }
}
