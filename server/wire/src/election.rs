//! What peers say on the election port.
//!
//! A connection starts with a [`Hello`]; after it each frame is a 32-bit length and a
//! [`Notification`].

use bytes::Bytes;

use crate::ids::{Epoch, PeerId, Zxid};
use crate::jute::{DecodeError, Reader, Record};

/// Greatest election frame, as in Apache.
pub const MAX_FRAME: usize = 512 * 1024;

/// A member's part, as votes name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum PeerState {
    /// In an election.
    Looking = 0,
    /// Has a leader and a vote.
    Following = 1,
    /// Leads.
    Leading = 2,
    /// Has a leader and no vote.
    Observing = 3,
}

impl PeerState {
    /// The one with this number.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => Some(Self::Looking),
            1 => Some(Self::Following),
            2 => Some(Self::Leading),
            3 => Some(Self::Observing),
            _ => None,
        }
    }
}

/// The first bytes of an election connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who dials; `i64::MAX` is Apache's placeholder for an observer without an id.
    pub peer: PeerId,
    /// Its election addresses, `host:port`, several with `multiAddress`. Empty from members
    /// older than 3.5.
    pub addresses: Vec<String>,
}

/// A vote, and what its sender is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The sender's part.
    pub state: PeerState,
    /// Whom it votes for.
    pub leader: PeerId,
    /// The candidate's last zxid.
    pub zxid: Zxid,
    /// The sender's election round.
    pub round: i64,
    /// The candidate's epoch; Apache writes -1 for "none".
    pub epoch: i64,
    /// The sender's newest configuration, as text; empty from members older than 3.5.
    pub config: Bytes,
    /// What follows the configuration: capabilities, see [`crate::quorum::Capabilities`].
    pub extension: Bytes,
}

/// The hello's version without and with several addresses.
const HELLO_V1: i64 = -65536;
const HELLO_V2: i64 = -65535;
/// Longest address text in a hello, as in Apache.
const HELLO_ADDRESS_MAX: i32 = 2048;
const NOTIFICATION_VERSION: i32 = 2;

impl Record for Hello {
    fn encode(&self, out: &mut Vec<u8>) {
        if self.addresses.is_empty() {
            return self.peer.encode(out);
        }
        let version = if self.addresses.len() > 1 {
            HELLO_V2
        } else {
            HELLO_V1
        };
        version.encode(out);
        self.peer.encode(out);
        self.addresses.join("|").encode(out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let first: i64 = reader.read()?;
        if first >= 0 {
            return Ok(Self {
                peer: PeerId(first),
                addresses: Vec::new(),
            });
        }
        if first != HELLO_V1 && first != HELLO_V2 {
            return Err(DecodeError::Value {
                field: "hello version",
                value: first,
            });
        }
        let peer = reader.read()?;
        let length: i32 = reader.read()?;
        if !(1..=HELLO_ADDRESS_MAX).contains(&length) {
            return Err(DecodeError::Length(length));
        }
        let text = reader.take(length as usize)?;
        let text = std::str::from_utf8(text).map_err(|_| DecodeError::NotUtf8)?;
        Ok(Self {
            peer,
            addresses: text.split('|').map(str::to_owned).collect(),
        })
    }
}

impl Record for Notification {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.state as i32).encode(out);
        self.leader.encode(out);
        self.zxid.encode(out);
        self.round.encode(out);
        self.epoch.encode(out);
        NOTIFICATION_VERSION.encode(out);
        self.config.encode(out);
        out.extend_from_slice(&self.extension);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code: i32 = reader.read()?;
        let state = PeerState::from_code(code).ok_or_else(|| DecodeError::Value {
            field: "peer state",
            value: code.into(),
        })?;
        let leader = reader.read()?;
        let zxid: Zxid = reader.read()?;
        let round = reader.read()?;
        // 28 bytes: before 3.4.6; 40 bytes: before 3.5.
        let epoch = if reader.remaining() >= 8 {
            reader.read()?
        } else {
            i64::from(zxid.epoch().0)
        };
        let version = if reader.remaining() >= 4 {
            reader.read()?
        } else {
            0i32
        };
        let config = if version >= 2 && reader.remaining() >= 4 {
            reader.read()?
        } else {
            Bytes::new()
        };
        Ok(Self {
            state,
            leader,
            zxid,
            round,
            epoch,
            config,
            extension: reader.rest(),
        })
    }
}

impl Notification {
    /// The candidate's epoch as a number that compares as votes do.
    #[must_use]
    pub fn peer_epoch(&self) -> Epoch {
        Epoch(u32::try_from(self.epoch).unwrap_or(0))
    }
}
