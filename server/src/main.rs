//! See `ferrokeeper --help`.

use std::process::ExitCode;

use clap::Parser;
use ferrokeeper::commands::{Arguments, run};

fn main() -> anyhow::Result<ExitCode> {
    run(Arguments::parse())
}
