//! A session with an ensemble, kept by a thread of its own.
//!
//! The thread answers pings' deadlines, finds another server when a connection breaks, sets the
//! watches again and hands events to whoever asked for them. Who calls waits for the answer; a
//! call that no server can take is answered with `ConnectionLoss` after each was tried once.

mod life;

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use tokio::sync::mpsc;
use wire::Zxid;
use wire::client::{ErrorCode, EventType, Request};

use super::failure::Refused;

/// What a session tells without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// `None` when it is about the session itself.
    pub(crate) kind: EventType,
    /// The session's state, as zkCli names it.
    pub(crate) state: &'static str,
    /// Whose event it is.
    pub(crate) path: Option<String>,
    /// Of the change; -1 if there is none.
    pub(crate) zxid: i64,
}

/// How a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Connected,
    ConnectedReadOnly,
    AuthFailed,
    Closed,
}

impl State {
    /// As prompts show it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "CONNECTING",
            Self::Connected => "CONNECTED",
            Self::ConnectedReadOnly => "CONNECTEDREADONLY",
            Self::AuthFailed => "AUTH_FAILED",
            Self::Closed => "CLOSED",
        }
    }

    pub(super) const fn is_alive(self) -> bool {
        !matches!(self, Self::AuthFailed | Self::Closed)
    }
}

/// How to open a session.
#[derive(Clone)]
pub(super) struct Options {
    /// `host:port` separated by commas, and perhaps a path that all paths start from.
    pub(super) server: String,
    pub(super) timeout: Duration,
    pub(super) read_only: bool,
    /// Called on the session's thread.
    pub(super) events: Arc<dyn Fn(&Event) + Send + Sync>,
}

/// An answer without error.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// The record that follows the header.
    pub(super) body: Bytes,
}

/// What the session's thread is to do.
enum Order {
    Call {
        request: Box<Request>,
        answer: SyncSender<Result<Reply, Refused>>,
    },
    Close,
}

/// A session. Closed when dropped.
pub(super) struct Session {
    orders: mpsc::Sender<Order>,
    state: Arc<Mutex<State>>,
    timeout: Duration,
    root: String,
    thread: Option<JoinHandle<()>>,
}

/// Calls that wait for the thread; who calls waits for answers anyway.
const ORDERS: usize = 1024;

impl Session {
    /// Begins to connect.
    ///
    /// # Errors
    /// If the connect string makes no sense, or no thread can be started.
    pub(super) fn open(options: &Options) -> anyhow::Result<Self> {
        let (servers, root) = split(&options.server)?;
        let (orders, taken) = mpsc::channel(ORDERS);
        let state = Arc::new(Mutex::new(State::Connecting));
        let life = life::Life::new(options, servers, root.clone(), state.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the session's runtime")?;
        let thread = std::thread::Builder::new()
            .name("session".to_owned())
            .spawn(move || runtime.block_on(life.live(taken)))
            .context("start the session's thread")?;
        Ok(Self {
            orders,
            state,
            timeout: options.timeout,
            root,
            thread: Some(thread),
        })
    }

    pub(super) fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a server has taken the session, at most the session timeout.
    pub(super) fn wait_for_connection(&self) -> bool {
        let deadline = Instant::now() + self.timeout;
        while self.state() == State::Connecting && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        matches!(self.state(), State::Connected | State::ConnectedReadOnly)
    }

    /// Sends a request, of which paths start at the session's root, and waits for the answer.
    ///
    /// # Errors
    /// If the server refuses it, or none could be asked.
    pub(super) fn call(&self, request: Request) -> Result<Reply, Refused> {
        let mut replies = self.call_all(vec![request]);
        let lost = || Err(Refused::new(ErrorCode::ConnectionLoss, None));
        replies.pop().unwrap_or_else(lost)
    }

    /// Sends many requests at once, and waits for all answers.
    pub(super) fn call_all(&self, requests: Vec<Request>) -> Vec<Result<Reply, Refused>> {
        let waiting: Vec<_> = requests
            .into_iter()
            .map(|request| self.send(request))
            .collect();
        // Each server is tried for a part of the timeout, and answers within the timeout.
        let deadline = Instant::now() + 3 * self.timeout;
        waiting
            .into_iter()
            .map(|(path, answer)| {
                let left = deadline.saturating_duration_since(Instant::now());
                let answered = answer.recv_timeout(left);
                let lost = |_| Err(Refused::new(ErrorCode::ConnectionLoss, None));
                answered
                    .unwrap_or_else(lost)
                    .map_err(|refused| Refused { path, ..refused })
            })
            .collect()
    }

    fn send(
        &self,
        mut request: Request,
    ) -> (
        Option<String>,
        std::sync::mpsc::Receiver<Result<Reply, Refused>>,
    ) {
        let path = paths(&mut request).map(|path| path.clone());
        if !self.root.is_empty()
            && let Some(path) = paths(&mut request)
        {
            let below = if path == "/" { "" } else { path.as_str() };
            *path = format!("{}{below}", self.root);
        }
        let (answer, answered) = sync_channel(1);
        let request = Box::new(request);
        // A thread that has ended drops the order, and with it the sender of the answer.
        let _ = self.orders.blocking_send(Order::Call { request, answer });
        (path, answered)
    }

    /// A server's path as the user knows it.
    pub(super) fn local(&self, path: &str) -> String {
        local(&self.root, path)
    }

    /// Ends the session, and waits until the server knows, at most the session timeout.
    pub(super) fn close(&mut self) {
        let _ = self.orders.blocking_send(Order::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

fn local(root: &str, path: &str) -> String {
    match path.strip_prefix(root) {
        Some("") => "/".to_owned(),
        Some(rest) => rest.to_owned(),
        None => path.to_owned(),
    }
}

/// The path of a request that the cli sends.
fn paths(request: &mut Request) -> Option<&mut String> {
    Some(match request {
        Request::Create(r) | Request::Create2(r) | Request::CreateContainer(r) => &mut r.path,
        Request::CreateTtl(r) => &mut r.path,
        Request::Delete(r) => &mut r.path,
        Request::Exists(r)
        | Request::GetData(r)
        | Request::GetChildren(r)
        | Request::GetChildren2(r) => &mut r.path,
        Request::SetData(r) => &mut r.path,
        Request::SetAcl(r) => &mut r.path,
        Request::GetAcl(r)
        | Request::Sync(r)
        | Request::GetEphemerals(r)
        | Request::GetAllChildrenNumber(r) => &mut r.path,
        Request::AddWatch(r) => &mut r.path,
        Request::CheckWatches(r) | Request::RemoveWatches(r) => &mut r.path,
        _ => return None,
    })
}

/// The servers of a connect string, each with a port, and the root without its last slash.
fn split(server: &str) -> anyhow::Result<(Vec<String>, String)> {
    let (servers, root) = match server.find('/') {
        Some(at) => (&server[..at], server[at..].trim_end_matches('/')),
        None => (server, ""),
    };
    let servers: Vec<String> = servers
        .split(',')
        .map(str::trim)
        .filter(|server| !server.is_empty())
        .map(with_port)
        .collect();
    ensure!(
        !servers.is_empty(),
        "{server:?} names no server; expected host:port,host:port…"
    );
    Ok((servers, root.to_owned()))
}

fn with_port(server: &str) -> String {
    let bare = server.rsplit_once(':').is_none_or(|(host, port)| {
        port.parse::<u16>().is_err() || (host.contains(':') && !host.ends_with(']'))
    });
    match (bare, server.contains(':') && !server.starts_with('[')) {
        (false, _) => server.to_owned(),
        (true, true) => format!("[{server}]:2181"),
        (true, false) => format!("{server}:2181"),
    }
}

/// The zxid that a client has seen, for another server to be no older.
const UNSEEN: Zxid = Zxid::ZERO;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_strings_have_servers_and_a_root() {
        let parsed = |text: &str| split(text).expect(text);
        let servers = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            parsed("a:1,b/root/x/"),
            (servers(&["a:1", "b:2181"]), "/root/x".to_owned())
        );
        assert_eq!(
            parsed("::1, [::1]:3,"),
            (servers(&["[::1]:2181", "[::1]:3"]), String::new())
        );
        assert_eq!(parsed("h/"), (servers(&["h:2181"]), String::new()));
        assert!(split("/root").is_err());
    }

    #[test]
    fn paths_below_the_root_are_shown_without_it() {
        assert_eq!(local("/root", "/root/a"), "/a");
        assert_eq!(local("/root", "/root"), "/");
        assert_eq!(local("", "/a"), "/a");
    }
}
