//! Jute, ZooKeeper's serialisation: big endian, no tags, no alignment.
//!
//! A string or buffer is a 32-bit length and its bytes, a vector a 32-bit count and its items;
//! a length of -1 is null.

use bytes::Bytes;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the record does.
    #[error("record ends {missing} bytes too early")]
    Truncated {
        /// How many bytes are missing for the field at which they ended.
        missing: usize,
    },
    /// A length is negative, or greater than what may be.
    #[error("length {0} is out of range")]
    Length(i32),
    /// A string is not UTF-8.
    #[error("string is not UTF-8")]
    NotUtf8,
    /// A field holds a value that its type does not have.
    #[error("{field} has the unknown value {value}")]
    Value {
        /// The field's name.
        field: &'static str,
        /// What it held.
        value: i64,
    },
    /// Bytes follow where the record should end.
    #[error("{0} bytes follow the record")]
    Trailing(usize),
}

/// Takes records off the front of a buffer, sharing the buffer for byte fields.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    source: &'a Bytes,
    at: usize,
    nulls: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the start of `source`.
    #[must_use]
    pub const fn new(source: &'a Bytes) -> Self {
        Self {
            source,
            at: 0,
            nulls: 0,
        }
    }

    /// How many bytes are not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.source.len() - self.at
    }

    /// How many bytes have been read.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// How many of the strings read so far were null.
    #[must_use]
    pub const fn nulls(&self) -> usize {
        self.nulls
    }

    /// What was read since this position, sharing the source's memory.
    #[must_use]
    pub fn since(&self, position: usize) -> Bytes {
        self.source.slice(position..self.at)
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if there are fewer.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let missing = n.saturating_sub(self.remaining());
        if missing > 0 {
            return Err(DecodeError::Truncated { missing });
        }
        let bytes = &self.source[self.at..self.at + n];
        self.at += n;
        Ok(bytes)
    }

    /// The next `n` bytes, sharing the source's memory.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if there are fewer.
    pub fn share(&mut self, n: usize) -> Result<Bytes, DecodeError> {
        let start = self.at;
        self.take(n)?;
        Ok(self.source.slice(start..self.at))
    }

    /// All that remains, sharing the source's memory.
    pub fn rest(&mut self) -> Bytes {
        let rest = self.source.slice(self.at..);
        self.at = self.source.len();
        rest
    }

    /// Reads one record.
    ///
    /// # Errors
    /// As the record's own `decode`.
    pub fn read<T: Record>(&mut self) -> Result<T, DecodeError> {
        T::decode(self)
    }

    /// A length field: `None` is null (-1).
    ///
    /// # Errors
    /// If it is negative, or greater than what remains.
    pub fn length(&mut self) -> Result<Option<usize>, DecodeError> {
        let length = i32::decode(self)?;
        match usize::try_from(length) {
            Ok(n) if n <= self.remaining() => Ok(Some(n)),
            Ok(n) => Err(DecodeError::Truncated {
                missing: n - self.remaining(),
            }),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(DecodeError::Length(length)),
        }
    }

    /// The number of items of a vector, of which each takes at least `least` bytes; null is 0.
    ///
    /// # Errors
    /// If it is negative, or there are not enough bytes for so many.
    pub fn count(&mut self, least: usize) -> Result<usize, DecodeError> {
        let count = i32::decode(self)?;
        match usize::try_from(count) {
            Ok(n) if n <= self.remaining() / least.max(1) => Ok(n),
            Ok(n) => Err(DecodeError::Truncated {
                missing: n.saturating_mul(least.max(1)) - self.remaining(),
            }),
            Err(_) if count == -1 => Ok(0),
            Err(_) => Err(DecodeError::Length(count)),
        }
    }

    /// Succeeds if nothing remains.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] if something does.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            n => Err(DecodeError::Trailing(n)),
        }
    }
}

/// A value with a jute form.
pub trait Record: Sized {
    /// The fewest bytes that a jute form of this type has; 0 for types that are never items of a
    /// vector.
    const LEAST: usize = 0;

    /// Appends the jute form to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// Takes the jute form off the front of `reader`.
    ///
    /// # Errors
    /// If the bytes are not a `Self`.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The jute form by itself.
    fn to_bytes(&self) -> Bytes {
        let mut out = Vec::new();
        self.encode(&mut out);
        out.into()
    }

    /// Reads a `Self` from the front of `bytes`; what follows is ignored, as Apache does.
    ///
    /// # Errors
    /// If the bytes do not start with a `Self`.
    fn from_bytes(bytes: &Bytes) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::new(bytes))
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Record for $type {
            const LEAST: usize = size_of::<$type>();
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let mut bytes = [0; size_of::<$type>()];
                bytes.copy_from_slice(reader.take(size_of::<$type>())?);
                Ok(<$type>::from_be_bytes(bytes))
            }
        }
    )*};
}
integers!(u8, i32, i64, u64);

impl Record for () {
    fn encode(&self, _out: &mut Vec<u8>) {}
    fn decode(_reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

impl Record for bool {
    const LEAST: usize = 1;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(u8::decode(reader)? != 0)
    }
}

/// Written as UTF-8. Read also where surrogate pairs are encoded as two characters: so Apache
/// writes what is outside the basic plane (an emoji in an ACL's id) to logs, snapshots and peers,
/// although its own reader turns that into question marks. Nothing else that is not UTF-8 is
/// read; Apache replaces it, and two identities that differ in it would become one.
///
/// A null string reads as the empty one, and the reader counts it.
impl Record for String {
    const LEAST: usize = 4;
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode_to(out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let Some(n) = reader.length()? else {
            reader.nulls += 1;
            return Ok(Self::new());
        };
        let bytes = reader.take(n)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => join_surrogates(bytes).ok_or(DecodeError::NotUtf8),
        }
    }
}

/// The text in which some characters outside the basic plane are written as two surrogates of
/// three bytes each (CESU-8); `None` if it is not UTF-8 even so.
fn join_surrogates(mut bytes: &[u8]) -> Option<String> {
    let mut joined = Vec::with_capacity(bytes.len());
    while let Some((first, rest)) = bytes.split_first() {
        // 0xED begins a character and is never inside one, so no alignment is needed.
        if let [
            0xed,
            a @ 0xa0..=0xaf,
            b,
            0xed,
            c @ 0xb0..=0xbf,
            d,
            rest @ ..,
        ] = bytes
        {
            let bits = |byte: &u8| u32::from(byte & 0x3f);
            let high = (bits(a) & 0xf) << 6 | bits(b);
            let low = (bits(c) & 0xf) << 6 | bits(d);
            let continued = [b, d].into_iter().all(|byte| byte & 0xc0 == 0x80);
            let joint = char::from_u32(0x1_0000 + (high << 10 | low)).filter(|_| continued)?;
            joined.extend_from_slice(joint.encode_utf8(&mut [0; 4]).as_bytes());
            bytes = rest;
        } else {
            joined.push(*first);
            bytes = rest;
        }
    }
    String::from_utf8(joined).ok()
}

/// Bytes that may be null.
impl Record for Option<Bytes> {
    const LEAST: usize = 4;
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Some(bytes) => bytes.encode_to(out),
            None => (-1i32).encode(out),
        }
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.length()?.map(|n| reader.share(n)).transpose()
    }
}

/// Bytes for which null and empty are the same.
impl Record for Bytes {
    const LEAST: usize = 4;
    fn encode(&self, out: &mut Vec<u8>) {
        self.encode_to(out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let n = reader.length()?.unwrap_or(0);
        reader.share(n)
    }
}

/// How many bytes of memory a byte of input may cost in a vector of small items. Strings and
/// buffers inside them add their own bytes once, and what the allocator adds to each.
pub const AMPLIFICATION: usize = 8;

/// A null vector reads as the empty one: where clients could tell the two apart (an ACL), both
/// are refused alike.
impl<T: Record> Record for Vec<T> {
    const LEAST: usize = 4;
    fn encode(&self, out: &mut Vec<u8>) {
        length_of(self.len()).encode(out);
        for item in self {
            item.encode(out);
        }
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const { assert!(T::LEAST > 0 && size_of::<T>() <= AMPLIFICATION * T::LEAST) };
        let count = reader.count(T::LEAST)?;
        let mut items = Self::with_capacity(count);
        for _ in 0..count {
            items.push(T::decode(reader)?);
        }
        Ok(items)
    }
}

/// Length-prefixed bytes.
pub(crate) trait EncodeBytes {
    fn encode_to(&self, out: &mut Vec<u8>);
}

impl EncodeBytes for [u8] {
    fn encode_to(&self, out: &mut Vec<u8>) {
        length_of(self.len()).encode(out);
        out.extend_from_slice(self);
    }
}

/// A length as jute writes it.
///
/// # Panics
/// Above 2 GiB, which no frame or record reaches: every input is bounded far below.
pub(crate) fn length_of(n: usize) -> i32 {
    i32::try_from(n).expect("records are far below 2 GiB")
}

/// Defines records whose jute form is their fields in order.
macro_rules! records {
    ($( $(#[$meta:meta])* $name:ident { $( $(#[$fmeta:meta])* $field:ident : $type:ty ),* $(,)? } )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $( $(#[$fmeta])* pub $field: $type, )* }

        impl $crate::jute::Record for $name {
            const LEAST: usize = 0 $( + <$type as $crate::jute::Record>::LEAST )*;
            fn encode(&self, out: &mut Vec<u8>) {
                let _ = &out;
                $( self.$field.encode(out); )*
            }
            fn decode(
                reader: &mut $crate::jute::Reader<'_>,
            ) -> Result<Self, $crate::jute::DecodeError> {
                let _ = &reader;
                Ok(Self { $( $field: reader.read()?, )* })
            }
        }

        #[cfg(test)]
        impl $crate::tests::Sample for $name {
            fn sample() -> proptest::strategy::BoxedStrategy<Self> {
                use proptest::strategy::Strategy;
                ( $( <$type as $crate::tests::Sample>::sample(), )* )
                    .prop_map(|( $( $field, )* )| Self { $( $field, )* })
                    .boxed()
            }
        }
    )*};
}
pub(crate) use records;
