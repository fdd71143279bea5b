//! See `ferrokeeper --help`.

use std::process::ExitCode;

use clap::Parser;
use ferrokeeper::commands::{Arguments, run};

fn main() -> ExitCode {
    run(Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
