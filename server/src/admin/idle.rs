//! Monitors' connections, which end when nothing moves on them: nobody can keep a member's
//! descriptors by being slow.

use std::collections::BTreeSet;
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::Listener;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};

/// Takes connections that may be idle for so long while nothing is done for them.
pub(super) struct Patient {
    pub(super) listener: TcpListener,
    pub(super) idle: Duration,
    pub(super) busy: Busy,
}

/// Whose requests are being carried out: a snapshot may take longer than a connection may be idle.
#[derive(Clone, Default)]
pub(super) struct Busy(Arc<Mutex<BTreeSet<SocketAddr>>>);

struct Begun(Busy, SocketAddr);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.0.lock().remove(&self.1);
    }
}

/// Marks whom a request is carried out for, until the answer begins.
pub(super) async fn carry_out(
    State(busy): State<Busy>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    busy.0.lock().insert(peer);
    let _begun = Begun(busy, peer);
    next.run(request).await
}

impl Listener for Patient {
    type Io = Awaited;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Awaited, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let awaited = Awaited {
            stream,
            peer,
            idle: self.idle,
            busy: self.busy.clone(),
            end: Box::pin(tokio::time::sleep(self.idle)),
        };
        (awaited, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A stream that fails once it has waited too long.
pub(super) struct Awaited {
    stream: TcpStream,
    peer: SocketAddr,
    idle: Duration,
    busy: Busy,
    end: Pin<Box<Sleep>>,
}

impl Awaited {
    fn wait_anew(&mut self) {
        let end = Instant::now() + self.idle;
        self.end.as_mut().reset(end);
    }

    /// What came of a try; if it has to wait, then not for ever.
    fn within<T>(
        &mut self,
        cx: &mut Context<'_>,
        tried: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if tried.is_ready() {
            self.wait_anew();
            return tried;
        }
        while self.end.as_mut().poll(cx).is_ready() {
            if !self.busy.0.lock().contains(&self.peer) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.wait_anew();
        }
        Poll::Pending
    }
}

impl AsyncRead for Awaited {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.within(cx, tried)
    }
}

impl AsyncWrite for Awaited {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.within(cx, tried)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use axum::serve::ListenerExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn who_says_nothing_or_half_a_request_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let idle = Duration::from_millis(300);
        let busy = Busy::default();
        let slowly = || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            "here"
        };
        let routes = Router::new()
            .route("/", get(slowly))
            .layer(from_fn_with_state(busy.clone(), carry_out));
        let patient = Patient {
            listener,
            idle,
            busy,
        }
        .tap_io(|_| {});
        let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
        let serving = tokio::spawn(async move { axum::serve(patient, routes).await });
        for (said, answer) in [
            ("", ""),
            ("GET / HTTP/1.1\r\nHost: ", ""),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n"),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            let mut heard = Vec::new();
            let ended = stream.read_to_end(&mut heard);
            let ended = tokio::time::timeout(Duration::from_secs(30), ended).await;
            let heard = String::from_utf8_lossy(&heard);
            assert!(ended.is_ok(), "{said:?} is waited for");
            assert!(heard.starts_with(answer), "{said:?}: {heard:?}");
        }
        serving.abort();
    }
}
