//! An ensemble at rest.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::NAMESPACE;
use super::client::Load;
use super::ensemble::Ensemble;
use crate::stage::Stage;

/// More than ten passes without anything to do: one in ten seconds, at most.
const REST: Duration = Duration::from_secs(60);

/// A line of the audit log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Write {
    verb: String,
    user: User,
    object_ref: Option<Object>,
}

#[derive(Debug, Deserialize)]
struct User {
    username: String,
}

#[derive(Debug, Deserialize)]
struct Object {
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl Object {
    fn is_in(&self, namespaces: &[&str]) -> bool {
        self.namespace
            .as_deref()
            .is_some_and(|own| namespaces.contains(&own))
    }
}

/// For a minute of client load the operator writes nothing but its Lease.
pub(crate) async fn no_writes(stage: &Stage<'_>) -> anyhow::Result<()> {
    let ensemble = Ensemble::example(stage).await?;
    let load = Load::start(&ensemble, "client").await?;
    ensemble.until_ready().await?;
    let pods = ensemble.pod_uids().await?;
    // What the last steps of the start wrote is over.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let from = std::fs::read_to_string(stage.cluster.audit_log())
        .context("the audit log")?
        .len();
    tokio::time::sleep(REST).await;
    let log = std::fs::read_to_string(stage.cluster.audit_log()).context("the audit log")?;
    let mut others = Vec::new();
    let mut leases = 0;
    for line in log[from..].lines() {
        let write: Write = serde_json::from_str(line).context("a line of the audit log")?;
        if !write
            .user
            .username
            .starts_with("system:serviceaccount:ferrokeeper:")
        {
            continue;
        }
        match &write.object_ref {
            Some(object) if object.resource == "leases" => leases += 1,
            Some(object) if object.is_in(&[&stage.namespace, NAMESPACE]) => {
                let name = object.name.as_deref().unwrap_or_default();
                others.push(format!("{} {} {name}", write.verb, object.resource));
            }
            // Namespaces of earlier scenarios that are not gone yet.
            _ => {}
        }
    }
    load.stop().await?.ensure_unharmed()?;
    ensure!(others.is_empty(), "the operator wrote {others:#?}");
    ensure!(
        leases > 0,
        "not even the Lease was written: the log shows nothing"
    );
    ensure!(pods == ensemble.pod_uids().await?, "pods were replaced");
    Ok(())
}
