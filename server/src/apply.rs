//! Applying what is committed, and telling those who wait for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use member::LocalSessions;
use parking_lot::RwLockWriteGuard;
use tree::{Applied, DigestMismatch, Tree, WatchTable, Watcher};
use wire::client::{ErrorCode, EventType};
use wire::txn::{Entry, kind};
use wire::{SessionId, Zxid};

use crate::admin::digests::DigestLog;
use crate::clients::audit;
use crate::clients::mailbox::{Mail, Mailbox};
use crate::clients::reads::{Limits, Reader};
use crate::clock;
use crate::deviation::Deviation;
use crate::metrics::Metrics;
use crate::routes::{Asker, Routes};
use crate::shared::Shared;

/// How long readers may have to wait for one guard.
const GUARD: Duration = Duration::from_millis(1);
/// Entries between two looks at the clock.
const LOOK: usize = 16;

/// What applying reuses from batch to batch.
#[derive(Default)]
pub(crate) struct Applier {
    applied: Applied,
    watchers: Vec<Watcher>,
    wakes: Vec<Arc<Mailbox>>,
    frames: Vec<u8>,
    /// Logged once the guard is released.
    audit_lines: Vec<String>,
}

impl Applier {
    /// Applies entries in order. Events and replies are in the mailboxes before a reader can see
    /// what they belong to. Returns the last zxid.
    pub(crate) fn apply(
        &mut self,
        shared: &Shared,
        routes: &mut Routes,
        entries: &[Arc<Entry>],
    ) -> Option<Zxid> {
        let mut tree = shared.tree.write();
        let mut since = Instant::now();
        for (index, entry) in entries.iter().enumerate() {
            if index % LOOK == LOOK - 1 && since.elapsed() > GUARD {
                shared.set_applied(tree.last_zxid());
                RwLockWriteGuard::bump(&mut tree);
                since = Instant::now();
            }
            self.apply_one(shared, routes, &mut tree, entry);
        }
        shared.set_applied(tree.last_zxid());
        drop(tree);
        for line in self.audit_lines.drain(..) {
            audit::write(&line);
        }
        count_committed(shared, entries);
        self.wake();
        entries.last().map(|entry| entry.zxid())
    }

    fn wake(&mut self) {
        for mailbox in self.wakes.drain(..) {
            mailbox.wake();
        }
    }

    fn apply_one(&mut self, shared: &Shared, routes: &mut Routes, tree: &mut Tree, entry: &Entry) {
        let header = entry.header();
        let does_audit = shared.config.admin.audit;
        let mut audit = None;
        let mut gone = Vec::new();
        if does_audit {
            audit = routes.audited(header.client_id, header.cxid);
            if header.kind == kind::CLOSE_SESSION {
                gone = tree.ephemerals(header.client_id).collect();
            }
        }
        let asker = routes.answered(header.client_id, header.cxid);
        if let Some(asker) = &asker {
            self.serve(shared, tree, asker);
        }
        tree.apply(entry, &mut self.applied);
        if let Some(mismatch) = self.applied.mismatch() {
            report(&shared.metrics, &mismatch);
        }
        let zxid = entry.zxid();
        if DigestLog::is_due(tree, zxid) {
            shared.digests.lock().push(zxid, tree.digest());
        }
        if let Some(audit) = audit {
            let (err, body) = (self.applied.error(), self.applied.body());
            let mut lines = audit.lines(header.client_id, err, body);
            self.audit_lines.append(&mut lines);
        }
        let gone = gone.iter();
        let lines = gone.map(|path| audit::ephemeral_gone(header.client_id, path));
        self.audit_lines.extend(lines);
        self.fire(shared, routes);
        let err = told(shared, tree, header.client_id, self.applied.error());
        self.reply(routes, entry, asker, err);
    }

    /// Serves the reads that a client sent before what is answered next, unless its connection
    /// has.
    pub(crate) fn serve_before(&mut self, shared: &Shared, asker: &Asker) {
        // A write guard, though nothing is written: the connection may be serving the same reads.
        let tree = shared.tree.write();
        self.serve(shared, &tree, asker);
        drop(tree);
        self.wake();
    }

    fn serve(&mut self, shared: &Shared, tree: &Tree, asker: &Asker) {
        for group in &asker.reads {
            if group.len() == 0 {
                continue;
            }
            let reader = Reader {
                watches: &shared.watches,
                watcher: Watcher(asker.mailbox.client.0),
                metrics: &shared.metrics,
            };
            self.frames.clear();
            let limits = Limits {
                reads: usize::MAX,
                bytes: usize::MAX,
                now: shared.clock.millis(),
            };
            let served = reader.serve(tree, group, &limits, &mut self.frames);
            let frames = &self.frames;
            if asker.mailbox.post(|letters| letters.reads(served, frames)) {
                self.wakes.push(asker.mailbox.clone());
            }
        }
    }

    fn fire(&mut self, shared: &Shared, routes: &Routes) {
        let mut table: Option<parking_lot::MutexGuard<'_, WatchTable>> = None;
        for event in self.applied.events() {
            let table = table.get_or_insert_with(|| shared.watches.lock());
            self.watchers.clear();
            table.fire(event.path, event.kind, &mut self.watchers);
            if Deviation::MissesGrandchildren.is_made()
                && event.kind == EventType::NodeChildrenChanged
                && event.path.matches('/').count() > 1
            {
                continue;
            }
            count(&shared.metrics, event.kind, self.watchers.len());
            for watcher in &self.watchers {
                let Some(mailbox) = routes.mailbox(member::ClientId(watcher.0)) else {
                    continue;
                };
                let is_first = mailbox.post(|letters| {
                    letters.event(event.kind, event.path, event.zxid, event.acl);
                });
                if is_first {
                    self.wakes.push(mailbox.clone());
                }
            }
        }
    }

    fn reply(&mut self, routes: &mut Routes, entry: &Entry, asker: Option<Asker>, err: i32) {
        let header = entry.header();
        let session = header.client_id;
        if header.kind == kind::CREATE_SESSION {
            if let Some((mailbox, timeout)) = routes.opened(session) {
                let mail = Mail::Session { session, timeout };
                self.post(&mailbox, |letters| letters.mail.push(mail));
            }
            return;
        }
        if let Some(Asker { mailbox, .. }) = asker {
            let body = self.applied.body();
            let late = Deviation::LateErrors.is_made() && err == ErrorCode::BadVersion.code();
            let zxid = Zxid(header.zxid.0 - u64::from(late));
            let is_first = mailbox.post(|letters| {
                letters.reply(header.cxid, zxid, err, body);
            });
            if is_first {
                self.wakes.push(mailbox);
            }
        }
        if header.kind == kind::CLOSE_SESSION
            && let Some(mailbox) = routes.closed(session)
        {
            let mail = Mail::Close("the session ended");
            self.post(&mailbox, |letters| letters.mail.push(mail));
        }
    }

    fn post(
        &mut self,
        mailbox: &Arc<Mailbox>,
        write: impl FnOnce(&mut crate::clients::mailbox::Letters),
    ) {
        if mailbox.post(write) {
            self.wakes.push(mailbox.clone());
        }
    }
}

/// The error as the client is told: a leader knows nothing of sessions that are of this member
/// only, and takes one that wants an ephemeral for one that is gone.
fn told(shared: &Shared, tree: &Tree, session: SessionId, err: i32) -> i32 {
    let is_unknown = err == ErrorCode::SessionExpired.code() && tree.session(session).is_none();
    if is_unknown && shared.config.local_sessions == LocalSessions::Fixed {
        return ErrorCode::EphemeralOnLocalSession.code();
    }
    err
}

fn count_committed(shared: &Shared, entries: &[Arc<Entry>]) {
    let metrics = &shared.metrics;
    let count = entries.len() as u64;
    let now = clock::wall();
    let is_leader = shared.leading_since().is_some();
    for entry in entries {
        let took = now.saturating_sub(entry.header().time).max(0);
        metrics.propagation_latency.observe(took as f64);
        metrics.write_per_namespace.written(entry.txn());
        let committed = if is_leader {
            &metrics.quorum_ack_latency
        } else {
            &metrics.commit_propagation_latency
        };
        committed.observe(took as f64);
    }
    if !is_leader {
        metrics.learner_commit_received_count.inc_by(count);
        return;
    }
    metrics.commit_count.inc_by(count);
    // A client closes its session by a request, which has a number; the leader needs none.
    let is_expiry = |entry: &&Arc<Entry>| {
        entry.header().kind == kind::CLOSE_SESSION && entry.header().cxid == 0
    };
    let expired = entries.iter().filter(is_expiry).count();
    metrics.stale_sessions_expired.inc_by(expired as u64);
}

fn report(metrics: &Metrics, mismatch: &DigestMismatch) {
    metrics.digest_mismatches_count.inc();
    let count = metrics.digest_mismatches_count.get();
    // Once the tree differs it stays so, with each transaction: the first ones tell all.
    if count.is_power_of_two() {
        tracing::error!(
            zxid = %mismatch.zxid,
            expected = format!("{:#x}", mismatch.expected),
            actual = format!("{:#x}", mismatch.actual),
            count,
            "the tree is not what the leader says: digests differ"
        );
    }
}

fn count(metrics: &Metrics, kind: EventType, sent: usize) {
    if sent == 0 {
        return;
    }
    let sent = sent as f64;
    match kind {
        EventType::NodeCreated => metrics.node_created_watch_count.observe(sent),
        EventType::NodeDeleted => metrics.node_deleted_watch_count.observe(sent),
        EventType::NodeDataChanged => metrics.node_changed_watch_count.observe(sent),
        EventType::NodeChildrenChanged => metrics.node_children_watch_count.observe(sent),
        _ => {}
    }
}
