//! A client's request on its way from a learner to the leader: REQUEST packets.

use std::sync::Arc;

use bytes::Bytes;
use wire::client::{ErrorCode, OpCode, Request, Write};
use wire::quorum::{ForwardHeader, Packet, packet};
use wire::{DecodeError, Reader, Record, Zxid};

/// What a REQUEST packet holds.
pub(crate) enum Forwarded {
    /// A request.
    Write(Write),
    /// One that cannot be read or is not a learner's to ask. It has a session and a number, so
    /// that its client gets an answer.
    Refused(ForwardHeader, ErrorCode),
}

/// As a learner sends it. The identities are never null, or Apache's leader commits an error.
pub(crate) fn encode(write: &Write) -> Packet {
    let mut data = Vec::with_capacity(128);
    ForwardHeader {
        session: write.session,
        cxid: write.cxid,
        op: write.request.op().code(),
    }
    .encode(&mut data);
    write.request.encode(&mut data);
    Packet {
        kind: packet::REQUEST,
        zxid: Zxid::NONE,
        data: Some(data.into()),
        auth: write.identities.to_vec(),
    }
}

/// As the leader reads it.
///
/// # Errors
/// If there is not even a header, so that nobody could be answered.
pub(crate) fn decode(packet: Packet) -> Result<Forwarded, DecodeError> {
    let data: Bytes = packet.data.unwrap_or_default();
    let mut reader = Reader::new(&data);
    let header: ForwardHeader = reader.read()?;
    let refused = |code| Ok(Forwarded::Refused(header, code));
    let Some(op) = OpCode::from_code(header.op).filter(|op| may_be_forwarded(*op)) else {
        return refused(ErrorCode::Unimplemented);
    };
    let Ok(request) = Request::decode(op, &mut reader) else {
        return refused(ErrorCode::MarshallingError);
    };
    Ok(Forwarded::Write(Write {
        session: header.session,
        cxid: header.cxid,
        request,
        identities: Arc::from(packet.auth),
    }))
}

/// What clients ask of a leader, and the sessions that members open for them.
const fn may_be_forwarded(op: OpCode) -> bool {
    op.is_write() || matches!(op, OpCode::CreateSession)
}

#[cfg(test)]
mod tests {
    use wire::client::{BarePath, SetDataRequest};
    use wire::{Id, SessionId};

    use super::*;

    fn write(request: Request) -> Write {
        Write {
            session: SessionId(7),
            cxid: 9,
            request,
            identities: Arc::from([Id::anyone()]),
        }
    }

    #[test]
    fn a_request_arrives_as_it_was_sent() {
        let sent = write(Request::SetData(SetDataRequest {
            path: "/a".into(),
            data: Some(Bytes::from_static(b"x")),
            version: 3,
        }));
        let Ok(Forwarded::Write(received)) = decode(encode(&sent)) else {
            panic!("not a write");
        };
        assert_eq!(received, sent);
    }

    #[test]
    fn what_only_a_leader_may_ask_is_refused() {
        let sent = write(Request::DeleteContainer(BarePath { path: "/a".into() }));
        let Ok(Forwarded::Refused(header, code)) = decode(encode(&sent)) else {
            panic!("not refused");
        };
        assert_eq!((header.cxid, code), (9, ErrorCode::Unimplemented));
    }

    #[test]
    fn a_record_cut_short_is_answered_and_a_header_cut_short_is_not() {
        let mut packet = encode(&write(Request::Sync(BarePath { path: "/a".into() })));
        let whole = packet.data.clone().unwrap_or_default();
        packet.data = Some(whole.slice(..whole.len() - 1));
        let Ok(Forwarded::Refused(_, code)) = decode(packet.clone()) else {
            panic!("not refused");
        };
        assert_eq!(code, ErrorCode::MarshallingError);
        packet.data = Some(whole.slice(..15));
        assert!(decode(packet).is_err());
    }
}
