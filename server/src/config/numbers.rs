//! Numbers as Apache reads them, so that what it starts with starts here.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// Read by Apache from the file itself: it does not start with what is no number of its type.
/// What it reads as a property of the Java machine, all other keys, has its default then.
const STRICT: &[&str] = &[
    "autopurge.purgeInterval",
    "autopurge.snapRetainCount",
    "clientPortListenBacklog",
    "initLimit",
    "maxClientCnxns",
    "maxSessionTimeout",
    "minSessionTimeout",
    "syncLimit",
    "tickTime",
];
/// With which Apache does not start either where they are not positive.
const POSITIVE: &[&str] = &["tickTime"];
/// Of 64 bits in Apache; all others have 32.
const LONG: &[&str] = &[
    "fsync.warningthresholdms",
    "preAllocSize",
    "snapSizeLimitInKb",
    "znode.container.maxNeverUsedIntervalMs",
];

/// An integer type of a setting.
pub(super) trait Whole: Copy + Display {
    /// Its value.
    fn widen(self) -> i128;
    /// The number of this type, if it is one.
    fn narrow(value: i128) -> Option<Self>;
}

macro_rules! whole {
    ($($type:ty),*) => {$(
        impl Whole for $type {
            fn widen(self) -> i128 {
                self as i128
            }
            fn narrow(value: i128) -> Option<Self> {
                value.try_into().ok()
            }
        }
    )*};
}
whole!(u16, u32, u64, usize, i64);

/// What a text stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading<T> {
    /// A number.
    Number(T),
    /// A number in whose place this one counts, the nearest that is possible.
    Nearest(T),
    /// Nothing: the default counts.
    Default,
    /// Nothing that can be started with.
    Refused,
}

/// What counts for `key` where `text` stands, of the numbers in `range`.
pub(super) fn read<T: Whole>(key: &str, text: &str, range: &RangeInclusive<T>) -> Reading<T> {
    let is_strict = STRICT.contains(&key);
    let number = if is_strict {
        text.parse().ok()
    } else {
        decode(text)
    };
    let fits = |number: &i64| LONG.contains(&key) || i32::try_from(*number).is_ok();
    let Some(number) = number.filter(fits).map(i128::from) else {
        return if is_strict {
            Reading::Refused
        } else {
            Reading::Default
        };
    };
    let (least, greatest) = (range.start().widen(), range.end().widen());
    let nearest = number.clamp(least, greatest);
    match T::narrow(nearest) {
        Some(_) if number <= 0 && POSITIVE.contains(&key) => Reading::Refused,
        Some(counts) if nearest == number => Reading::Number(counts),
        Some(counts) => Reading::Nearest(counts),
        None => Reading::Refused,
    }
}

/// As `Integer.decode`: decimal, hexadecimal behind `0x` or `#`, octal behind `0`.
fn decode(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = ["0x", "0X", "#"]
        .iter()
        .find_map(|start| digits.strip_prefix(start));
    let (digits, radix) = match (hexadecimal, digits.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_java_decodes_them() {
        for (text, number) in [
            ("12", Some(12)),
            ("+12", Some(12)),
            ("-12", Some(-12)),
            ("0", Some(0)),
            ("010", Some(8)),
            ("0x10", Some(16)),
            ("-#10", Some(-16)),
            ("08", None),
            ("1e3", None),
            ("--1", None),
            ("", None),
        ] {
            assert_eq!(decode(text), number, "{text:?}");
        }
    }

    #[test]
    fn what_apache_starts_with_counts_as_near_as_can_be() {
        let read = |key, text| read(key, text, &(2u64..=1000));
        assert_eq!(read("snapCount", "10"), Reading::Number(10));
        assert_eq!(read("snapCount", "-1"), Reading::Nearest(2));
        assert_eq!(read("snapCount", "2147483647"), Reading::Nearest(1000));
        assert_eq!(read("snapCount", "2147483648"), Reading::Default);
        assert_eq!(read("snapCount", "many"), Reading::Default);
        assert_eq!(
            read("snapSizeLimitInKb", "2147483648"),
            Reading::Nearest(1000)
        );
        assert_eq!(read("initLimit", "-1"), Reading::Nearest(2));
        assert_eq!(read("initLimit", "010"), Reading::Number(10));
        assert_eq!(read("initLimit", "0x10"), Reading::Refused);
        assert_eq!(read("initLimit", "2147483648"), Reading::Refused);
        assert_eq!(read("tickTime", "1001"), Reading::Nearest(1000));
        assert_eq!(read("tickTime", "0"), Reading::Refused);
    }
}
