//! The kubelet's preStop hook: a short process in the server's container that has the sidecar
//! drain its server before the server is told to end.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::BufReader;
use tokio::net::UnixStream;

use crate::link::{self, Lines};

/// The only line that a hook sends, on a connection of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Hook {
    /// The server will be told to end: drain it, for at most so many seconds.
    PreStop {
        /// How long the hook waits.
        seconds: u64,
    },
}

/// The answer to a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookDone {
    /// What came of it, for the log.
    pub message: String,
}

/// Asks the sidecar at `socket` to drain, and waits. A sidecar that is away costs nothing: the
/// server ends without having handed over.
///
/// # Errors
/// If no sidecar answers in time.
pub async fn run(socket: &Path, seconds: u64) -> anyhow::Result<String> {
    let asked = async {
        let (read, mut write) = UnixStream::connect(socket).await?.into_split();
        link::send(&mut write, &Hook::PreStop { seconds }).await?;
        let mut lines = Lines {
            read: BufReader::new(read),
            line: Vec::new(),
        };
        lines.next_as::<HookDone>().await
    };
    match tokio::time::timeout(Duration::from_secs(seconds), asked).await {
        Ok(Ok(Some(done))) => Ok(done.message),
        Ok(Ok(None)) => anyhow::bail!("the sidecar closed the connection"),
        Ok(Err(error)) => anyhow::bail!("the sidecar at {}: {error}", socket.display()),
        Err(_) => anyhow::bail!("not drained within {seconds} s"),
    }
}
