//! Conversations as text, in `testdata`: a change of the protocol shows as a change of these.
//! A test that fails prints the conversation as it is now, to be put there once it is understood.

use super::world::{World, config};

/// Three members that serve and have three transactions, and then what `scene` does.
fn transcript(change: impl Fn(&mut crate::Settings), scene: impl Fn(&mut World)) -> String {
    let mut world = World::new(7, config(&[1, 2, 3], &[]));
    world.populate(change);
    for id in [1, 2, 3] {
        world.start(id);
    }
    world.run_until(10_000, World::is_settled);
    world.propose(3);
    world.run_until(10_000, |w| w.history.len() == 3 && w.is_settled());
    world.transcript = Some(Vec::new());
    scene(&mut world);
    let lines = world.transcript.take().unwrap_or_default();
    let is_ping = |line: &String| line.contains(" PING ");
    let lines: Vec<_> = lines.into_iter().filter(|line| !is_ping(line)).collect();
    lines.join("\n") + "\n"
}

#[track_caller]
fn same(found: &str, expected: &str) {
    assert!(found == expected, "the conversation is now:\n{found}");
}

#[test]
fn three_new_members_elect_the_greatest_id() {
    let mut world = World::new(7, config(&[1, 2, 3], &[]));
    world.populate(|_| {});
    world.transcript = Some(Vec::new());
    for id in [1, 2, 3] {
        world.start(id);
    }
    world.run_until(10_000, World::is_settled);
    let found = world.transcript.unwrap_or_default().join("\n") + "\n";
    same(&found, include_str!("../../testdata/election.txt"));
}

#[test]
fn a_transaction_is_proposed_acknowledged_and_committed() {
    let found = transcript(
        |_| {},
        |world| {
            world.propose(2);
            world.run_until(10_000, |w| w.history.len() == 5 && w.is_settled());
        },
    );
    same(&found, include_str!("../../testdata/broadcast.txt"));
}

#[test]
fn a_follower_that_missed_little_gets_a_diff() {
    let found = transcript(
        |_| {},
        |world| {
            world.crash(1);
            world.propose(2);
            world.run_until(10_000, |w| w.history.len() == 5 && w.is_settled());
            world.start(1);
            world.run_until(10_000, World::is_settled);
        },
    );
    same(&found, include_str!("../../testdata/diff.txt"));
}

#[test]
fn a_follower_that_missed_much_gets_a_diff_from_the_leaders_disk() {
    let found = transcript(
        |settings| settings.window_entries = 2,
        |world| {
            world.crash(1);
            for _ in 0..3 {
                world.propose(2);
                world.run_until(10_000, World::is_settled);
            }
            world.start(1);
            world.run_until(10_000, World::is_settled);
        },
    );
    same(&found, include_str!("../../testdata/disk_diff.txt"));
}

#[test]
fn a_follower_that_missed_too_much_gets_a_snapshot() {
    let found = transcript(
        |settings| {
            settings.window_entries = 2;
            settings.disk_sync_bytes = 0;
        },
        |world| {
            world.crash(1);
            for _ in 0..3 {
                world.propose(2);
                world.run_until(10_000, World::is_settled);
            }
            world.start(1);
            world.run_until(10_000, World::is_settled);
        },
    );
    same(&found, include_str!("../../testdata/snap.txt"));
}

#[test]
fn a_deposed_leader_cuts_what_nobody_else_has() {
    let found = transcript(
        |_| {},
        |world| {
            let leader = world.leader().expect("a leader");
            world.propose(2);
            for other in world.ids() {
                if other != leader {
                    world.cut(leader, other);
                }
            }
            // What it has proposed is on its own disk only.
            world.run_until(10_000, |w| w.leader().is_some_and(|id| id != leader));
            world.propose(1);
            world.run_until(10_000, |w| w.history.len() == 4);
            world.heal();
            world.run_until(10_000, World::is_settled);
        },
    );
    same(&found, include_str!("../../testdata/leader_change.txt"));
}
