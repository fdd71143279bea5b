//! Clients that write as fast as they are answered, and remember what was acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::task::JoinHandle;
use zookeeper_client::{Acls, Client, CreateMode, Error};

/// For the last answers, and for reading everything again.
const LIMIT: Duration = Duration::from_secs(120);

/// What a load is to do.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Sessions.
    pub clients: usize,
    /// Writes of each that are under way at any time.
    pub in_flight: usize,
    /// Bytes of each znode.
    pub bytes: usize,
}

/// What was acknowledged: each path with its data.
pub type Acknowledged = BTreeMap<String, Vec<u8>>;

/// A running load; its clients end with it.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    clients: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Load {
    /// Starts writing below `/load-<name>`, which is made first.
    ///
    /// # Errors
    /// If the servers cannot be reached.
    pub async fn start(servers: &str, name: &str, shape: &Shape) -> anyhow::Result<Self> {
        let root = format!("/load-{name}");
        let first = connect(servers).await?;
        let made = first
            .create(
                &root,
                b"",
                &CreateMode::Persistent.with_acls(Acls::anyone_all()),
            )
            .await;
        ensure!(
            matches!(made, Ok(_) | Err(Error::NodeExists)),
            "create {root}: {made:?}"
        );
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let acknowledged = Arc::default();
        let clients = (0..shape.clients).map(|number| {
            let writer = Writer {
                servers: servers.to_owned(),
                prefix: format!("{root}/{number}"),
                shape: shape.clone(),
                stop: stop.clone(),
                count: count.clone(),
                acknowledged: Arc::clone(&acknowledged),
            };
            tokio::spawn(writer.run())
        });
        let clients = clients.collect();
        Ok(Self {
            stop,
            count,
            acknowledged,
            clients,
        })
    }

    /// Writes acknowledged so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until this many more writes are acknowledged.
    ///
    /// # Errors
    /// If that takes longer than `limit`.
    pub async fn advance(&self, writes: u64, limit: Duration) -> anyhow::Result<()> {
        let goal = self.count() + writes;
        let wait = async {
            while self.count() < goal {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let done = tokio::time::timeout(limit, wait).await;
        done.with_context(|| {
            format!(
                "{} of {goal} writes acknowledged in {limit:?}",
                self.count()
            )
        })
    }

    /// Stops writing and gives what was acknowledged.
    ///
    /// # Errors
    /// If a client met an error that a client of a healthy ensemble must not meet, or is not
    /// answered in two minutes.
    pub async fn stop(mut self) -> anyhow::Result<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        let clients = std::mem::take(&mut self.clients);
        let ends = async {
            for client in clients {
                client.await.context("a client panicked")??;
            }
            Ok(())
        };
        within(LIMIT, "have the last writes answered", ends).await?;
        self.take()
    }

    /// Drops all clients where they are and gives what was acknowledged.
    ///
    /// # Errors
    /// If a client panicked.
    pub fn abandon(mut self) -> anyhow::Result<Acknowledged> {
        self.clients.drain(..).for_each(|client| client.abort());
        self.take()
    }

    fn take(&self) -> anyhow::Result<Acknowledged> {
        let mut all = self
            .acknowledged
            .lock()
            .map_err(|_| anyhow!("a client panicked"))?;
        Ok(std::mem::take(&mut all))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.clients.iter().for_each(JoinHandle::abort);
    }
}

struct Writer {
    servers: String,
    prefix: String,
    shape: Shape,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    acknowledged: Arc<Mutex<Acknowledged>>,
}

impl Writer {
    async fn run(self) -> anyhow::Result<()> {
        let mut number = 0u64;
        while !self.stop.load(Ordering::Relaxed) {
            let client = connect(&self.servers).await?;
            let mut under_way = FuturesUnordered::new();
            let mut lost = false;
            while !lost && !self.stop.load(Ordering::Relaxed) {
                while under_way.len() < self.shape.in_flight {
                    under_way.push(self.create(&client, number));
                    number += 1;
                }
                lost = matches!(under_way.next().await.transpose()?, Some(false));
            }
            while let Some(result) = under_way.next().await {
                result?;
            }
        }
        Ok(())
    }

    /// True if acknowledged; false if the session is no more.
    async fn create(&self, client: &Client, number: u64) -> anyhow::Result<bool> {
        let path = format!("{}-{number}", self.prefix);
        let mut data = number.to_be_bytes().to_vec();
        data.resize(self.shape.bytes.max(8), b'x');
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        match client.create(&path, &data, &options).await {
            Ok(_) => {
                self.count.fetch_add(1, Ordering::Relaxed);
                let mut done = self
                    .acknowledged
                    .lock()
                    .map_err(|_| anyhow!("a client panicked"))?;
                done.insert(path, data);
                Ok(true)
            }
            // `Custom` is what the socket said when it broke.
            Err(Error::ConnectionLoss | Error::Custom(_)) => Ok(true),
            Err(Error::SessionExpired | Error::ClientClosed) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("create {path}")),
        }
    }
}

/// Does something, at most for `limit`: the client library's own limits do not hold always.
///
/// # Errors
/// As it does, or if it takes longer.
pub async fn within<T>(
    limit: Duration,
    what: &str,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let outcome = tokio::time::timeout(limit, work).await;
    outcome.with_context(|| format!("{what} in {limit:?}"))?
}

/// A client of these servers, with a session of ten seconds.
///
/// # Errors
/// If none of them answers in half a minute.
pub async fn connect(servers: &str) -> anyhow::Result<Client> {
    let connect = Client::connector()
        .with_session_timeout(Duration::from_secs(10))
        .with_connection_timeout(Duration::from_secs(5))
        .connect(servers);
    let client = tokio::time::timeout(Duration::from_secs(30), connect).await;
    client
        .context("connect in 30 s")?
        .with_context(|| format!("connect to {servers}"))
}

/// Checks that everything acknowledged is there.
///
/// # Errors
/// Names what is missing or different. If it is not read in two minutes.
pub async fn verify(servers: &str, acknowledged: &Acknowledged) -> anyhow::Result<()> {
    within(
        LIMIT,
        "read what was acknowledged",
        compare(servers, acknowledged),
    )
    .await
}

async fn compare(servers: &str, acknowledged: &Acknowledged) -> anyhow::Result<()> {
    let client = connect(servers).await?;
    client.sync("/").await.context("sync")?;
    let check = |path: String, data: Vec<u8>| {
        let client = &client;
        async move {
            let (found, _) = client
                .get_data(&path)
                .await
                .with_context(|| format!("{path} was acknowledged and is lost"))?;
            ensure!(found == data, "{path} was acknowledged with other data");
            Ok(())
        }
    };
    let checks = acknowledged
        .iter()
        .map(|(path, data)| check(path.clone(), data.clone()));
    let mut checks = futures::stream::iter(checks).buffer_unordered(64);
    while let Some(result) = checks.next().await {
        result?;
    }
    Ok(())
}
