//! A storm's parts: in this process, or in processes of their own where the limit of open files
//! asks for several.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::Plan;
use super::part::{self, Order, Outcome, Word};

/// Open files that are no sessions.
const OTHER_FILES: usize = 200;
/// Sessions of one process, if files may be open without limit.
const SESSIONS: usize = 100_000;

pub(super) struct Parts {
    parts: Vec<Part>,
}

struct Part {
    sessions: usize,
    orders: mpsc::Sender<Order>,
    words: mpsc::Receiver<Word>,
    _process: Option<Child>,
}

impl Parts {
    pub(super) fn start(plan: &Plan) -> anyhow::Result<Self> {
        let files = getrlimit(Resource::Nofile).current;
        let files = files.and_then(|files| usize::try_from(files).ok());
        let most = files
            .map_or(SESSIONS, |files| files.saturating_sub(OTHER_FILES))
            .max(1);
        let count = plan.count.div_ceil(most);
        let mut parts = Vec::new();
        let mut first = 0;
        for at in 0..count {
            let sessions = (plan.count - first).div_ceil(count - at);
            let own = Plan {
                first,
                count: sessions,
                ..plan.clone()
            };
            first += sessions;
            parts.push(if count == 1 {
                Part::here(own)
            } else {
                Part::process(&own)?
            });
        }
        Ok(Self { parts })
    }

    pub(super) async fn order(&self, order: &Order) -> anyhow::Result<()> {
        for part in &self.parts {
            part.orders.send(*order).await.context("a part has ended")?;
        }
        Ok(())
    }

    /// Waits until all sessions are open; returns how many are.
    pub(super) async fn all_open(&mut self, limit: Duration) -> anyhow::Result<usize> {
        self.all(limit, |word| matches!(word, Word::Open)).await
    }

    /// Waits until all have shown their ephemerals.
    pub(super) async fn all_proven(&mut self, limit: Duration) -> anyhow::Result<usize> {
        self.all(limit, |word| matches!(word, Word::Proven)).await
    }

    /// Waits until all were told of a change.
    pub(super) async fn all_told(&mut self, limit: Duration) -> anyhow::Result<usize> {
        self.all(limit, |word| matches!(word, Word::Told)).await
    }

    async fn all(&mut self, limit: Duration, is_it: fn(&Word) -> bool) -> anyhow::Result<usize> {
        let deadline = Instant::now() + limit;
        let mut sessions = 0;
        for part in &mut self.parts {
            while let Ok(word) = timeout_at(deadline, part.words.recv()).await {
                if is_it(&word.context("a part has ended")?) {
                    sessions += part.sessions;
                    break;
                }
            }
        }
        Ok(sessions)
    }

    /// Stops all parts, and asks how it was.
    pub(super) async fn results(mut self, limit: Duration) -> anyhow::Result<Vec<Outcome>> {
        self.order(&Order::Stop).await?;
        let deadline = Instant::now() + limit;
        let mut outcomes = Vec::new();
        for part in &mut self.parts {
            loop {
                match timeout_at(deadline, part.words.recv()).await {
                    Ok(Some(Word::Ended(outcome))) => {
                        outcomes.push(outcome);
                        break;
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => bail!("a part of the storm does not say how it was"),
                }
            }
        }
        Ok(outcomes)
    }
}

impl Part {
    fn here(plan: Plan) -> Self {
        let (orders, ordered) = mpsc::channel(8);
        let (words, said) = mpsc::channel(8);
        let sessions = plan.count;
        tokio::spawn(part::run(plan, ordered, words));
        Self {
            sessions,
            orders,
            words: said,
            _process: None,
        }
    }

    fn process(plan: &Plan) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        let mut child = Command::new(program)
            .args(["storm", "--part"])
            .arg(serde_json::to_string(plan).context("write the plan")?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start a part of the storm")?;
        let mut stdin = child.stdin.take().context("a part's input")?;
        let stdout = child.stdout.take().context("a part's output")?;
        let (orders, mut ordered) = mpsc::channel::<Order>(8);
        let (words, said) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Some(order) = ordered.recv().await {
                let line = serde_json::to_string(&order).unwrap_or_default() + "\n";
                if stdin.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(word) = serde_json::from_str(&line) else {
                    continue;
                };
                if words.send(word).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            sessions: plan.count,
            orders,
            words: said,
            _process: Some(child),
        })
    }
}

/// Is a part that another process directs, by lines of JSON.
pub(super) async fn be_one(plan: Plan) -> anyhow::Result<()> {
    let (orders, ordered) = mpsc::channel(8);
    let (words, mut said) = mpsc::channel(8);
    tokio::spawn(async move {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(order) = serde_json::from_str(&line) else {
                return;
            };
            if orders.send(order).await.is_err() {
                return;
            }
        }
    });
    let teller = tokio::spawn(async move {
        let mut out = tokio::io::stdout();
        while let Some(word) = said.recv().await {
            let line = serde_json::to_string(&word).unwrap_or_default() + "\n";
            if out.write_all(line.as_bytes()).await.is_err() || out.flush().await.is_err() {
                return;
            }
        }
    });
    part::run(plan, ordered, words).await?;
    teller.await.context("tell")?;
    // A thread waits for more orders, and would keep the process.
    std::process::exit(0)
}
