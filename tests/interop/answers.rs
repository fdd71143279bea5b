//! The same random requests to Apache and to ours: the same answers, errors, zxids and events.
//!
//! [`same`] asks one request at a time, and compares everything but times and session ids. It
//! goes through `stages.rs`, a pair of ensembles for each way in which sessions can be set up;
//! in each, half of the steps are left to chance, and half aim at the cells of the table of
//! operation, error and session state that were met least. `cells.txt` lists those that there are.
//! [`same_pipelined`] lets several clients send bursts, each below a znode of its own, and
//! compares what each was answered, without zxids, which depend on who came first.
//! [`same_expiry`] compares what goes by itself. [`deviations_are_found`] shows that a small mistake in ours would be noticed.

mod asked;
mod expiry;
mod pair;
mod pipelined;
mod plain;
mod recipes;
mod requests;
mod session;
mod side;
mod stages;
mod tally;

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tests::ensemble::Programs;

use crate::Setting;
pub(crate) use expiry::same_expiry;
use pair::{Aims, Difference, Pair};
pub(crate) use pipelined::same_pipelined;
use stages::{STAGES, Stage};
use tally::Tally;

const LIMIT: Duration = Duration::from_secs(60);
/// Each with credentials of its own.
const SESSIONS: usize = 3;
/// Of a hundred requests so many must succeed.
const SUCCEED: u64 = 40;
/// Of so many requests each cell must be met by one.
const EACH: u64 = 5_000;
/// Requests in which each deviation must have shown itself.
const UNTIL_FOUND: u64 = 20_000;

/// Sends as many requests as were asked for to an ensemble of each make.
pub(crate) fn same(setting: &Setting) -> anyhow::Result<()> {
    let listed = tally::listed()?;
    let least = setting.requests.div_ceil(EACH);
    let mut tally = Tally::default();
    let started = Instant::now();
    let mut failures = Vec::new();
    let is_chosen = |stage: &&Stage| match &setting.stage {
        Some(name) => stage.name == name,
        None => true,
    };
    let mut expected = Vec::new();
    for stage in STAGES.iter().filter(is_chosen) {
        let cells: Vec<_> = listed
            .iter()
            .copied()
            .filter(|cell| stage.has(cell))
            .collect();
        expected.extend_from_slice(&cells);
        let mut aims = Aims::new(cells, least + least / 5);
        let done = run(setting, stage, &mut aims, &mut tally);
        if let Err(error) = done {
            eprintln!("        {}: {error:#}", stage.name);
            failures.push(stage.name);
        }
    }
    tally.write(&setting.folder)?;
    let took = started.elapsed();
    println!("        seed {}, in {took:.0?}", setting.seed);
    println!("{}", tally.summary());
    ensure!(failures.is_empty(), "differences: {failures:?}");
    let is_whole = setting.stage.is_none();
    tally.check(&listed, if is_whole { &listed } else { &expected }, least)?;
    ensure_success(&tally)
}

fn ensure_success(tally: &Tally) -> anyhow::Result<()> {
    ensure!(
        tally.succeeded() * 100 >= SUCCEED * tally.all(),
        "only {} of {} requests succeeded",
        tally.succeeded(),
        tally.all()
    );
    Ok(())
}

fn run(
    setting: &Setting,
    stage: &'static Stage,
    aims: &mut Aims,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let mut pair = Pair::start(setting, &setting.programs, stage)?;
    let until = tally.all() + setting.requests * stage.share / 100;
    // What lags may take longer.
    let at_most = until + setting.requests * stage.share / 200;
    while tally.all() < until || (tally.all() < at_most && aims.lag(tally)) {
        pair.step(aims, tally)?;
    }
    Ok(())
}

/// Builds ours with mistakes that can be switched on, and looks for each.
pub(crate) fn deviations_are_found(setting: &Setting) -> anyhow::Result<()> {
    let deviating = crate::foreign::deviating()?;
    for number in 1..=5 {
        let programs = Programs {
            ferrokeeper: deviating.clone(),
            ferrokeeper_environment: vec![("FERROKEEPER_DEVIATION".to_owned(), number.to_string())],
            ..setting.programs.clone()
        };
        let folder = setting.folder.join(format!("deviation{number}"));
        let mut pair = Pair::start(&setting.within(&folder), &programs, &STAGES[0])?;
        let mut tally = Tally::default();
        let difference = loop {
            if tally.all() > UNTIL_FOUND {
                bail!("deviation {number} was not found in {UNTIL_FOUND} requests");
            }
            if let Err(error) = pair.step(&mut Aims::none(), &mut tally) {
                break error.downcast::<Difference>()?;
            }
        };
        println!(
            "        deviation {number}: found with request {}",
            tally.all()
        );
        std::fs::write(folder.join("difference.txt"), difference.to_string())
            .context("write it down")?;
    }
    Ok(())
}
