//! Whatever happens, one history; and once it stops happening, everyone has it.

use super::world::{World, config};

#[test]
fn three_members_elect_and_deliver() {
    let mut world = World::new(1, config(&[1, 2, 3], &[]));
    world.populate(|_| {});
    for id in [1, 2, 3] {
        world.start(id);
    }
    world.run_until(10_000, World::is_settled);
    assert_eq!(world.leader(), Some(3));
    world.propose(5);
    world.run_until(10_000, |w| w.history.len() == 5 && w.is_settled());
}

fn chaos(seed: u64, voters: &[i64], observers: &[i64]) -> World {
    let mut world = World::new(seed, config(voters, observers));
    let small = world.random.below(2) == 0;
    let disk_sync = world.random.below(2) * 1000;
    world.populate(|settings| {
        settings.window_entries = if small { 3 } else { 50 };
        settings.disk_sync_bytes = disk_sync;
    });
    let ids = world.ids();
    for id in &ids {
        world.start(*id);
    }
    for _ in 0..4000 {
        world.step();
        let pick = |world: &mut World| ids[world.random.below(ids.len() as u64) as usize];
        match world.random.below(400) {
            0..40 => {
                let count = 1 + world.random.below(3);
                world.propose(count);
            }
            40..42 => {
                let id = pick(&mut world);
                if world.servers[&id].zab.is_some() {
                    world.crash(id);
                }
            }
            42..47 => {
                let id = pick(&mut world);
                if world.servers[&id].zab.is_none() {
                    world.start(id);
                }
            }
            47 => {
                let (a, b) = (pick(&mut world), pick(&mut world));
                if a != b {
                    world.cut(a, b);
                }
            }
            48 => world.heal(),
            49 | 50 => {
                let id = pick(&mut world);
                world.wipe(id);
            }
            _ => {}
        }
    }
    world.heal();
    for id in ids {
        if world.servers[&id].zab.is_none() {
            world.start(id);
        }
    }
    world.run_until(60_000, World::is_settled);
    let before = world.history.len();
    world.propose(3);
    world.run_until(60_000, |w| w.history.len() == before + 3 && w.is_settled());
    world
}

fn chaos_of_many(seeds: std::ops::Range<u64>, voters: &[i64], observers: &[i64]) {
    let mut seen = std::collections::BTreeMap::new();
    for seed in seeds {
        let run = std::panic::catch_unwind(|| chaos(seed, voters, observers));
        let world = run.unwrap_or_else(|_| panic!("seed {seed} with voters {voters:?}"));
        for (what, count) in world.seen {
            *seen.entry(what).or_insert(0) += count;
        }
    }
    for what in [
        "leader",
        "DIFF",
        "TRUNC",
        "SNAP",
        "crash",
        "unsynced loss",
        "disk lost",
        "vote back",
    ] {
        assert!(seen.contains_key(what), "{what} never happened: {seen:?}");
    }
    println!("{seen:?}");
}

#[test]
fn three_voters_agree_whatever_happens() {
    chaos_of_many(0..60, &[1, 2, 3], &[]);
}

#[test]
fn five_voters_and_an_observer_agree_whatever_happens() {
    chaos_of_many(1000..1030, &[1, 2, 3, 4, 5], &[6]);
}
