//! `ferrokeeper bench`: measures an ensemble as its clients see it.
//!
//! A closed loop: each connection keeps a fixed number of requests under way and sends the next
//! when an answer comes. It speaks plain frames, so that it costs little beside the servers, and
//! works on any ZooKeeper.

mod connection;
mod load;
mod report;

use std::time::Duration;

use clap::{Args, ValueEnum};

pub use connection::BenchError;
pub use report::{Measured, table};

/// What to measure, and how.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Servers, `host:port` separated by commas; connections go to them in turn.
    #[arg(long, default_value = "127.0.0.1:2181", value_delimiter = ',')]
    pub servers: Vec<String>,
    /// Work to measure, one after the other.
    #[arg(long = "work", value_enum, value_delimiter = ',', default_values_t = [Work::Set, Work::Get])]
    pub work: Vec<Work>,
    /// Connections, each with a session of its own.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub clients: u32,
    /// Requests that each connection keeps under way.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub in_flight: u32,
    /// Bytes of each value.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub bytes: u32,
    /// Seconds of measurement for each kind of work.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Seconds before the measurement, not counted.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub warm_up: u64,
    /// Print one JSON object a line instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Replace the data of a znode of the connection's own.
    Set,
    /// Read the data of such a znode.
    Get,
    /// Nine reads for each write.
    Mixed,
    /// Create a new znode.
    Create,
}

impl Work {
    /// As it is named on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Get => "get",
            Self::Mixed => "mixed",
            Self::Create => "create",
        }
    }
}

/// Measures each kind of work in turn, telling `progress` what is being done.
///
/// # Errors
/// If a server cannot be reached, closes a connection or refuses a request.
pub async fn run(
    arguments: &Arguments,
    mut progress: impl FnMut(&str),
) -> Result<Vec<Measured>, BenchError> {
    let mut measured = Vec::new();
    for work in &arguments.work {
        progress(&format!(
            "{}: {} connections x {} under way, {} s",
            work.name(),
            arguments.clients,
            arguments.in_flight,
            arguments.warm_up + arguments.seconds
        ));
        let shape = load::Shape {
            work: *work,
            clients: arguments.clients,
            in_flight: arguments.in_flight as usize,
            bytes: arguments.bytes as usize,
            warm_up: Duration::from_secs(arguments.warm_up),
            measure: Duration::from_secs(arguments.seconds),
        };
        measured.push(load::run(&arguments.servers, &shape).await?);
    }
    Ok(measured)
}
