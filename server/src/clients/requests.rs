//! What becomes of a client's frames.

use std::sync::Arc;

use bytes::Bytes;
use tree::acl::AuthFailed;
use wire::client::{
    AuthPacket, ErrorCode, OpCode, ReplyHeader, Request, RequestHeader, SaslToken, Write, xid,
};
use wire::frame::encode_frame;
use wire::{Id, Reader, Record, Zxid};

use crate::clients::audit::Audit;
use crate::clients::connection::{Connection, Phase};
use crate::clients::exchange::{Read, ReadGroup, bare_reply};

/// What is done with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Answered at once.
    Ping,
    /// Checked at once.
    Auth,
    /// Answered with nothing: SASL is not offered.
    Sasl,
    /// Asked of the leader.
    Write,
    /// Served from the tree.
    Read,
    /// Needs a leader, and there is none.
    ReadOnly,
    /// Not a client's to ask.
    Refuse,
}

const fn way(op: OpCode) -> Way {
    match op {
        OpCode::Ping => Way::Ping,
        OpCode::Auth => Way::Auth,
        OpCode::Sasl => Way::Sasl,
        op if op.is_write() => Way::Write,
        OpCode::Exists
        | OpCode::GetData
        | OpCode::GetAcl
        | OpCode::GetChildren
        | OpCode::GetChildren2
        | OpCode::MultiRead
        | OpCode::CheckWatches
        | OpCode::RemoveWatches
        | OpCode::SetWatches
        | OpCode::SetWatches2
        | OpCode::AddWatch
        | OpCode::WhoAmI
        | OpCode::GetEphemerals
        | OpCode::GetAllChildrenNumber => Way::Read,
        _ => Way::Refuse,
    }
}

/// Writes that came together, on their way to the member.
#[derive(Default)]
pub(crate) struct Writes {
    /// In order.
    pub(crate) writes: Vec<Write>,
    /// The reads that come directly before some of them, by the write's place.
    pub(crate) reads: Vec<(usize, Vec<Arc<ReadGroup>>)>,
    /// What is to be logged of some of them, by the write's place.
    pub(crate) audits: Vec<(usize, Box<Audit>)>,
    /// Their bytes.
    pub(crate) size: usize,
}

impl Connection {
    /// Takes one request.
    pub(super) fn take_request(&mut self, frame: &Bytes, out: &mut Vec<u8>, writes: &mut Writes) {
        let mut reader = Reader::new(frame);
        let Ok(header) = reader.read::<RequestHeader>() else {
            tracing::info!(peer = %self.mailbox.peer, "client closed: request without header");
            return self.close();
        };
        self.mailbox.counters.asked(header.xid, header.op);
        let op = OpCode::from_code(header.op);
        let shows_who_it_is = matches!(op, Some(OpCode::Auth | OpCode::Sasl));
        if !shows_who_it_is && !self.shared.schemes.admits(&self.identities) {
            let peer = self.mailbox.peer;
            tracing::info!(%peer, "client closed: it must authenticate first");
            let error = ErrorCode::SessionClosedRequireSaslAuth;
            self.answer(header.xid, Zxid::ZERO, error);
            self.phase = Phase::Draining;
            return;
        }
        match self.way(op) {
            Way::Ping => {
                bare_reply(out, xid::PING, self.applied(), ErrorCode::Ok);
                self.sent(1);
            }
            Way::Auth => self.authenticate(header.xid, &mut reader),
            Way::Sasl => self.answer_sasl(header.xid, &mut reader),
            Way::ReadOnly => {
                self.answer(header.xid, self.applied(), ErrorCode::NotReadOnly);
            }
            Way::Refuse => {
                self.answer(header.xid, Zxid::NONE, ErrorCode::Unimplemented);
                self.phase = Phase::Draining;
            }
            way @ (Way::Write | Way::Read) => {
                let request = op.map(|op| Request::decode(op, &mut reader));
                let Some(Ok(request)) = request else {
                    return self.answer(header.xid, self.applied(), ErrorCode::MarshallingError);
                };
                if reader.nulls() > 0 && request.looks_up_what_is_empty() {
                    return self.answer(header.xid, self.applied(), ErrorCode::MarshallingError);
                }
                let since = self.shared.clock.millis();
                let xid = header.xid;
                if self.is_late && op != Some(OpCode::CloseSession) {
                    self.shared.metrics.throttled_ops.inc();
                    return self.answer(xid, self.applied(), ErrorCode::ThrottledOp);
                }
                if way == Way::Write {
                    if let Some(error) = self.early_refusal(&request) {
                        return self.answer(xid, Zxid::ZERO, error);
                    }
                    return self.ask(xid, request, frame.len(), since, writes);
                }
                let read = Read::Request {
                    xid,
                    request,
                    since,
                };
                self.exchange
                    .push_read(self.session, &self.identities, read);
            }
        }
    }

    fn way(&self, op: Option<OpCode>) -> Way {
        match op.map_or(Way::Refuse, way) {
            // Its session is this member's alone.
            Way::Write if op == Some(OpCode::CloseSession) => Way::Write,
            Way::Write if self.is_read_only => Way::ReadOnly,
            way => way,
        }
    }

    fn ask(&mut self, xid: i32, request: Request, size: usize, since: u64, writes: &mut Writes) {
        let sync = match &request {
            Request::Sync(sync) => Some(sync.path.clone()),
            Request::CloseSession(()) => {
                self.phase = Phase::Draining;
                None
            }
            _ => None,
        };
        self.under_way(size);
        let before = self.exchange.push_write(xid, sync, size, since);
        if !before.is_empty() {
            writes.reads.push((writes.writes.len(), before));
        }
        if self.shared.config.admin.audit {
            let address = self.mailbox.peer.ip().to_canonical().to_string();
            let audit = Audit::of(&request, &self.identities, address);
            let place = writes.writes.len();
            writes.audits.extend(audit.map(|audit| (place, audit)));
        }
        writes.size += size;
        writes.writes.push(Write {
            session: self.session,
            cxid: xid,
            request,
            identities: self.identities.clone(),
        });
    }

    fn early_refusal(&self, request: &Request) -> Option<ErrorCode> {
        // A single server has nobody to spare a request, and Apache's gives it a zxid.
        let config = &self.shared.config;
        if !config.access.eager_acl_check || config.standalone {
            return None;
        }
        let tree = self.shared.tree.read();
        tree.early_refusal(request, &self.identities)
    }

    /// New identities count from the next request on, wherever the answer's turn is.
    /// Clients choose the number themselves: the C and Java clients -4, others any.
    fn authenticate(&mut self, xid: i32, reader: &mut Reader<'_>) {
        let schemes = &self.shared.schemes;
        let address = self.mailbox.peer.ip().to_canonical();
        let Ok(packet) = reader.read::<AuthPacket>() else {
            tracing::info!(peer = %self.mailbox.peer, "client closed: unreadable credentials");
            return self.close();
        };
        let proven = match tree::acl::authenticate(&packet, address, schemes) {
            Ok(proven) => proven,
            Err(error) => {
                self.shared.metrics.auth_failed_count.inc();
                tracing::info!(peer = %self.mailbox.peer, %error, "client closed");
                if error == AuthFailed::WrongEnsemble {
                    self.shared.metrics.ensemble_auth_fail.inc();
                    return self.close();
                }
                self.answer(xid, Zxid::ZERO, ErrorCode::AuthFailed);
                self.phase = Phase::Draining;
                return;
            }
        };
        if proven.is_empty() {
            self.shared.metrics.ensemble_auth_success.inc();
        }
        let mut identities: Vec<Id> = self.identities.to_vec();
        for id in proven {
            if !identities.contains(&id) {
                identities.push(id);
            }
        }
        self.identities = Arc::from(identities);
        self.answer(xid, Zxid::ZERO, ErrorCode::Ok);
    }

    /// As Apache without a SASL login of its own: the client finds that nothing comes of it.
    fn answer_sasl(&mut self, xid: i32, reader: &mut Reader<'_>) {
        if reader.read::<SaslToken>().is_err() {
            tracing::info!(peer = %self.mailbox.peer, "client closed: unreadable SASL token");
            return self.close();
        }
        let zxid = Zxid::ZERO;
        let mut frame = Vec::new();
        encode_frame(&mut frame, |out| {
            ReplyHeader { xid, zxid, err: 0 }.encode(out);
            SaslToken { token: None }.encode(out);
        });
        let answered = Read::Answered(frame);
        self.exchange
            .push_read(self.session, &self.identities, answered);
    }

    /// Answers without a record, in its turn.
    fn answer(&mut self, xid: i32, zxid: Zxid, err: ErrorCode) {
        let mut frame = Vec::new();
        bare_reply(&mut frame, xid, zxid, err);
        let answered = Read::Answered(frame);
        self.exchange
            .push_read(self.session, &self.identities, answered);
    }
}
