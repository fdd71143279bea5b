//! What a snapshot is made of, in a file or behind a SNAP packet.
//!
//! Sessions, then ACLs, then znodes with parents first, then the path `/` as end mark: a body of
//! [`Piece`]s, written by [`encode_piece`] and read by [`PieceDecoder`]. Behind a SNAP packet
//! [`STREAM_END`] follows the body. The header, seals and trailing sections of a file are the
//! file's business.

use bytes::{Bytes, BytesMut};

use crate::acl::Acl;
use crate::extent::{Extent, Length, Part};
use crate::ids::{SessionId, Zxid};
use crate::jute::{DecodeError, EncodeBytes, Reader, Record, length_of, records};
use crate::stat::StatPersisted;

/// First word of a log file, "ZKLG".
pub const LOG_MAGIC: i32 = 0x5A4B_4C47;
/// First word of a snapshot file, "ZKSN".
pub const SNAPSHOT_MAGIC: i32 = 0x5A4B_534E;
/// Ends the body behind a SNAP packet.
pub const STREAM_END: &str = "BenWasHere";
/// The ACL index of znodes that are open to everyone.
pub const OPEN_ACL: i64 = -1;

records! {
    /// The first bytes of a log or snapshot file.
    #[derive(Copy)]
    FileHeader {
        /// [`LOG_MAGIC`] or [`SNAPSHOT_MAGIC`].
        magic: i32,
        /// Always 2.
        version: i32,
        /// 0 in logs, -1 in snapshots.
        dbid: i64,
    }
    /// A session.
    #[derive(Copy)]
    SessionRecord {
        /// Its id.
        session: SessionId,
        /// Its timeout, milliseconds.
        timeout: i32,
    }
    /// An ACL and the index that znodes name it by.
    AclRecord {
        /// The index.
        index: i64,
        /// The list.
        acl: Vec<Acl>,
    }
    /// A znode.
    ZnodeRecord {
        /// Its path; empty for the root.
        path: String,
        /// Its data.
        data: Option<Bytes>,
        /// Its ACL's index, [`OPEN_ACL`] for open.
        acl: i64,
        /// Its state.
        stat: StatPersisted,
    }
    /// The digest section of a snapshot file.
    #[derive(Copy)]
    ZxidDigest {
        /// At which zxid.
        zxid: Zxid,
        /// Always 2.
        version: i32,
        /// The tree's digest there.
        digest: u64,
    }
}

/// One piece of a snapshot, in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// How many sessions follow. Not a promise: the bytes may end before.
    Sessions(u32),
    /// One of them.
    Session(SessionRecord),
    /// How many ACLs follow. Not a promise either.
    Acls(u32),
    /// One of them.
    Acl(AclRecord),
    /// A znode.
    Znode(ZnodeRecord),
    /// The end mark: the path `/`, and behind a SNAP packet [`STREAM_END`] as well.
    End,
}

/// A path that no znode record has: the root's is empty.
const END_PATH: &str = "/";

/// Appends a piece; for [`Piece::End`] the path only, see [`encode_stream_end`].
///
/// # Panics
/// If more than 2^31 sessions or ACLs are announced, which no server holds.
pub fn encode_piece(piece: &Piece, out: &mut Vec<u8>) {
    match piece {
        Piece::Sessions(n) | Piece::Acls(n) => length_of(*n as usize).encode(out),
        Piece::Session(session) => session.encode(out),
        Piece::Acl(acl) => acl.encode(out),
        Piece::Znode(znode) => znode.encode(out),
        Piece::End => END_PATH.as_bytes().encode_to(out),
    }
}

/// Appends a [`Piece::Znode`] without making one.
pub fn encode_znode(
    path: &str,
    data: Option<&[u8]>,
    acl: i64,
    stat: &StatPersisted,
    out: &mut Vec<u8>,
) {
    path.as_bytes().encode_to(out);
    match data {
        Some(data) => data.encode_to(out),
        None => (-1i32).encode(out),
    }
    acl.encode(out);
    stat.encode(out);
}

/// Appends what follows the body behind a SNAP packet.
pub fn encode_stream_end(out: &mut Vec<u8>) {
    STREAM_END.as_bytes().encode_to(out);
}

/// Reads a snapshot's body as it comes.
///
/// It takes no byte that belongs to what follows the body, and keeps none but those of one
/// incomplete record.
#[derive(Debug)]
pub struct PieceDecoder {
    stage: Stage,
    has_stream_end: bool,
    limit: usize,
    extent: Extent,
    partial: BytesMut,
    consumed: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    SessionCount,
    Sessions {
        left: u32,
    },
    AclCount,
    Acls {
        left: u32,
    },
    /// A znode or the end mark: its path's length and first byte tell.
    ZnodeOrEnd,
    Znode,
    EndMark,
    StreamEnd,
    Done,
}

const COUNT: &[Part] = &[Part::Fixed(4)];
const SESSION: &[Part] = &[Part::Fixed(SessionRecord::LEAST)];
const ACL: &[Part] = &[
    Part::Fixed(8),
    Part::Items(&[Part::Fixed(4), Part::Buffer, Part::Buffer]),
];
const ZNODE: &[Part] = &[
    Part::Buffer,
    Part::Buffer,
    Part::Fixed(8 + StatPersisted::LEAST),
];
const END_MARK: [u8; 5] = [0, 0, 0, 1, b'/'];
const PEEK: &[Part] = &[Part::Fixed(END_MARK.len())];
const STREAM_END_MARK: &[Part] = &[Part::Fixed(4 + STREAM_END.len())];

impl Stage {
    const fn layout(self) -> &'static [Part] {
        match self {
            Self::SessionCount | Self::AclCount => COUNT,
            Self::Sessions { .. } => SESSION,
            Self::Acls { .. } => ACL,
            Self::ZnodeOrEnd | Self::EndMark => PEEK,
            Self::Znode => ZNODE,
            Self::StreamEnd => STREAM_END_MARK,
            Self::Done => &[],
        }
    }
}

impl PieceDecoder {
    /// Reads the body in a file. Refuses records longer than `limit` bytes.
    #[must_use]
    pub fn of_file(limit: usize) -> Self {
        Self::new(limit, false)
    }

    /// Reads what follows a SNAP packet, [`STREAM_END`] included. Refuses records longer than
    /// `limit` bytes.
    #[must_use]
    pub fn of_stream(limit: usize) -> Self {
        Self::new(limit, true)
    }

    fn new(limit: usize, has_stream_end: bool) -> Self {
        let stage = Stage::SessionCount;
        Self {
            stage,
            has_stream_end,
            limit,
            extent: Extent::new(stage.layout(), limit),
            partial: BytesMut::new(),
            consumed: 0,
        }
    }

    /// Takes the next piece off the front of `input`. `None` means that all of it is taken and
    /// more is needed; after [`Piece::End`], that nothing is taken any more.
    ///
    /// A znode's data shares the memory of `input` if it came in one.
    ///
    /// # Errors
    /// If the bytes are not a snapshot's; they are of no use from there on.
    pub fn poll(&mut self, input: &mut Bytes) -> Result<Option<Piece>, DecodeError> {
        while self.stage != Stage::Done {
            let Some(record) = self.record(input)? else {
                return Ok(None);
            };
            if let Some(piece) = self.piece(&record)? {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// How many bytes were taken: after [`Piece::End`], the body's length.
    #[must_use]
    pub const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Whether [`Piece::End`] was returned.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// All bytes of the record at hand, once they are here. Those of a [`Stage::ZnodeOrEnd`] stay.
    fn record(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, DecodeError> {
        loop {
            let whole = self.partial.is_empty();
            let seen: &[u8] = if whole { input } else { &self.partial };
            match self.extent.advance(seen)? {
                Length::Complete(n) if self.stage == Stage::ZnodeOrEnd => {
                    let is_end = seen.starts_with(&END_MARK);
                    debug_assert_eq!(n, END_MARK.len());
                    self.enter(if is_end { Stage::EndMark } else { Stage::Znode });
                }
                Length::Complete(n) if whole => {
                    self.consumed += n as u64;
                    return Ok(Some(input.split_to(n)));
                }
                // Never more than was asked for is in `partial`.
                Length::Complete(_) => return Ok(Some(self.partial.split().freeze())),
                Length::AtLeast(_) if input.is_empty() => return Ok(None),
                Length::AtLeast(wanted) => {
                    let n = (wanted - self.partial.len()).min(input.len());
                    self.partial.extend_from_slice(&input.split_to(n));
                    self.consumed += n as u64;
                }
            }
        }
    }

    /// What the record says, if it is a piece, and the way to the next.
    fn piece(&mut self, record: &Bytes) -> Result<Option<Piece>, DecodeError> {
        let mut reader = Reader::new(record);
        let (piece, next) = match self.stage {
            Stage::SessionCount => {
                let left = read_count(&mut reader)?;
                (Some(Piece::Sessions(left)), Stage::Sessions { left })
            }
            Stage::Sessions { left } => {
                let left = left - 1;
                (
                    Some(Piece::Session(reader.read()?)),
                    Stage::Sessions { left },
                )
            }
            Stage::AclCount => {
                let left = read_count(&mut reader)?;
                (Some(Piece::Acls(left)), Stage::Acls { left })
            }
            Stage::Acls { left } => {
                let left = left - 1;
                (Some(Piece::Acl(reader.read()?)), Stage::Acls { left })
            }
            Stage::ZnodeOrEnd | Stage::Znode => {
                (Some(Piece::Znode(reader.read()?)), Stage::ZnodeOrEnd)
            }
            Stage::EndMark if self.has_stream_end => {
                reader.take(END_MARK.len())?;
                (None, Stage::StreamEnd)
            }
            Stage::EndMark => {
                reader.take(END_MARK.len())?;
                (Some(Piece::End), Stage::Done)
            }
            Stage::StreamEnd => {
                let mark: String = reader.read()?;
                if mark != STREAM_END {
                    return Err(DecodeError::Value {
                        field: "end of a snapshot's stream",
                        value: i64::from(*record.last().unwrap_or(&0)),
                    });
                }
                (Some(Piece::End), Stage::Done)
            }
            Stage::Done => (None, Stage::Done),
        };
        reader.finish()?;
        self.enter(match next {
            Stage::Sessions { left: 0 } => Stage::AclCount,
            Stage::Acls { left: 0 } => Stage::ZnodeOrEnd,
            next => next,
        });
        Ok(piece)
    }

    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.extent = Extent::new(stage.layout(), self.limit);
    }
}

fn read_count(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let count: i32 = reader.read()?;
    u32::try_from(count).map_err(|_| DecodeError::Length(count))
}

#[cfg(test)]
mod tests;
