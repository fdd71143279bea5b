//! A stream of changes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch as latest;
use tokio::time::Instant;

use super::AnswerBody;
use super::failure::Failure;
use super::kinds::Kind;
use super::requests::metadata_of;
use super::selector::Selector;
use super::store::{Change, Store};

/// Longest life of a watch that names none.
const LONGEST: Duration = Duration::from_secs(300);

/// What is watched.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Objects of this kind.
    pub(crate) kind: &'static Kind,
    /// In this namespace; in all of them if `None`.
    pub(crate) namespace: Option<String>,
    /// Those that are selected.
    pub(crate) selector: Selector,
    /// Changes after this version; from what there is now if `None`.
    pub(crate) from: Option<u64>,
    /// The client wants to be told of versions without changes for it.
    pub(crate) bookmarks: bool,
    /// What there is now comes first, and a bookmark says where it ends.
    pub(crate) initial_events: bool,
    /// Only the metadata is wanted.
    pub(crate) metadata_only: bool,
    /// The client does not want it for longer.
    pub(crate) seconds: Option<u64>,
}

struct Stream {
    watch: Watch,
    store: Arc<Mutex<Store>>,
    version: latest::Receiver<u64>,
    /// Everything up to this version is in `lines` or was sent.
    seen: u64,
    /// No bookmark is due.
    marked: bool,
    lines: VecDeque<Value>,
    until: Instant,
    ended: bool,
}

/// The stream as a body: a JSON object a line.
pub(crate) fn body(
    watch: Watch,
    store: Arc<Mutex<Store>>,
    version: latest::Receiver<u64>,
) -> AnswerBody {
    let life = watch.seconds.map_or(LONGEST, Duration::from_secs);
    let mut stream = Stream {
        seen: 0,
        marked: false,
        lines: VecDeque::new(),
        until: Instant::now() + life,
        ended: false,
        watch,
        store,
        version,
    };
    stream.begin();
    let frames = stream::unfold(stream, |mut stream| async {
        let line = stream.next().await?;
        let frame = Frame::data(Bytes::from(format!("{line}\n")));
        Some((Ok::<_, Infallible>(frame), stream))
    });
    StreamBody::new(frames).boxed_unsync()
}

impl Stream {
    fn begin(&mut self) {
        let store = Arc::clone(&self.store);
        let store = store.lock();
        if let (Some(from), false) = (self.watch.from, self.watch.initial_events) {
            self.seen = from;
            self.catch_up(&store);
            return;
        }
        self.seen = store.version();
        let all = store.all(self.watch.kind, self.watch.namespace.as_deref());
        let found = all.filter(|(_, object)| self.watch.selector.selects(object));
        let lines: Vec<_> = found.map(|(_, o)| self.line("ADDED", o)).collect();
        self.lines.extend(lines);
        if self.watch.initial_events {
            let mut end = self.bookmark();
            end["object"]["metadata"]["annotations"] =
                json!({ "k8s.io/initial-events-end": "true" });
            self.lines.push_back(end);
            self.marked = true;
        }
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            if self.watch.bookmarks && !self.marked {
                self.marked = true;
                return Some(self.bookmark());
            }
            match tokio::time::timeout_at(self.until, self.version.changed()).await {
                Ok(Ok(())) => {}
                // Its time is over, or the Kubernetes is gone.
                Ok(Err(_)) | Err(_) => return None,
            }
            let store = Arc::clone(&self.store);
            self.catch_up(&store.lock());
        }
    }

    fn catch_up(&mut self, store: &Store) {
        match store.changes_since(self.seen) {
            Err(oldest) => {
                let status = Failure::expired(self.seen, oldest).status();
                self.lines
                    .push_back(json!({ "type": "ERROR", "object": status }));
                self.ended = true;
            }
            Ok(changes) => {
                let lines: Vec<_> = changes.filter_map(|change| self.news(change)).collect();
                self.marked &= lines.is_empty();
                self.lines.extend(lines);
                self.seen = store.version();
            }
        }
    }

    /// What a change is to this watch: an object that is no longer selected is gone for it.
    fn news(&self, change: &Change) -> Option<Value> {
        let Watch {
            kind,
            namespace,
            selector,
            ..
        } = &self.watch;
        let elsewhere = namespace
            .as_ref()
            .is_some_and(|n| *n != change.key.namespace);
        if change.key.kind != *kind || elsewhere {
            return None;
        }
        let selected = |object: &&Value| selector.selects(object);
        let before = change.before.as_ref().filter(selected);
        let after = change.after.as_ref().filter(selected);
        match (before, after) {
            (None, None) => None,
            (None, Some(after)) => Some(self.line("ADDED", after)),
            (Some(_), Some(after)) => Some(self.line("MODIFIED", after)),
            (Some(before), None) => {
                let mut last = before.clone();
                last["metadata"]["resourceVersion"] = change.version.to_string().into();
                Some(self.line("DELETED", &last))
            }
        }
    }

    fn line(&self, type_: &str, object: &Value) -> Value {
        let object = if self.watch.metadata_only {
            metadata_of(object)
        } else {
            object.clone()
        };
        json!({ "type": type_, "object": object })
    }

    fn bookmark(&self) -> Value {
        let (version, kind) = if self.watch.metadata_only {
            ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata")
        } else {
            (self.watch.kind.api_version(), self.watch.kind.kind)
        };
        json!({
            "type": "BOOKMARK",
            "object": {
                "apiVersion": version,
                "kind": kind,
                "metadata": { "resourceVersion": self.seen.to_string() },
            },
        })
    }
}
