//! From nothing to an ensemble that is used.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use zookeeper_client::{Acls, Client, CreateMode};

use super::client::Load;
use super::ensemble::Ensemble;
use crate::stage::Stage;

/// What a port-forward may take to listen.
const FORWARDED: Duration = Duration::from_secs(30);

/// The chart and the example by the book; a client in a pod by the Service's name, one outside
/// through a forwarded port.
pub(crate) async fn install_and_use(stage: &Stage<'_>) -> anyhow::Result<()> {
    let ensemble = Ensemble::example(stage).await?;
    let status = ensemble.status().await.context("the status")?;
    ensure!(
        status.ready_replicas == 3 && status.members.len() == 3 && status.leader.is_some(),
        "{status:#?}"
    );
    let load = Load::start(&ensemble, "inside").await?;
    load.stop().await?.ensure_unharmed()?;

    let mut forward = stage
        .kubectl()
        .args(["port-forward", "service/demo-client", ":2181"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("start kubectl port-forward")?;
    // Held to the end: kubectl dies if nobody takes what it says.
    let mut told = BufReader::new(forward.stdout.take().context("kubectl's output")?);
    let mut line = String::new();
    tokio::time::timeout(FORWARDED, told.read_line(&mut line))
        .await
        .context("kubectl port-forward says nothing")?
        .context("kubectl's output")?;
    let address = line.split_whitespace().nth(2).context("an address")?;
    let client = Client::connect(address)
        .await
        .context("connect from outside")?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client
        .create("/from-outside", b"it works", &options)
        .await
        .context("create from outside")?;
    let (data, _) = client
        .get_data("/from-outside")
        .await
        .context("read from outside")?;
    ensure!(data == b"it works", "read {data:?}");
    drop(told);
    Ok(())
}
