//! Snapshots asked for and restored over HTTP, by those who may do everything to the root.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;
use tokio_util::io::ReaderStream;
use txnlog::SnapshotFile;
use wire::Perms;
use wire::client::AuthPacket;

use super::commands::Answer;
use super::http::{Monitored, json};
use super::json::field;
use crate::config::Config;
use crate::inbox::Work;
use crate::restore::{self, RestoreError, Staged};
use crate::shared::Shared;
use crate::snapshots::NotWritten;

/// How long one may wait for a snapshot that is being written already.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the answer may take to who restored a snapshot.
const FAREWELL: Duration = Duration::from_millis(100);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// When a snapshot was asked for, and when one was restored.
#[derive(Default)]
pub(super) struct Paused {
    taken: Mutex<Option<Instant>>,
    restored: Mutex<Option<Instant>>,
}

/// Whether the pause is over; then the next one begins.
fn may(last: &Mutex<Option<Instant>>, pause: u64, now: Instant) -> bool {
    let mut last = last.lock();
    let pause = Duration::from_millis(pause);
    let is_over = last.is_none_or(|last| now.saturating_duration_since(last) >= pause);
    if is_over {
        *last = Some(now);
    }
    is_over
}

/// Who asks, and for what.
pub(super) struct Asked {
    command: &'static str,
    peer: SocketAddr,
    /// `Authorization: scheme credentials`.
    authorization: Option<String>,
}

impl Asked {
    pub(super) fn new(command: &'static str, peer: SocketAddr, headers: &HeaderMap) -> Self {
        let text = headers.get(header::AUTHORIZATION);
        let authorization = text
            .and_then(|text| text.to_str().ok())
            .map(ToOwned::to_owned);
        Self {
            command,
            peer,
            authorization,
        }
    }

    pub(super) fn refuse(&self, status: StatusCode, why: Option<&str>) -> Response {
        if let Some(why) = why {
            tracing::warn!(peer = %self.peer, command = self.command, why, "refused");
        }
        json(Answer::new(self.command, status, why))
    }

    /// Whether who asks may do everything to the root.
    pub(super) fn check(&self, shared: &Shared) -> Result<(), (StatusCode, &'static str)> {
        let Some(text) = &self.authorization else {
            let why = "Auth info is missing for the command";
            return Err((StatusCode::UNAUTHORIZED, why));
        };
        let not_known = (StatusCode::UNAUTHORIZED, "Not authenticated");
        let mut words = text.split(' ');
        let (scheme, credentials, more) = (words.next(), words.next(), words.next());
        let (Some(scheme), None) = (scheme, more) else {
            return Err(not_known);
        };
        let packet = AuthPacket {
            kind: 0,
            scheme: scheme.to_owned(),
            auth: credentials.map(|text| Bytes::copy_from_slice(text.as_bytes())),
        };
        let address = self.peer.ip().to_canonical();
        let identities = tree::acl::authenticate(&packet, address, &shared.schemes)
            .ok()
            .filter(|identities| !identities.is_empty())
            .ok_or(not_known)?;
        let tree = shared.tree.read();
        let acl = tree.acl_of("/").flatten();
        // One by one: an ACL may give each to another.
        let is_allowed = [
            Perms::READ,
            Perms::WRITE,
            Perms::CREATE,
            Perms::DELETE,
            Perms::ADMIN,
        ]
        .into_iter()
        .all(|perm| tree.allows(acl, perm, &identities));
        if is_allowed {
            Ok(())
        } else {
            Err((StatusCode::FORBIDDEN, "Not authorized"))
        }
    }
}

/// Writes a snapshot, and sends it unless `streaming=false`.
pub(super) async fn take(
    shared: &Shared,
    paused: &Paused,
    asked: &Asked,
    arguments: &BTreeMap<String, String>,
) -> Response {
    let (admin, storage) = (&shared.config.admin, &shared.config.storage);
    if !admin.snapshot {
        let why = "admin.snapshot.enabled=false";
        return asked.refuse(StatusCode::SERVICE_UNAVAILABLE, Some(why));
    }
    if !storage.last_zxid_in_snapshot {
        let why = "serializeLastProcessedZxid.enabled=false";
        return asked.refuse(StatusCode::INTERNAL_SERVER_ERROR, Some(why));
    }
    if !may(&paused.taken, admin.pause, Instant::now()) {
        shared.metrics.snapshot_rate_limited_count.inc();
        return asked.refuse(StatusCode::TOO_MANY_REQUESTS, None);
    }
    let answer = match write(shared).await {
        Ok(file) => {
            let is_wanted = arguments
                .get("streaming")
                .is_none_or(|text| text.eq_ignore_ascii_case("true"));
            send(&file, asked, is_wanted)
                .await
                .map_err(|error| error.to_string())
        }
        Err(why) => Err(why.to_string()),
    };
    answer.unwrap_or_else(|why| {
        shared.metrics.snapshot_error_count.inc();
        asked.refuse(StatusCode::INTERNAL_SERVER_ERROR, Some(&why))
    })
}

/// Has a snapshot written as soon as none is.
async fn write(shared: &Shared) -> Result<SnapshotFile, NotWritten> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (sender, receiver) = oneshot::channel();
        // Who asked may have gone.
        let tell = Box::new(move |written| drop(sender.send(written)));
        shared.inbox.push(Work::Snapshot(tell), 0);
        match receiver.await.unwrap_or(Err(NotWritten::Failed)) {
            Err(NotWritten::Busy) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            result => return result,
        }
    }
}

async fn send(
    file: &SnapshotFile,
    asked: &Asked,
    is_wanted: bool,
) -> Result<Response, std::io::Error> {
    let opened = open(&file.path).await?;
    let size = opened.metadata().await?.len();
    let mut response = if is_wanted {
        let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
        (kind, Body::from_stream(ReaderStream::new(opened))).into_response()
    } else {
        json(Answer::new(asked.command, StatusCode::OK, None))
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("last_zxid", format!("0x{:x}", file.zxid.0)),
        ("snapshot_size", size.to_string()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    Ok(response)
}

async fn open(path: &Path) -> std::io::Result<tokio::fs::File> {
    tokio::fs::File::open(path).await
}

/// Takes a snapshot for the state of a single server, which starts again with it.
pub(super) async fn restore(
    shared: &Shared,
    monitored: &Monitored,
    asked: &Asked,
    body: Body,
) -> Response {
    let (admin, metrics) = (&shared.config.admin, &shared.metrics);
    if !admin.restore {
        let why = "admin.restore.enabled=false";
        return asked.refuse(StatusCode::SERVICE_UNAVAILABLE, Some(why));
    }
    if !may(&monitored.paused.restored, admin.pause, Instant::now()) {
        metrics.restore_rate_limited_count.inc();
        return asked.refuse(StatusCode::TOO_MANY_REQUESTS, None);
    }
    let start = Instant::now();
    match receive(shared.config.clone(), body).await {
        Ok(staged) => {
            metrics
                .restore_time
                .observe(start.elapsed().as_secs_f64() * 1e3);
            let mut answer = Answer::new(asked.command, StatusCode::OK, None);
            answer.fields.push(field("last_zxid", staged.zxid.0));
            let stop = monitored.stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(FAREWELL).await;
                stop.restore(staged);
            });
            json(answer)
        }
        Err(error) => {
            metrics.restore_error_count.inc();
            let why = error.to_string();
            asked.refuse(StatusCode::INTERNAL_SERVER_ERROR, Some(&why))
        }
    }
}

/// Writes what comes, and reads it as at a start.
async fn receive(config: Config, body: Body) -> Result<Staged, RestoreError> {
    let (file, path) = restore::begin(&config)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut body = body;
    let cut = |why: String| RestoreError::Unreadable(why);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| cut(error.to_string()))?;
        if let Ok(bytes) = frame.into_data() {
            let written = file.write_all(&bytes).await;
            written.map_err(|error| cut(error.to_string()))?;
        }
    }
    let written = file.flush().await;
    written.map_err(|error| cut(error.to_string()))?;
    let read = tokio::task::spawn_blocking(move || restore::finish(&config, &path));
    read.await
        .unwrap_or_else(|error| Err(cut(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_may_come_after_the_pause() {
        let last = Mutex::new(None);
        let start = Instant::now();
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let allowed = [0, 99, 100, 150, 200].map(|at| may(&last, 100, after(at)));
        assert_eq!(allowed, [true, false, true, false, true]);
    }
}
