//! `cargo sim`: many seeds, or one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use sim::{Mutation, Outcome, RunOptions, Tally, Violation};

/// Simulates ensembles under faults, and checks what must hold.
#[derive(Parser, Debug)]
#[command(name = "cargo sim")]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only this one, with its trace number.
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: say all that happens.
    #[arg(long)]
    log: bool,
    /// Put a bug back (2845, 4643, 4646, 4882) and stop at the first seed that finds it.
    #[arg(long)]
    mutation: Option<Mutation>,
    /// How many threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match (arguments.seed, arguments.mutation) {
        (Some(seed), _) => one(seed, &arguments),
        (None, Some(mutation)) => find(mutation, &arguments),
        (None, None) => many(&arguments),
    }
}

/// Runs a seed; a panic is a violation too.
fn attempt(seed: u64, options: RunOptions) -> Outcome {
    let outcome = catch_unwind(AssertUnwindSafe(|| sim::run(seed, options)));
    outcome.unwrap_or_else(|panic| {
        let detail = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        Outcome {
            seed,
            tally: Tally::default(),
            violation: Some(Violation {
                property: "panic",
                detail,
            }),
            trace: 0,
            time: 0,
        }
    })
}

fn report(outcome: &Outcome, mutation: Option<Mutation>) {
    if let Some(violation) = &outcome.violation {
        let seed = outcome.seed;
        let with = mutation.map_or_else(String::new, |mutation| format!(" --mutation {mutation}"));
        println!("seed {seed}: {violation}\n  replay: cargo sim --seed {seed}{with}");
    }
}

fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    let options = RunOptions {
        mutation: arguments.mutation,
        log: arguments.log,
    };
    let outcome = attempt(seed, options);
    println!(
        "seed {seed}: trace {:016x}, {} ms simulated\n{:#?}",
        outcome.trace, outcome.time, outcome.tally
    );
    report(&outcome, arguments.mutation);
    code(outcome.violation.is_none())
}

fn find(mutation: Mutation, arguments: &Arguments) -> ExitCode {
    let options = RunOptions {
        mutation: Some(mutation),
        log: false,
    };
    for seed in arguments.from..arguments.from + arguments.seeds {
        let outcome = attempt(seed, options);
        if outcome.violation.is_some() {
            println!("ZOOKEEPER-{mutation} is found by seed {seed}");
            report(&outcome, Some(mutation));
            return ExitCode::SUCCESS;
        }
    }
    println!(
        "ZOOKEEPER-{mutation} is not found by {} seeds",
        arguments.seeds
    );
    ExitCode::FAILURE
}

fn many(arguments: &Arguments) -> ExitCode {
    let end = arguments.from + arguments.seeds;
    let next = AtomicU64::new(arguments.from);
    let outcomes = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let outcome = attempt(seed, RunOptions::default());
                    report(&outcome, None);
                    let Ok(mut outcomes) = outcomes.lock() else {
                        return;
                    };
                    outcomes.insert(seed, outcome);
                    let done = outcomes.len() as u64;
                    if done.is_multiple_of(100) {
                        println!("{done} of {} seeds", arguments.seeds);
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    table(outcomes.values());
    code(outcomes.values().all(|outcome| outcome.violation.is_none()))
}

fn code(is_good: bool) -> ExitCode {
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// In how many seeds each event happened.
fn table<'a>(outcomes: impl Iterator<Item = &'a Outcome> + Clone) {
    let seeds = outcomes.clone().count();
    let failed = outcomes
        .clone()
        .filter(|outcome| outcome.violation.is_some());
    println!("{seeds} seeds, {} with a violation", failed.count());
    let committed = outcomes.clone().map(|outcome| outcome.tally.committed);
    println!(
        "transactions: at least {} per seed, {} in all",
        committed.clone().min().unwrap_or(0),
        committed.sum::<usize>()
    );
    println!("{:<18} {:>6} {:>8}", "event", "seeds", "percent");
    for (i, (name, _)) in Tally::default().events().iter().enumerate() {
        let found = outcomes
            .clone()
            .filter(|outcome| outcome.tally.events()[i].1);
        let found = found.count();
        let percent = 100.0 * found as f64 / seeds.max(1) as f64;
        println!("{name:<18} {found:>6} {percent:>8.1}");
    }
}
