//! The sidecar's state: one server's connection, the journal, and the orders in between.
//!
//! Everything here happens under one lock that is never held over an await. The journal is
//! written under it, before anybody hears of what it says.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::MemberId;
use api::sidecar::{
    API_VERSION, Order, OrderRecord, OrderRequest, OrderResponse, ServerState, SidecarStatus, Term,
};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{info, warn};
use wire::control::{self, BootPlan, BootReport, FromServer, MemberStatus, Outcome, ToServer};

use crate::decide::{Decision, Intent, Waiting, decide};
use crate::journal::{Answer, Journal};
use crate::process::Process;

/// How long an order's answer is awaited before `Accepted` is said instead: below the two seconds
/// that the operator waits for a sidecar.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);

/// A server speaks each second. What one said that has been silent for longer says nothing about
/// the present: it may hang.
const SPOKE_WITHIN: Duration = Duration::from_secs(5);

/// Whom the sidecar stands beside.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The member's id.
    pub member: MemberId,
    /// Uid of the `ZooKeeperCluster` that this member belongs to: a volume that was given to
    /// another one is not started without an order.
    pub ensemble: String,
    /// Root of the member's volume.
    pub volume: PathBuf,
}

/// One member's sidecar.
#[derive(Debug)]
pub struct Steward {
    seat: Seat,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    journal: Journal,
    /// The connected server; at most one, the newest.
    server: Option<Server>,
    /// What the last server to connect found on the volume.
    report: Option<BootReport>,
    /// When and how the last connection ended.
    ended: Option<(Timestamp, Option<Process>)>,
    waiting: Option<Waiting>,
    last: Option<OrderRecord>,
    /// Orders that the server works on, by `(term, operation)`.
    running: BTreeMap<(Term, String), OrderRequest>,
    next: u64,
}

#[derive(Debug)]
struct Server {
    connection: u64,
    process: Option<Process>,
    lines: mpsc::Sender<ToServer>,
    told: Told,
    status: Option<(Instant, MemberStatus)>,
    answers: BTreeMap<u64, oneshot::Sender<Outcome>>,
}

/// What a server was told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    /// It was running when it connected.
    Running,
    /// To start, as a member of this ensemble.
    Start(String),
    Park(String),
}

impl Server {
    fn recent_status(&self) -> Option<MemberStatus> {
        let (at, status) = self.status.as_ref()?;
        (at.elapsed() <= SPOKE_WITHIN).then(|| status.clone())
    }
}

impl Told {
    /// It runs, or is about to.
    fn starts(&self) -> bool {
        matches!(self, Self::Running | Self::Start(_))
    }
}

impl Steward {
    /// Opens the journal on the seat's volume.
    ///
    /// # Errors
    /// If the volume cannot be written or its journal is damaged.
    pub fn open(seat: Seat) -> io::Result<Self> {
        let journal = Journal::open(&seat.volume)?;
        let last = journal.record().answers.last().map(record_of);
        let state = State {
            journal,
            server: None,
            report: None,
            ended: None,
            waiting: None,
            last,
            running: BTreeMap::new(),
            next: 1,
        };
        Ok(Self {
            seat,
            state: Mutex::new(state),
        })
    }

    /// A server reports; what it is to do, if that is known, follows on `lines`. Answers a number
    /// that names the connection. An older connection is forgotten.
    pub fn connected(
        &self,
        report: BootReport,
        process: Option<Process>,
        lines: mpsc::Sender<ToServer>,
    ) -> u64 {
        let mut state = self.state.lock();
        let connection = state.number();
        let told = if report.running {
            Told::Running
        } else {
            Told::Nothing
        };
        state.report = Some(report);
        state.server = Some(Server {
            connection,
            process,
            lines,
            told,
            status: None,
            answers: BTreeMap::new(),
        });
        self.reconsider(&mut state);
        connection
    }

    /// The server said something on `connection`.
    pub fn heard(&self, connection: u64, line: FromServer) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(server) = state.server.as_mut().filter(|s| s.connection == connection) else {
            return;
        };
        match line {
            FromServer::Status(status) => {
                let epoch = status.epoch;
                server.status = Some((Instant::now(), status));
                // A server that serves has put the id that it was given onto its volume.
                if let (Told::Start(given), Some(report)) = (&server.told, &mut state.report) {
                    report.cluster_id.get_or_insert_with(|| given.clone());
                }
                if epoch > 0 {
                    state.end_birth();
                    // It has followed a leader, so that is on its volume now, whatever was.
                    if let Some(report) = &mut state.report {
                        report.current_epoch = report.current_epoch.max(epoch);
                        report.accepted_epoch = report.accepted_epoch.max(epoch);
                        report.empty = false;
                    }
                }
            }
            FromServer::Done { id, outcome } => {
                if let Some(waiting) = server.answers.remove(&id) {
                    // Whoever asked may have given up.
                    let _ = waiting.send(outcome);
                }
            }
            FromServer::Report(report) => {
                state.report = Some(report);
                self.reconsider(state);
            }
        }
    }

    /// The connection ended.
    pub fn disconnected(&self, connection: u64) {
        let mut state = self.state.lock();
        if let Some(server) = state.server.take_if(|s| s.connection == connection) {
            state.ended = Some((Timestamp::now(), server.process));
            state.waiting = None;
        }
    }

    /// What this sidecar sees.
    pub fn status(&self) -> SidecarStatus {
        let state = self.state.lock();
        let record = state.journal.record();
        let granted = match &record.intent {
            Intent::Birth { cluster_id, .. } => Some(cluster_id.clone()),
            _ => None,
        };
        SidecarStatus {
            api_version: API_VERSION,
            version: env!("CARGO_PKG_VERSION").into(),
            member: self.seat.member,
            term: record.term,
            server: state.server_state(),
            volume: state.report.clone(),
            status: state.server.as_ref().and_then(Server::recent_status),
            granted,
            last_order: state.last.clone(),
        }
    }

    /// What a server waits for that may not start yet.
    pub fn waiting(&self) -> Option<Waiting> {
        self.state.lock().waiting.clone()
    }

    /// Carries out an order, once.
    pub async fn order(self: &Arc<Self>, request: OrderRequest) -> OrderResponse {
        let answer = match self.begin(&request) {
            Begun::Answered(response) => return response,
            Begun::Forwarded(answer) => answer,
        };
        let steward = Arc::clone(self);
        let finishing = tokio::spawn(async move {
            let response = match answer.await {
                Ok(Outcome::Done(text)) => OrderResponse::Done { text },
                Ok(Outcome::Refused(why)) => OrderResponse::Refused { why },
                Err(_) if matches!(request.order, Order::Stop) => OrderResponse::Done {
                    text: "the server ended".into(),
                },
                Err(_) => OrderResponse::Refused {
                    why: "the server's connection broke before it answered".into(),
                },
            };
            let mut state = steward.state.lock();
            state.running.remove(&key(&request));
            state.answer(request, response)
        });
        match tokio::time::timeout(ANSWER_WITHIN, finishing).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => OrderResponse::Refused {
                why: error.to_string(),
            },
            Err(_) => OrderResponse::Accepted,
        }
    }

    /// Drains the server before its container is told to end, within `seconds`; answers for the
    /// log. This is not an order: it needs no term and leaves no trace.
    pub async fn drain_before_stop(&self, seconds: u64) -> String {
        let Some(answer) = self.state.lock().forward(control::Order::Drain) else {
            return "no server is connected".into();
        };
        match tokio::time::timeout(Duration::from_secs(seconds), answer).await {
            Ok(Ok(Outcome::Done(text))) => format!("drained: {text}"),
            Ok(Ok(Outcome::Refused(why))) => format!("not drained: {why}"),
            Ok(Err(_)) => "the server ended".into(),
            Err(_) => format!("not drained within {seconds} s"),
        }
    }

    fn begin(&self, request: &OrderRequest) -> Begun {
        let mut state = self.state.lock();
        if let Some(response) = state.known(request) {
            return Begun::Answered(response);
        }
        let mut record = state.journal.record().clone();
        record.term = request.term;
        if let Err(error) = state.journal.write(record) {
            return Begun::Answered(OrderResponse::Refused {
                why: unwritable(&error),
            });
        }
        let forwarded = match server_order(&request.order) {
            Ok(order) => state.forward(order),
            Err(intent) => {
                let response = self.intend(&mut state, intent);
                return Begun::Answered(state.answer(request.clone(), response));
            }
        };
        match forwarded {
            Some(answer) => {
                state.running.insert(key(request), request.clone());
                state.last = Some(OrderRecord {
                    term: request.term,
                    operation_id: request.operation_id.clone(),
                    response: OrderResponse::Accepted,
                });
                Begun::Forwarded(answer)
            }
            None => Begun::Answered(OrderResponse::Refused {
                why: "no server is running".into(),
            }),
        }
    }

    /// An order about how to start: into the journal, then to the waiting server.
    fn intend(&self, state: &mut State, (volume_id, intent): (&str, Intent)) -> OrderResponse {
        if let Err(why) = state.may_intend(volume_id, &intent) {
            return OrderResponse::Refused { why };
        }
        let mut record = state.journal.record().clone();
        if !matches!(intent, Intent::Park { .. }) {
            record.ensemble = Some(self.seat.ensemble.clone());
        }
        record.intent = intent;
        if let Err(error) = state.journal.write(record) {
            return OrderResponse::Refused {
                why: unwritable(&error),
            };
        }
        self.reconsider(state);
        match &state.waiting {
            None => OrderResponse::Done {
                text: "told the server".into(),
            },
            Some(waiting) => OrderResponse::Refused {
                why: format!("it still waits: {waiting}"),
            },
        }
    }

    /// Tells a server that waits how to start, if that can be said now.
    fn reconsider(&self, state: &mut State) {
        let record = state.journal.record();
        let ours = record.ensemble.as_deref() == Some(&self.seat.ensemble);
        let (Some(server), Some(report)) = (&mut state.server, &state.report) else {
            return;
        };
        if server.told.starts() {
            state.waiting = None;
            return;
        }
        match decide(self.seat.member, ours, report, &record.intent) {
            Decision::Wait(waiting) => {
                info!(%waiting, "the server waits");
                state.waiting = Some(waiting);
            }
            Decision::Boot(plan) => {
                let told = match &plan {
                    BootPlan::Park { reason } => Told::Park(reason.clone()),
                    BootPlan::Start { cluster_id, .. } | BootPlan::Join { cluster_id, .. } => {
                        Told::Start(cluster_id.clone())
                    }
                };
                if told == server.told {
                    return;
                }
                info!(?plan, "the server is told how to start");
                match server.lines.try_send(ToServer::Boot(plan)) {
                    Ok(()) => server.told = told,
                    Err(error) => warn!(%error, "the server does not listen"),
                }
                state.waiting = None;
            }
        }
    }
}

enum Begun {
    Answered(OrderResponse),
    Forwarded(oneshot::Receiver<Outcome>),
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn server_state(&self) -> ServerState {
        let Some(server) = &self.server else {
            return match &self.ended {
                None => ServerState::NotSeen,
                Some((since, Some(process))) if process.is_gone() => ServerState::Down {
                    since: *since,
                    exit: None,
                },
                Some((since, _)) => ServerState::Lost { since: *since },
            };
        };
        let parked = self.report.as_ref().and_then(|r| r.parked.clone());
        match (&server.told, parked) {
            (Told::Running | Told::Start(_), _) => ServerState::Running,
            (Told::Park(why), _) => ServerState::Parked { why: why.clone() },
            (Told::Nothing, Some(why)) => ServerState::Parked { why },
            (Told::Nothing, None) => ServerState::WaitingForPlan,
        }
    }

    /// The answer to an order that needs no thought: fenced off, given before, or under way.
    fn known(&self, request: &OrderRequest) -> Option<OrderResponse> {
        let record = self.journal.record();
        if request.term < record.term {
            return Some(OrderResponse::RefusedTerm { seen: record.term });
        }
        let other_order = || OrderResponse::Refused {
            why: format!("operation {} was another order", request.operation_id),
        };
        if let Some(running) = self.running.get(&key(request)) {
            let same = running.order == request.order;
            return Some(if same {
                OrderResponse::Accepted
            } else {
                other_order()
            });
        }
        let before = record
            .answers
            .iter()
            .rev()
            .find(|a| key(&a.request) == key(request))?;
        let same = before.request.order == request.order;
        Some(if same {
            before.response.clone()
        } else {
            other_order()
        })
    }

    /// The member has promised something. Should its data ever be gone while this journal is
    /// still there, it must not vote from nothing once more.
    fn end_birth(&mut self) {
        let mut record = self.journal.record().clone();
        let Intent::Birth {
            cluster_id, config, ..
        } = record.intent
        else {
            return;
        };
        record.intent = Intent::Start { cluster_id, config };
        if let Err(error) = self.journal.write(record) {
            warn!(%error, "the end of the birth could not be written to the volume; at the next \
                   status again");
        }
    }

    /// Whether an order about how to start fits the server that waits.
    fn may_intend(&self, volume_id: &str, intent: &Intent) -> Result<(), String> {
        let (Some(server), Some(report)) = (&self.server, &self.report) else {
            return Err("no server has reported".into());
        };
        if report.volume_id != volume_id {
            return Err(format!(
                "the volume here is {}, not {volume_id}",
                report.volume_id
            ));
        }
        if server.told.starts() {
            return Err("the server is already running".into());
        }
        let ordered = crate::decide::ordered_cluster(intent);
        match (&report.cluster_id, ordered) {
            (Some(found), Some(ordered)) if found != ordered => Err(format!(
                "the volume belongs to ensemble {found}, not {ordered}; it is left untouched"
            )),
            _ if matches!(intent, Intent::Birth { .. }) && report.current_epoch > 0 => {
                Err("the volume is not empty".into())
            }
            _ => Ok(()),
        }
    }

    fn forward(&mut self, order: control::Order) -> Option<oneshot::Receiver<Outcome>> {
        let id = self.number();
        let server = self.server.as_mut().filter(|s| s.told.starts())?;
        let (send, receive) = oneshot::channel();
        server.lines.try_send(ToServer::Order { id, order }).ok()?;
        server.answers.insert(id, send);
        Some(receive)
    }

    /// Keeps what was carried out. A refusal did nothing, so it is judged anew when repeated.
    fn answer(&mut self, request: OrderRequest, response: OrderResponse) -> OrderResponse {
        let answer = Answer {
            request,
            response: response.clone(),
        };
        self.last = Some(record_of(&answer));
        if !matches!(response, OrderResponse::Done { .. }) {
            return response;
        }
        let mut record = self.journal.record().clone();
        record.answers.push(answer);
        if let Err(error) = self.journal.write(record) {
            // It was carried out all the same; repeated, its conditions will not hold.
            warn!(%error, "the answer to an order could not be written to the volume");
        }
        response
    }
}

/// What is for the server itself, or what changes how it starts.
fn server_order(order: &Order) -> Result<control::Order, (&str, Intent)> {
    let intent = match order {
        Order::Stop => return Ok(control::Order::Stop),
        Order::Drain { .. } => return Ok(control::Order::Drain),
        Order::Undrain => return Ok(control::Order::Undrain),
        Order::Snapshot => return Ok(control::Order::Snapshot),
        Order::Yield { to } => {
            return Ok(control::Order::Yield {
                to: to.map(Into::into),
            });
        }
        Order::Reconfig {
            expected_version,
            joining,
            leaving,
        } => {
            return Ok(control::Order::Reconfig {
                expected_version: expected_version.clone(),
                joining: joining.clone(),
                leaving: leaving.iter().map(|id| (*id).into()).collect(),
            });
        }
        Order::Grant {
            cluster_id,
            volume_id,
            config,
        } => {
            let birth = Intent::Birth {
                cluster_id: cluster_id.clone(),
                config: config.clone(),
                volume_id: volume_id.clone(),
            };
            (volume_id.as_str(), birth)
        }
        Order::Start {
            cluster_id,
            volume_id,
            config,
        } => {
            let (cluster_id, config) = (cluster_id.clone(), config.clone());
            (volume_id.as_str(), Intent::Start { cluster_id, config })
        }
        Order::Join {
            cluster_id,
            volume_id,
            config,
        } => {
            let (cluster_id, config) = (cluster_id.clone(), config.clone());
            (volume_id.as_str(), Intent::Join { cluster_id, config })
        }
        Order::Park { volume_id, reason } => (
            volume_id.as_str(),
            Intent::Park {
                reason: reason.clone(),
            },
        ),
    };
    Err(intent)
}

fn key(request: &OrderRequest) -> (Term, String) {
    (request.term, request.operation_id.clone())
}

fn record_of(answer: &Answer) -> OrderRecord {
    OrderRecord {
        term: answer.request.term,
        operation_id: answer.request.operation_id.clone(),
        response: answer.response.clone(),
    }
}

fn unwritable(error: &io::Error) -> String {
    format!("the volume cannot be written: {error}")
}

#[cfg(test)]
mod tests;
