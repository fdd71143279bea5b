//! [`Member`]: zab and what a leader or a learner adds to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tree::Tree;
use wire::client::{CreateSessionRequest, Request, Write};
use wire::config::EnsembleConfig;
use wire::quorum::{Packet, Revalidated, SessionTimeout, packet};
use wire::txn::{Entry, kind};
use wire::{PeerId, Record, SessionId, Zxid};
use zab::{Instant, LinkId, Zab};

use crate::forward::{self, Forwarded};
use crate::held::{Ask, Held, Origin};
use crate::leading::{ENDED_AT_ONCE, Leading, View};
use crate::learning::Learning;
use crate::locals::Locals;
use crate::sessions::SessionIds;
use crate::{ClientId, Effect, Input, Now, Role, SessionDeadlines, Settings, Status};

/// One ensemble member. Does no IO, reads no clock and owns no tree.
///
/// After each [`Member::handle`] carry out what [`Member::poll_effect`] yields until it yields
/// nothing. When [`Member::deadline`] has come, call `handle` with [`zab::Input::Tick`].
#[derive(Debug)]
pub struct Member {
    zab: Zab,
    settings: Settings,
    ids: SessionIds,
    part: Part,
    /// The tree has applied everything up to here, as far as the driver has said.
    applied: Zxid,
    /// Everything up to here has been handed out to be applied.
    delivered: Zxid,
    /// Requests that wait for a leader, or for room.
    held: Held,
    /// Clients that want to go on with a session, while there is no leader to ask.
    resuming: BTreeMap<ClientId, (SessionId, i32)>,
    /// Learners' questions about sessions, while this member does not know the answers yet.
    revalidating: Vec<(LinkId, PeerId, Packet)>,
    /// Sessions of which a request was refused: later ones must not overtake it. They are taken
    /// again after the client has connected anew.
    refused: BTreeSet<SessionId>,
    locals: Locals,
    /// No leader was found for long.
    is_read_only: bool,
    /// Timeouts of the ensemble's sessions that were opened or resumed here, as negotiated here.
    timeouts: BTreeMap<SessionId, i32>,
    effects: VecDeque<Effect>,
    /// The tree was seen to hold the configuration since it was read back.
    is_config_kept: bool,
    last_handled: Instant,
}

/// What the member does about requests.
#[derive(Debug)]
enum Part {
    /// Keeps them: there is no leader, or this member will lead once it has applied its history.
    Waiting {
        /// The history's end.
        leads_after: Option<Zxid>,
    },
    /// Forwards them.
    Learning(Learning),
    /// Answers them.
    Leading(Box<Leading>),
}

/// Bytes of requests that wait for a leader or for room; more are refused. Twice what a leader
/// lets be outstanding, so that a short election costs no client its connection.
pub(crate) const HELD_LIMIT: usize = 128 << 20;

/// Clients that wait to resume; beyond that the oldest have long given up.
const RESUMING_LIMIT: usize = 100_000;

/// Ticks after which a member that did not run distrusts what it knows.
const GAP_TICKS: u64 = 2;

impl Member {
    /// A member that starts; its first effects wait for [`Member::poll_effect`].
    #[must_use]
    pub fn new(now: Now, settings: Settings, boot: zab::Boot) -> Self {
        let applied = boot.last;
        let zab = Zab::new(now.monotonic, settings.zab.clone(), boot);
        let locals = Locals::new(settings.local_sessions, settings.zab.tick);
        let mut member = Self {
            zab,
            ids: SessionIds::new(settings.zab.id, now.wall),
            settings,
            part: Part::Waiting { leads_after: None },
            applied,
            delivered: applied,
            held: Held::new(HELD_LIMIT),
            resuming: BTreeMap::new(),
            revalidating: Vec::new(),
            refused: BTreeSet::new(),
            locals,
            is_read_only: false,
            timeouts: BTreeMap::new(),
            effects: VecDeque::new(),
            is_config_kept: false,
            last_handled: now.monotonic,
        };
        // Nothing has been applied or asked yet, so no tree is needed to pass these on.
        while let Some(effect) = member.zab.poll_effect() {
            member.pass_on(effect);
        }
        member
    }

    /// Takes in what has happened. `now.monotonic` never goes back. `tree` has applied at least
    /// what the driver has reported as applied.
    pub fn handle(&mut self, now: Now, tree: &Tree, input: Input) {
        self.notice_gap(now.monotonic);
        match input {
            Input::Zab(input) => self.handle_zab(now, tree, input),
            Input::Open {
                client,
                timeout,
                identities,
            } => self.open(now, tree, client, timeout, identities),
            Input::Resume {
                client,
                session,
                timeout,
            } => self.resume(now, client, session, timeout),
            Input::Gone(client) => {
                self.resuming.remove(&client);
                if let Part::Learning(learning) = &mut self.part {
                    learning.forget(client);
                }
            }
            Input::Writes(writes) => {
                for write in writes {
                    self.ask(now, tree, Origin::Here, Ask::Write(write));
                }
            }
            Input::Touched(sessions) => self.touched(now.monotonic, tree, sessions),
            Input::ServeReadOnly => self.is_read_only = true,
            Input::Yield(_) => {
                if matches!(self.zab.role(), Role::Leading { .. }) {
                    self.zab.resign(now.monotonic, "asked to hand over");
                }
            }
        }
        self.keep_config(tree);
        self.end_locals(now.monotonic);
        self.settle(now, tree);
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`zab::Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let own = match &self.part {
            Part::Leading(leading) => leading.deadline(),
            Part::Waiting { .. } | Part::Learning(_) => None,
        };
        let deadlines = own.into_iter().chain(self.locals.deadline());
        deadlines.fold(self.zab.deadline(), Instant::min)
    }

    /// What there is to show.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = Status {
            zab: self.zab.status(),
            role: self.zab.role(),
            applied: self.applied,
            committed: self.zab.committed(),
            synced: self.zab.synced(),
            last_logged: self.zab.last_logged(),
            sessions: None,
            local_sessions: self.locals.len(),
            pending_syncs: 0,
            uncommitted: 0,
            uncommitted_bytes: 0,
            held_bytes: self.held.bytes(),
        };
        match &self.part {
            Part::Waiting { .. } => {}
            Part::Learning(learning) => status.pending_syncs = learning.pending_syncs(),
            Part::Leading(leading) => {
                let counts = leading.counts();
                status.sessions = Some(counts.0);
                status.pending_syncs = counts.1;
                status.uncommitted = counts.2;
                status.uncommitted_bytes = counts.3;
            }
        }
        status
    }

    /// When sessions end.
    #[must_use]
    pub fn session_deadlines(&self) -> SessionDeadlines {
        SessionDeadlines {
            global: match &self.part {
                Part::Leading(leading) => Some(leading.session_deadlines()),
                Part::Waiting { .. } | Part::Learning(_) => None,
            },
            local: self.locals.are_enabled().then(|| self.locals.by_deadline()),
        }
    }

    /// Leader only: the members that are synced, this one included, in the order of their ids.
    #[must_use]
    pub fn synced_members(&self) -> Vec<PeerId> {
        self.zab.synced_members()
    }

    /// The configuration in force here.
    #[must_use]
    pub fn config(&self) -> &EnsembleConfig {
        self.zab.config()
    }

    fn notice_gap(&mut self, now: Instant) {
        let gap = now.0.saturating_sub(self.last_handled.0);
        if gap > GAP_TICKS * self.settings.zab.tick {
            self.locals.renew(now);
            if let Part::Leading(leading) = &mut self.part {
                leading.distrust(now);
            }
        }
        self.last_handled = now;
    }

    fn handle_zab(&mut self, now: Now, tree: &Tree, input: zab::Input) {
        match &input {
            zab::Input::Applied { zxid } => {
                self.applied = self.applied.max(*zxid);
                if let Part::Leading(leading) = &mut self.part {
                    leading.applied(self.applied);
                }
            }
            // What was cut may have been logged only.
            zab::Input::Truncated { last } => {
                self.applied = self.applied.min(*last);
                self.delivered = self.delivered.min(*last);
                self.reloaded(tree);
            }
            zab::Input::SnapshotInstalled { zxid, .. } => {
                self.applied = *zxid;
                self.delivered = *zxid;
                self.reloaded(tree);
            }
            _ => {}
        }
        self.zab.handle(now.monotonic, input);
    }

    /// The tree is another one now.
    fn reloaded(&mut self, tree: &Tree) {
        self.timeouts
            .retain(|session, _| tree.session(*session).is_some());
        self.is_config_kept = false;
    }

    /// A tree that was read back may be older than the configuration in force, which is in no
    /// transaction when the first leader of an ensemble made it.
    fn keep_config(&mut self, tree: &Tree) {
        if std::mem::replace(&mut self.is_config_kept, true) {
            return;
        }
        let text = String::from_utf8_lossy(tree.config());
        let kept = text.parse().map_or(0, |kept: EnsembleConfig| kept.version);
        let config = self.zab.config();
        if kept < config.version {
            let config = config.clone();
            self.effects.push_back(Effect::ConfigCommitted(config));
        }
    }

    /// Carries on until nothing more follows from what was put in.
    fn settle(&mut self, now: Now, tree: &Tree) {
        loop {
            while let Some(effect) = self.zab.poll_effect() {
                self.take_zab_effect(now, tree, effect);
            }
            self.begin_leading(now, tree);
            self.finish_syncs();
            self.lead(now, tree);
            if !self.propose(now.monotonic) {
                break;
            }
        }
        while let Some(effect) = self.zab.poll_effect() {
            self.take_zab_effect(now, tree, effect);
        }
    }

    fn take_zab_effect(&mut self, now: Now, tree: &Tree, effect: zab::Effect) {
        match effect {
            zab::Effect::Role(role) => self.change_part(role),
            zab::Effect::FromLearner { link, peer, packet } => {
                self.hear_learner(now, tree, link, peer, packet);
            }
            zab::Effect::FromLeader { packet, committed } => self.hear_leader(packet, committed),
            other => self.pass_on(other),
        }
    }

    /// Turns an effect into the driver's. Needs no tree and no time.
    fn pass_on(&mut self, effect: zab::Effect) {
        match effect {
            zab::Effect::Deliver(entries) => self.deliver(entries),
            zab::Effect::Role(role) => self.change_part(role),
            zab::Effect::ConfigCommitted(config) => {
                self.effects.push_back(Effect::ConfigCommitted(config));
            }
            zab::Effect::FromLearner { .. } | zab::Effect::FromLeader { .. } => {}
            other => self.effects.push_back(Effect::Zab(other)),
        }
    }

    fn forget_closed(&mut self, entries: &[Arc<Entry>]) {
        for entry in entries {
            let header = entry.header();
            if header.kind == kind::CLOSE_SESSION {
                self.timeouts.remove(&header.client_id);
            }
        }
    }

    fn change_part(&mut self, role: Role) {
        self.is_read_only = false;
        let next = match role {
            Role::Looking => Part::Waiting { leads_after: None },
            Role::Following { .. } | Role::Observing { .. } => Part::Learning(Learning::default()),
            Role::Leading { last, .. } => Part::Waiting {
                leads_after: Some(last),
            },
        };
        if let Part::Learning(before) = std::mem::replace(&mut self.part, next) {
            let unanswered = before.unanswered().into_iter();
            self.resuming
                .extend(unanswered.map(|(client, session, timeout)| (client, (session, timeout))));
        }
        self.held.forget_learners();
        self.revalidating.clear();
        self.effects.push_back(Effect::Role(role));
        if matches!(self.part, Part::Learning(_)) {
            self.forward_held();
        }
    }

    fn forward_held(&mut self) {
        while let Some((_, ask)) = self.held.pop() {
            if let Ask::Write(write) = ask {
                self.forward(write);
            }
        }
        for (client, (session, timeout)) in std::mem::take(&mut self.resuming) {
            self.ask_leader_to_resume(client, session, timeout);
        }
    }

    /// Once the initial history is applied, what a leader knows can be made.
    fn begin_leading(&mut self, now: Now, tree: &Tree) {
        let Part::Waiting {
            leads_after: Some(last),
        } = self.part
        else {
            return;
        };
        if self.applied < last {
            return;
        }
        let mut leading = Leading::new(now, &self.settings, tree, last);
        leading.set_next(self.zab.next_zxid());
        self.part = Part::Leading(Box::new(leading));
        for (client, (session, timeout)) in std::mem::take(&mut self.resuming) {
            self.resume(now, client, session, timeout);
        }
        for (link, peer, packet) in std::mem::take(&mut self.revalidating) {
            self.revalidate(now.monotonic, link, peer, packet);
        }
    }

    fn open(
        &mut self,
        now: Now,
        tree: &Tree,
        client: ClientId,
        timeout: i32,
        identities: Arc<[wire::Id]>,
    ) {
        let locals = &self.locals;
        let is_taken = |id| tree.session(id).is_some() || locals.has(id);
        let session = self.ids.next(is_taken);
        if self.locals.are_enabled() {
            self.locals.open(now.monotonic, session, timeout);
            self.resumed(client, session, timeout, true);
            return;
        }
        self.timeouts.insert(session, timeout);
        self.effects.push_back(Effect::Opening {
            client,
            session,
            timeout,
        });
        let write = Write {
            session,
            cxid: 0,
            request: Request::CreateSession(CreateSessionRequest { timeout }),
            identities,
        };
        self.ask(now, tree, Origin::Here, Ask::Write(write));
    }

    fn resume(&mut self, now: Now, client: ClientId, session: SessionId, timeout: i32) {
        self.refused.remove(&session);
        if self.locals.resume(now.monotonic, session, timeout) {
            return self.resumed(client, session, timeout, true);
        }
        match &mut self.part {
            Part::Waiting { .. } if self.is_read_only => {
                self.resumed(client, session, timeout, false);
            }
            Part::Waiting { .. } => {
                self.resuming.insert(client, (session, timeout));
                if self.resuming.len() > RESUMING_LIMIT {
                    self.resuming.pop_first();
                }
            }
            Part::Learning(_) => self.ask_leader_to_resume(client, session, timeout),
            Part::Leading(leading) => {
                let this = self.settings.zab.id;
                let valid = leading
                    .sessions()
                    .resume(now.monotonic, session, timeout, this);
                self.resumed(client, session, timeout, valid);
            }
        }
    }

    fn ask_leader_to_resume(&mut self, client: ClientId, session: SessionId, timeout: i32) {
        if let Part::Learning(learning) = &mut self.part {
            let question = learning.resume(client, session, timeout);
            self.zab.send_to_leader(question);
        }
    }

    fn resumed(&mut self, client: ClientId, session: SessionId, timeout: i32, valid: bool) {
        if valid && !self.locals.has(session) {
            self.timeouts.insert(session, timeout);
        }
        self.effects.push_back(Effect::Resumed {
            client,
            session,
            timeout,
            valid,
        });
    }

    fn touched(&mut self, now: Instant, tree: &Tree, sessions: Vec<SessionId>) {
        for session in sessions {
            if self.locals.touch(now, session) {
                continue;
            }
            let known = self.timeouts.get(&session).copied();
            let Some(timeout) = known.or_else(|| tree.session(session)) else {
                continue;
            };
            match &mut self.part {
                Part::Waiting { .. } => {}
                Part::Learning(learning) => learning.touch(session, timeout),
                Part::Leading(leading) => {
                    leading.sessions().touch(now, session, timeout);
                }
            }
        }
    }

    /// A request, from a client here or from a learner.
    fn ask(&mut self, now: Now, tree: &Tree, origin: Origin, ask: Ask) {
        if let (Origin::Here, Ask::Write(write)) = (origin, &ask)
            && self.refused.contains(&write.session)
        {
            return;
        }
        let Some(ask) = self.ask_locally(now, tree, origin, ask) else {
            return;
        };
        let view = View {
            tree,
            config: self.zab.config(),
            locals: &self.locals,
        };
        match (&mut self.part, ask) {
            (Part::Leading(leading), ask) if self.held.is_empty() && leading.has_room() => {
                leading.ask(now, &view, origin, ask);
            }
            (Part::Learning(_), Ask::Write(write)) => self.forward(write),
            (_, ask) => {
                if let Err(session) = self.held.push(origin, ask) {
                    self.refuse(origin, session);
                }
            }
        }
    }

    /// Does what a session of this member only asks of this member alone; what is left is for the
    /// leader.
    fn ask_locally(&mut self, now: Now, tree: &Tree, origin: Origin, ask: Ask) -> Option<Ask> {
        let write = match (origin, ask) {
            (Origin::Here, Ask::Write(write)) if self.locals.has(write.session) => write,
            (_, ask) => return Some(ask),
        };
        let session = write.session;
        if matches!(write.request, Request::CloseSession(())) {
            self.locals.close(session);
            let cxid = Some(write.cxid);
            self.effects.push_back(Effect::Ended { session, cxid });
            return None;
        }
        if let Some(timeout) = self.locals.upgrade(session, &write.request) {
            self.timeouts.insert(session, timeout);
            let first = Write {
                session,
                cxid: 0,
                request: Request::CreateSession(CreateSessionRequest { timeout }),
                identities: write.identities.clone(),
            };
            self.ask(now, tree, Origin::Here, Ask::Write(first));
        }
        Some(Ask::Write(write))
    }

    /// Ends what is over of what is this member's only.
    fn end_locals(&mut self, now: Instant) {
        for session in self.locals.expire(now, ENDED_AT_ONCE) {
            let cxid = None;
            self.effects.push_back(Effect::Ended { session, cxid });
        }
    }

    fn refuse(&mut self, origin: Origin, session: SessionId) {
        match origin {
            Origin::Here => {
                self.refused.insert(session);
                self.effects.push_back(Effect::Refused { session });
            }
            Origin::Learner { link, .. } => {
                self.zab.close_learner(link, "too many requests wait");
            }
        }
    }

    fn forward(&mut self, write: Write) {
        if let Part::Learning(learning) = &mut self.part {
            if matches!(write.request, Request::Sync(_)) {
                learning.sync_asked(write.session, write.cxid);
            }
            self.zab.send_to_leader(forward::encode(&write));
        }
    }

    fn hear_learner(&mut self, now: Now, tree: &Tree, link: LinkId, peer: PeerId, packet: Packet) {
        match packet.kind {
            packet::REQUEST => {
                let ask = match forward::decode(packet) {
                    Ok(Forwarded::Write(write)) => Ask::Write(write),
                    Ok(Forwarded::Refused(header, code)) => Ask::Refused(header, code),
                    Err(_) => {
                        self.zab.close_learner(link, "REQUEST without a header");
                        return;
                    }
                };
                self.ask(now, tree, Origin::Learner { peer, link }, ask);
            }
            packet::REVALIDATE => self.revalidate(now.monotonic, link, peer, packet),
            packet::PING => self.learner_touches(now.monotonic, link, &packet),
            _ => {}
        }
    }

    fn revalidate(&mut self, now: Instant, link: LinkId, peer: PeerId, packet: Packet) {
        let data = packet.data.clone().unwrap_or_default();
        let Ok(question) = SessionTimeout::from_bytes(&data) else {
            self.zab.close_learner(link, "malformed REVALIDATE");
            return;
        };
        let Part::Leading(leading) = &mut self.part else {
            // A learner serves as soon as a quorum has acknowledged NEWLEADER, this member only
            // when it has applied its history.
            if self.revalidating.len() < RESUMING_LIMIT {
                self.revalidating.push((link, peer, packet));
            } else {
                self.zab.close_learner(link, "too many sessions wait");
            }
            return;
        };
        let SessionTimeout { session, timeout } = question;
        let valid = leading.sessions().resume(now, session, timeout, peer);
        let answer = Revalidated { session, valid }.to_bytes();
        let answer = Packet::with(packet::REVALIDATE, packet.zxid, answer);
        self.zab.send_to_learner(link, answer);
    }

    fn learner_touches(&mut self, now: Instant, link: LinkId, packet: &Packet) {
        let Ok(touches) = packet.touches() else {
            self.zab.close_learner(link, "malformed PING");
            return;
        };
        if let Part::Leading(leading) = &mut self.part {
            for touch in touches {
                leading.sessions().touch(now, touch.session, touch.timeout);
            }
        }
    }

    fn hear_leader(&mut self, packet: Packet, committed: Zxid) {
        let Part::Learning(learning) = &mut self.part else {
            if packet.kind == packet::PING {
                let answer = Packet::with(packet::PING, packet.zxid, bytes::Bytes::new());
                self.zab.send_to_leader(answer);
            }
            return;
        };
        match packet.kind {
            packet::PING => {
                let answer = learning.pong(&packet);
                self.zab.send_to_leader(answer);
            }
            packet::SYNC => {
                learning.sync_answered(committed);
                self.finish_syncs();
            }
            packet::REVALIDATE => {
                // Bytes that are no answer leave the question open; its client asks again.
                if let Ok(Some((client, session, timeout, valid))) = learning.resumed(&packet) {
                    self.resumed(client, session, timeout, valid);
                }
            }
            _ => {}
        }
    }

    /// Hands out what is to be applied, and between it the `sync`s that are done by then: what
    /// their sessions asked for next must not be seen before.
    fn deliver(&mut self, mut entries: Vec<Arc<Entry>>) {
        self.forget_closed(&entries);
        while let Some(zxid) = self.next_sync()
            && entries.last().is_some_and(|last| last.zxid() > zxid)
        {
            let rest = entries.split_off(entries.partition_point(|entry| entry.zxid() <= zxid));
            self.apply(std::mem::replace(&mut entries, rest));
            self.delivered = self.delivered.max(zxid);
            self.finish_syncs();
        }
        self.apply(entries);
        self.finish_syncs();
    }

    fn apply(&mut self, entries: Vec<Arc<Entry>>) {
        if let Some(last) = entries.last() {
            self.delivered = last.zxid();
            self.effects.push_back(Effect::Apply(entries));
        }
    }

    fn next_sync(&self) -> Option<Zxid> {
        match &self.part {
            Part::Waiting { .. } => None,
            Part::Learning(learning) => learning.next_sync(),
            Part::Leading(leading) => leading.next_sync(),
        }
    }

    fn finish_syncs(&mut self) {
        loop {
            let done = match &mut self.part {
                Part::Waiting { .. } => None,
                Part::Learning(learning) => learning.sync_done(self.delivered),
                Part::Leading(leading) => leading.sync_done(self.delivered),
            };
            let Some((session, cxid)) = done else {
                return;
            };
            self.effects.push_back(Effect::SyncDone { session, cxid });
        }
    }

    /// Takes up requests that waited, and ends what is over.
    fn lead(&mut self, now: Now, tree: &Tree) {
        let Part::Leading(leading) = &mut self.part else {
            return;
        };
        let view = View {
            tree,
            config: self.zab.config(),
            locals: &self.locals,
        };
        while leading.has_room()
            && let Some((origin, ask)) = self.held.pop()
        {
            leading.ask(now, &view, origin, ask);
        }
        // A tick is time enough to take in what came meanwhile.
        if let Some(since) = leading.proof_needed()
            && now.monotonic.0 >= since.0 + self.settings.zab.tick
            && self.zab.quorum_heard_since(since)
        {
            leading.trust();
        }
        leading.end_what_is_over(now, &view);
    }

    /// Hands over what was prepared. False if there was nothing.
    fn propose(&mut self, now: Instant) -> bool {
        let Part::Leading(leading) = &mut self.part else {
            return false;
        };
        let batch = leading.take_batch();
        let syncs = leading.take_learner_syncs();
        let is_idle = batch.is_empty() && syncs.is_empty();
        if !batch.is_empty() {
            self.zab.propose(now, batch);
        }
        for (link, zxid) in syncs {
            let answer = Packet::bare(packet::SYNC, Zxid::ZERO);
            self.zab.send_to_learner_behind(link, zxid, answer);
        }
        leading.set_next(self.zab.next_zxid());
        !is_idle
    }
}

#[cfg(test)]
mod tests;
