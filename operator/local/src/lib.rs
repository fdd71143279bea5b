//! The `local` platform: a `ZooKeeperCluster` as processes and folders on one machine.
//!
//! Start in [`up`], the command; [`world`] holds the supervisor's objects and the rules of a
//! StatefulSet in small, the supervisor is the loop that carries them out, and [`platform`] is
//! the operator's view of them. Operator, sidecars and servers are processes of this same binary.
//!
//! Invariants:
//! - a state folder has one supervisor, and nothing starts before every process of an earlier
//!   one has ended;
//! - every process ends when its supervisor does, however that ends;
//! - the operator reaches the supervisor's objects only through [`remote`], so it can be killed
//!   alone and finds them again;
//! - a volume is erased only by a request that names its uid, and never while its pod lives.
//!
//! It does not decide anything about an ensemble: that is the planner, the same as in Kubernetes.

pub mod authority;
pub mod folder;
pub mod platform;
mod pod;
mod ports;
mod process;
pub mod remote;
mod show;
mod supervisor;
pub mod tether;
pub mod up;
pub mod world;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use ferrokeeper_operator::drive::drive;
use ferrokeeper_operator::metrics::Metrics;
use ferrokeeper_operator::sidecars::{Credentials, Sidecars};
use tokio::sync::Notify;

use crate::platform::Local;
use crate::remote::Remote;
use crate::world::Request;

/// Longest wait between two passes: shorter than in Kubernetes, because a person watches.
const AT_REST: Duration = Duration::from_secs(1);

/// The operator's process; the current folder is the state folder.
///
/// # Errors
/// If its certificates cannot be used, or another operator leads.
pub async fn operate(shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let platform = Local::new(Remote::new(Path::new(""))?);
    let sidecars = Sidecars::new(&Credentials::read(Path::new("operator"))?)?;
    let (metrics, wake) = (Metrics::new()?.ensemble("", "local"), Notify::new());
    drive(&platform, &sidecars, &metrics, AT_REST, &wake, shutdown).await?;
    Ok(())
}

/// Prints the ensemble that runs in a state folder.
///
/// # Errors
/// If none runs there.
pub async fn status(state: &Path) -> anyhow::Result<()> {
    let nothing = || format!("no ensemble runs in {}", state.display());
    let root = state.canonicalize().with_context(nothing)?;
    // A socket's path must be short, so it is named from where it is.
    std::env::set_current_dir(&root)?;
    let world = Remote::new(Path::new(""))?
        .ask(&Request::Observe)
        .await
        .with_context(nothing)?;
    println!("{}", show::whole(&world, &root));
    Ok(())
}
