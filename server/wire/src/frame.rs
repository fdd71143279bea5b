//! Frames: a 32-bit length and so many bytes, on client and election connections.

use bytes::{Buf, Bytes, BytesMut};

use crate::extent::int_at;
use crate::jute::DecodeError;

/// Cuts a stream into frames.
///
/// Feed it what arrives, then ask for frames until there is none. A frame shares the memory of
/// the bytes that came with it: who keeps a little of it for long should copy it. The length that
/// a frame announces reserves nothing.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    limit: usize,
}

impl FrameDecoder {
    /// Refuses frames that are longer than `limit` bytes (`jute.maxbuffer` for clients, see
    /// [`crate::election::MAX_FRAME`] for peers).
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit,
        }
    }

    /// Adds bytes from the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer to read into: append only.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next four bytes, if they are here: a frame's length, or at the start of a connection
    /// perhaps a command of four letters, which as a length would be above 1.6 GB.
    #[must_use]
    pub fn peek(&self) -> Option<[u8; 4]> {
        self.buffer.first_chunk().copied()
    }

    /// Whether [`FrameDecoder::poll`] has something to tell without more bytes.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let announced = int_at(&self.buffer, 0);
        announced.is_some_and(|length| {
            usize::try_from(length).map_or(true, |length| {
                length > self.limit || self.buffer.len() - 4 >= length
            })
        })
    }

    /// Takes all bytes that are not yet part of a frame.
    pub fn take_rest(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    /// The next frame without its length, `None` if more bytes are needed.
    ///
    /// # Errors
    /// If its length is negative or above the limit; the stream is of no use then.
    pub fn poll(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(announced) = int_at(&self.buffer, 0) else {
            return Ok(None);
        };
        let length = usize::try_from(announced)
            .ok()
            .filter(|length| *length <= self.limit)
            .ok_or(DecodeError::Length(announced))?;
        if self.buffer.len() - 4 < length {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Gives the buffer's memory back if no bytes wait in it: for connections that are idle.
    pub fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}

/// Appends a frame with what `write` appends.
///
/// # Panics
/// If that is above 2 GiB, which no message reaches.
pub fn encode_frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = crate::jute::length_of(out.len() - start - 4);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(decoder: &mut FrameDecoder) -> Vec<Bytes> {
        std::iter::from_fn(|| decoder.poll().expect("frames")).collect()
    }

    #[test]
    fn a_frame_is_due_when_it_is_whole_or_wrong() {
        let due = |bytes: &[u8]| {
            let mut decoder = FrameDecoder::new(5);
            decoder.feed(bytes);
            (decoder.is_due(), !matches!(decoder.poll(), Ok(None)))
        };
        for (bytes, is_due) in [
            (&b""[..], false),
            (&[0, 0, 0], false),
            (&[0, 0, 0, 0], true),
            (&[0, 0, 0, 2, 7], false),
            (&[0, 0, 0, 2, 7, 7], true),
            (&[0, 0, 0, 6], true),
            (&[0xff, 0, 0, 0], true),
        ] {
            assert_eq!(due(bytes), (is_due, is_due), "{bytes:?}");
        }
    }

    #[test]
    fn frames_are_cut_whatever_the_pieces() {
        let mut bytes = Vec::new();
        for payload in [&b"abc"[..], b"", b"defgh"] {
            encode_frame(&mut bytes, |out| out.extend_from_slice(payload));
        }
        for step in 1..=bytes.len() {
            let mut decoder = FrameDecoder::new(5);
            let mut found = Vec::new();
            for piece in bytes.chunks(step) {
                decoder.feed(piece);
                found.extend(frames(&mut decoder));
            }
            assert_eq!(found, [&b"abc"[..], b"", b"defgh"], "step {step}");
            decoder.release();
            assert_eq!(decoder.buffer().capacity(), 0);
        }
    }

    #[test]
    fn length_is_refused_as_soon_as_it_is_here() {
        for length in [6, i32::MAX, -1, i32::MIN] {
            let mut decoder = FrameDecoder::new(5);
            decoder.feed(&length.to_be_bytes());
            assert_eq!(decoder.poll(), Err(DecodeError::Length(length)));
        }
    }

    #[test]
    fn four_letters_are_seen_and_taken() {
        let mut decoder = FrameDecoder::new(5);
        decoder.feed(b"ru");
        assert_eq!(decoder.peek(), None);
        decoder.feed(b"ok\n");
        assert_eq!(decoder.peek(), Some(*b"ruok"));
        assert_eq!(decoder.take_rest(), &b"ruok\n"[..]);
    }

    #[test]
    fn long_announcement_reserves_nothing() {
        let mut decoder = FrameDecoder::new(1 << 30);
        decoder.feed(&(1i32 << 30).to_be_bytes());
        assert_eq!(decoder.poll(), Ok(None));
        assert!(decoder.buffer().capacity() <= 64);
    }
}
