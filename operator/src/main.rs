//! The operator's binary.

use clap::{Parser, Subcommand};

/// Reconciles ZooKeeperCluster resources.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the CustomResourceDefinition.
    Crd,
}

fn main() {
    match Arguments::parse().command {
        Command::Crd => print!("{}", api::crd::yaml()),
    }
}
