//! The supervisor's objects over a Unix socket, for the operator's process.

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use crate::supervisor::Asked;
use crate::world::{Refusal, Request, World};

/// The supervisor's socket, in the state folder, which is the current one.
pub(crate) const SOCKET: &str = "supervisor.sock";

/// Answers requests until the supervisor ends.
pub(crate) async fn serve(asked: mpsc::Sender<Asked>) -> anyhow::Result<()> {
    match std::fs::remove_file(SOCKET) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let listener = UnixListener::bind(SOCKET)?;
    let router = Router::new().route("/", post(answer)).with_state(asked);
    Ok(axum::serve(listener, router).await?)
}

async fn answer(
    State(asked): State<mpsc::Sender<Asked>>,
    Json(request): Json<Request>,
) -> Json<Result<World, Refusal>> {
    let gone = || Refusal::Invalid {
        why: "the supervisor is ending".into(),
    };
    let (send, receive) = oneshot::channel();
    if asked.send((request, send)).await.is_err() {
        return Json(Err(gone()));
    }
    let answer = receive.await.unwrap_or_else(|_| Err(gone()));
    Json(answer.map(Arc::unwrap_or_clone))
}

/// Asks the supervisor, from another process.
#[derive(Clone, Debug)]
pub struct Remote(reqwest::Client);

impl Remote {
    /// A client of the supervisor of the state folder `root`, which may be the current one; a
    /// socket's path must not be longer than 107 bytes.
    ///
    /// # Errors
    /// If no client can be made.
    pub fn new(root: &Path) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .unix_socket(root.join(SOCKET))
            .timeout(std::time::Duration::from_secs(5))
            .build()?;
        Ok(Self(client))
    }

    /// Has a request carried out; answers the world after it.
    ///
    /// # Errors
    /// If the supervisor cannot be reached, or refuses.
    pub async fn ask(&self, request: &Request) -> Result<World, RemoteError> {
        let response = self
            .0
            .post("http://supervisor/")
            .json(request)
            .send()
            .await?;
        let answer: Result<World, Refusal> = response.error_for_status()?.json().await?;
        Ok(answer?)
    }
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The supervisor did not answer.
    #[error("supervisor")]
    Unreachable(#[from] reqwest::Error),
    /// It refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
}
