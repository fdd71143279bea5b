//! The first frame of a client's connection.

use bytes::Bytes;
use wire::client::{ConnectRequest, ConnectResponse};
use wire::frame::encode_frame;
use wire::{DecodeError, Record, SessionId, Zxid};

/// What a first frame asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A new session.
    New { timeout: i32 },
    /// To go on with a session whose password it knows.
    Resume { session: SessionId, timeout: i32 },
    /// To go on with a session whose password it does not know.
    WrongPassword,
}

/// Why a first frame is answered by closing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is not a first frame.
    #[error("not a connect request: {0}")]
    Malformed(#[from] DecodeError),
    /// The client has seen what this member has not.
    #[error("client has seen {seen}, and this member only {applied}: it must try another one")]
    Behind { seen: Zxid, applied: Zxid },
}

/// The first frame, and what of it the answer depends on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) wish: Wish,
    /// The newest that the client has seen.
    pub(crate) seen: Zxid,
    /// Whether the answer has the read-only flag: clients before 3.4 neither send nor expect it.
    pub(crate) mirrors_read_only: bool,
    /// Whether the client goes with a member that only shows what it has.
    pub(crate) accepts_read_only: bool,
}

/// Whether a member that has applied so much may not serve a client that has seen so much. Apache's
/// zxids are signed: a client that has seen nothing may say -1.
pub(crate) const fn is_behind(applied: Zxid, seen: Zxid) -> bool {
    seen.0 as i64 > applied.0 as i64
}

/// Reads a first frame. What the client has seen is not looked at while `applied` is not known.
///
/// # Errors
/// If the connection is to be closed without an answer.
pub(crate) fn read(
    frame: &Bytes,
    applied: Option<Zxid>,
    (least, greatest): (i32, i32),
) -> Result<Hello, Refusal> {
    let request = ConnectRequest::from_bytes(frame)?;
    let seen = request.last_zxid_seen;
    if let Some(applied) = applied
        && is_behind(applied, seen)
    {
        return Err(Refusal::Behind { seen, applied });
    }
    let timeout = request.timeout.clamp(least, greatest);
    let session = request.session_id;
    let wish = if session == SessionId::NONE {
        Wish::New { timeout }
    } else if request.password[..] == session.password() {
        Wish::Resume { session, timeout }
    } else {
        Wish::WrongPassword
    };
    Ok(Hello {
        wish,
        seen,
        mirrors_read_only: request.read_only.is_some(),
        accepts_read_only: request.read_only == Some(true),
    })
}

/// Appends the answer: the session, or `None` if there is none to go on with; and for clients that
/// want to know, whether they may only read.
pub(crate) fn answer(
    out: &mut Vec<u8>,
    session: Option<(SessionId, i32)>,
    read_only: Option<bool>,
) {
    let (session_id, timeout, password) = match session {
        Some((session, timeout)) => (session, timeout, session.password()),
        None => (SessionId::NONE, 0, [0; 16]),
    };
    let response = ConnectResponse {
        protocol_version: 0,
        timeout,
        session_id,
        password: Bytes::copy_from_slice(&password),
        read_only,
    };
    encode_frame(out, |out| response.encode(out));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(session: SessionId, password: &[u8]) -> ConnectRequest {
        ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(7),
            timeout: 100,
            session_id: session,
            password: Bytes::copy_from_slice(password),
            read_only: Some(true),
        }
    }

    #[test]
    fn password_is_checked_before_anything_else_is_done() {
        let session = SessionId(0x0100_0000_0000_0001);
        let read = |password: &[u8]| {
            let frame = request(session, password).to_bytes();
            read(&frame, Some(Zxid(7)), (200, 1000)).map(|hello| hello.wish)
        };
        let timeout = 200;
        assert_eq!(
            read(&session.password()),
            Ok(Wish::Resume { session, timeout })
        );
        assert_eq!(read(&[0; 16]), Ok(Wish::WrongPassword));
        assert_eq!(read(&[]), Ok(Wish::WrongPassword));
    }

    #[test]
    fn client_that_has_seen_more_is_refused() {
        let frame = request(SessionId::NONE, &[]).to_bytes();
        let refusal = Refusal::Behind {
            seen: Zxid(7),
            applied: Zxid(6),
        };
        assert_eq!(read(&frame, Some(Zxid(6)), (200, 1000)), Err(refusal));
    }

    #[test]
    fn clients_before_3_4_are_answered_without_the_flag() {
        let mut request = request(SessionId::NONE, &[]);
        request.read_only = None;
        let hello = read(&request.to_bytes(), Some(Zxid(7)), (4, 50)).expect("a request");
        assert_eq!(
            hello,
            Hello {
                wish: Wish::New { timeout: 50 },
                seen: Zxid(7),
                mirrors_read_only: false,
                accepts_read_only: false,
            }
        );
        let mut out = Vec::new();
        answer(&mut out, None, hello.mirrors_read_only.then_some(false));
        assert_eq!(out.len(), 4 + 4 + 4 + 8 + 4 + 16);
    }
}
