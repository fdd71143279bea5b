use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;

/// One Lease behind an API server, as far as a Lease needs one.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lease: Option<Value>,
    version: u64,
    /// It refuses everything.
    away: bool,
    /// It does what the next request says, and the answer is lost.
    loses_next_answer: bool,
}

impl Server {
    fn lease(&self, identity: &str) -> Lease {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.serve(request).await }
        });
        Lease::new(Client::new(service, "ns"), "ns", "operator", identity)
    }

    async fn serve(&self, request: Request<Body>) -> std::io::Result<Response<Body>> {
        let method = request.method().clone();
        let sent = request.into_body().collect_bytes().await.expect("read");
        let mut state = self.0.lock();
        if state.away {
            return Err(std::io::ErrorKind::ConnectionRefused.into());
        }
        let (code, answer) = state.answer(&method, serde_json::from_slice(&sent).ok());
        if method != Method::GET && std::mem::take(&mut state.loses_next_answer) {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        let answer = Body::from(answer.to_string().into_bytes());
        Ok(Response::builder()
            .status(code)
            .body(answer)
            .expect("an answer"))
    }

    fn holder(&self) -> Option<String> {
        let state = self.0.lock();
        let holder = &state.lease.as_ref()?["spec"]["holderIdentity"];
        holder.as_str().map(ToOwned::to_owned)
    }

    fn be_away(&self, away: bool) {
        self.0.lock().away = away;
    }
}

impl State {
    fn answer(&mut self, method: &Method, sent: Option<Value>) -> (StatusCode, Value) {
        let status = |code: StatusCode, reason: &str| {
            let status = json!({"kind": "Status", "status": "Failure", "message": reason,
                "reason": reason, "code": code.as_u16()});
            (code, status)
        };
        let known = self
            .lease
            .as_ref()
            .map(|lease| lease["metadata"]["resourceVersion"].clone());
        match (method, &known, sent) {
            (&Method::GET, Some(_), _) => {}
            (&Method::GET | &Method::PUT, None, _) => {
                return status(StatusCode::NOT_FOUND, "NotFound");
            }
            (&Method::POST, Some(_), _) => return status(StatusCode::CONFLICT, "AlreadyExists"),
            (&Method::PUT, Some(version), Some(sent))
                if sent["metadata"]["resourceVersion"] != *version =>
            {
                return status(StatusCode::CONFLICT, "Conflict");
            }
            (_, _, Some(mut sent)) => {
                self.version += 1;
                sent["metadata"]["resourceVersion"] = json!(self.version.to_string());
                self.lease = Some(sent);
            }
            (method, ..) => panic!("{method} of nothing"),
        }
        let lease = self.lease.clone().expect("there");
        (StatusCode::OK, lease)
    }
}

fn seconds(since: Instant) -> u64 {
    since.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn the_first_takes_it_and_the_second_stands_by_until_it_is_released() {
    let server = Server::default();
    let first = server.lease("first").take(|_| {}).await;
    let reports = Arc::new(Mutex::new(Vec::new()));
    let standby = tokio::spawn({
        let (lease, reports) = (server.lease("second"), Arc::clone(&reports));
        async move {
            lease
                .take(|standing| reports.lock().push(standing.clone()))
                .await
        }
    });
    // Renewed, it is kept for ever.
    let mut first = first;
    let kept = tokio::time::timeout(Duration::from_secs(120), first.keep()).await;
    assert!(kept.is_err(), "lost: {kept:?}");
    assert_eq!(server.holder().as_deref(), Some("first"));

    let released = Instant::now();
    first.release().await;
    let second = standby.await.expect("taken");
    assert!(seconds(released) <= 1, "after {:?}", released.elapsed());
    assert_eq!(server.holder().as_deref(), Some("second"));
    assert_eq!(transitions(&second.object), 1);
    assert_eq!(*reports.lock(), [Standing::Behind("first".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_holders_lease_lapses_by_the_observers_clock() {
    let server = Server::default();
    let mut dead = server.lease("dead").take(|_| {}).await;
    // By its own clock it renewed ten hours from now.
    let wrong = MicroTime(Timestamp::now() + Duration::from_secs(36_000));
    if let Some(lease) = &mut server.0.lock().lease {
        lease["spec"]["renewTime"] = json!(wrong);
    }
    let start = Instant::now();
    let _second = server.lease("second").take(|_| {}).await;
    assert!(
        (15..=17).contains(&seconds(start)),
        "after {:?}",
        start.elapsed()
    );
    assert_eq!(
        dead.renew().await.expect("answered"),
        Some(Lost::Taken("second".into()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_restarted_process_does_not_wait_for_its_predecessor() {
    let server = Server::default();
    let mut before = server.lease("pod").take(|_| {}).await;
    let start = Instant::now();
    let _after = server.lease("pod").take(|_| {}).await;
    assert_eq!(seconds(start), 0);
    // Should both run all the same, one of them stops.
    let lost = before.renew().await.expect("answered");
    assert_eq!(lost, Some(Lost::Taken("pod".into())));
}

#[tokio::test(start_paused = true)]
async fn a_holder_stops_before_another_may_begin() {
    let server = Server::default();
    let mut held = server.lease("first").take(|_| {}).await;
    server.be_away(true);
    let start = Instant::now();
    let lost = held.keep().await;
    assert!(matches!(lost, Lost::Silence(_)), "{lost:?}");
    assert_eq!(seconds(start), STOP_AFTER.as_secs());
    assert!(STOP_AFTER < DURATION);
}

#[tokio::test(start_paused = true)]
async fn a_short_absence_of_the_api_server_costs_nothing() {
    let server = Server::default();
    let mut held = server.lease("first").take(|_| {}).await;
    server.be_away(true);
    let back = async {
        sleep(Duration::from_secs(11)).await;
        server.be_away(false);
        sleep(Duration::from_secs(60)).await;
    };
    tokio::select! {
        lost = held.keep() => panic!("{lost}"),
        () = back => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_was_lost_is_no_loss() {
    let server = Server::default();
    let mut held = server.lease("first").take(|_| {}).await;
    server.0.lock().loses_next_answer = true;
    let kept = tokio::time::timeout(Duration::from_secs(60), held.keep()).await;
    assert!(kept.is_err(), "lost: {kept:?}");
    let answered = held.renew().await;
    assert!(matches!(answered, Ok(None)), "{answered:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_lost() {
    let server = Server::default();
    let mut held = server.lease("first").take(|_| {}).await;
    server.0.lock().lease = None;
    assert_eq!(held.keep().await, Lost::Deleted);
}

#[tokio::test(start_paused = true)]
async fn an_operator_waits_for_an_api_server_that_is_away() {
    let server = Server::default();
    server.be_away(true);
    let reports = Mutex::new(Vec::new());
    let lease = server.lease("first");
    let back = async {
        sleep(Duration::from_secs(600)).await;
        server.be_away(false);
    };
    let (held, ()) = tokio::join!(
        lease.take(|standing| reports.lock().push(standing.clone())),
        back
    );
    assert_eq!(*reports.lock(), [Standing::Blind]);
    assert_eq!(transitions(&held.object), 0);
}
