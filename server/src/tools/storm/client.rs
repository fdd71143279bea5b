//! One session of a storm.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wire::client::{
    CreateMode, CreateRequest, ErrorCode, PathRequest, ReplyHeader, Request, SetWatches, xid,
};
use wire::{Acl, Reader, Record};

use super::Plan;
use super::link::{self, Identity, Link, NoLink};
use super::part::{News, Order};

/// The longest pause before another try, as of ZooKeeper's own clients.
const BACK_OFF: u64 = 1_000_000;

/// The numbers of the requests.
const CREATE: i32 = 1;
const WATCH: i32 = 2;
const PROOF: i32 = 3;

/// How the storm was for one session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fate {
    /// When it was last back with its watch set and its ephemeral seen.
    pub(super) back: Option<Instant>,
    /// How often it tried to connect since the storm began.
    pub(super) attempts: u32,
    pub(super) is_expired: bool,
    pub(super) is_ephemeral_lost: bool,
    pub(super) is_proven: bool,
    pub(super) is_told: bool,
}

/// Why a connection is over.
enum Over {
    Broken,
    Stopped,
}

pub(super) struct Client {
    number: usize,
    plan: Arc<Plan>,
    identity: Identity,
    /// Which server it is at.
    server: usize,
    is_open: bool,
    /// It has come back, and has not seen its ephemeral yet.
    is_returning: bool,
    orders: watch::Receiver<Order>,
    news: mpsc::UnboundedSender<News>,
    fate: Fate,
}

impl Client {
    pub(super) fn new(
        number: usize,
        plan: Arc<Plan>,
        orders: watch::Receiver<Order>,
        news: mpsc::UnboundedSender<News>,
    ) -> Self {
        Self {
            number,
            identity: Identity::new(plan.timeout),
            server: number % plan.servers.len(),
            plan,
            is_open: false,
            is_returning: false,
            orders,
            news,
            fate: Fate::default(),
        }
    }

    /// Lives until it is told to stop, or its session has expired.
    pub(super) async fn live(mut self) -> Fate {
        loop {
            match self.connect().await {
                Ok(link) => match self.serve(link).await {
                    Ok(Over::Stopped) => return self.fate,
                    Ok(Over::Broken) | Err(_) => {}
                },
                Err(NoLink::Expired) => {
                    self.fate.is_expired = true;
                    self.tell(News::Expired);
                    return self.fate;
                }
                Err(NoLink::Io(_)) => {}
            }
            if *self.orders.borrow() == Order::Stop {
                return self.fate;
            }
            self.server = self.another();
            sleep(Duration::from_micros(crate::boot::random() % BACK_OFF)).await;
        }
    }

    /// Any other server: clients shuffle their lists.
    fn another(&self) -> usize {
        let others = self.plan.servers.len() - 1;
        let step = crate::boot::random().checked_rem(others as u64);
        (self.server + 1 + step.unwrap_or(0) as usize) % (others + 1)
    }

    fn tell(&self, news: News) {
        // The part outlives its clients, unless it gives up.
        let _ = self.news.send(news);
    }

    /// Connects, at most for a server's share of the session's timeout.
    async fn connect(&mut self) -> Result<Link, NoLink> {
        if !matches!(*self.orders.borrow(), Order::Open) {
            self.fate.attempts += 1;
        }
        let servers = &self.plan.servers;
        let limit = Duration::from_millis(u64::from(self.identity.timeout)) / servers.len() as u32;
        let server = servers[self.server];
        let behind = self.behind();
        self.is_returning = self.is_open;
        let link = Link::open(server, self.number, &mut self.identity, &behind);
        timeout(limit, link)
            .await
            .map_err(|_| NoLink::Io(io::ErrorKind::TimedOut.into()))?
    }

    /// What follows the first frame.
    fn behind(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.is_open {
            let watches = Request::SetWatches(SetWatches {
                relative_zxid: self.identity.seen,
                data: vec![self.plan.watched(self.number)],
                exist: Vec::new(),
                child: Vec::new(),
            });
            if !self.fate.is_told {
                link::request(&mut out, xid::SET_WATCHES, &watches);
            }
            self.prove(&mut out);
        } else {
            let create = Request::Create(CreateRequest {
                path: self.plan.ephemeral(self.number),
                data: Some(Bytes::new()),
                acl: Acl::open(),
                flags: CreateMode::Ephemeral.code(),
            });
            link::request(&mut out, CREATE, &create);
            let watch = Request::GetData(PathRequest {
                path: self.plan.watched(self.number),
                watch: true,
            });
            link::request(&mut out, WATCH, &watch);
        }
        out
    }

    fn prove(&self, out: &mut Vec<u8>) {
        let exists = Request::Exists(PathRequest {
            path: self.plan.ephemeral(self.number),
            watch: false,
        });
        link::request(out, PROOF, &exists);
    }

    /// Keeps its session alive and does what it is told, until the connection breaks.
    async fn serve(&mut self, mut link: Link) -> io::Result<Over> {
        let timeout = Duration::from_millis(u64::from(self.identity.timeout));
        let mut heard = Instant::now();
        let mut said = heard;
        loop {
            let ping = said + timeout / 3;
            let silence = heard + timeout * 2 / 3;
            tokio::select! {
                frame = link.frame() => {
                    heard = Instant::now();
                    self.take(&frame?)?;
                }
                changed = self.orders.changed() => {
                    if changed.is_err() {
                        return Ok(Over::Stopped);
                    }
                    let order = *self.orders.borrow_and_update();
                    match order {
                        Order::Strike { cut: true, .. } => return Ok(Over::Broken),
                        Order::Stop => return Ok(Over::Stopped),
                        Order::Prove => {
                            let mut out = Vec::new();
                            self.prove(&mut out);
                            link.send(&out).await?;
                            said = Instant::now();
                        }
                        Order::Open | Order::Strike { .. } | Order::Watch => {}
                    }
                }
                () = sleep_until(ping.min(silence)) => {
                    if Instant::now() >= silence {
                        return Ok(Over::Broken);
                    }
                    let mut out = Vec::new();
                    link::request(&mut out, xid::PING, &Request::Ping(()));
                    link.send(&out).await?;
                    said = Instant::now();
                }
            }
        }
    }

    /// Takes an answer or an event.
    fn take(&mut self, frame: &Bytes) -> io::Result<()> {
        let header = ReplyHeader::decode(&mut Reader::new(frame)).map_err(io::Error::other)?;
        self.identity.seen = self.identity.seen.max(header.zxid);
        match header.xid {
            CREATE => {
                let is_there = [ErrorCode::Ok.code(), ErrorCode::NodeExists.code()];
                if !is_there.contains(&header.err) {
                    return Err(io::Error::other("the ephemeral was refused"));
                }
            }
            WATCH if header.err == 0 => {
                self.is_open = true;
                self.tell(News::Open);
            }
            PROOF => self.proven(header.err),
            xid::NOTIFICATION if !self.fate.is_told => {
                self.fate.is_told = true;
                self.tell(News::Told);
            }
            _ => {}
        }
        Ok(())
    }

    fn proven(&mut self, err: i32) {
        if err == ErrorCode::NoNode.code() {
            self.fate.is_ephemeral_lost = true;
        }
        if std::mem::take(&mut self.is_returning) {
            self.fate.back = Some(Instant::now());
        }
        let is_asked = matches!(*self.orders.borrow(), Order::Prove | Order::Watch);
        if is_asked && !std::mem::replace(&mut self.fate.is_proven, true) {
            self.tell(News::Proven);
        }
    }
}
