//! Checks that span modules: bytes of a genuine ensemble, and laws that hold for every record.

mod apache;
mod golden;
mod laws;
mod sample;

pub(crate) use sample::Sample;

/// Bytes written as hexadecimal digits in any grouping, with text in double quotes.
fn hex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (i, part) in text.split('"').enumerate() {
        if i % 2 == 1 {
            bytes.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<_> = part.chars().filter_map(|c| c.to_digit(16)).collect();
        bytes.extend(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8));
    }
    bytes
}
