//! The content of a snapshot file, whatever it is compressed with, and how it is compressed.

use std::io::{self, Read, Write};

use crate::disk::{Disk, DiskFile};
use crate::names::{Compression, SnapshotFile};

/// The uncompressed content.
pub(super) fn open<D: Disk>(disk: &D, snapshot: &SnapshotFile) -> io::Result<Box<dyn Read + Send>> {
    let file = Sequential {
        file: disk.open_read(&snapshot.path)?,
        at: 0,
    };
    Ok(match snapshot.compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(
            io::BufReader::with_capacity(BUFFER, file),
        )),
        Compression::Snappy => {
            Box::new(SnappyJava::new(io::BufReader::with_capacity(BUFFER, file))?)
        }
    })
}

const BUFFER: usize = 128 * 1024;

/// A file from its start to its end.
struct Sequential<F> {
    file: F,
    at: u64,
}

impl<F: DiskFile> Read for Sequential<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// The stream of snappy-java's `SnappyOutputStream`: a header of 16 bytes, then blocks, each with
/// its length in front. It is not snappy's own framing format.
struct SnappyJava<R> {
    source: R,
    block: Vec<u8>,
    at: usize,
}

impl<R: Read> SnappyJava<R> {
    fn new(mut source: R) -> io::Result<Self> {
        // The magic, then the writer's version and the oldest version that can read it.
        let mut header = [0; MAGIC.len() + 8];
        source.read_exact(&mut header)?;
        if !header.starts_with(MAGIC) {
            return Err(invalid("not a stream of snappy-java"));
        }
        Ok(Self {
            source,
            block: Vec::new(),
            at: 0,
        })
    }

    /// Reads the next block; `false` at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        let mut len = [0; 4];
        if self.source.read(&mut len[..1])? == 0 {
            return Ok(false);
        }
        self.source.read_exact(&mut len[1..])?;
        let len = u32::from_be_bytes(len) as usize;
        if len > BLOCK_MAX {
            return Err(invalid("a snappy block is longer than any writer makes"));
        }
        let mut compressed = vec![0; len];
        self.source.read_exact(&mut compressed)?;
        let size = snap::raw::decompress_len(&compressed).map_err(invalid)?;
        if size > BLOCK_MAX {
            return Err(invalid("a snappy block is longer than any writer makes"));
        }
        self.block.resize(size, 0);
        let n = snap::raw::Decoder::new()
            .decompress(&compressed, &mut self.block)
            .map_err(invalid)?;
        self.block.truncate(n);
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for SnappyJava<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let n = buffer.len().min(self.block.len() - self.at);
        buffer[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Makes a file's bytes of its content, piece by piece.
pub(super) enum Compressor {
    None,
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    /// What does not fill a block yet.
    Snappy(Vec<u8>),
}

impl Compressor {
    /// With what the file starts.
    pub(super) fn begin(compression: Compression) -> (Self, Vec<u8>) {
        match compression {
            Compression::None => (Self::None, Vec::new()),
            Compression::Gzip => {
                let encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                (Self::Gzip(encoder), Vec::new())
            }
            Compression::Snappy => {
                let versions = [WRITER_VERSION, COMPATIBLE_VERSION].map(u32::to_be_bytes);
                let header = [MAGIC, versions.as_flattened()].concat();
                (Self::Snappy(Vec::with_capacity(BLOCK)), header)
            }
        }
    }

    /// Takes `content`, and leaves in its place what comes next in the file.
    pub(super) fn compress(&mut self, content: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::None => {}
            Self::Gzip(encoder) => {
                encoder.write_all(content)?;
                content.clear();
                content.append(encoder.get_mut());
            }
            Self::Snappy(rest) => {
                rest.append(content);
                let whole = rest.len() - rest.len() % BLOCK;
                for block in rest[..whole].chunks(BLOCK) {
                    snappy_block(block, content)?;
                }
                rest.drain(..whole);
            }
        }
        Ok(())
    }

    /// What is left for the file's end.
    pub(super) fn end(self) -> io::Result<Vec<u8>> {
        let mut last = Vec::new();
        match self {
            Self::None => {}
            Self::Gzip(encoder) => last = encoder.finish()?,
            Self::Snappy(rest) if rest.is_empty() => {}
            Self::Snappy(rest) => snappy_block(&rest, &mut last)?,
        }
        Ok(last)
    }
}

fn snappy_block(content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let block = snap::raw::Encoder::new()
        .compress_vec(content)
        .map_err(invalid)?;
    let length = u32::try_from(block.len()).map_err(invalid)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&block);
    Ok(())
}

const MAGIC: &[u8] = b"\x82SNAPPY\0";
const WRITER_VERSION: u32 = 1;
const COMPATIBLE_VERSION: u32 = 1;
/// What snappy-java puts in a block unless configured.
const BLOCK: usize = 32 * 1024;
/// This bounds what a damaged length allocates.
const BLOCK_MAX: usize = 64 * 1024 * 1024;

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
