//! Some of a storm's sessions, in one process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::{Client, Fate};
use super::{Plan, wall_micros};

/// Sessions of one part that are being opened at once.
const OPENING: usize = 200;

/// What sessions are told, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    /// Open.
    Open,
    /// The storm begins.
    Strike {
        /// Microseconds since 1970.
        at: u64,
        /// Drop the connection.
        cut: bool,
    },
    /// Show that the ephemeral is there.
    Prove,
    /// Expect to be told of a change.
    Watch,
    /// End.
    Stop,
}

/// What sessions tell their part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Open,
    Proven,
    Told,
    Expired,
}

/// What a part says about all its sessions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Word {
    Open,
    Proven,
    Told,
    Ended(Outcome),
}

/// How the storm was for the sessions of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// Microseconds from the storm's beginning until a session was back, of each that had lost
    /// its connection.
    pub(super) back: Vec<u64>,
    /// Sessions whose connection went on.
    pub(super) kept: usize,
    pub(super) expired: usize,
    pub(super) ephemerals_lost: usize,
    pub(super) watches_lost: usize,
    /// Sessions that were neither served nor told that they have expired.
    pub(super) missing: usize,
    /// Connections tried.
    pub(super) attempts: u64,
}

/// Runs a part: takes orders and says when all sessions have followed one. Ends after
/// [`Order::Stop`], or when there is nobody to take orders from.
pub(super) async fn run(
    plan: Plan,
    mut orders: mpsc::Receiver<Order>,
    words: mpsc::Sender<Word>,
) -> anyhow::Result<()> {
    let (tell, mut news) = mpsc::unbounded_channel();
    let (order, followers) = watch::channel(Order::Open);
    let plan = Arc::new(plan);
    let mut clients = JoinSet::new();
    let mut next = 0;
    let mut counts = Counts::default();
    let mut struck = Instant::now();
    loop {
        while next < plan.count && next - counts.open < OPENING {
            let number = plan.first + next;
            let client = Client::new(number, plan.clone(), followers.clone(), tell.clone());
            clients.spawn(client.live());
            next += 1;
        }
        tokio::select! {
            one = news.recv() => {
                let Some(one) = one else { break };
                if let Some(word) = counts.hear(one, plan.count) {
                    words.send(word).await.context("tell")?;
                }
            }
            given = orders.recv() => {
                let given = given.unwrap_or(Order::Stop);
                if let Order::Strike { at, .. } = given {
                    struck = Instant::now() - Duration::from_micros(wall_micros().saturating_sub(at));
                }
                let _ = order.send(given);
                if given == Order::Stop {
                    break;
                }
            }
        }
    }
    drop(followers);
    let mut outcome = Outcome::default();
    while let Some(fate) = clients.join_next().await {
        outcome.add(&fate.context("a session's task")?, struck);
    }
    words.send(Word::Ended(outcome)).await.context("tell")
}

#[derive(Default)]
struct Counts {
    open: usize,
    proven: usize,
    told: usize,
    expired: usize,
}

impl Counts {
    /// Says what all sessions have done when the last one does it.
    fn hear(&mut self, news: News, all: usize) -> Option<Word> {
        match news {
            News::Open => {
                self.open += 1;
                (self.open == all).then_some(Word::Open)
            }
            News::Proven => {
                self.proven += 1;
                (self.proven + self.expired == all).then_some(Word::Proven)
            }
            News::Told => {
                self.told += 1;
                (self.told + self.expired == all).then_some(Word::Told)
            }
            News::Expired => {
                self.expired += 1;
                (self.proven + self.expired == all).then_some(Word::Proven)
            }
        }
    }
}

impl Outcome {
    fn add(&mut self, fate: &Fate, struck: Instant) {
        self.attempts += u64::from(fate.attempts);
        self.ephemerals_lost += usize::from(fate.is_ephemeral_lost);
        if fate.is_expired {
            self.expired += 1;
            return;
        }
        self.missing += usize::from(!fate.is_proven);
        self.watches_lost += usize::from(!fate.is_told);
        match fate.back.filter(|back| *back > struck) {
            Some(back) => self.back.push((back - struck).as_micros() as u64),
            None => self.kept += usize::from(fate.is_proven),
        }
    }
}
