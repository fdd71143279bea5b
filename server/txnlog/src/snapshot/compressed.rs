//! The content of a snapshot file, whatever it is compressed with.

use std::io::{self, Read};

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

const MAGIC: &[u8] = b"\x82SNAPPY\0";
/// snappy-java's blocks are 32 KiB unless configured; this bounds what a damaged length allocates.
const BLOCK_MAX: usize = 64 * 1024 * 1024;

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
