//! How to start.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use wire::PeerId;
use wire::config::EnsembleConfig;
use wire::control::{BootPlan, BootReport, FromServer, ToServer};

use crate::boot::Vote;
use crate::sidecar::Lines;

/// How long a server that could start from its disk waits for a sidecar to answer.
const ALONE_AFTER: Duration = Duration::from_secs(30);
/// Between two attempts to reach the sidecar.
const PAUSE: Duration = Duration::from_millis(250);

/// How to start.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The members. The newer of this and what is on the disk counts.
    pub(crate) ensemble: EnsembleConfig,
    /// The ensemble that the volume belongs to from now on.
    pub(crate) cluster_id: String,
    /// Whether this member may vote.
    pub(crate) vote: Vote,
}

/// What was found on the volume.
pub(crate) struct Found {
    pub(crate) member: PeerId,
    pub(crate) report: BootReport,
    pub(crate) stored: Option<EnsembleConfig>,
}

impl Found {
    /// What the server does if nobody tells it.
    fn alone(&self) -> Option<Plan> {
        if self.report.parked.is_some() || self.report.empty {
            return None;
        }
        let ensemble = self.stored.clone()?;
        ensemble.members.contains_key(&self.member).then_some(Plan {
            ensemble,
            cluster_id: self.report.cluster_id.clone()?,
            vote: Vote::AsFound,
        })
    }

    /// Why this plan is not for this volume.
    fn objection(&self, cluster_id: &str) -> Option<String> {
        let found = self.report.cluster_id.as_deref()?;
        (found != cluster_id).then(|| {
            format!("the volume belongs to ensemble {found}, and the plan is for {cluster_id}")
        })
    }
}

/// Waits for a plan: without limit while a sidecar is there. `park` keeps a park mark.
pub(crate) async fn ask(
    socket: &Path,
    found: &Found,
    park: impl Fn(&str) -> io::Result<()>,
) -> (Plan, Option<Lines>) {
    let start = Instant::now();
    let mut is_parked = found.report.parked.is_some();
    loop {
        let report = FromServer::Report(found.report.clone());
        let error = match Lines::open(socket, &report).await {
            Ok(mut lines) => match hear_plan(&mut lines, found, &park, &mut is_parked).await {
                Ok(plan) => return (plan, Some(lines)),
                Err(error) => error,
            },
            Err(error) => error,
        };
        tracing::debug!(%error, "no plan from the sidecar yet");
        if start.elapsed() > ALONE_AFTER
            && !is_parked
            && let Some(plan) = found.alone()
        {
            tracing::warn!("no sidecar answers: starting from what is on the disk");
            return (plan, None);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear_plan(
    lines: &mut Lines,
    found: &Found,
    park: &impl Fn(&str) -> io::Result<()>,
    is_parked: &mut bool,
) -> io::Result<Plan> {
    tracing::info!("waiting for the sidecar's plan");
    loop {
        let plan = match lines.hear().await? {
            ToServer::Boot(plan) => plan,
            ToServer::Order { id, .. } => {
                let outcome = wire::control::Outcome::Refused("the server has not started".into());
                lines.say(&FromServer::Done { id, outcome }).await?;
                continue;
            }
        };
        match read_plan(plan, found) {
            Ok(plan) => return Ok(plan),
            Err(Refusal::Park(reason)) => {
                tracing::warn!(reason, "parked: this member does not start");
                park(&reason)?;
                *is_parked = true;
            }
            Err(Refusal::Wrong(why)) => tracing::error!(why, "the sidecar's plan is not followed"),
        }
    }
}

enum Refusal {
    Park(String),
    Wrong(String),
}

fn read_plan(plan: BootPlan, found: &Found) -> Result<Plan, Refusal> {
    let (cluster_id, config, vote) = match plan {
        BootPlan::Park { reason } => return Err(Refusal::Park(reason)),
        BootPlan::Start {
            cluster_id,
            config,
            birth,
        } => {
            let vote = if birth { Vote::Birth } else { Vote::AsFound };
            (cluster_id, config, vote)
        }
        BootPlan::Join { cluster_id, config } => (cluster_id, config, Vote::No),
    };
    if let Some(why) = found.objection(&cluster_id) {
        return Err(Refusal::Wrong(why));
    }
    let ensemble = config
        .parse()
        .map_err(|error: wire::config::ConfigError| Refusal::Wrong(error.to_string()))?;
    Ok(Plan {
        ensemble,
        cluster_id,
        vote,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "server.1=a:1:2:participant;3\nserver.2=b:1:2:participant;3\nversion=5";

    fn found(cluster_id: Option<&str>, empty: bool) -> Found {
        Found {
            member: PeerId(1),
            report: BootReport {
                version: String::new(),
                volume_id: "v".into(),
                cluster_id: cluster_id.map(Into::into),
                empty,
                accepted_epoch: 1,
                current_epoch: 1,
                last_zxid: 7,
                config: Some(CONFIG.into()),
                parked: None,
                running: false,
            },
            stored: CONFIG.parse().ok(),
        }
    }

    #[test]
    fn alone_only_with_data_of_a_known_ensemble_that_lists_this_member() {
        assert!(found(Some("c"), false).alone().is_some());
        assert!(found(None, false).alone().is_none());
        assert!(found(Some("c"), true).alone().is_none());
        let mut parked = found(Some("c"), false);
        parked.report.parked = Some("why".into());
        assert!(parked.alone().is_none());
        let mut unlisted = found(Some("c"), false);
        unlisted.member = PeerId(9);
        assert!(unlisted.alone().is_none());
    }

    #[test]
    fn plan_for_another_ensemble_is_refused() {
        let plan = |cluster_id: &str| BootPlan::Join {
            cluster_id: cluster_id.into(),
            config: CONFIG.into(),
        };
        assert!(read_plan(plan("c"), &found(Some("c"), false)).is_ok());
        assert!(read_plan(plan("c"), &found(None, true)).is_ok());
        assert!(read_plan(plan("d"), &found(Some("c"), false)).is_err());
    }
}
