//! A small set of seeds, and that a seed is a run.

use super::{Mutation, RunOptions, Tally, run};

/// Few enough for every test run; `cargo sim` has a thousand.
const SEEDS: std::ops::Range<u64> = 0..12;

#[test]
fn nothing_is_violated_and_everything_is_tried() {
    let mut seen = Tally::default().events().map(|(name, _)| (name, 0));
    for seed in SEEDS {
        let outcome = run(seed, RunOptions::default());
        assert_eq!(outcome.violation, None, "replay: cargo sim --seed {seed}");
        assert!(outcome.tally.committed >= 500, "seed {seed}: {outcome:?}");
        for (count, (_, happened)) in seen.iter_mut().zip(outcome.tally.events()) {
            count.1 += usize::from(happened);
        }
    }
    let missing: Vec<_> = seen.iter().filter(|(_, count)| *count == 0).collect();
    assert!(missing.is_empty(), "in no run: {missing:?}");
}

#[test]
fn one_seed_is_one_run() {
    let [first, second] = [(); 2].map(|()| run(3, RunOptions::default()));
    assert_eq!(first, second);
}

#[test]
fn a_bug_that_was_put_back_is_found() {
    // One of those that are found at once; `cargo sim --mutation` finds the others.
    let options = RunOptions {
        mutation: Some(Mutation::MemoryOverLog),
        log: false,
    };
    assert!((0..5).any(|seed| run(seed, options).violation.is_some()));
}
