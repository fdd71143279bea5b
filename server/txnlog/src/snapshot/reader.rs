//! Reading a snapshot as a stream, checking its seals.

use std::io::{self, Read};

use adler2::Adler32;
use bytes::Bytes;
use wire::snapshot::{FileHeader, Piece, PieceDecoder};
use wire::{Reader, Record};

use super::{DIGEST_SECTION, HEADER, LAST_ZXID_SECTION, SEAL, SEAL_END, Trailer, compressed};
use crate::disk::Disk;
use crate::error::SnapshotReadError;
use crate::names::SnapshotFile;

/// Reads a snapshot piece by piece. The last piece, [`Piece::End`], is returned only when all
/// seals are checked: only then are the others to be believed.
pub struct SnapshotReader {
    source: Box<dyn Read + Send>,
    decoder: PieceDecoder,
    input: Bytes,
    /// Of everything read but `input`.
    sum: Adler32,
    trailer: Trailer,
}

impl SnapshotReader {
    /// Opens a snapshot file.
    ///
    /// # Errors
    /// If it cannot be read or does not start as a snapshot.
    pub fn open<D: Disk>(disk: &D, snapshot: &SnapshotFile) -> Result<Self, SnapshotReadError> {
        Self::new(compressed::open(disk, snapshot)?)
    }

    /// Reads the uncompressed content of a snapshot file.
    ///
    /// # Errors
    /// If it cannot be read or does not start as a snapshot.
    pub fn new(mut source: Box<dyn Read + Send>) -> Result<Self, SnapshotReadError> {
        let mut header = [0; HEADER_LEN];
        match source.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(SnapshotReadError::Header);
            }
            Err(error) => return Err(error.into()),
        }
        let is_snapshot = FileHeader::from_bytes(&Bytes::copy_from_slice(&header))
            .is_ok_and(|header| header.magic == HEADER.magic && header.version == HEADER.version);
        if !is_snapshot {
            return Err(SnapshotReadError::Header);
        }
        let mut sum = Adler32::new();
        sum.write_slice(&header);
        Ok(Self {
            source,
            decoder: PieceDecoder::of_file(i32::MAX as usize),
            input: Bytes::new(),
            sum,
            trailer: Trailer::default(),
        })
    }

    /// The next piece; `None` after [`Piece::End`].
    ///
    /// # Errors
    /// If the file is not a valid snapshot or cannot be read.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, SnapshotReadError> {
        if self.decoder.is_done() {
            return Ok(None);
        }
        loop {
            let before = self.input.clone();
            let start = self.decoder.consumed();
            let piece = self.decoder.poll(&mut self.input);
            self.sum
                .write_slice(&before[..before.len() - self.input.len()]);
            match piece {
                Ok(Some(Piece::End)) => {
                    self.read_trailer()?;
                    return Ok(Some(Piece::End));
                }
                Ok(Some(piece)) => return Ok(Some(piece)),
                Ok(None) => self.read_more()?,
                Err(source) => {
                    return Err(SnapshotReadError::Malformed {
                        at: start + HEADER_LEN as u64,
                        source,
                    });
                }
            }
        }
    }

    /// The sections behind the body; known after [`Piece::End`].
    #[must_use]
    pub const fn trailer(&self) -> Trailer {
        self.trailer
    }

    fn read_more(&mut self) -> Result<(), SnapshotReadError> {
        let mut chunk = vec![0; CHUNK];
        let n = read_some(&mut self.source, &mut chunk)?;
        if n == 0 {
            return Err(SnapshotReadError::Truncated {
                at: self.decoder.consumed() + HEADER_LEN as u64,
            });
        }
        chunk.truncate(n);
        self.input = chunk.into();
        Ok(())
    }

    fn read_trailer(&mut self) -> Result<(), SnapshotReadError> {
        let mut rest = self.input.to_vec();
        // One byte more than is known is enough to see that it is not known.
        let most = SEAL + DIGEST_SECTION + LAST_ZXID_SECTION + 1;
        while rest.len() < most {
            let have = rest.len();
            rest.resize(most, 0);
            let n = read_some(&mut self.source, &mut rest[have..])?;
            rest.truncate(have + n);
            if n == 0 {
                break;
            }
        }
        let Some(after) = rest.len().checked_sub(SEAL) else {
            return Err(SnapshotReadError::Truncated {
                at: self.decoder.consumed() + (HEADER_LEN + rest.len()) as u64,
            });
        };
        let (has_digest, has_last) = match after {
            0 => (false, false),
            LAST_ZXID_SECTION => (false, true),
            DIGEST_SECTION => (true, false),
            n if n == DIGEST_SECTION + LAST_ZXID_SECTION => (true, true),
            n => return Err(SnapshotReadError::Trailer(n)),
        };
        let rest = Bytes::from(rest);
        let mut reader = Reader::new(&rest);
        self.check_seal(&mut reader, "body")?;
        if has_digest {
            self.trailer.digest = Some(self.section(&mut reader, "digest section")?);
        }
        if has_last {
            self.trailer.last_zxid = Some(self.section(&mut reader, "last zxid's section")?);
        }
        Ok(())
    }

    fn section<T: Record>(
        &mut self,
        reader: &mut Reader<'_>,
        name: &'static str,
    ) -> Result<T, SnapshotReadError> {
        let at = self.decoder.consumed() + (HEADER_LEN + reader.position()) as u64;
        let malformed = |source| SnapshotReadError::Malformed { at, source };
        let value: T = reader.read().map_err(malformed)?;
        self.sum.write_slice(&value.to_bytes());
        self.check_seal(reader, name)?;
        Ok(value)
    }

    fn check_seal(
        &mut self,
        reader: &mut Reader<'_>,
        section: &'static str,
    ) -> Result<(), SnapshotReadError> {
        let mut expected = u64::from(self.sum.checksum()).to_be_bytes().to_vec();
        expected.extend_from_slice(&SEAL_END);
        if reader.take(SEAL).ok() != Some(expected.as_slice()) {
            return Err(SnapshotReadError::Checksum { section });
        }
        self.sum.write_slice(&expected);
        Ok(())
    }
}

const HEADER_LEN: usize = 16;
/// Large enough that system calls do not count.
const CHUNK: usize = 256 * 1024;

fn read_some(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
