//! Orders to a running server, and what it says of itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use member::Role;
use tokio::time::MissedTickBehavior;
use wire::PeerId;
use wire::control::{self, BootReport, FromServer, MemberStatus, Order, Outcome, ToServer};

use crate::clients::mailbox::Mail;
use crate::inbox::Work;
use crate::log_queue::{Job, LogQueue};
use crate::serve::Stop;
use crate::shared::{Serving, Shared};
use crate::sidecar::Lines;

/// How often a server says how it is.
const STATUS: Duration = Duration::from_secs(1);
/// How often it looks whether its role has changed, to say so at once.
const LOOK: Duration = Duration::from_millis(50);
/// Between two attempts to reach the sidecar.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a hand-over may take.
const HAND_OVER: Duration = Duration::from_secs(5);

/// What the talk with the sidecar needs of the member.
pub(crate) struct Attended {
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Arc<LogQueue>,
    pub(crate) stop: Stop,
    pub(crate) socket: PathBuf,
    /// What is reported on a new connection.
    pub(crate) report: BootReport,
}

/// Talks to the sidecar as long as the member runs.
pub(crate) async fn attend(attended: Attended, mut lines: Option<Lines>) {
    loop {
        let open = match lines.take() {
            Some(open) => open,
            None => {
                let report = FromServer::Report(attended.report_now());
                match Lines::open(&attended.socket, &report).await {
                    Ok(open) => open,
                    Err(error) => {
                        tracing::debug!(%error, "cannot reach the sidecar");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                }
            }
        };
        if let Err(error) = attended.talk(open).await {
            tracing::info!(%error, "the sidecar is gone; the member goes on");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Attended {
    async fn talk(&self, mut lines: Lines) -> std::io::Result<()> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said: Option<(MemberStatus, Instant)> = None;
        loop {
            tokio::select! {
                heard = lines.hear() => {
                    if let ToServer::Order { id, order } = heard? {
                        tracing::info!(?order, "ordered by the sidecar");
                        let ends = order == Order::Stop;
                        let outcome = self.carry_out(order).await;
                        lines.say(&FromServer::Done { id, outcome }).await?;
                        if ends {
                            self.stop.stop();
                        }
                    }
                }
                _ = look.tick() => {
                    let status = self.status();
                    let is_news = said.as_ref().is_none_or(|(before, at)| {
                        at.elapsed() >= STATUS
                            || (before.role, before.ready) != (status.role, status.ready)
                    });
                    if is_news {
                        lines.say(&FromServer::Status(status.clone())).await?;
                        said = Some((status, Instant::now()));
                    }
                }
            }
        }
    }

    async fn carry_out(&self, order: Order) -> Outcome {
        match order {
            Order::Stop => Outcome::Done("ending".into()),
            Order::Drain => self.drain().await,
            Order::Undrain => {
                self.shared.draining.store(false, Ordering::Release);
                Outcome::Done("serving again".into())
            }
            Order::Yield { to } => self.hand_over(to.map(PeerId)).await,
            Order::Reconfig { .. } => {
                Outcome::Refused("this version does not change the membership".into())
            }
            Order::Snapshot => {
                self.log.push(Job::Snapshot(None));
                Outcome::Done("begun".into())
            }
        }
    }

    /// Unready at once; leadership and clients go elsewhere.
    async fn drain(&self) -> Outcome {
        self.shared.draining.store(true, Ordering::Release);
        let outcome = self.hand_over(None).await;
        let connections: Vec<_> = self.shared.connections.lock().values().cloned().collect();
        let count = connections.len();
        for mailbox in connections {
            mailbox.post_now(Mail::Close("this member is drained"));
        }
        match outcome {
            Outcome::Done(_) => Outcome::Done(format!("drained, {count} connections closed")),
            refused @ Outcome::Refused(_) => refused,
        }
    }

    async fn hand_over(&self, to: Option<PeerId>) -> Outcome {
        let led = match self.role() {
            Some(Role::Leading { epoch, .. }) if !self.shared.config.standalone => epoch,
            _ => return Outcome::Done("not leading".into()),
        };
        self.shared.inbox.push(Work::Yield(to), 0);
        let deadline = Instant::now() + HAND_OVER;
        loop {
            match self.role() {
                Some(Role::Leading { epoch, .. }) if epoch > led => {
                    return Outcome::Refused("was elected again".into());
                }
                Some(Role::Following { .. } | Role::Observing { .. }) => {
                    return Outcome::Done("follows another leader".into());
                }
                _ if Instant::now() > deadline => {
                    return Outcome::Refused("no other leader yet".into());
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    fn role(&self) -> Option<Role> {
        self.shared.status.read().as_ref().map(|status| status.role)
    }

    fn report_now(&self) -> BootReport {
        let status = self.status();
        BootReport {
            accepted_epoch: status.epoch.max(self.report.accepted_epoch),
            current_epoch: status.epoch.max(self.report.current_epoch),
            last_zxid: status.last_zxid,
            config: Some(status.config),
            empty: false,
            running: true,
            ..self.report.clone()
        }
    }

    fn status(&self) -> MemberStatus {
        let shared = &self.shared;
        let ensemble = shared.ensemble.read().clone();
        let status = *shared.status.read();
        let role = status.map(|status| status.role);
        let draining = shared.draining.load(Ordering::Acquire);
        MemberStatus {
            role: control_role(role, shared.config.standalone),
            ready: shared.serving() == Serving::Yes && !draining,
            draining,
            epoch: role.map_or(0, epoch),
            last_zxid: shared.applied().0,
            committed_zxid: status.map_or(0, |status| status.committed.0),
            leader: status.and_then(|status| status.zab.leader).map(|id| id.0),
            synced: shared.synced.read().iter().map(|id| id.0).collect(),
            config_version: format!("{:x}", ensemble.version),
            config: ensemble.to_string(),
            sessions: shared.tree.read().session_count(),
            connections: shared.connections.lock().len() as u64,
        }
    }
}

fn epoch(role: Role) -> u32 {
    match role {
        Role::Looking => 0,
        Role::Following { epoch, .. }
        | Role::Observing { epoch, .. }
        | Role::Leading { epoch, .. } => epoch.0,
    }
}

fn control_role(role: Option<Role>, standalone: bool) -> control::Role {
    match role {
        Some(Role::Leading { .. }) if standalone => control::Role::Standalone,
        Some(Role::Leading { .. }) => control::Role::Leader,
        Some(Role::Following { .. }) => control::Role::Follower,
        Some(Role::Observing { .. }) => control::Role::Observer,
        Some(Role::Looking) | None => control::Role::Looking,
    }
}
