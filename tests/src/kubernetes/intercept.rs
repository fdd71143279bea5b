//! Stands between the operator and the world, counts what it changes, and fails when told to.
//!
//! A [`Tap`] counts writes, orders to sidecars among them, and remembers what lists showed. An
//! [`Intercept`] puts it in front of a Kubernetes, in memory or real; a [`Tapped`] in front of the
//! sidecars. An operator that crashes is one whose tap lets nothing through any more.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use api::MemberId;
use api::sidecar::{OrderRequest, OrderResponse};
use bytes::Bytes;
use ferrokeeper_operator::platform::Endpoint;
use ferrokeeper_operator::sidecars::{Orders, SidecarError};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use parking_lot::Mutex;
use plan::observed::Report;
use serde_json::json;
use tokio::sync::Notify;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What goes wrong, once. Writes and lists are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operator ends before this write is sent.
    CrashBefore(usize),
    /// The operator ends after this write was carried out and before it hears of it.
    CrashAfter(usize),
    /// This write is not carried out and answered with this HTTP status.
    Refuse(usize, u16),
    /// This write is carried out, and its answer is lost.
    LoseAnswer(usize),
    /// The operator stands still before this write, until it is told to go on: a machine that
    /// sleeps, a process that is stopped.
    Freeze(usize),
    /// This list shows what the one before it showed.
    StaleList(usize),
}

/// The operator's connection to everything else.
#[derive(Clone, Debug, Default)]
pub struct Tap {
    state: Arc<Mutex<State>>,
    stands: Arc<Notify>,
    goes_on: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    crashed: bool,
    writes: Vec<String>,
    lists: usize,
    /// What each list last showed, by its address.
    shown: BTreeMap<String, Bytes>,
}

/// How a write goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Through,
    /// Carried out, and the operator does not hear of it.
    Unheard,
    Refused(u16),
}

/// What an operator that has ended would see, could it see anything.
#[derive(Debug)]
pub struct Cut(&'static str);

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Cut {}

impl Tap {
    /// A tap that will do this, once.
    pub fn with(fault: Fault) -> Self {
        let tap = Self::default();
        tap.state.lock().fault = Some(fault);
        tap
    }

    /// Every write so far, those included that were not carried out.
    pub fn writes(&self) -> Vec<String> {
        self.state.lock().writes.clone()
    }

    /// How many lists were asked for.
    pub fn lists(&self) -> usize {
        self.state.lock().lists
    }

    /// The operator behind it has ended.
    pub fn has_crashed(&self) -> bool {
        self.state.lock().crashed
    }

    /// What was to go wrong has.
    pub fn is_spent(&self) -> bool {
        self.state.lock().fault.is_none()
    }

    /// Another operator starts where one has ended. What was counted stays.
    pub fn revive(&self) {
        self.state.lock().crashed = false;
    }

    /// Forgets what was written so far.
    pub fn forget_writes(&self) {
        self.state.lock().writes.clear();
    }

    /// Waits until the operator behind it stands still.
    pub async fn stands_still(&self) {
        self.stands.notified().await;
    }

    /// Lets an operator that stands still go on.
    pub fn go_on(&self) {
        self.goes_on.notify_one();
    }

    async fn begin(&self, write: String) -> Result<Course, Cut> {
        if self.freezes() {
            self.stands.notify_one();
            self.goes_on.notified().await;
        }
        self.count(write)
    }

    fn freezes(&self) -> bool {
        let mut state = self.state.lock();
        let freezes = state.fault == Some(Fault::Freeze(state.writes.len() + 1));
        if freezes {
            state.fault = None;
        }
        freezes
    }

    fn count(&self, write: String) -> Result<Course, Cut> {
        let mut state = self.state.lock();
        state.alive()?;
        state.writes.push(write);
        let this = state.writes.len();
        let course = match state.fault {
            Some(Fault::CrashBefore(at)) if at == this => {
                state.fault = None;
                state.crashed = true;
                return Err(Cut("the operator has ended before it wrote"));
            }
            Some(Fault::CrashAfter(at)) if at == this => {
                state.crashed = true;
                Course::Unheard
            }
            Some(Fault::LoseAnswer(at)) if at == this => Course::Unheard,
            Some(Fault::Refuse(at, code)) if at == this => Course::Refused(code),
            _ => return Ok(Course::Through),
        };
        state.fault = None;
        Ok(course)
    }

    /// What a list is to show instead of what there is.
    fn stale(&self, address: &str) -> Option<Bytes> {
        let mut state = self.state.lock();
        state.lists += 1;
        if state.fault != Some(Fault::StaleList(state.lists)) {
            return None;
        }
        state.fault = None;
        state.shown.get(address).cloned()
    }
}

impl State {
    fn alive(&self) -> Result<(), Cut> {
        if self.crashed {
            return Err(Cut("the operator has ended"));
        }
        Ok(())
    }
}

/// A Kubernetes behind a [`Tap`].
#[derive(Clone, Debug)]
pub struct Intercept<S> {
    inner: S,
    tap: Tap,
}

impl<S> Intercept<S> {
    /// In front of `inner`.
    pub fn new(inner: S, tap: Tap) -> Self {
        Self { inner, tap }
    }
}

impl<S, B> tower::Service<Request<Body>> for Intercept<S>
where
    S: tower::Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<UnsyncBoxBody<Bytes, BoxError>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that is ready is used; its clone will be when it is asked.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let tap = self.tap.clone();
        Box::pin(async move {
            if request.method() == Method::GET {
                read(inner, &tap, request).await
            } else {
                write(inner, &tap, request).await
            }
        })
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

async fn write<S, B>(mut inner: S, tap: &Tap, request: Request<Body>) -> Result<Answer, BoxError>
where
    S: tower::Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let what = format!("{} {}", request.method(), request.uri().path());
    // One that is only tried changes nothing.
    let dry = request
        .uri()
        .query()
        .is_some_and(|query| query.contains("dryRun=All"));
    let course = if dry {
        Course::Through
    } else {
        tap.begin(what).await?
    };
    if let Course::Refused(code) = course {
        return Ok(refusal(code));
    }
    let answer = inner.call(request).await.map_err(Into::into)?;
    match course {
        Course::Unheard => Err(Cut("the answer is lost").into()),
        _ => Ok(answer.map(boxed)),
    }
}

async fn read<S, B>(mut inner: S, tap: &Tap, request: Request<Body>) -> Result<Answer, BoxError>
where
    S: tower::Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    tap.state.lock().alive()?;
    if !is_list(request.uri()) {
        return Ok(inner.call(request).await.map_err(Into::into)?.map(boxed));
    }
    let address = request.uri().to_string();
    if let Some(stale) = tap.stale(&address) {
        return Ok(Response::new(boxed(Full::new(stale))));
    }
    let answer = inner.call(request).await.map_err(Into::into)?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(Into::into)?.to_bytes();
    tap.state.lock().shown.insert(address, body.clone());
    Ok(Response::from_parts(head, boxed(Full::new(body))))
}

fn boxed<B>(body: B) -> UnsyncBoxBody<Bytes, BoxError>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// `…/namespaces/NAMESPACE/PLURAL`, and not a watch of it.
fn is_list(uri: &Uri) -> bool {
    let mut parts = uri.path().split('/').rev();
    let watches = uri.query().is_some_and(|query| query.contains("watch="));
    parts.nth(2) == Some("namespaces") && !watches
}

fn refusal(code: u16) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "refused by the test", "reason": "Test", "code": code,
    });
    let mut answer = Response::new(boxed(Full::new(Bytes::from(body.to_string()))));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
    answer
}

/// Sidecars behind a [`Tap`]: an order to one is a write.
#[derive(Clone, Debug)]
pub struct Tapped<O> {
    inner: O,
    tap: Tap,
}

impl<O> Tapped<O> {
    /// In front of `inner`.
    pub fn new(inner: O, tap: Tap) -> Self {
        Self { inner, tap }
    }
}

impl<O: Orders> Orders for Tapped<O> {
    async fn ask_all(
        &self,
        endpoints: &BTreeMap<MemberId, Endpoint>,
    ) -> BTreeMap<MemberId, Report> {
        if self.tap.has_crashed() {
            return BTreeMap::new();
        }
        self.inner.ask_all(endpoints).await
    }

    async fn order(
        &self,
        endpoint: &Endpoint,
        request: &OrderRequest,
    ) -> Result<OrderResponse, SidecarError> {
        let unheard = |cut: Cut| SidecarError::Nobody(format!("{}: {cut}", endpoint.name));
        let name = request.operation_id.split('-').next().unwrap_or_default();
        let what = format!("ORDER {name} {}", endpoint.name);
        match self.tap.begin(what).await.map_err(unheard)? {
            Course::Refused(_) => Err(unheard(Cut("not sent"))),
            Course::Through => self.inner.order(endpoint, request).await,
            Course::Unheard => {
                self.inner.order(endpoint, request).await?;
                Err(unheard(Cut("the answer is lost")))
            }
        }
    }
}
