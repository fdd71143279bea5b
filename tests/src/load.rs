//! Clients that write as fast as they are answered, and remember what was acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::task::JoinHandle;
use zookeeper_client::{Acls, Client, CreateMode, Error};

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

/// A running load.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    clients: Vec<JoinHandle<anyhow::Result<Acknowledged>>>,
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
        let acknowledged = Arc::new(AtomicU64::new(0));
        let clients = (0..shape.clients).map(|number| {
            let writer = Writer {
                servers: servers.to_owned(),
                prefix: format!("{root}/{number}"),
                shape: shape.clone(),
                stop: stop.clone(),
                acknowledged: acknowledged.clone(),
            };
            tokio::spawn(writer.run())
        });
        let clients = clients.collect();
        Ok(Self {
            stop,
            acknowledged,
            clients,
        })
    }

    /// Writes acknowledged so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
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
    /// If a client met an error that a client of a healthy ensemble must not meet.
    pub async fn stop(self) -> anyhow::Result<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Acknowledged::new();
        for client in self.clients {
            all.extend(client.await.context("a client panicked")??);
        }
        Ok(all)
    }
}

struct Writer {
    servers: String,
    prefix: String,
    shape: Shape,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

impl Writer {
    async fn run(self) -> anyhow::Result<Acknowledged> {
        let done = Mutex::new(Acknowledged::new());
        let mut number = 0u64;
        while !self.stop.load(Ordering::Relaxed) {
            let client = connect(&self.servers).await?;
            let mut under_way = FuturesUnordered::new();
            let mut lost = false;
            while !lost && !self.stop.load(Ordering::Relaxed) {
                while under_way.len() < self.shape.in_flight {
                    under_way.push(self.create(&client, number, &done));
                    number += 1;
                }
                lost = matches!(under_way.next().await.transpose()?, Some(false));
            }
            while let Some(result) = under_way.next().await {
                result?;
            }
        }
        Ok(done.into_inner().unwrap_or_default())
    }

    /// True if acknowledged; false if the session is no more.
    async fn create(
        &self,
        client: &Client,
        number: u64,
        done: &Mutex<Acknowledged>,
    ) -> anyhow::Result<bool> {
        let path = format!("{}-{number}", self.prefix);
        let mut data = number.to_be_bytes().to_vec();
        data.resize(self.shape.bytes.max(8), b'x');
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        match client.create(&path, &data, &options).await {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                if let Ok(mut done) = done.lock() {
                    done.insert(path, data);
                }
                Ok(true)
            }
            Err(Error::ConnectionLoss) => Ok(true),
            Err(Error::SessionExpired | Error::ClientClosed) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("create {path}")),
        }
    }
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
/// Names what is missing or different.
pub async fn verify(servers: &str, acknowledged: &Acknowledged) -> anyhow::Result<()> {
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
