//! Limits and sizes as znodes below `/zookeeper/quota` keep them.

use std::fmt;

/// Where quotas are kept.
pub(super) const ROOT: &str = "/zookeeper/quota";

/// Where a path's limits are.
pub(super) fn limits_path(path: &str) -> String {
    format!("{ROOT}{path}/zookeeper_limits")
}

/// Where the server counts what a path holds.
pub(super) fn stats_path(path: &str) -> String {
    format!("{ROOT}{path}/zookeeper_stats")
}

/// Numbers of znodes and of bytes; -1 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) count: i64,
    pub(super) bytes: i64,
    pub(super) hard_count: i64,
    pub(super) hard_bytes: i64,
}

impl Quota {
    pub(super) const NONE: Self = Self {
        count: -1,
        bytes: -1,
        hard_count: -1,
        hard_bytes: -1,
    };

    /// What is not there, or no number, is none.
    pub(super) fn parse(text: &str) -> Self {
        let mut quota = Self::NONE;
        for part in text.split([',', ';']) {
            let mut words = part.split('=');
            let (Some(name), Some(number)) = (words.next(), words.next()) else {
                continue;
            };
            let number = number.parse().unwrap_or(-1);
            match name {
                "count" => quota.count = number,
                "bytes" => quota.bytes = number,
                "countHardLimit" => quota.hard_count = number,
                "byteHardLimit" => quota.hard_bytes = number,
                _ => {}
            }
        }
        quota
    }

    /// The field that an option of `setquota` and `delquota` is about.
    pub(super) fn field(&mut self, option: &str) -> &mut i64 {
        match option {
            "n" => &mut self.count,
            "b" => &mut self.bytes,
            "N" => &mut self.hard_count,
            _ => &mut self.hard_bytes,
        }
    }
}

/// Counts alone, as stats have them.
pub(super) fn plain(stats: Quota) -> String {
    format!("count={},bytes={}", stats.count, stats.bytes)
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "count={},bytes={}=;byteHardLimit={};countHardLimit={}",
            self.count, self.bytes, self.hard_bytes, self.hard_count
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_they_are_written() {
        let text = "count=5,bytes=100=;byteHardLimit=1000;countHardLimit=500";
        let quota = Quota::parse(text);
        let expected = Quota {
            count: 5,
            bytes: 100,
            hard_count: 500,
            hard_bytes: 1000,
        };
        assert_eq!(quota, expected);
        assert_eq!(quota.to_string(), text);
        let old = Quota::parse("count=7,bytes=-1");
        assert_eq!(
            old,
            Quota {
                count: 7,
                ..Quota::NONE
            }
        );
        assert_eq!(plain(old), "count=7,bytes=-1");
    }
}
