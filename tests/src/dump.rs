//! Everything that a client can see of a tree.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt};
use zookeeper_client::{Client, Error};

use crate::load;

/// Reads under way at any time.
const IN_FLIGHT: usize = 64;
/// For a whole tree.
const LIMIT: Duration = Duration::from_secs(120);

/// Each path with its data, state and ACL, as text.
pub type Dump = BTreeMap<String, String>;

/// Reads a whole tree from one server, as `digest:user:secret` and without `/zookeeper/config`, whose text names the members.
///
/// # Errors
/// If the server cannot be reached, or an answer is missing after two minutes.
pub async fn dump(server: &str) -> anyhow::Result<Dump> {
    load::within(LIMIT, &format!("read the tree of {server}"), walk(server)).await
}

async fn walk(server: &str) -> anyhow::Result<Dump> {
    let client = load::connect(server).await?;
    client
        .auth("digest", b"user:secret")
        .await
        .context("authenticate")?;
    client.sync("/").await.context("sync")?;
    let mut found = Dump::new();
    let mut level = vec!["/".to_owned()];
    while !level.is_empty() {
        let reads = level.iter().map(|path| znode(&client, path));
        let read: Vec<(String, Vec<String>)> = futures::stream::iter(reads)
            .buffered(IN_FLIGHT)
            .try_collect()
            .await?;
        let mut next = Vec::new();
        for (path, (text, children)) in level.into_iter().zip(read) {
            found.insert(path, text);
            next.extend(children);
        }
        next.retain(|path| path != "/zookeeper/config");
        level = next;
    }
    Ok(found)
}

/// One znode as text, and its children's paths.
async fn znode(client: &Client, path: &str) -> anyhow::Result<(String, Vec<String>)> {
    let (data, stat) = client
        .get_data(path)
        .await
        .with_context(|| format!("get {path}"))?;
    let acl = match client.get_acl(path).await {
        Ok((acl, _)) => format!("{acl:?}"),
        Err(Error::NoAuth) => "hidden".to_owned(),
        Err(error) => bail!("get the ACL of {path}: {error}"),
    };
    let names = client
        .list_children(path)
        .await
        .with_context(|| format!("list {path}"))?;
    let parent = path.trim_end_matches('/');
    let children = names
        .into_iter()
        .map(|name| format!("{parent}/{name}"))
        .collect();
    Ok((format!("{} {stat:?} {acl}", escape(&data)), children))
}

fn escape(data: &[u8]) -> String {
    data.escape_ascii().to_string()
}

/// The first differences of two dumps, for people; empty if they are equal.
#[must_use]
pub fn difference(left: &Dump, right: &Dump) -> Vec<String> {
    const MOST: usize = 5;
    let paths = left.keys().chain(right.keys());
    let mut paths: Vec<&String> = paths
        .filter(|path| left.get(*path) != right.get(*path))
        .collect();
    paths.sort();
    paths.dedup();
    let absent = "absent".to_owned();
    let line = |path: &&String| {
        let left = left.get(*path).unwrap_or(&absent);
        let right = right.get(*path).unwrap_or(&absent);
        format!("{path}:\n  {left}\n  {right}")
    };
    let more = paths.len().saturating_sub(MOST);
    let more = (more > 0).then(|| format!("and {more} more"));
    paths.iter().take(MOST).map(line).chain(more).collect()
}
