//! What servers answer, as our own clients read it.

use wire::Reader;
use wire::client::{
    ConnectResponse, Create2Response, CreateResponse, ErrorResponse, GetAclResponse,
    GetAllChildrenNumberResponse, GetChildren2Response, GetChildrenResponse, GetDataResponse,
    GetEphemeralsResponse, MultiResponse, OpCode, ReplyHeader, SaslToken, StatResponse,
    SyncResponse, WatcherEvent, WhoAmIResponse,
};
use wire::frame::FrameDecoder;

use crate::read_again;

/// Takes the record that answers `op`.
///
/// # Panics
/// If it is none.
pub(crate) fn check(op: OpCode, reader: &mut Reader<'_>) {
    let found = read(op, reader);
    assert!(found.is_some(), "{op:?} is not answered by its record");
}

/// Takes the record that answers `op`; `None` if it is none, or cannot be written and read again.
fn read(op: OpCode, reader: &mut Reader<'_>) -> Option<()> {
    match op {
        OpCode::Create => read_again::<CreateResponse>(reader),
        OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
            read_again::<Create2Response>(reader)
        }
        OpCode::Exists | OpCode::SetData | OpCode::SetAcl => read_again::<StatResponse>(reader),
        OpCode::GetData | OpCode::Reconfig => read_again::<GetDataResponse>(reader),
        OpCode::GetAcl => read_again::<GetAclResponse>(reader),
        OpCode::GetChildren => read_again::<GetChildrenResponse>(reader),
        OpCode::GetChildren2 => read_again::<GetChildren2Response>(reader),
        OpCode::Sync => read_again::<SyncResponse>(reader),
        OpCode::Multi | OpCode::MultiRead => read_again::<MultiResponse>(reader),
        OpCode::Sasl => read_again::<SaslToken>(reader),
        OpCode::GetEphemerals => read_again::<GetEphemeralsResponse>(reader),
        OpCode::GetAllChildrenNumber => read_again::<GetAllChildrenNumberResponse>(reader),
        OpCode::AddWatch => read_again::<ErrorResponse>(reader),
        OpCode::WhoAmI => read_again::<WhoAmIResponse>(reader),
        OpCode::Notification => read_again::<WatcherEvent>(reader),
        _ => Some(()),
    }
}

/// A server's bytes: frames, the first an answer to a connect, then replies. The first byte says
/// to which operations.
pub fn responses(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let mut frames = FrameDecoder::new(crate::FRAME);
    frames.feed(bytes);
    let mut op = i32::from(*first);
    let mut is_first = true;
    while let Ok(Some(frame)) = frames.poll() {
        let mut reader = Reader::new(&frame);
        if std::mem::take(&mut is_first) {
            let _ = read_again::<ConnectResponse>(&mut reader);
            continue;
        }
        let Ok(header) = reader.read::<ReplyHeader>() else {
            continue;
        };
        op = (op + 1) % 110;
        if let Some(op) = OpCode::from_code(op)
            && header.err == 0
        {
            let _ = read(op, &mut reader);
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::Record as _;

    use super::*;

    #[test]
    fn a_record_that_is_no_answer_is_seen() {
        let bytes = ErrorResponse { err: 0 }.to_bytes();
        assert_eq!(read(OpCode::AddWatch, &mut Reader::new(&bytes)), Some(()));
        assert_eq!(read(OpCode::Exists, &mut Reader::new(&bytes)), None);
    }
}
