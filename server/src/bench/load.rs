//! Connections under load, and what they measured.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use wire::Acl;
use wire::client::{
    BarePath, CreateMode, CreateRequest, ErrorCode, PathRequest, Request, SetDataRequest,
};

use super::Work;
use super::connection::{BenchError, Connection};
use super::report::Measured;

/// The znode below which everything is made.
const ROOT: &str = "/ferrokeeper-bench";
/// Znodes of each connection.
const KEYS: u64 = 16;

/// One measurement.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) work: Work,
    pub(super) clients: u32,
    pub(super) in_flight: usize,
    pub(super) bytes: usize,
    pub(super) warm_up: Duration,
    pub(super) measure: Duration,
}

pub(super) async fn run(servers: &[String], shape: &Shape) -> Result<Measured, BenchError> {
    let run = prepare(servers, shape).await?;
    let mut opening = JoinSet::new();
    for number in 0..shape.clients {
        let server = servers[number as usize % servers.len()].clone();
        let shape = shape.clone();
        opening.spawn(async move { Client::open(&server, number, run, shape).await });
    }
    let mut clients = Vec::new();
    while let Some(client) = opening.join_next().await {
        clients.push(joined(client)?);
    }
    let start = Instant::now() + shape.warm_up;
    let mut running = JoinSet::new();
    for client in clients {
        running.spawn(client.run(start, start + shape.measure));
    }
    let mut latencies = histogram();
    while let Some(client) = running.join_next().await {
        let own = joined(client)?;
        // Both have the same bounds, so that adding cannot fail.
        let _ = latencies.add(own);
    }
    Ok(Measured {
        work: shape.work,
        elapsed: shape.measure,
        latencies,
    })
}

fn joined<T>(
    outcome: Result<Result<T, BenchError>, tokio::task::JoinError>,
) -> Result<T, BenchError> {
    match outcome {
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Makes the root and a number for this run, so that runs do not meet.
async fn prepare(servers: &[String], shape: &Shape) -> Result<u64, BenchError> {
    let mut connection = Connection::open(&servers[0]).await?;
    connection.queue(&create(ROOT.to_owned(), 0));
    connection.flush().await?;
    let code = connection.reply().await?;
    if code != ErrorCode::Ok.code() && code != ErrorCode::NodeExists.code() {
        let server = connection.server;
        return Err(BenchError::Refused {
            server,
            what: "create of the root",
            code,
        });
    }
    let run = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64);
    connection.queue(&create(format!("{ROOT}/{run}"), 0));
    for number in 0..shape.clients {
        connection.queue(&create(format!("{ROOT}/{run}/{number}"), 0));
    }
    connection.flush().await?;
    for _ in 0..=shape.clients {
        match connection.reply().await? {
            0 => {}
            code => {
                let server = connection.server;
                return Err(BenchError::Refused {
                    server,
                    what: "create of a folder",
                    code,
                });
            }
        }
    }
    Ok(run)
}

fn create(path: String, bytes: usize) -> Request {
    Request::Create(CreateRequest {
        path,
        data: Some(Bytes::from(vec![b'x'; bytes])),
        acl: Acl::open(),
        flags: CreateMode::Persistent.code(),
    })
}

struct Client {
    connection: Connection,
    folder: String,
    value: Bytes,
    shape: Shape,
    next: u64,
}

impl Client {
    async fn open(server: &str, number: u32, run: u64, shape: Shape) -> Result<Self, BenchError> {
        let connection = Connection::open(server).await?;
        let folder = format!("{ROOT}/{run}/{number}");
        let value = Bytes::from(vec![b'v'; shape.bytes]);
        let mut client = Self {
            connection,
            folder,
            value,
            shape,
            next: 0,
        };
        client.connection.queue(&Request::Sync(BarePath {
            path: ROOT.to_owned(),
        }));
        for key in 0..KEYS {
            client.connection.queue(&create(
                format!("{}/{key}", client.folder),
                client.shape.bytes,
            ));
        }
        client.connection.flush().await?;
        for _ in 0..=KEYS {
            let code = client.connection.reply().await?;
            client.expect_ok(code)?;
        }
        Ok(client)
    }

    /// Keeps its requests under way until the end, and counts those answered after the start.
    async fn run(mut self, start: Instant, end: Instant) -> Result<Histogram<u64>, BenchError> {
        let mut latencies = histogram();
        let mut sent: VecDeque<Instant> = VecDeque::with_capacity(self.shape.in_flight);
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(latencies);
            }
            while sent.len() < self.shape.in_flight {
                let request = self.request();
                self.connection.queue(&request);
                sent.push_back(now);
            }
            self.connection.flush().await?;
            let mut code = Some(self.connection.reply().await?);
            let now = Instant::now();
            while let Some(answered) = code {
                self.expect_ok(answered)?;
                if let Some(since) = sent.pop_front()
                    && now >= start
                    && now < end
                {
                    latencies.saturating_record((now - since).as_micros() as u64);
                }
                code = self.connection.ready()?;
            }
        }
    }

    fn request(&mut self) -> Request {
        let number = self.next;
        self.next += 1;
        let key = || format!("{}/{}", self.folder, number % KEYS);
        let set = |path| {
            Request::SetData(SetDataRequest {
                path,
                data: Some(self.value.clone()),
                version: -1,
            })
        };
        let get = |path| Request::GetData(PathRequest { path, watch: false });
        match self.shape.work {
            Work::Set => set(key()),
            Work::Get => get(key()),
            Work::Mixed if number.is_multiple_of(10) => set(key()),
            Work::Mixed => get(key()),
            Work::Create => create(format!("{}/new-{number}", self.folder), self.shape.bytes),
        }
    }

    fn expect_ok(&self, code: i32) -> Result<(), BenchError> {
        if code == ErrorCode::Ok.code() {
            return Ok(());
        }
        let server = self.connection.server.clone();
        Err(BenchError::Refused {
            server,
            what: self.shape.work.name(),
            code,
        })
    }
}

/// Microseconds up to a minute, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("these bounds are valid")
}
