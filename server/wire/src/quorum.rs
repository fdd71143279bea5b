//! What a leader and its learners say on the quorum port.
//!
//! A [`Packet`] has no outer length, so [`PacketDecoder`] takes bytes as they come. A SNAP is
//! followed on the same stream by a snapshot's body, see [`crate::snapshot`].

use bytes::{Bytes, BytesMut};

use crate::acl::Id;
use crate::extent::{Extent, Length, Part};
use crate::ids::{Epoch, PeerId, SessionId, Zxid};
use crate::jute::{DecodeError, Reader, Record, records};

/// Packet types.
pub mod packet {
    /// Learner to leader: a client's write, a [`ForwardHeader`](super::ForwardHeader) and its record.
    pub const REQUEST: i32 = 1;
    /// A transaction to log and acknowledge.
    pub const PROPOSAL: i32 = 2;
    /// Learner to leader: the transaction is durable; with `epoch << 32` the answer to
    /// [`NEW_LEADER`].
    pub const ACK: i32 = 3;
    /// The transaction is committed.
    pub const COMMIT: i32 = 4;
    /// Both ways: alive; from a learner with the sessions touched since.
    pub const PING: i32 = 5;
    /// Both ways: whether a session goes on.
    pub const REVALIDATE: i32 = 6;
    /// The learner's oldest sync is answered.
    pub const SYNC: i32 = 7;
    /// Leader to observer: a committed transaction.
    pub const INFORM: i32 = 8;
    /// A reconfiguration is committed; the data names the leader to be.
    pub const COMMIT_AND_ACTIVATE: i32 = 9;
    /// The end of synchronisation, with the configuration's text.
    pub const NEW_LEADER: i32 = 10;
    /// A voter's or joiner's first packet, with [`LearnerInfo`](super::LearnerInfo).
    pub const FOLLOWER_INFO: i32 = 11;
    /// The learner may serve clients.
    pub const UP_TO_DATE: i32 = 12;
    /// Synchronisation by what the learner lacks.
    pub const DIFF: i32 = 13;
    /// Synchronisation by cutting the learner's log behind the zxid.
    pub const TRUNC: i32 = 14;
    /// Synchronisation by the snapshot that follows on the stream.
    pub const SNAP: i32 = 15;
    /// An observer's first packet, with [`LearnerInfo`](super::LearnerInfo).
    pub const OBSERVER_INFO: i32 = 16;
    /// The epoch that the leader proposes, with its protocol version.
    pub const LEADER_INFO: i32 = 17;
    /// The learner's promise to the epoch, with its current one.
    pub const ACK_EPOCH: i32 = 18;
    /// Leader to observer: a committed reconfiguration, behind the id of the leader to be.
    pub const INFORM_AND_ACTIVATE: i32 = 19;
}

/// The quorum protocol's version, in [`LearnerInfo`] and LEADERINFO.
pub const PROTOCOL_VERSION: i32 = 0x10000;

/// [`SaslMessage::magic`].
pub const SASL_MAGIC: i64 = 0x5f24_3501_3501_edcc;

records! {
    /// One message between leader and learner.
    Packet {
        /// One of [`packet`].
        kind: i32,
        /// What it is about.
        zxid: Zxid,
        /// What it carries.
        data: Option<Bytes>,
        /// Identities of the client, with REQUEST; never null there.
        auth: Vec<Id>,
    }
    /// FOLLOWERINFO's and OBSERVERINFO's data. [`Capabilities`] may follow it.
    #[derive(Copy)]
    LearnerInfo {
        /// Who.
        peer: PeerId,
        /// [`PROTOCOL_VERSION`].
        protocol_version: i32,
        /// The version of its configuration.
        config_version: i64,
    }
    /// What a learner asks of the leader: REQUEST's data, followed by the request's record.
    #[derive(Copy)]
    ForwardHeader {
        /// The client's session.
        session: SessionId,
        /// The client's number for the request.
        cxid: i32,
        /// A [`crate::client::OpCode`].
        op: i32,
    }
    /// REVALIDATE from a learner, and each touch in its PING.
    #[derive(Copy)]
    SessionTimeout {
        /// The session.
        session: SessionId,
        /// Its timeout, milliseconds.
        timeout: i32,
    }
    /// SASL between peers, before anything else on either port.
    SaslMessage {
        /// [`SASL_MAGIC`]: tells a peer that authenticates from one that does not.
        magic: i64,
        /// 0 in progress, 1 success, -1 error.
        status: i32,
        /// The mechanism's own bytes.
        token: Option<Bytes>,
    }
    /// REVALIDATE from the leader.
    #[derive(Copy)]
    Revalidated {
        /// The session.
        session: SessionId,
        /// Whether it goes on, now owned by the asking learner.
        valid: bool,
    }
}

impl Packet {
    /// A packet without data.
    #[must_use]
    pub const fn bare(kind: i32, zxid: Zxid) -> Self {
        Self {
            kind,
            zxid,
            data: None,
            auth: Vec::new(),
        }
    }

    /// A packet with data.
    #[must_use]
    pub const fn with(kind: i32, zxid: Zxid, data: Bytes) -> Self {
        Self {
            kind,
            zxid,
            data: Some(data),
            auth: Vec::new(),
        }
    }

    /// The session timeouts in a learner's PING; malformed bytes are an error.
    ///
    /// # Errors
    /// If the data is not a list of them.
    pub fn touches(&self) -> Result<Vec<SessionTimeout>, DecodeError> {
        let Some(data) = &self.data else {
            return Ok(Vec::new());
        };
        let mut reader = Reader::new(data);
        let mut touches = Vec::with_capacity(data.len() / SessionTimeout::LEAST);
        while reader.remaining() > 0 {
            touches.push(reader.read()?);
        }
        Ok(touches)
    }
}

/// What members of ours tell each other in bytes that Apache ignores: after [`LearnerInfo`],
/// after LEADERINFO's version, after a notification's configuration.
///
/// A list of fields, each a 16-bit tag, a 16-bit length and its value; unknown tags are skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The ensemble that the sender belongs to, if it knows.
    pub ensemble: Option<String>,
    /// Features that the sender can, as bits of [`feature`].
    pub features: u64,
}

/// Bits of [`Capabilities::features`].
pub mod feature {
    /// Speaks for all of ferrokeeper's first version: extensions of the election and of
    /// hand-over build on further bits.
    pub const FERROKEEPER: u64 = 1;
}

/// Begins a list of capabilities, so that it is not mistaken for other bytes.
const CAPABILITIES_MAGIC: [u8; 4] = *b"FKC1";
const TAG_ENSEMBLE: u16 = 1;
const TAG_FEATURES: u16 = 2;

impl Capabilities {
    /// Appends the list.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&CAPABILITIES_MAGIC);
        let mut field = |tag: u16, value: &[u8]| {
            let Ok(length) = u16::try_from(value.len()) else {
                return;
            };
            out.extend_from_slice(&tag.to_be_bytes());
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value);
        };
        if let Some(ensemble) = &self.ensemble {
            field(TAG_ENSEMBLE, ensemble.as_bytes());
        }
        field(TAG_FEATURES, &self.features.to_be_bytes());
    }

    /// Reads a list; `None` if there is none, as from an Apache member, or if it is malformed.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&CAPABILITIES_MAGIC)?;
        let mut found = Self::default();
        while !rest.is_empty() {
            let (head, tail) = rest.split_at_checked(4)?;
            let tag = u16::from_be_bytes([head[0], head[1]]);
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let (value, tail) = tail.split_at_checked(length)?;
            match tag {
                TAG_ENSEMBLE => found.ensemble = Some(String::from_utf8(value.to_vec()).ok()?),
                TAG_FEATURES => found.features = u64::from_be_bytes(value.try_into().ok()?),
                _ => {}
            }
            rest = tail;
        }
        Some(found)
    }
}

/// ACKEPOCH's data for an epoch that the learner had accepted before: its vote does not count
/// again.
pub const ALREADY_ACCEPTED: i32 = -1;

/// ACKEPOCH's data: the learner's current epoch, or `None` for [`ALREADY_ACCEPTED`].
///
/// # Errors
/// If the data is not an epoch.
pub fn decode_ack_epoch(packet: &Packet) -> Result<Option<Epoch>, DecodeError> {
    let data = packet.data.clone().unwrap_or_default();
    let code = i32::from_bytes(&data)?;
    Ok((code != ALREADY_ACCEPTED).then_some(Epoch(code as u32)))
}

/// Cuts a stream into packets.
///
/// Feed it what arrives, then ask for packets until there is none. Bytes behind a SNAP are not
/// packets: take them with [`PacketDecoder::take_rest`], and feed what is left of them again.
/// A packet's data shares the memory of the bytes that came with it: who keeps a little of it for
/// long should copy it.
#[derive(Debug)]
pub struct PacketDecoder {
    buffer: BytesMut,
    extent: Extent,
    limit: usize,
}

/// The most bytes that a packet's header and identities take together. A client has a handful of
/// identities; the longest are certificate subjects and Kerberos principals of some hundred bytes.
pub const OVERHEAD_LIMIT: usize = 1024 * 1024;

const PACKET: &[Part] = &[
    Part::Fixed(12),
    Part::Buffer,
    Part::Items(&[Part::Buffer, Part::Buffer]),
];

impl PacketDecoder {
    /// Refuses packets that are longer than `limit` bytes of data and [`OVERHEAD_LIMIT`] together.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit.saturating_add(OVERHEAD_LIMIT);
        Self {
            buffer: BytesMut::new(),
            extent: Extent::new(PACKET, limit),
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

    /// Takes all bytes that are not yet part of a packet.
    pub fn take_rest(&mut self) -> Bytes {
        self.extent = Extent::new(PACKET, self.limit);
        self.buffer.split().freeze()
    }

    /// The next packet, `None` if more bytes are needed.
    ///
    /// # Errors
    /// If the bytes are not a packet; the stream is of no use then.
    pub fn poll(&mut self) -> Result<Option<Packet>, DecodeError> {
        match self.extent.advance(&self.buffer)? {
            Length::AtLeast(_) => Ok(None),
            Length::Complete(n) => {
                self.extent = Extent::new(PACKET, self.limit);
                let bytes = self.buffer.split_to(n).freeze();
                Packet::from_bytes(&bytes).map(Some)
            }
        }
    }
}
