//! See `ferrokeeper --help`.

use clap::Parser;
use ferrokeeper::commands::{Arguments, run};

fn main() -> anyhow::Result<()> {
    run(Arguments::parse())
}
