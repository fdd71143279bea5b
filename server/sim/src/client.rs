//! Clients: what they ask for, and what they check of the answers.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use member::ClientId;
use wire::client::{
    BarePath, CheckVersionRequest, CreateMode, CreateRequest, DeleteRequest, GetDataResponse,
    MultiRequest, PathRequest, Request as Record, SetDataRequest,
};
use wire::{Acl, Record as _, SessionId, Zxid};

use crate::invariants::{ClientOrder, violated};
use crate::network::HostId;
use crate::serving::{Request, is_write};
use crate::shape::{between, choose};
use crate::world::{Event, World};

/// An answer as a client gets it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) cxid: i32,
    pub(crate) zxid: Zxid,
    pub(crate) err: i32,
    pub(crate) body: Vec<u8>,
}

/// What may happen to a client.
#[derive(Debug)]
pub(crate) enum ClientEvent {
    /// It tries to connect.
    Connect { attempt: u64 },
    /// It gives up waiting for its connection.
    GiveUp { attempt: u64 },
    /// It sends what it has.
    Send { attempt: u64 },
    /// It shows that it is alive.
    Ping { attempt: u64 },
    /// Something comes by the connection of this attempt.
    OnConnection { attempt: u64, event: Box<Self> },
    /// Its session is on.
    Connected { session: SessionId, zxid: Zxid },
    /// Its session is no more.
    Expired { session: SessionId },
    /// An answer.
    Answered(Box<Answer>),
    /// The connection is gone.
    Disconnected,
}

/// One client.
pub(crate) struct Client {
    id: usize,
    session: Option<SessionId>,
    /// Grows with each connection tried.
    attempt: u64,
    connection: Option<(HostId, u64, ClientId)>,
    is_connected: bool,
    order: ClientOrder,
    cxid: i32,
    in_flight: VecDeque<(i32, Record)>,
    /// When the last request arrives at the member.
    last_arrival: u64,
    /// Zxids of the last acknowledged change of paths that only this client changes.
    own: BTreeMap<String, Zxid>,
    pub(crate) answered: usize,
    last_sent: u64,
}

/// Paths that all clients change.
const SHARED: [&str; 6] = ["/a", "/b", "/c", "/a/x", "/a/y", "/b/z"];

impl Client {
    pub(crate) fn new(id: usize) -> Self {
        Self {
            id,
            session: None,
            attempt: 0,
            connection: None,
            is_connected: false,
            order: ClientOrder::default(),
            cxid: 0,
            in_flight: VecDeque::new(),
            last_arrival: 0,
            own: BTreeMap::new(),
            answered: 0,
            last_sent: 0,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    fn own_path(&self, n: usize) -> String {
        format!("/own-{}-{n}", self.id)
    }
}

impl World {
    pub(crate) fn client_event(&mut self, id: usize, event: ClientEvent) {
        let current = self.clients[id].attempt;
        match event {
            ClientEvent::Connect { attempt } if attempt == current => self.client_connects(id),
            ClientEvent::GiveUp { attempt }
                if attempt == current && !self.clients[id].is_connected =>
            {
                self.client_disconnected(id);
            }
            ClientEvent::Send { attempt } if attempt == current => self.client_sends(id),
            ClientEvent::Ping { attempt } if attempt == current => self.client_pings(id),
            ClientEvent::OnConnection { attempt, event } if attempt == current => {
                self.client_hears(id, *event);
            }
            _ => {}
        }
    }

    fn client_connects(&mut self, id: usize) {
        let host = self.rng.usize(..self.hosts.len());
        let timeout = self.shape.session_timeout;
        let (Some(process), client) = (&mut self.hosts[host].process, &mut self.clients[id]) else {
            self.client_disconnected(id);
            return;
        };
        process.next_client += 1;
        let connection = ClientId(process.next_client);
        let life = self.hosts[host].life;
        client.connection = Some((host, life, connection));
        client.last_arrival = 0;
        let attempt = client.attempt;
        let request = Request::Connect {
            client: id,
            attempt,
            session: client.session,
            seen: client.order.seen,
            timeout,
        };
        self.client_request(id, request);
        let patience = 1_000 + self.rng.u64(..500);
        let event = ClientEvent::GiveUp { attempt };
        self.after(patience, Event::Client { client: id, event });
    }

    fn client_request(&mut self, id: usize, request: Request) {
        let delay = between(&mut self.rng, self.shape.delay);
        let now = self.now;
        let client = &mut self.clients[id];
        let Some((host, life, connection)) = client.connection else {
            return;
        };
        client.last_arrival = client.last_arrival.max(now + delay);
        client.last_sent = now;
        let at = client.last_arrival;
        self.at(
            at,
            Event::Request {
                host,
                life,
                connection,
                request: Box::new(request),
            },
        );
    }

    pub(crate) fn client_disconnected(&mut self, id: usize) {
        let client = &mut self.clients[id];
        client.attempt += 1;
        client.connection = None;
        client.is_connected = false;
        client.in_flight.clear();
        let attempt = client.attempt;
        let delay = self.rng.u64(5..200);
        let event = ClientEvent::Connect { attempt };
        self.after(delay, Event::Client { client: id, event });
    }

    fn client_hears(&mut self, id: usize, event: ClientEvent) {
        let client = &mut self.clients[id];
        match event {
            ClientEvent::Connected { session, zxid } => {
                if client.session != Some(session) {
                    client.session = Some(session);
                    client.order = ClientOrder::new(session, client.order.seen);
                }
                client.order.seen = client.order.seen.max(zxid);
                client.is_connected = true;
                let attempt = client.attempt;
                for event in [ClientEvent::Send { attempt }, ClientEvent::Ping { attempt }] {
                    self.after(0, Event::Client { client: id, event });
                }
            }
            ClientEvent::Expired { session } if client.session == Some(session) => {
                client.session = None;
            }
            ClientEvent::Answered(answer) => self.client_answered(id, &answer),
            ClientEvent::Disconnected => self.client_disconnected(id),
            _ => {}
        }
    }

    fn client_pings(&mut self, id: usize) {
        let pause = (self.shape.session_timeout / 3) as u64;
        let client = &self.clients[id];
        let attempt = client.attempt;
        if !client.is_connected {
            return;
        }
        if self.now - client.last_sent >= pause {
            self.client_request(id, Request::Ping);
        }
        let event = ClientEvent::Ping { attempt };
        self.after(pause, Event::Client { client: id, event });
    }

    /// Fills up what the client has in flight.
    fn client_sends(&mut self, id: usize) {
        if !self.clients[id].is_connected || self.is_quiet {
            return;
        }
        let room =
            self.shape.in_flight - self.clients[id].in_flight.len().min(self.shape.in_flight);
        let mut batch = Vec::new();
        for _ in 0..room {
            let request = self.next_request(id);
            let client = &mut self.clients[id];
            client.cxid += 1;
            batch.push((client.cxid, request.clone()));
            client.in_flight.push_back((client.cxid, request));
        }
        if !batch.is_empty() {
            self.client_request(id, Request::Batch(batch));
        }
    }

    fn next_request(&mut self, id: usize) -> Record {
        let n = self.rng.usize(..4);
        let own = self.clients[id].own_path(n);
        let shared = (*choose(&mut self.rng, &SHARED)).to_owned();
        let data = Some(Bytes::from(vec![b'x'; self.rng.usize(..200)]));
        let create = |path, flags: CreateMode, data| {
            Record::Create(CreateRequest {
                path,
                data,
                acl: Acl::open(),
                flags: flags.code(),
            })
        };
        let set = |path, data| {
            Record::SetData(SetDataRequest {
                path,
                data,
                version: -1,
            })
        };
        match self.rng.u8(..100) {
            0..30 => set(own, data),
            30..40 => create(own, CreateMode::Persistent, data),
            40..48 => create(shared, CreateMode::Persistent, data),
            48..54 => create(shared + "-", CreateMode::PersistentSequential, data),
            54..58 => create(format!("/e-{id}-{n}"), CreateMode::Ephemeral, data),
            58..68 => Record::Delete(DeleteRequest {
                path: shared,
                version: -1,
            }),
            68..76 => Record::Multi(MultiRequest {
                ops: vec![
                    Record::Check(CheckVersionRequest {
                        path: shared.clone(),
                        version: -1,
                    }),
                    set(shared.clone(), data.clone()),
                    create(shared + "/m-", CreateMode::PersistentSequential, data),
                ],
            }),
            76..80 => Record::Sync(BarePath { path: own }),
            80..81 if self.is_stormy => Record::CloseSession(()),
            _ => Record::GetData(PathRequest {
                path: own,
                watch: false,
            }),
        }
    }

    fn client_answered(&mut self, id: usize, answer: &Answer) {
        self.tally.answers += 1;
        let client = &mut self.clients[id];
        let front = client.in_flight.pop_front();
        let expected = front.as_ref().map(|(cxid, _)| *cxid);
        let wrote = front.as_ref().is_some_and(|(_, request)| is_write(request));
        let verdict = client
            .order
            .answered(expected, answer.cxid, answer.zxid, wrote);
        client.answered += 1;
        let attempt = client.attempt;
        self.judge(verdict);
        if let Some((_, request)) = front {
            self.client_checks(id, &request, answer);
            if matches!(request, Record::CloseSession(())) {
                self.clients[id].session = None;
            }
        }
        let pause = self.rng.u64(..10);
        let event = ClientEvent::Send { attempt };
        self.after(pause, Event::Client { client: id, event });
    }

    /// What only this client changes is never older than its last acknowledged change.
    fn client_checks(&mut self, id: usize, request: &Record, answer: &Answer) {
        let client = &mut self.clients[id];
        if answer.err != 0 {
            return;
        }
        match request {
            Record::SetData(r) => {
                client.own.insert(r.path.clone(), answer.zxid);
            }
            Record::Create(r) if r.path.starts_with("/own") => {
                client.own.insert(r.path.clone(), answer.zxid);
            }
            Record::GetData(r) => {
                let body = Bytes::copy_from_slice(&answer.body);
                let shown = GetDataResponse::from_bytes(&body).map(|read| read.stat.mzxid);
                let wrote = client.own.get(&r.path).copied().unwrap_or_default();
                if shown.is_ok_and(|mzxid| mzxid >= wrote) {
                    return;
                }
                let detail = format!(
                    "client {id} wrote {} at {wrote} and reads {shown:?}",
                    r.path
                );
                self.judge(violated("order", detail));
            }
            _ => {}
        }
    }
}
