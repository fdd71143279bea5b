//! A Kubernetes in memory: an API server, its controllers and a machine to run pods on.
//!
//! Start in [`Memory`]. `requests` is what a request does, `write` and `apply` how objects change,
//! `admission` which ones are let in, `controllers` what happens of itself.
//!
//! Invariants:
//! - what it does differently from a real one is a bug: the script in [`super::script`] runs on
//!   both;
//! - nothing happens between two calls: controllers move in [`Memory::tick`] only, each once, in
//!   the same order;
//! - it keeps what was written, no more and no less: what an API server adds to an object is added
//!   when the object is written.
//!
//! It does not know our operator. It knows no discovery, no authentication and no other kinds than
//! those in [`kinds`].

mod admission;
mod apply;
mod controllers;
mod defaults;
mod failure;
pub mod kinds;
mod object;
mod owners;
mod quantity;
mod requests;
mod route;
mod rules;
mod selector;
mod store;
mod watch;
mod write;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch as latest;

use failure::Failure;
pub use kinds::Kind;
pub use object::Object;
use requests::{Answer, Asked};
pub use rules::Rules;
use store::{Key, Store};

/// Ticks in which everything must have come to rest.
const TICKS: usize = 200;

/// A body as this service answers it.
pub type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// A Kubernetes. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Memory {
    store: Arc<Mutex<Store>>,
    version: latest::Sender<u64>,
}

impl Memory {
    /// With the namespace `default` and our resource's definition, and nothing else.
    pub fn new() -> Self {
        let store = Store::new();
        let (version, _) = latest::channel(store.version());
        Self {
            store: Arc::new(Mutex::new(store)),
            version,
        }
    }

    /// A client of it.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    /// Makes a namespace; `labels` may say what PodSecurity enforces.
    pub fn add_namespace(&self, name: &str, labels: Value) {
        self.with(|store| store.add_namespace(name, labels));
    }

    /// Changes how the machines behave.
    pub fn rule(&self, change: impl FnOnce(&mut Rules)) {
        self.with(|store| change(&mut store.rules));
    }

    /// Each controller looks once at what there is. Answers whether anything changed.
    pub fn tick(&self) -> bool {
        self.with(|store| {
            let before = store.version();
            controllers::step(store);
            store.version() != before
        })
    }

    /// Ticks until nothing changes any more.
    ///
    /// # Panics
    /// If it never comes to rest.
    pub fn settle(&self) {
        let ticks = (0..TICKS).take_while(|_| self.tick()).count();
        assert!(ticks < TICKS, "the controllers do not come to rest");
    }

    /// An object as it is now.
    pub fn get(&self, kind: &'static Kind, namespace: &str, name: &str) -> Option<Value> {
        let key = Key::new(kind, namespace, name);
        self.store.lock().get(&key).cloned()
    }

    /// All objects of a kind in a namespace, by name.
    pub fn list(&self, kind: &'static Kind, namespace: &str) -> Vec<Value> {
        let store = self.store.lock();
        let all = store.all(kind, Some(namespace));
        all.map(|(_, object)| object.clone()).collect()
    }

    /// The version of the last write.
    pub fn version(&self) -> u64 {
        self.store.lock().version()
    }

    /// Forgets what changed up to now: whoever watches from earlier has to list again.
    pub fn forget_changes(&self) {
        self.with(Store::forget_changes);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.store.lock();
        let result = act(&mut store);
        self.version.send_replace(store.version());
        result
    }

    async fn answer(self, request: Request<Body>) -> Response<AnswerBody> {
        let (head, body) = request.into_parts();
        let body = match body.collect_bytes().await {
            Ok(body) => body,
            Err(error) => return refusal(&Failure::bad_request(error.to_string())),
        };
        let asked = match Asked::read(&head, &body) {
            Ok(asked) => asked,
            Err(failure) => return refusal(&failure),
        };
        match self.with(|store| requests::carry_out(store, asked)) {
            Ok(Answer::Object(code, object)) => json(code, &object),
            Ok(Answer::Watch(watch)) => {
                let body = watch::body(*watch, Arc::clone(&self.store), self.version.subscribe());
                Response::new(body)
            }
            Err(failure) => refusal(&failure),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl tower::Service<Request<Body>> for Memory {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let memory = self.clone();
        Box::pin(async move { Ok(memory.answer(request).await) })
    }
}

fn refusal(failure: &Failure) -> Response<AnswerBody> {
    json(failure.code, &failure.status())
}

fn json(code: u16, body: &Value) -> Response<AnswerBody> {
    let body = Full::new(Bytes::from(body.to_string())).boxed_unsync();
    let mut response = Response::new(body);
    if let Ok(code) = http::StatusCode::from_u16(code) {
        *response.status_mut() = code;
    }
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}
