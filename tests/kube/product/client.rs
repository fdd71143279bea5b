//! kazoo in a pod, writing while a scenario breaks things.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use serde::Deserialize;
use serde_json::json;

use super::ensemble::{Ensemble, SETTLED};
use crate::programs::output;

/// How long a client writes beside what is broken, before and after it.
const A_WHILE: Duration = Duration::from_secs(2);

/// A pod that writes without an end.
pub(crate) struct Load<'a> {
    ensemble: &'a Ensemble<'a>,
    pod: String,
}

/// What the pod has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Report {
    /// Writes that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Those of them that are not there.
    pub(crate) lost: Vec<u64>,
    /// kazoo's connection states, in their order.
    pub(crate) states: Vec<String>,
    /// The session at the end is that of the beginning.
    pub(crate) same_session: bool,
    /// The ephemeral znode was never made anew.
    pub(crate) same_ephemeral: bool,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Ready,
    Report(Report),
}

impl<'a> Load<'a> {
    /// Starts a client of the ensemble's Service; returns when its first write is acknowledged and
    /// some more have followed.
    pub(crate) async fn start(ensemble: &'a Ensemble<'a>, name: &str) -> anyhow::Result<Self> {
        Self::start_at(ensemble, name, &format!("{}-client:2181", ensemble.name)).await
    }

    /// The same with another connection string, whose servers are tried in their order.
    pub(crate) async fn start_at(
        ensemble: &'a Ensemble<'a>,
        name: &str,
        servers: &str,
    ) -> anyhow::Result<Self> {
        let stage = ensemble.stage;
        stage
            .create::<Pod>(json!({
                "metadata": { "name": name },
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": 65532,
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "containers": [{
                        "name": "client",
                        "image": stage.images.kazoo.reference,
                        "args": [servers],
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "capabilities": { "drop": ["ALL"] },
                        },
                    }],
                },
            }))
            .await?;
        let load = Self {
            ensemble,
            pod: name.to_owned(),
        };
        load.until("the client's first write", |line| {
            matches!(line, Line::Ready).then_some(())
        })
        .await?;
        tokio::time::sleep(A_WHILE).await;
        Ok(load)
    }

    /// Lets it write a little more, then read back everything.
    pub(crate) async fn stop(self) -> anyhow::Result<Report> {
        tokio::time::sleep(A_WHILE).await;
        let mut kubectl = self.ensemble.stage.kubectl();
        // The image has no shell, and its interpreter no fixed path.
        let touch = "import pathlib; pathlib.Path('/tmp/stop').touch()";
        kubectl.args(["exec", &self.pod, "--", "/proc/1/exe", "-c", touch]);
        output(&mut kubectl).await.context("stop the client")?;
        let report = self
            .until("the client's report", |line| match line {
                Line::Report(report) => Some(report),
                Line::Ready => None,
            })
            .await?;
        println!("        the client: {report:?}");
        Ok(report)
    }

    async fn until<T>(&self, what: &str, wanted: impl Fn(Line) -> Option<T>) -> anyhow::Result<T> {
        let pods: Api<Pod> = self.ensemble.stage.api();
        self.ensemble
            .stage
            .until(what, SETTLED, async || {
                let log = pods.logs(&self.pod, &LogParams::default()).await?;
                let found = log
                    .lines()
                    .filter_map(|line| serde_json::from_str(line).ok())
                    .find_map(&wanted);
                Ok(found.ok_or(log))
            })
            .await
    }
}

impl Report {
    /// Fails unless the client noticed nothing but a lost connection.
    pub(crate) fn ensure_unharmed(&self) -> anyhow::Result<()> {
        ensure!(
            self.acknowledged > 20,
            "hardly anything was written: {self:?}"
        );
        ensure!(
            self.lost.is_empty()
                && self.same_session
                && self.same_ephemeral
                && !self.states.iter().any(|state| state == "LOST"),
            "the client was harmed: {self:?}"
        );
        Ok(())
    }
}
