//! Everything that a client can see of a tree.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use zookeeper_client::{Client, Error};

use crate::load;

/// Each path with its data, state and ACL, as text.
pub type Dump = BTreeMap<String, String>;

/// Reads a whole tree from one server, as `digest:user:secret` and without `/zookeeper/config`, whose text names the members.
///
/// # Errors
/// If the server cannot be reached, or an answer is missing.
pub async fn dump(server: &str) -> anyhow::Result<Dump> {
    let client = load::connect(server).await?;
    client
        .auth("digest", b"user:secret")
        .await
        .context("authenticate")?;
    client.sync("/").await.context("sync")?;
    let mut found = Dump::new();
    let mut open = vec!["/".to_owned()];
    while let Some(path) = open.pop() {
        if path == "/zookeeper/config" {
            continue;
        }
        let (data, stat) = client
            .get_data(&path)
            .await
            .with_context(|| format!("get {path}"))?;
        let acl = match client.get_acl(&path).await {
            Ok((acl, _)) => format!("{acl:?}"),
            Err(Error::NoAuth) => "hidden".to_owned(),
            Err(error) => bail!("get the ACL of {path}: {error}"),
        };
        found.insert(path.clone(), format!("{} {stat:?} {acl}", escape(&data)));
        open.extend(children(&client, &path).await?);
    }
    Ok(found)
}

async fn children(client: &Client, path: &str) -> anyhow::Result<Vec<String>> {
    let names = client
        .list_children(path)
        .await
        .with_context(|| format!("list {path}"))?;
    let parent = path.trim_end_matches('/');
    Ok(names
        .into_iter()
        .map(|name| format!("{parent}/{name}"))
        .collect())
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
    paths.iter().take(MOST).map(line).collect()
}
