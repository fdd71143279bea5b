//! What waits until somebody leads, or until what was proposed is applied.

use std::collections::VecDeque;

use wire::client::{ErrorCode, Request, Write};
use wire::quorum::ForwardHeader;
use wire::{PeerId, SessionId};
use zab::LinkId;

/// Who a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client of this member.
    Here,
    /// A learner, for a client of its own.
    Learner {
        /// Who.
        peer: PeerId,
        /// The link that an answer goes to.
        link: LinkId,
    },
}

impl Origin {
    /// Whose clients' sessions it asks for.
    pub(crate) const fn owner(self, this: PeerId) -> PeerId {
        match self {
            Self::Here => this,
            Self::Learner { peer, .. } => peer,
        }
    }
}

/// A request that the leader has to answer with a transaction, or with SYNC.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// As asked.
    Write(Write),
    /// Already known to fail.
    Refused(ForwardHeader, ErrorCode),
}

/// A first-in first-out queue, bounded in bytes.
#[derive(Debug)]
pub(crate) struct Held {
    queue: VecDeque<(Origin, Ask)>,
    bytes: usize,
    limit: usize,
}

impl Held {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            limit,
        }
    }

    /// Takes a request. If the queue is full, whose session is refused.
    pub(crate) fn push(&mut self, origin: Origin, ask: Ask) -> Result<(), SessionId> {
        let size = ask.size();
        if self.bytes + size > self.limit {
            return Err(ask.session());
        }
        self.bytes += size;
        self.queue.push_back((origin, ask));
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> Option<(Origin, Ask)> {
        let (origin, ask) = self.queue.pop_front()?;
        self.bytes -= ask.size();
        Some((origin, ask))
    }

    /// Forgets what came by links: those ended.
    pub(crate) fn forget_learners(&mut self) {
        self.queue.retain(|(origin, _)| *origin == Origin::Here);
        self.bytes = self.queue.iter().map(|(_, ask)| ask.size()).sum();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Ask {
    const fn session(&self) -> SessionId {
        match self {
            Self::Write(write) => write.session,
            Self::Refused(header, _) => header.session,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Write(write) => request_size(&write.request),
            Self::Refused(..) => ASK_OVERHEAD,
        }
    }
}

/// About what a queued request takes besides its own bytes.
const ASK_OVERHEAD: usize = 256;

fn request_size(request: &Request) -> usize {
    let data = |path: &str, data: &Option<bytes::Bytes>| {
        ASK_OVERHEAD + path.len() + data.as_ref().map_or(0, bytes::Bytes::len)
    };
    match request {
        Request::Create(r) | Request::Create2(r) | Request::CreateContainer(r) => {
            data(&r.path, &r.data) + r.acl.len() * ASK_OVERHEAD
        }
        Request::CreateTtl(r) => data(&r.path, &r.data) + r.acl.len() * ASK_OVERHEAD,
        Request::SetData(r) => data(&r.path, &r.data),
        Request::SetAcl(r) => data(&r.path, &None) + r.acl.len() * ASK_OVERHEAD,
        Request::Reconfig(r) => data(&r.new_members, &None) + r.joining.len() + r.leaving.len(),
        Request::Multi(r) => r.ops.iter().map(request_size).sum::<usize>() + ASK_OVERHEAD,
        _ => 2 * ASK_OVERHEAD,
    }
}
