//! The thread that owns the member: inputs in, effects out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use member::{Effect, Input, Member, Role, Status};
use wire::config::EnsembleConfig;
use wire::quorum::{Packet, packet};
use wire::txn::Entry;
use zab::LinkId;

use crate::apply::Applier;
use crate::clients::mailbox::Mail;
use crate::clock;
use crate::inbox::Work;
use crate::log_queue::{Job, LogQueue};
use crate::peers::directory::Directory;
use crate::peers::election::Election;
use crate::peers::links::Links;
use crate::routes::Routes;
use crate::shared::{Serving, Shared};
use crate::snapshots;

/// How long a member is without a leader before clients may read, unless a tick is longer.
const READ_ONLY_PATIENCE: Duration = Duration::from_secs(2);
/// How old what the member shows of itself may be.
const STATUS_AGE: Duration = Duration::from_millis(20);

/// What the member thread owns.
pub(crate) struct MemberThread {
    pub(crate) shared: Arc<Shared>,
    pub(crate) member: Member,
    pub(crate) log: Arc<LogQueue>,
    pub(crate) election: Arc<Election>,
    pub(crate) links: Arc<Links>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) state: State,
}

/// What the thread remembers from round to round.
#[derive(Default)]
pub(crate) struct State {
    routes: Routes,
    applier: Applier,
    /// Until when connections are kept without a leader.
    hold_until: Option<Instant>,
    looking_since: Option<Instant>,
    /// When clients that only want to read are served, if there is no leader until then.
    read_only_at: Option<Instant>,
    shown: Option<Instant>,
    /// When it is shown what the last rounds, too soon after it was, have changed.
    show_at: Option<Instant>,
}

impl MemberThread {
    /// Runs until told to stop.
    pub(crate) fn run(mut self) {
        let mut work = Vec::new();
        self.begin();
        while !self.stop.load(Ordering::Acquire) {
            let clock = self.shared.clock;
            let mut deadline = clock.instant(self.member.deadline());
            let state = &self.state;
            let own = [state.hold_until, state.read_only_at, state.show_at];
            deadline = own.into_iter().flatten().fold(deadline, Instant::min);
            self.shared.inbox.take(&mut work, deadline);
            self.round(&mut work);
        }
    }

    /// What comes before the first round.
    pub(crate) fn begin(&mut self) {
        self.state.read_only_at = self.read_only_at();
        self.carry_out();
    }

    /// Takes in what has come, and carries out what follows.
    pub(crate) fn round(&mut self, work: &mut Vec<Work>) {
        self.take_in(work);
        self.carry_out();
        self.let_go();
        self.serve_readers();
        self.show();
        self.shared.rounds.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives the member all that has come in. Writes that came together are proposed together.
    fn take_in(&mut self, work: &mut Vec<Work>) {
        let now = self.shared.clock.now();
        let shared = self.shared.clone();
        let tree = shared.tree.read();
        let mut writes = Vec::new();
        for work in work.drain(..) {
            if !matches!(work, Work::Writes { .. }) && !writes.is_empty() {
                let writes = std::mem::take(&mut writes);
                self.member.handle(now, &tree, Input::Writes(writes));
            }
            let input = match work {
                Work::Writes {
                    client,
                    writes: mut more,
                } => {
                    self.state.routes.asked(client, &mut more);
                    writes.append(&mut more.writes);
                    continue;
                }
                Work::Zab(input) => Input::Zab(input),
                Work::Open {
                    mailbox,
                    timeout,
                    identities,
                } => {
                    let client = mailbox.client;
                    self.state.routes.add(mailbox);
                    Input::Open {
                        client,
                        timeout,
                        identities,
                    }
                }
                Work::Resume {
                    mailbox,
                    session,
                    timeout,
                } => {
                    let client = mailbox.client;
                    self.state.routes.add(mailbox);
                    Input::Resume {
                        client,
                        session,
                        timeout,
                    }
                }
                Work::Gone(client) => {
                    self.state.routes.remove(client);
                    // The connection took its watches with it, but this thread may have served
                    // a read of its since.
                    let watcher = tree::Watcher(client.0);
                    shared.forget_watcher(watcher);
                    Input::Gone(client)
                }
                Work::Touched(sessions) => Input::Touched(sessions),
                Work::Snapshot(done) => {
                    self.log.push(Job::Snapshot(Some(done)));
                    continue;
                }
                Work::Deadlines(tell) => {
                    tell(self.member.session_deadlines());
                    continue;
                }
                Work::Yield(to) => Input::Yield(to),
            };
            self.member.handle(now, &tree, input);
        }
        if !writes.is_empty() {
            self.member.handle(now, &tree, Input::Writes(writes));
        }
        if now.monotonic >= self.member.deadline() {
            let tick = Input::Zab(zab::Input::Tick);
            self.member.handle(now, &tree, tick);
        }
    }

    /// Carries out effects, in order, until there are none.
    fn carry_out(&mut self) {
        while let Some(effect) = self.member.poll_effect() {
            match effect {
                Effect::Zab(effect) => self.carry_out_zab(effect),
                Effect::Apply(entries) => self.apply(&entries),
                Effect::Role(role) => self.change_role(role),
                Effect::ConfigCommitted(config) => self.keep_config(config),
                Effect::Opening {
                    client,
                    session,
                    timeout,
                } => self.state.routes.opening(session, client, timeout),
                Effect::Resumed {
                    client,
                    session,
                    timeout,
                    valid,
                } => self.resumed(client, session, timeout, valid),
                Effect::SyncDone { session, cxid } => self.sync_done(session, cxid),
                Effect::Ended { session, cxid } => self.ended(session, cxid),
                Effect::Refused { session } => {
                    if let Some(mailbox) = self.state.routes.holder(session) {
                        mailbox.post_now(Mail::Close("too much is under way"));
                    }
                }
            }
        }
    }

    fn apply(&mut self, entries: &[Arc<Entry>]) {
        if self
            .shared
            .has_foreign_snapshot
            .swap(false, Ordering::AcqRel)
        {
            // Nothing is applied before the leader said that this member is up to date, and what
            // its snapshot may show beyond its zxid was logged here by then.
            let last = self.member.status().last_logged;
            self.shared.tree.write().fuzzy_until(last);
        }
        let state = &mut self.state;
        let last = state
            .applier
            .apply(&self.shared, &mut state.routes, entries);
        if let Some(zxid) = last {
            self.tell(Input::Zab(zab::Input::Applied { zxid }));
        }
    }

    fn sync_done(&mut self, session: wire::SessionId, cxid: i32) {
        if let Some(asker) = self.state.routes.answered(session, cxid) {
            let state = &mut self.state;
            state.applier.serve_before(&self.shared, &asker);
            let zxid = self.shared.applied();
            asker.mailbox.post_now(Mail::SyncDone { xid: cxid, zxid });
        }
    }

    /// A session of this member only is over.
    fn ended(&mut self, session: wire::SessionId, cxid: Option<i32>) {
        let Some(cxid) = cxid else {
            if let Some(mailbox) = self.state.routes.closed(session) {
                mailbox.post_now(Mail::Close("the session ended"));
            }
            return;
        };
        // The connection ends by itself, once all that was asked before is answered.
        if let Some(asker) = self.state.routes.answered(session, cxid) {
            let zxid = self.shared.applied();
            let is_first = asker
                .mailbox
                .post(|letters| letters.reply(cxid, zxid, 0, &[]));
            if is_first {
                asker.mailbox.wake();
            }
        }
    }

    fn carry_out_zab(&mut self, effect: zab::Effect) {
        use zab::Effect as E;
        match effect {
            E::SendVote { to, notification } => self.election.send(to, &notification),
            E::Dial {
                link, addresses, ..
            } => self.links.dial(link, &addresses),
            E::Close { link, reason } => self.links.close(link, reason),
            E::Send { link, packets } => self.links.send(link, &packets),
            E::SendWhenSynced { link, packets } => self.log.push(Job::Send { link, packets }),
            E::StreamSnapshot { link, zxid } => self.stream_snapshot(link, zxid),
            E::ReadLog {
                link,
                after,
                through,
                limit,
            } => self.log.push(Job::Read {
                link,
                after,
                through,
                limit,
            }),
            E::Append { entries, mark } => {
                let metrics = &self.shared.metrics;
                let count = entries.len() as u64;
                if self.shared.leading_since().is_some() {
                    metrics.proposal_count.inc_by(count);
                } else {
                    metrics.learner_proposal_received_count.inc_by(count);
                    let now = clock::wall();
                    for entry in entries.iter() {
                        let took = now.saturating_sub(entry.header().time).max(0);
                        metrics.proposal_latency.observe(took as f64);
                    }
                }
                self.log.push(Job::Append { entries, mark });
            }
            E::StoreAcceptedEpoch(epoch) => self.log.push(Job::Accepted(epoch)),
            E::StoreCurrentEpoch(epoch) => self.log.push(Job::Current(epoch)),
            E::Truncate { to } => {
                self.end_reading();
                self.log.push(Job::Truncate(to));
            }
            E::InstallSnapshot { link, zxid } => {
                self.end_reading();
                self.log.push(Job::Install { link, zxid });
            }
            // These come as the member's own effects.
            E::Deliver(_)
            | E::Role(_)
            | E::ConfigCommitted(_)
            | E::FromLearner { .. }
            | E::FromLeader { .. } => {}
        }
    }

    /// Feeds back what an effect has led to.
    fn tell(&mut self, input: Input) {
        let now = self.shared.clock.now();
        let shared = self.shared.clone();
        let tree = shared.tree.read();
        self.member.handle(now, &tree, input);
    }

    fn stream_snapshot(&mut self, link: LinkId, zxid: wire::Zxid) {
        let cut = snapshots::begin(&self.shared);
        self.links.send(link, &[Packet::bare(packet::SNAP, zxid)]);
        match snapshots::stream(self.shared.clone(), cut) {
            Ok((pieces, _thread)) => {
                self.shared.metrics.snap_count.inc();
                self.links.send_stream(link, pieces);
            }
            Err(error) => {
                tracing::error!(%error, "cannot start a thread to send a snapshot");
                snapshots::abandon(&self.shared, cut);
                self.links.close(link, "the snapshot could not be sent");
                self.tell(Input::Zab(zab::Input::LinkClosed { link }));
            }
        }
    }

    fn resumed(
        &mut self,
        client: member::ClientId,
        session: wire::SessionId,
        timeout: i32,
        valid: bool,
    ) {
        let Some(mailbox) = self.state.routes.mailbox(client).cloned() else {
            return;
        };
        if valid {
            self.shared.metrics.connection_revalidate_count.inc();
            self.state.routes.bind(session, client);
            mailbox.post_now(Mail::Session { session, timeout });
        } else {
            mailbox.post_now(Mail::SessionGone);
        }
    }

    fn change_role(&mut self, role: Role) {
        tracing::info!(?role, "part changed");
        let shared = self.shared.clone();
        shared.set_leading(matches!(role, Role::Leading { .. }));
        if role == Role::Looking {
            shared.metrics.looking_count.inc();
            self.state.looking_since.get_or_insert_with(Instant::now);
            if shared.serving() == Serving::Yes {
                shared.set_serving(Serving::Holding);
                let patience =
                    Duration::from_millis(shared.config.session_timeouts.0.max(0) as u64);
                self.state.hold_until = Some(Instant::now() + patience);
            }
            if shared.serving() == Serving::ReadOnly {
                self.tell(Input::ServeReadOnly);
            } else {
                self.state.read_only_at = self.read_only_at();
            }
            self.state.routes.forget_opening();
            self.state.routes.forget_asked();
            for mailbox in self.state.routes.mailboxes() {
                mailbox.post_now(Mail::RoleChanged);
            }
        } else {
            if let Some(since) = self.state.looking_since.take() {
                let milliseconds = since.elapsed().as_secs_f64() * 1e3;
                shared.metrics.election_time.observe(milliseconds);
                shared.metrics.unavailable_time.observe(milliseconds);
                if matches!(role, Role::Leading { .. }) {
                    shared.metrics.leader_unavailable_time.observe(milliseconds);
                }
            }
            self.state.hold_until = None;
            self.state.read_only_at = None;
            self.end_reading();
            self.show_own_config();
            shared.set_serving(Serving::Yes);
            self.resume_all();
            if !shared.takes_clients() {
                self.send_away();
            }
            self.log.push(Job::Synced);
        }
        self.state.shown = None;
    }

    /// Connections that outlived the last part go on in this one.
    fn resume_all(&mut self) {
        for (client, session) in self.state.routes.holders() {
            let timeout = self.shared.tree.read().session(session).unwrap_or_default();
            self.tell(Input::Resume {
                client,
                session,
                timeout,
            });
        }
        for mailbox in self.state.routes.mailboxes() {
            mailbox.wake();
        }
    }

    /// Who connects from now on is refused; this is for who was there before.
    fn send_away(&self) {
        let mailboxes: Vec<_> = self.shared.connections.lock().values().cloned().collect();
        for mailbox in mailboxes {
            mailbox.post_now(Mail::Close(
                "this member leads, and leaves clients to the others",
            ));
        }
    }

    /// Closes the connections that were kept long enough.
    fn let_go(&mut self) {
        if self
            .state
            .hold_until
            .is_some_and(|until| until <= Instant::now())
        {
            tracing::warn!("no leader for too long: client connections are closed");
            self.state.hold_until = None;
            self.shared.set_serving(Serving::No);
            for mailbox in self.state.routes.mailboxes() {
                mailbox.post_now(Mail::Close("no leader"));
            }
        }
    }

    /// From when on clients that only want to read are served without a leader, if ever.
    fn read_only_at(&self) -> Option<Instant> {
        let config = &self.shared.config;
        let patience = Duration::from_millis(config.tick_time).max(READ_ONLY_PATIENCE);
        config.read_only.then(|| Instant::now() + patience)
    }

    /// Begins to serve those who only want to read, if it is time. Who was kept does not know
    /// that he may only read: he connects again.
    fn serve_readers(&mut self) {
        if self.state.read_only_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        tracing::warn!("no leader for too long: clients may only read");
        self.state.read_only_at = None;
        self.state.hold_until = None;
        for mailbox in self.state.routes.mailboxes() {
            mailbox.post_now(Mail::Close("no leader"));
        }
        self.tell(Input::ServeReadOnly);
        self.shared.set_serving(Serving::ReadOnly);
    }

    /// Before the tree becomes the leader's: who only reads is not to see it change.
    fn end_reading(&mut self) {
        if self.shared.serving() != Serving::ReadOnly {
            return;
        }
        for mailbox in self.state.routes.mailboxes() {
            mailbox.post_now(Mail::Close("clients need not only read any more"));
        }
        self.shared.set_serving(Serving::No);
    }

    fn keep_config(&mut self, config: EnsembleConfig) {
        self.show_config(&config);
        self.directory.replace(config.clone());
        *self.shared.ensemble.write() = Arc::new(config.clone());
        self.log.push(Job::Config(Box::new(config)));
    }

    /// Where reconfiguration is off each member shows what its own file says, whatever a leader's
    /// snapshot brought (ZOOKEEPER-2819).
    fn show_own_config(&self) {
        let config = &self.shared.config;
        if !config.access.reconfig && !config.standalone {
            self.show_config(&config.ensemble);
        }
    }

    fn show_config(&self, config: &EnsembleConfig) {
        let text = config.to_string();
        let mut tree = self.shared.tree.write();
        if tree.config() != text.as_bytes() {
            let time = self.shared.clock.now().wall;
            tree.set_initial_config(&text, wire::Zxid(config.version), time);
        }
    }

    /// The member counts from the moment that it leads, the metric from the process's start.
    fn count_diffs(&self, before: u64, status: &Status) {
        let diffs = status.zab.synchronizations.diff;
        let new = diffs.checked_sub(before).unwrap_or(diffs);
        self.shared.metrics.diff_count.inc_by(new);
    }

    fn show(&mut self) {
        let now = Instant::now();
        if let Some(shown) = self.state.shown
            && now - shown < STATUS_AGE
        {
            self.state.show_at = Some(shown + STATUS_AGE);
            return;
        }
        self.state.shown = Some(now);
        self.state.show_at = None;
        let status = self.member.status();
        let before = self.shared.status.write().replace(status);
        self.count_diffs(
            before.map_or(0, |before| before.zab.synchronizations.diff),
            &status,
        );
        *self.shared.synced.write() = self.member.synced_members();
    }
}
