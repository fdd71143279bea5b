//! Addresses as the `ip` scheme writes them.

use std::net::IpAddr;

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    bytes: Address,
    bits: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Network {
    /// Reads `address` or `address/bits`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let bytes = Address::parse(address)?;
        let all = bytes.bits();
        let bits = match bits {
            Some(bits) => u32::try_from(java_int(bits)?).ok()?,
            None => all,
        };
        (bits <= all).then_some(Self { bytes, bits })
    }

    /// Whether the address that `text` names lies in it.
    pub(super) fn contains(self, text: &str) -> bool {
        let leading = match (self.bytes, Address::parse(text)) {
            (Address::V4(a), Some(Address::V4(b))) => {
                (u32::from_be_bytes(a) ^ u32::from_be_bytes(b)).leading_zeros()
            }
            (Address::V6(a), Some(Address::V6(b))) => {
                (u128::from_be_bytes(a) ^ u128::from_be_bytes(b)).leading_zeros()
            }
            _ => return false,
        };
        leading >= self.bits
    }
}

impl Address {
    /// As Apache reads addresses: four numbers that Java takes, or groups of one to four
    /// hexadecimal digits, with no number between points in the last.
    fn parse(text: &str) -> Option<Self> {
        if text.contains(':') {
            return v6(text).map(Self::V6);
        }
        let mut bytes = [0; 4];
        let mut parts = text.split('.');
        for byte in &mut bytes {
            *byte = u8::try_from(java_int(parts.next()?)?).ok()?;
        }
        parts.next().is_none().then_some(Self::V4(bytes))
    }

    const fn bits(self) -> u32 {
        match self {
            Self::V4(_) => 32,
            Self::V6(_) => 128,
        }
    }
}

fn v6(text: &str) -> Option<[u8; 16]> {
    let mut parts = text.split("::");
    let (head, tail) = (groups(parts.next()?)?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    let (tail, most) = match tail {
        None => (Vec::new(), 8),
        Some(tail) => (groups(tail)?, 7),
    };
    let length = head.len() + tail.len();
    if length > most || (most == 8 && length < most) {
        return None;
    }
    let mut all = [0u16; 8];
    all[..head.len()].copy_from_slice(&head);
    all[8 - tail.len()..].copy_from_slice(&tail);
    let mut bytes = [0; 16];
    for (pair, group) in bytes.chunks_exact_mut(2).zip(all) {
        pair.copy_from_slice(&group.to_be_bytes());
    }
    Some(bytes)
}

fn groups(text: &str) -> Option<Vec<u16>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let group = |group: &str| {
        let is_hex = group.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_hex && group.len() <= 4)
            .then(|| u16::from_str_radix(group, 16).ok())
            .flatten()
    };
    text.split(':').map(group).collect()
}

/// A number with or without sign and leading zeros.
fn java_int(text: &str) -> Option<i32> {
    text.parse().ok()
}

/// An address as Java writes it: nothing of the newer kind is abbreviated.
pub(super) fn text(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let groups = address.segments().map(|group| format!("{group:x}"));
            groups.join(":")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_their_leading_bits_say() {
        for (network, inside, outside) in [
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("10.1.0.0/16", "10.1.255.0", "10.2.0.0"),
            ("010.+1.00.0/9", "10.127.0.1", "10.128.0.1"),
            ("0.0.0.0/0", "255.255.255.255", "::"),
            ("2001:db8::/32", "2001:db8:1:0:0:0:0:1", "2001:db9::"),
            ("::1", "0:0:0:0:0:0:0:1", "127.0.0.1"),
            ("1:2:3:4:5:6:7:8/128", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:9"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:1"),
        ] {
            let network = Network::parse(network).expect(network);
            assert!(network.contains(inside), "{inside}");
            assert!(!network.contains(outside), "{outside}");
        }
    }

    #[test]
    fn what_apache_does_not_take_is_not_taken() {
        for text in [
            "",
            "x",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "1.2.3.-1",
            "1.2.3.",
            "1.2.3.4/",
            "1.2.3.4/33",
            "1.2.3.4/-1",
            "1.2.3.4/8/8",
            "::1/129",
            ":::",
            "1::2::3",
            ":1",
            "1:2",
            "1:2:3:4:5:6:7:8:9",
            "::12345",
            "::g",
            "::+1",
            "::ffff:1.2.3.4",
            "1:2:3:4::5:6:7:8",
            "1:2:3:4:5:6:7:8::",
        ] {
            assert_eq!(Network::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn addresses_are_written_as_java_writes_them() {
        let written = |address: &str| text(address.parse().unwrap());
        assert_eq!(written("127.0.0.1"), "127.0.0.1");
        assert_eq!(written("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(written("2001:db8::a1"), "2001:db8:0:0:0:0:0:a1");
    }
}
