//! A client's requests are answered in order, each write with a greater zxid than the one before,
//! and no answer is older than an earlier one, wherever the client is connected.

use wire::{SessionId, Zxid};

use super::{Verdict, violated};

/// What one client has seen of one session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClientOrder {
    session: SessionId,
    /// The newest state seen.
    pub(crate) seen: Zxid,
    /// The last write of its own.
    wrote: Zxid,
}

impl ClientOrder {
    pub(crate) const fn new(session: SessionId, seen: Zxid) -> Self {
        Self {
            session,
            seen,
            wrote: Zxid::ZERO,
        }
    }

    /// An answer came; `expected` is the oldest request without one.
    pub(crate) fn answered(
        &mut self,
        expected: Option<i32>,
        cxid: i32,
        zxid: Zxid,
        is_write: bool,
    ) -> Verdict {
        let session = self.session;
        if expected != Some(cxid) {
            return violated(
                "order",
                format!("{session} got an answer to {cxid} and waits for {expected:?}"),
            );
        }
        if zxid < self.seen || (is_write && zxid <= self.wrote) {
            return violated(
                "order",
                format!("{session} has seen {self:?} and got {zxid} for {cxid}"),
            );
        }
        self.seen = zxid;
        if is_write {
            self.wrote = zxid;
        }
        Ok(())
    }
}
