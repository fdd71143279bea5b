//! The client that writes while the storm goes on.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use wire::client::{
    CreateMode, CreateRequest, ErrorCode, ReplyHeader, Request, SetDataRequest, xid,
};
use wire::{Acl, Reader, Record};

use super::link::{self, Identity, Link, NoLink};
use super::{ROOT, watched};

/// Between two tries, and between two writes.
const PAUSE: Duration = Duration::from_millis(5);
/// For one answer, before another server is tried.
const PATIENCE: Duration = Duration::from_secs(3);
/// For all that is not a write during the storm.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Control {
    servers: Vec<SocketAddr>,
    server: usize,
    identity: Identity,
    link: Option<Link>,
    next: i32,
}

/// A control client that writes again and again.
pub(super) struct Writing {
    task: JoinHandle<Duration>,
    last: watch::Receiver<Option<(Instant, Instant)>>,
    stop: oneshot::Sender<()>,
}

impl Control {
    pub(super) async fn open(servers: Vec<SocketAddr>, timeout: u32) -> anyhow::Result<Self> {
        let mut control = Self {
            servers,
            server: 0,
            identity: Identity::new(timeout),
            link: None,
            next: 1,
        };
        let deadline = Instant::now() + LIMIT;
        loop {
            let why = match tokio::time::timeout(PATIENCE, control.connected()).await {
                Ok(Ok(_)) => return Ok(control),
                Ok(Err(error)) => error.to_string(),
                Err(late) => late.to_string(),
            };
            ensure!(Instant::now() < deadline, "no server can be reached: {why}");
            control.move_on().await;
        }
    }

    async fn connected(&mut self) -> Result<&mut Link, NoLink> {
        let link = match self.link.take() {
            Some(link) => link,
            None => {
                let server = self.servers[self.server];
                Link::open(server, 0, &mut self.identity, &[]).await?
            }
        };
        Ok(self.link.insert(link))
    }

    async fn move_on(&mut self) {
        self.link = None;
        self.server = (self.server + 1) % self.servers.len();
        sleep(PAUSE).await;
    }

    /// Sends a request and waits for its answer's error code.
    async fn call(&mut self, request: &Request) -> Result<i32, NoLink> {
        let number = self.next;
        self.next += 1;
        let link = self.connected().await?;
        let mut out = Vec::new();
        link::request(&mut out, number, request);
        link.send(&out).await?;
        loop {
            let frame = link.frame().await?;
            let header = ReplyHeader::decode(&mut Reader::new(&frame)).map_err(io::Error::other)?;
            if header.xid == xid::NOTIFICATION {
                continue;
            }
            self.identity.seen = self.identity.seen.max(header.zxid);
            return Ok(header.err);
        }
    }

    /// Makes the storm's znodes, `znodes` of them to be watched.
    pub(super) async fn lay_out(&mut self, root: &str, znodes: usize) -> anyhow::Result<()> {
        let folders = ["", "/control", "/ephemerals", "/watched"];
        let mut paths = vec![ROOT.to_owned()];
        paths.extend(folders.map(|folder| format!("{root}{folder}")));
        paths.extend((0..znodes).map(|at| watched(root, at)));
        for path in paths {
            let request = Request::Create(CreateRequest {
                path: path.clone(),
                data: Some(Bytes::new()),
                acl: Acl::open(),
                flags: CreateMode::Persistent.code(),
            });
            let code = timeout(LIMIT, self.call(&request))
                .await
                .context("create")?;
            let code = code.with_context(|| format!("create {path}"))?;
            if code != ErrorCode::Ok.code() && code != ErrorCode::NodeExists.code() {
                bail!("create {path}: error {code}");
            }
        }
        Ok(())
    }

    /// Sets a znode's data.
    pub(super) async fn set(&mut self, path: &str) -> anyhow::Result<()> {
        let answer = timeout(LIMIT, self.call(&set(path))).await.context("set")?;
        let code = answer.with_context(|| format!("set {path}"))?;
        ensure!(code == 0, "set {path}: error {code}");
        Ok(())
    }

    /// Writes from now on, one write after the other.
    pub(super) fn write_on(mut self, root: &str) -> Writing {
        let path = format!("{root}/control");
        let (done, last) = watch::channel(None);
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            while stopped.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
                let begun = Instant::now();
                self.write(&path).await;
                let now = Instant::now();
                slowest = slowest.max(now - begun);
                let _ = done.send(Some((begun, now)));
                sleep(PAUSE).await;
            }
            slowest
        });
        Writing { task, last, stop }
    }

    /// One write, at whichever server takes it.
    async fn write(&mut self, path: &str) {
        loop {
            match timeout(PATIENCE, self.call(&set(path))).await {
                Ok(Ok(0)) => return,
                Ok(Err(NoLink::Expired)) => self.identity = Identity::new(self.identity.timeout),
                Ok(Ok(_) | Err(NoLink::Io(_))) | Err(_) => {}
            }
            self.move_on().await;
        }
    }
}

impl Writing {
    /// Waits until a write is acknowledged that began after `since`; returns how long after.
    pub(super) async fn written_since(
        &self,
        since: Instant,
        limit: Duration,
    ) -> anyhow::Result<Duration> {
        let mut last = self.last.clone();
        let is_it =
            |done: &Option<(Instant, Instant)>| done.is_some_and(|(begun, _)| begun > since);
        let found = timeout(limit, last.wait_for(is_it)).await;
        let found = found.with_context(|| format!("no write succeeds in {limit:?}"))?;
        let done = *found.context("the control client has ended")?;
        Ok(done.map_or(limit, |(_, at)| at - since))
    }

    /// Ends, and says how long the slowest write took.
    pub(super) async fn stop(self, limit: Duration) -> anyhow::Result<Duration> {
        let _ = self.stop.send(());
        let slowest = timeout(limit, self.task).await;
        let slowest = slowest.with_context(|| format!("a write takes more than {limit:?}"))?;
        slowest.context("the control client has ended")
    }
}

fn set(path: &str) -> Request {
    Request::SetData(SetDataRequest {
        path: path.to_owned(),
        data: Some(Bytes::from_static(b"x")),
        version: -1,
    })
}
