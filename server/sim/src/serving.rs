//! A driver's clients: requests in, answers out, in each connection's order.

use std::collections::VecDeque;
use std::sync::Arc;

use member::{ClientId, Input};
use tree::{Caller, read_watch};
use wire::client::{ErrorCode, Request as Record, Write};
use wire::txn::{Entry, Txn};
use wire::{SessionId, Zxid};

use crate::client::{Answer, ClientEvent};
use crate::error::SimError;
use crate::host::Process;
use crate::mutation::Mutation;
use crate::network::HostId;
use crate::shape::between;
use crate::world::{Event, World};

/// What a client sends.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// The first of a connection: a new session, or one to go on with.
    Connect {
        client: usize,
        attempt: u64,
        session: Option<SessionId>,
        seen: Zxid,
        timeout: i32,
    },
    /// Requests with their numbers.
    Batch(Vec<(i32, Record)>),
    Ping,
}

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    client: usize,
    attempt: u64,
    session: Option<SessionId>,
    /// Whether the client was told that its session is on.
    is_established: bool,
    waiting: VecDeque<(i32, Record)>,
    /// When the last answer arrives: they do not overtake each other.
    last_arrival: u64,
}

/// Whether an operation is answered by its transaction or by the member.
pub(crate) const fn is_write(request: &Record) -> bool {
    matches!(
        request,
        Record::Create(_)
            | Record::Delete(_)
            | Record::SetData(_)
            | Record::Multi(_)
            | Record::CloseSession(())
    )
}

impl World {
    pub(crate) fn request_arrives(
        &mut self,
        id: HostId,
        life: u64,
        connection: ClientId,
        request: Request,
    ) {
        if !self.is_alive(id, life) {
            return;
        }
        match request {
            Request::Connect {
                client,
                attempt,
                session,
                seen,
                timeout,
            } => self.connect_arrives(id, connection, (client, attempt), session, seen, timeout),
            Request::Batch(requests) => self.batch_arrives(id, connection, requests),
            Request::Ping => {
                if let Some(process) = &mut self.hosts[id].process {
                    process.touch(connection);
                }
            }
        }
    }

    fn connect_arrives(
        &mut self,
        id: HostId,
        connection: ClientId,
        (client, attempt): (usize, u64),
        session: Option<SessionId>,
        seen: Zxid,
        timeout: i32,
    ) {
        let Some(process) = &mut self.hosts[id].process else {
            return;
        };
        let made = Connection {
            client,
            attempt,
            session,
            is_established: false,
            waiting: VecDeque::new(),
            last_arrival: 0,
        };
        if process.last() < seen {
            self.disconnect_client(&made);
            return;
        }
        process.connections.insert(connection, made);
        let input = match session {
            None => Input::Open {
                client: connection,
                timeout,
                identities: Arc::from([]),
            },
            Some(session) => {
                // The session's former connection ends when the session is taken up again.
                if let Some(old) = process.by_session.insert(session, connection)
                    && let Some(old) = process.connections.remove(&old)
                {
                    self.disconnect_client(&old);
                }
                Input::Resume {
                    client: connection,
                    session,
                    timeout,
                }
            }
        };
        self.drive(id, input);
    }

    fn batch_arrives(&mut self, id: HostId, at: ClientId, requests: Vec<(i32, Record)>) {
        let Some(mut process) = self.hosts[id].process.take() else {
            return;
        };
        process.touch(at);
        let mut writes = Vec::new();
        if let Some(connection) = process.connections.get_mut(&at)
            && let Some(session) = connection.session
        {
            for (cxid, request) in requests {
                if is_write(&request) || matches!(request, Record::Sync(_)) {
                    writes.push(Write {
                        session,
                        cxid,
                        request: request.clone(),
                        identities: Arc::from([]),
                    });
                }
                connection.waiting.push_back((cxid, request));
            }
        }
        self.serve_reads(&mut process, at);
        self.hosts[id].process = Some(process);
        if !writes.is_empty() {
            self.drive(id, Input::Writes(writes));
        }
    }

    /// Answers reads that wait for nothing.
    fn serve_reads(&mut self, process: &mut Process, at: ClientId) {
        loop {
            let Some(connection) = process.connections.get_mut(&at) else {
                return;
            };
            let is_read = connection.waiting.front().is_some_and(|(_, request)| {
                !is_write(request) && !matches!(request, Record::Sync(_))
            });
            if !is_read {
                return;
            }
            let Some((cxid, request)) = connection.waiting.pop_front() else {
                return;
            };
            let who = Caller {
                session: connection.session.unwrap_or_default(),
                identities: &[],
            };
            let mut body = Vec::new();
            let outcome = process.tree.read_into(&request, who, &mut body);
            let _ = read_watch(&request, &outcome);
            let answer = Answer {
                cxid,
                zxid: process.tree.last_zxid(),
                err: outcome.err().map_or(0, ErrorCode::code),
                body,
            };
            self.answer(process, at, answer);
        }
    }

    /// Applies what is committed, and answers those who asked for it.
    pub(crate) fn apply(
        &mut self,
        id: HostId,
        process: &mut Process,
        entries: &[Arc<Entry>],
    ) -> Result<(), SimError> {
        let Some(last) = entries.last().map(|entry| entry.zxid()) else {
            return Ok(());
        };
        for entry in entries {
            // A mutation may have applied it before.
            if entry.zxid() > process.last() {
                self.apply_one(process, entry);
                self.answer_write(process, entry);
            }
        }
        process.since_snapshot += entries.len() as u64;
        self.begin_snapshot(id, process)?;
        let delay = self.rng.u64(..=2);
        let input = Input::Zab(zab::Input::Applied { zxid: last });
        self.feed_after(id, delay, input);
        Ok(())
    }

    pub(crate) fn apply_one(&mut self, process: &mut Process, entry: &Arc<Entry>) {
        if self.mutation != Some(Mutation::ApplyBeforeLog) {
            let verdict = process.bounds.applies(entry.zxid());
            self.judge(verdict);
        }
        let after = process.last();
        process.tree.apply(entry, &mut process.applied);
        let verdict = self.oracle.applied(after, entry, process.tree.digest());
        self.judge(verdict);
        if let Some(mismatch) = process.applied.mismatch() {
            let detail = format!("{mismatch:?} after {entry:?}");
            self.judge(crate::invariants::violated("state", detail));
        }
    }

    fn answer_write(&mut self, process: &mut Process, entry: &Entry) {
        let header = entry.header();
        let session = header.client_id;
        let Some(at) = process.by_session.get(&session).copied() else {
            return;
        };
        if let Txn::CreateSession(_) = entry.txn() {
            self.establish(process, at, entry.zxid());
            return;
        }
        let Some(connection) = process.connections.get_mut(&at) else {
            return;
        };
        let is_mine = connection
            .waiting
            .front()
            .is_some_and(|(cxid, request)| *cxid == header.cxid && is_write(request));
        if is_mine {
            connection.waiting.pop_front();
            let answer = Answer {
                cxid: header.cxid,
                zxid: entry.zxid(),
                err: process.applied.error(),
                body: process.applied.body().to_vec(),
            };
            if answer.err == ErrorCode::SessionMoved.code()
                || answer.err == ErrorCode::SessionExpired.code()
            {
                self.drop_connection(process, at);
                return;
            }
            let verdict = self.oracle.answered(entry.zxid(), session, header.cxid);
            self.judge(verdict);
            self.answer(process, at, answer);
            self.serve_reads(process, at);
        }
        if let Txn::CloseSession(_) = entry.txn() {
            if !is_mine {
                self.tally.expired += 1;
            }
            process.by_session.remove(&session);
            self.drop_connection(process, at);
        }
    }

    pub(crate) fn sync_done(
        &mut self,
        id: HostId,
        process: &mut Process,
        session: SessionId,
        cxid: i32,
    ) {
        let Some(at) = process.by_session.get(&session).copied() else {
            return;
        };
        let Some(connection) = process.connections.get_mut(&at) else {
            return;
        };
        let is_mine = connection
            .waiting
            .front()
            .is_some_and(|(found, request)| *found == cxid && matches!(request, Record::Sync(_)));
        if !is_mine {
            // Of a connection that is gone, or one that a later connection's requests replaced.
            let known = connection.waiting.iter().any(|(found, _)| *found == cxid);
            if known {
                let peer = self.hosts[id].peer;
                let front = connection.waiting.front();
                let detail = format!("{peer} answers sync {cxid} of {session} before {front:?}");
                self.judge(crate::invariants::violated("order", detail));
            }
            return;
        }
        connection.waiting.pop_front();
        let answer = Answer {
            cxid,
            zxid: process.tree.last_zxid(),
            err: 0,
            body: Vec::new(),
        };
        self.answer(process, at, answer);
        self.serve_reads(process, at);
    }

    fn establish(&mut self, process: &mut Process, at: ClientId, zxid: Zxid) {
        let Some(connection) = process.connections.get_mut(&at) else {
            return;
        };
        let (Some(session), false) = (connection.session, connection.is_established) else {
            return;
        };
        connection.is_established = true;
        let event = ClientEvent::Connected { session, zxid };
        self.tell_client(process, at, event);
    }

    pub(crate) fn resumed(
        &mut self,
        _id: HostId,
        process: &mut Process,
        at: ClientId,
        session: SessionId,
        valid: bool,
    ) {
        if process.by_session.get(&session) != Some(&at) {
            return;
        }
        if valid {
            let zxid = process.last();
            self.establish(process, at, zxid);
        } else {
            process.by_session.remove(&session);
            self.tell_client(process, at, ClientEvent::Expired { session });
            self.drop_connection(process, at);
        }
    }

    pub(crate) fn refused(&mut self, _id: HostId, process: &mut Process, session: SessionId) {
        if let Some(at) = process.by_session.remove(&session) {
            self.drop_connection(process, at);
        }
    }

    /// Requests without an answer have an unknown fate: their connections end, the others stay.
    pub(crate) fn leader_lost(&mut self, _id: HostId, process: &mut Process) {
        let unknown: Vec<ClientId> = process
            .connections
            .iter()
            .filter(|(_, connection)| {
                !connection.waiting.is_empty()
                    || (connection.session.is_some() && !connection.is_established)
            })
            .map(|(at, _)| *at)
            .collect();
        for at in unknown {
            self.drop_connection(process, at);
        }
    }

    /// Takes up the sessions of the connections that outlived the last leader.
    pub(crate) fn resume_kept(&mut self, id: HostId, process: &mut Process) {
        let timeout = self.shape.session_timeout;
        let kept: Vec<(ClientId, SessionId)> = process
            .connections
            .iter()
            .filter(|(_, connection)| connection.is_established)
            .filter_map(|(at, connection)| Some((*at, connection.session?)))
            .collect();
        for (client, session) in kept {
            let input = Input::Resume {
                client,
                session,
                timeout,
            };
            self.feed_after(id, 0, input);
        }
    }

    pub(crate) fn drop_session(&mut self, process: &mut Process, session: SessionId) {
        if let Some(at) = process.by_session.get(&session).copied() {
            self.drop_connection(process, at);
        }
    }

    fn drop_connection(&mut self, process: &mut Process, at: ClientId) {
        let Some(connection) = process.connections.remove(&at) else {
            return;
        };
        if let Some(session) = connection.session
            && process.by_session.get(&session) == Some(&at)
        {
            process.by_session.remove(&session);
        }
        self.disconnect_client(&connection);
    }

    fn answer(&mut self, process: &mut Process, at: ClientId, answer: Answer) {
        self.tell_client(process, at, ClientEvent::Answered(Box::new(answer)));
    }

    fn tell_client(&mut self, process: &mut Process, at: ClientId, event: ClientEvent) {
        let delay = between(&mut self.rng, self.shape.delay);
        let now = self.now;
        let Some(connection) = process.connections.get_mut(&at) else {
            return;
        };
        connection.last_arrival = connection.last_arrival.max(now + delay);
        let (client, attempt) = (connection.client, connection.attempt);
        let event = ClientEvent::OnConnection {
            attempt,
            event: Box::new(event),
        };
        self.at(connection.last_arrival, Event::Client { client, event });
    }

    /// The connection ends, after what was sent before.
    pub(crate) fn disconnect_client(&mut self, connection: &Connection) {
        let delay = between(&mut self.rng, self.shape.delay);
        let (client, attempt) = (connection.client, connection.attempt);
        let event = ClientEvent::OnConnection {
            attempt,
            event: Box::new(ClientEvent::Disconnected),
        };
        let at = connection.last_arrival.max(self.now + delay);
        self.at(at, Event::Client { client, event });
    }

    /// Twice a tick a driver says which sessions it has heard from.
    pub(crate) fn touches(&mut self, id: HostId, life: u64) {
        if !self.is_alive(id, life) {
            return;
        }
        self.after(self.shape.tick / 2, Event::Touches { host: id, life });
        if let Some(process) = &mut self.hosts[id].process {
            let touched = std::mem::take(&mut process.touched);
            if !touched.is_empty() {
                self.drive(id, Input::Touched(touched));
            }
        }
    }
}

impl Process {
    pub(crate) fn opening(&mut self, at: ClientId, session: SessionId) {
        if let Some(connection) = self.connections.get_mut(&at) {
            connection.session = Some(session);
            self.by_session.insert(session, at);
        }
    }

    fn touch(&mut self, at: ClientId) {
        if let Some(connection) = self.connections.get(&at)
            && let Some(session) = connection.session
        {
            self.touched.push(session);
        }
    }
}
