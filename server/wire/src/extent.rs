//! Where a record ends, found out as its bytes arrive.
//!
//! Each byte of a length is looked at once, however small the pieces are in which a record
//! comes; nothing is decoded before all of it is here.

use crate::jute::DecodeError;

/// A field, as far as it matters for the length of its record.
#[derive(Debug)]
pub(crate) enum Part {
    /// So many bytes.
    Fixed(usize),
    /// A 32-bit length, which may be -1, and so many bytes.
    Buffer,
    /// A 32-bit count, which may be -1, and so many times these parts, none of them [`Self::Items`].
    Items(&'static [Self]),
}

impl Part {
    /// The fewest bytes that it takes.
    const fn least(&self) -> usize {
        match self {
            Self::Fixed(n) => *n,
            Self::Buffer | Self::Items(_) => 4,
        }
    }
}

/// What is known of a record's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// It has this length, and all of it is here.
    Complete(usize),
    /// It has at least this length, which is more than is here.
    AtLeast(usize),
}

/// The search for the end of one record.
///
/// `end <= limit`: everything before `end` is accounted for, whether it is here or not.
#[derive(Debug)]
pub(crate) struct Extent {
    layout: &'static [Part],
    limit: usize,
    end: usize,
    part: usize,
    items_left: usize,
    item_part: usize,
}

impl Extent {
    /// A record of this layout, refused when it turns out to be longer than `limit` bytes.
    pub(crate) const fn new(layout: &'static [Part], limit: usize) -> Self {
        Self {
            layout,
            limit,
            end: 0,
            part: 0,
            items_left: 0,
            item_part: 0,
        }
    }

    /// Goes on with `bytes`, the record from its start. What was given before must not differ.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Length, DecodeError> {
        while let Some(part) = self.current() {
            match part {
                Part::Fixed(n) => self.extend(*n)?,
                Part::Buffer | Part::Items(_) => {
                    let Some(n) = int_at(bytes, self.end) else {
                        return Ok(Length::AtLeast(self.end + 4));
                    };
                    let length = match n {
                        -1 => 0,
                        n => usize::try_from(n).map_err(|_| DecodeError::Length(n))?,
                    };
                    self.extend(4)?;
                    if let Part::Items(parts) = part {
                        let least: usize = parts.iter().map(Part::least).sum();
                        if length > (self.limit - self.end) / least.max(1) {
                            return Err(DecodeError::Length(n));
                        }
                        (self.items_left, self.item_part) = (length, 0);
                        self.part += 1;
                        continue;
                    }
                    self.extend(length)?;
                }
            }
            self.step();
        }
        Ok(if self.end <= bytes.len() {
            Length::Complete(self.end)
        } else {
            Length::AtLeast(self.end)
        })
    }

    /// The part that starts at `end`. While items are left, `part` is already behind them.
    fn current(&self) -> Option<&'static Part> {
        match self.items() {
            Some(parts) => parts.get(self.item_part),
            None => self.layout.get(self.part),
        }
    }

    fn items(&self) -> Option<&'static [Part]> {
        match self.layout.get(self.part.checked_sub(1)?)? {
            Part::Items(parts) if self.items_left > 0 => Some(parts),
            _ => None,
        }
    }

    fn step(&mut self) {
        match self.items() {
            None => self.part += 1,
            Some(parts) => {
                self.item_part += 1;
                if self.item_part == parts.len() {
                    self.item_part = 0;
                    self.items_left -= 1;
                }
            }
        }
    }

    fn extend(&mut self, n: usize) -> Result<(), DecodeError> {
        if n > self.limit - self.end {
            let n = self.end.saturating_add(n);
            return Err(DecodeError::Length(i32::try_from(n).unwrap_or(i32::MAX)));
        }
        self.end += n;
        Ok(())
    }
}

/// The 32-bit integer at this place, if it is here.
pub(crate) fn int_at(bytes: &[u8], at: usize) -> Option<i32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(i32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: &[Part] = &[
        Part::Fixed(2),
        Part::Buffer,
        Part::Items(&[Part::Fixed(1), Part::Buffer]),
        Part::Fixed(1),
    ];

    fn record() -> Vec<u8> {
        let mut bytes = vec![9, 9];
        bytes.extend([0, 0, 0, 3, 7, 7, 7]);
        bytes.extend([0, 0, 0, 2, 1, 0, 0, 0, 1, 8, 1, 255, 255, 255, 255]);
        bytes.push(5);
        bytes
    }

    #[test]
    fn end_is_found_whatever_the_pieces() {
        let record = record();
        let mut extent = Extent::new(LAYOUT, 100);
        for n in 0..record.len() {
            match extent.advance(&record[..n]) {
                Ok(Length::AtLeast(wanted)) => assert!(wanted > n && wanted <= record.len()),
                other => panic!("{n} bytes: {other:?}"),
            }
        }
        let complete = Ok(Length::Complete(record.len()));
        assert_eq!(extent.advance(&record), complete);
        let mut followed = record.clone();
        followed.push(1);
        assert_eq!(Extent::new(LAYOUT, 100).advance(&followed), complete);
    }

    #[test]
    fn limit_holds_for_the_whole_record() {
        let record = record();
        let n = record.len();
        assert!(Extent::new(LAYOUT, n).advance(&record).is_ok());
        assert!(Extent::new(LAYOUT, n - 1).advance(&record).is_err());
    }

    #[test]
    fn count_that_cannot_fit_is_refused_before_its_items_come() {
        let bytes = [0, 0, 0, 0, 0, 0, 0, 0, 0, 100];
        let result = Extent::new(LAYOUT, 100).advance(&bytes);
        assert_eq!(result, Err(DecodeError::Length(100)));
    }

    #[test]
    fn negative_lengths_other_than_null_are_refused() {
        let bytes = [0, 0, 255, 255, 255, 254];
        let result = Extent::new(LAYOUT, 100).advance(&bytes);
        assert_eq!(result, Err(DecodeError::Length(-2)));
    }
}
