//! Which connection has which session, and who waits for which answer.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use member::ClientId;
use wire::SessionId;

use crate::clients::audit::Audit;
use crate::clients::exchange::ReadGroup;
use crate::clients::mailbox::{Mail, Mailbox};
use crate::clients::requests::Writes;

/// The member thread's own map of clients.
#[derive(Default)]
pub(crate) struct Routes {
    clients: HashMap<ClientId, Client>,
    sessions: HashMap<SessionId, Session>,
    /// Sessions on their way to being made, and their timeouts.
    opening: HashMap<SessionId, (ClientId, i32)>,
}

struct Client {
    mailbox: Arc<Mailbox>,
    session: Option<SessionId>,
}

struct Session {
    /// The connection that has it, if one has.
    client: Option<ClientId>,
    /// Writes that no answer was sent for, in order, with the connection that each came by: a
    /// number means something only on its own connection.
    waiting: VecDeque<Waiting>,
}

/// A write that is not answered.
struct Waiting {
    cxid: i32,
    client: ClientId,
    reads: Vec<Arc<ReadGroup>>,
    audit: Option<Box<Audit>>,
}

/// Whom an answer goes to.
pub(crate) struct Asker {
    pub(crate) mailbox: Arc<Mailbox>,
    /// Reads that the client sent before the write: if nobody has served them yet, they are to be
    /// served before the write is applied.
    pub(crate) reads: Vec<Arc<ReadGroup>>,
}

impl Routes {
    /// A connection asks for a session.
    pub(crate) fn add(&mut self, mailbox: Arc<Mailbox>) {
        let client = mailbox.client;
        let session = None;
        self.clients.insert(client, Client { mailbox, session });
    }

    /// A connection is over.
    pub(crate) fn remove(&mut self, client: ClientId) {
        let Some(Client {
            session: Some(session),
            ..
        }) = self.clients.remove(&client)
        else {
            return;
        };
        if let Some(entry) = self.sessions.get_mut(&session) {
            if entry.client == Some(client) {
                entry.client = None;
            }
            // What it asked for is still answered, to nobody: its numbers must not be taken for
            // those of the connection that has the session next.
            if entry.client.is_none() && entry.waiting.is_empty() {
                self.sessions.remove(&session);
            }
        }
    }

    pub(crate) fn mailbox(&self, client: ClientId) -> Option<&Arc<Mailbox>> {
        self.clients.get(&client).map(|client| &client.mailbox)
    }

    pub(crate) fn mailboxes(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        self.clients.values().map(|client| &client.mailbox)
    }

    /// The connection that has this session.
    pub(crate) fn holder(&self, session: SessionId) -> Option<&Arc<Mailbox>> {
        self.mailbox(self.sessions.get(&session)?.client?)
    }

    /// All connections that have a session, and theirs.
    pub(crate) fn holders(&self) -> Vec<(ClientId, SessionId)> {
        self.sessions
            .iter()
            .filter_map(|(id, session)| Some((session.client?, *id)))
            .collect()
    }

    /// This session is being made for this client.
    pub(crate) fn opening(&mut self, session: SessionId, client: ClientId, timeout: i32) {
        self.opening.insert(session, (client, timeout));
    }

    /// A session was made: who asked for it, and its timeout.
    pub(crate) fn opened(&mut self, session: SessionId) -> Option<(Arc<Mailbox>, i32)> {
        let (client, timeout) = self.opening.remove(&session)?;
        let mailbox = self.mailbox(client)?.clone();
        self.bind(session, client);
        Some((mailbox, timeout))
    }

    /// Forgets sessions that were being made.
    pub(crate) fn forget_opening(&mut self) {
        self.opening.clear();
    }

    /// A connection has a session now; the one that had it before is closed.
    pub(crate) fn bind(&mut self, session: SessionId, client: ClientId) {
        let Some(entry) = self.clients.get_mut(&client) else {
            return;
        };
        entry.session = Some(session);
        let before = self
            .sessions
            .entry(session)
            .or_insert_with(|| Session {
                client: None,
                waiting: VecDeque::new(),
            })
            .client
            .replace(client);
        if let Some(before) = before.filter(|before| *before != client)
            && let Some(mailbox) = self.mailbox(before)
        {
            mailbox.post_now(Mail::Close("its session goes on by another connection"));
        }
    }

    /// A connection's writes go to the member.
    pub(crate) fn asked(&mut self, client: ClientId, writes: &mut Writes) {
        let Some(first) = writes.writes.first() else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&first.session) else {
            return;
        };
        let mut reads = std::mem::take(&mut writes.reads).into_iter().peekable();
        let mut audits = std::mem::take(&mut writes.audits).into_iter().peekable();
        for (at, write) in writes.writes.iter().enumerate() {
            let reads = reads.next_if(|(place, _)| *place == at);
            session.waiting.push_back(Waiting {
                cxid: write.cxid,
                client,
                reads: reads.map(|(_, reads)| reads).unwrap_or_default(),
                audit: audits
                    .next_if(|(place, _)| *place == at)
                    .map(|(_, audit)| audit),
            });
        }
    }

    /// What is to be logged of a write that is about to be answered, whoever waits for it.
    pub(crate) fn audited(&mut self, session: SessionId, cxid: i32) -> Option<Box<Audit>> {
        let waiting = &mut self.sessions.get_mut(&session)?.waiting;
        waiting
            .iter_mut()
            .find(|write| write.cxid == cxid)?
            .audit
            .take()
    }

    /// A write of this session is answered: who waits for it.
    pub(crate) fn answered(&mut self, session: SessionId, cxid: i32) -> Option<Asker> {
        let entry = self.sessions.get_mut(&session)?;
        let at = entry.waiting.iter().position(|write| write.cxid == cxid)?;
        let Waiting { client, reads, .. } = entry.waiting.remove(at)?;
        if entry.client.is_none() && entry.waiting.is_empty() {
            self.sessions.remove(&session);
        }
        let mailbox = self.mailbox(client)?.clone();
        Some(Asker { mailbox, reads })
    }

    /// A session ended: the connection that has it.
    pub(crate) fn closed(&mut self, session: SessionId) -> Option<Arc<Mailbox>> {
        let client = self.sessions.remove(&session)?.client?;
        let client = self.clients.get_mut(&client)?;
        client.session = None;
        Some(client.mailbox.clone())
    }

    /// Nothing that was asked will be answered.
    pub(crate) fn forget_asked(&mut self) {
        for session in self.sessions.values_mut() {
            session.waiting.clear();
        }
    }
}
