//! What only a leader knows.

use std::collections::VecDeque;
use std::sync::Arc;

use tree::{Pending, PrepareContext, Standing, Tree};
use wire::client::{BarePath, ErrorCode, Request, Write};
use wire::config::EnsembleConfig;
use wire::quorum::ForwardHeader;
use wire::txn::Entry;
use wire::{PeerId, SessionId, Zxid};
use zab::{Instant, LinkId};

use crate::held::{Ask, Origin};
use crate::locals::Locals;
use crate::reap::Reaper;
use crate::sessions::Sessions;
use crate::{Deadlines, Now, Settings, reconfig};

/// Made once a leader's initial history is applied, dropped whole when it stops leading.
///
/// `outstanding` holds exactly the proposals that are not applied yet, in order, so its end and
/// `proposed` are the same zxid unless it is empty. What is in `batch` has a zxid and goes to zab
/// before the input that caused it is done with.
#[derive(Debug)]
pub(crate) struct Leading {
    this: PeerId,
    may_reconfig: bool,
    is_alone: bool,
    pending: Pending,
    sessions: Sessions,
    syncs: VecDeque<Barrier>,
    learner_syncs: Vec<(LinkId, Zxid)>,
    proposed: Zxid,
    /// The zxid of the next entry, unless the epoch's counter is used up.
    next: Option<Zxid>,
    batch: Vec<Arc<Entry>>,
    outstanding: VecDeque<Arc<Entry>>,
    outstanding_bytes: usize,
    /// Nobody is expired before a quorum has answered a PING sent after this.
    proof: Option<Instant>,
    reaper: Reaper,
}

/// What a leader looks at, of what is not its own.
pub(crate) struct View<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) config: &'a EnsembleConfig,
    pub(crate) locals: &'a Locals,
}

/// A `sync` of a client here that is done when everything up to `zxid` is applied. Proving that
/// this member still leads before it answers would be one more condition here.
#[derive(Debug)]
struct Barrier {
    zxid: Zxid,
    session: SessionId,
    cxid: i32,
}

/// Bytes that may be proposed and not applied; more waits. Enough for some hundred of the largest
/// requests, and for a second of small ones at the fastest rate seen.
const OUTSTANDING_LIMIT: usize = 64 << 20;

/// How many sessions or znodes are ended for one input: a storm of them is spread over many, so
/// that requests come in between.
pub(crate) const ENDED_AT_ONCE: usize = 1000;

impl Leading {
    /// `tree` has applied everything up to `last`; `next` is zab's first zxid.
    pub(crate) fn new(now: Now, settings: &Settings, tree: &Tree, last: Zxid) -> Self {
        let mut sessions = Sessions::new(settings.zab.tick);
        for (id, timeout) in tree.sessions() {
            sessions.open(now.monotonic, id, timeout, None);
        }
        Self {
            this: settings.zab.id,
            may_reconfig: settings.zab.reconfig,
            is_alone: settings.zab.standalone,
            pending: Pending::new(settings.zab.seed),
            sessions,
            syncs: VecDeque::new(),
            learner_syncs: Vec::new(),
            proposed: last,
            next: None,
            batch: Vec::new(),
            outstanding: VecDeque::new(),
            outstanding_bytes: 0,
            proof: None,
            reaper: Reaper::new(now.monotonic, settings.reap),
        }
    }

    /// Whether more may be proposed: zab has a zxid, and not too much waits already.
    pub(crate) const fn has_room(&self) -> bool {
        self.next.is_some() && self.outstanding_bytes < OUTSTANDING_LIMIT
    }

    /// What zab would give the next proposal. Only called while nothing is in the batch.
    pub(crate) fn set_next(&mut self, next: Option<Zxid>) {
        debug_assert!(self.batch.is_empty());
        self.next = next;
    }

    /// The entries made since the last time, to be proposed at once.
    pub(crate) fn take_batch(&mut self) -> Vec<Arc<Entry>> {
        std::mem::take(&mut self.batch)
    }

    /// Answers a request with a transaction, or notes a `sync`. There must be room.
    pub(crate) fn ask(&mut self, now: Now, view: &View<'_>, origin: Origin, ask: Ask) {
        match ask {
            Ask::Refused(header, code) => self.fail(now, header, code),
            Ask::Write(write) if matches!(write.request, Request::Sync(_)) => {
                self.sync(origin, &write);
            }
            Ask::Write(write) => match self.admit(now, view, origin, &write) {
                Ok(standing) => self.prepare(now, view.tree, standing, &write),
                Err(code) => {
                    let header = ForwardHeader {
                        session: write.session,
                        cxid: write.cxid,
                        op: write.request.op().code(),
                    };
                    self.fail(now, header, code);
                }
            },
        }
    }

    /// How a request's session stands. Opens and closes sessions on the way.
    fn admit(
        &mut self,
        now: Now,
        view: &View<'_>,
        origin: Origin,
        write: &Write,
    ) -> Result<Standing, ErrorCode> {
        let owner = origin.owner(self.this);
        match &write.request {
            Request::CreateSession(r) => {
                self.sessions
                    .open(now.monotonic, write.session, r.timeout, Some(owner));
                Ok(Standing::Global)
            }
            // As Apache, without a look at the owner: it is the last request of its session.
            Request::CloseSession(()) => {
                if self.sessions.close(write.session) {
                    Ok(Standing::Global)
                } else {
                    Err(ErrorCode::SessionExpired)
                }
            }
            Request::Reconfig(_) if !self.may_reconfig => Err(ErrorCode::ReconfigDisabled),
            Request::Reconfig(request) => {
                match self.standing(view, origin, write.session) {
                    Standing::Global | Standing::Local | Standing::LocalElsewhere => {}
                    Standing::Expired => return Err(ErrorCode::SessionExpired),
                    Standing::Moved => return Err(ErrorCode::SessionMoved),
                }
                if self.is_alone {
                    return Err(ErrorCode::Unimplemented);
                }
                reconfig::wanted(view.tree, view.config, write, request)?;
                // No member of the new configuration is proved to follow yet.
                Err(ErrorCode::NewConfigNoQuorum)
            }
            _ => Ok(self.standing(view, origin, write.session)),
        }
    }

    /// A session that the ensemble does not know may be of one member only: of a learner it is
    /// believed, unless it was given out here.
    fn standing(&mut self, view: &View<'_>, origin: Origin, session: SessionId) -> Standing {
        match self.sessions.check(session, origin.owner(self.this)) {
            Ok(()) => return Standing::Global,
            Err(ErrorCode::SessionMoved) => return Standing::Moved,
            Err(_) => {}
        }
        match origin {
            Origin::Here if view.locals.has(session) => Standing::Local,
            Origin::Learner { .. }
                if view.locals.are_enabled() && session.issuer() != self.this =>
            {
                Standing::LocalElsewhere
            }
            _ => Standing::Expired,
        }
    }

    fn sync(&mut self, origin: Origin, write: &Write) {
        let zxid = self.proposed;
        match origin {
            Origin::Here => self.syncs.push_back(Barrier {
                zxid,
                session: write.session,
                cxid: write.cxid,
            }),
            Origin::Learner { link, .. } => self.learner_syncs.push((link, zxid)),
        }
    }

    /// What has to be applied before the next `sync` of a client here is done.
    pub(crate) fn next_sync(&self) -> Option<Zxid> {
        self.syncs.front().map(|barrier| barrier.zxid)
    }

    /// The next `sync` that is done when everything up to `applied` is applied.
    pub(crate) fn sync_done(&mut self, applied: Zxid) -> Option<(SessionId, i32)> {
        if self.next_sync()? > applied {
            return None;
        }
        let barrier = self.syncs.pop_front()?;
        Some((barrier.session, barrier.cxid))
    }

    /// Learners whose oldest `sync` is done when this zxid is committed, in order.
    pub(crate) fn take_learner_syncs(&mut self) -> Vec<(LinkId, Zxid)> {
        std::mem::take(&mut self.learner_syncs)
    }

    fn prepare(&mut self, now: Now, tree: &Tree, session: Standing, write: &Write) {
        if let Some(zxid) = self.next {
            let time = now.wall;
            let context = PrepareContext {
                zxid,
                time,
                session,
            };
            let entry = tree::prepare(tree, &mut self.pending, &context, write);
            self.add(entry);
        }
    }

    fn fail(&mut self, now: Now, header: ForwardHeader, code: ErrorCode) {
        if let Some(zxid) = self.next {
            let context = PrepareContext {
                zxid,
                time: now.wall,
                session: Standing::Global,
            };
            let entry = tree::prepare_error(&context, header.session, header.cxid, code);
            self.add(entry);
        }
    }

    fn add(&mut self, entry: Entry) {
        let entry = Arc::new(entry);
        self.proposed = entry.zxid();
        self.next = entry.zxid().next();
        self.outstanding_bytes += entry.bytes().len();
        self.outstanding.push_back(Arc::clone(&entry));
        self.batch.push(entry);
    }

    /// The tree has applied everything up to here.
    pub(crate) fn applied(&mut self, zxid: Zxid) {
        while let Some(entry) = self.outstanding.pop_front() {
            if entry.zxid() > zxid {
                self.outstanding.push_front(entry);
                break;
            }
            self.outstanding_bytes -= entry.bytes().len();
            self.pending.committed(&entry);
        }
    }

    pub(crate) fn sessions(&mut self) -> &mut Sessions {
        &mut self.sessions
    }

    /// This member did not run for a while.
    pub(crate) fn distrust(&mut self, now: Instant) {
        self.proof = Some(now);
    }

    /// What has to be proved before anyone is expired.
    pub(crate) const fn proof_needed(&self) -> Option<Instant> {
        self.proof
    }

    /// A quorum has answered since.
    pub(crate) fn trust(&mut self) {
        self.proof = None;
    }

    /// Proposes the end of what is over: sessions, containers, znodes with a time to live.
    pub(crate) fn end_what_is_over(&mut self, now: Now, view: &View<'_>) {
        if self.proof.is_some() {
            return;
        }
        for session in self.sessions.expired(now.monotonic, ENDED_AT_ONCE) {
            if !self.has_room() {
                return;
            }
            let write = own_write(session, Request::CloseSession(()));
            self.ask(now, view, Origin::Here, Ask::Write(write));
        }
        for path in self.reaper.due(now, view.tree, ENDED_AT_ONCE) {
            if !self.has_room() {
                return;
            }
            let request = Request::DeleteContainer(BarePath { path });
            let write = own_write(SessionId(0), request);
            self.prepare(now, view.tree, Standing::Global, &write);
        }
    }

    /// When [`Leading::end_what_is_over`] is next worth calling.
    pub(crate) fn session_deadlines(&self) -> Deadlines {
        self.sessions.by_deadline().collect()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.proof.is_some() || !self.has_room() {
            return None;
        }
        let sessions = self.sessions.next_deadline();
        let reaper = Some(self.reaper.deadline());
        sessions.into_iter().chain(reaper).min()
    }

    pub(crate) fn counts(&self) -> (usize, usize, usize, usize) {
        (
            self.sessions.len(),
            self.syncs.len(),
            self.outstanding.len(),
            self.outstanding_bytes,
        )
    }
}

/// What the leader asks of itself has no client, number or identity.
fn own_write(session: SessionId, request: Request) -> Write {
    Write {
        session,
        cxid: 0,
        request,
        identities: Arc::from([]),
    }
}
