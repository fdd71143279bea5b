use api::{ConditionStatus, ConditionType, status::BootstrapPhase};
use proptest::{collection::vec, prelude::*, sample::subsequence};

use super::*;
use crate::fixture::desired;

#[derive(Clone, Debug)]
enum Event {
    Observe {
        operator: usize,
        stale: bool,
    },
    Act {
        operator: usize,
        answered: bool,
    },
    /// Looks and does the first so many things.
    Pass {
        operator: usize,
        acts: usize,
    },
    CrashOperator(usize),
    Kill(u8),
    Wipe(u8),
    ToggleReach(u8),
    Promise(Vec<u8>, usize),
    Elect(Vec<u8>),
    Scale(i32),
}

fn event(members: u8) -> impl Strategy<Value = Event> {
    let member = 1..=members;
    let some = subsequence((1..=members).collect::<Vec<_>>(), 1..=usize::from(members));
    let operator = 0usize..2;
    prop_oneof![
        8 => (operator.clone(), 0usize..9)
            .prop_map(|(operator, acts)| Event::Pass { operator, acts }),
        3 => (operator.clone(), prop::bool::weighted(0.1))
            .prop_map(|(operator, stale)| Event::Observe { operator, stale }),
        8 => (operator.clone(), prop::bool::weighted(0.9))
            .prop_map(|(operator, answered)| Event::Act { operator, answered }),
        1 => operator.prop_map(Event::CrashOperator),
        2 => member.clone().prop_map(Event::Kill),
        1 => member.clone().prop_map(Event::Wipe),
        2 => member.prop_map(Event::ToggleReach),
        2 => (some.clone(), 1usize..4).prop_map(|(some, written)| Event::Promise(some, written)),
        3 => some.prop_map(Event::Elect),
        1 => prop::sample::select(vec![1, 3, 5]).prop_map(Event::Scale),
    ]
}

fn ids(numbers: Vec<u8>) -> BTreeSet<MemberId> {
    numbers.into_iter().map(id).collect()
}

fn happen(world: &mut World, event: Event) {
    match event {
        Event::Observe { operator, stale } => world.observe(operator, stale),
        Event::Act { operator, answered } => world.act(operator, answered),
        Event::CrashOperator(operator) => world.crash_operator(operator),
        Event::Kill(member) => world.kill(id(member)),
        Event::Wipe(member) => world.wipe(id(member)),
        Event::ToggleReach(member) => world.toggle_reach(id(member)),
        Event::Pass { operator, acts } => {
            world.observe(operator, false);
            for _ in 0..acts {
                world.act(operator, true);
            }
        }
        Event::Promise(members, written) => world.promise(&ids(members), written),
        Event::Elect(members) => world.elect(&ids(members)),
        Event::Scale(replicas) => world.scale_spec(desired(replicas)),
    }
}

/// Nothing fails any more; one operator works and members elect when they can.
fn settle(world: &mut World, members: u8) {
    world.reach_all();
    world.crash_operator(0);
    world.crash_operator(1);
    for _ in 0..40 {
        world.observe(0, false);
        for _ in 0..20 {
            world.act(0, true);
        }
        let all: Vec<u8> = (1..=members).collect();
        if !world.serves() {
            world.elect(&ids(all.clone()));
        }
        world.follow();
    }
}

impl World {
    fn serves(&self) -> bool {
        self.leadership.is_some()
    }

    /// Running members that follow nobody find the leader and are brought up to it.
    fn follow(&mut self) {
        let Some(leadership) = &mut self.leadership else {
            return;
        };
        let leader = self.disks[&leadership.leader].clone();
        for (member, process) in &self.processes {
            if *process == Process::Running && leadership.followers.insert(*member) {
                let disk = self.disks.get_mut(member).unwrap();
                disk.accepted_epoch = leader.accepted_epoch;
                disk.data = leader.data;
                disk.config.clone_from(&leader.config);
                disk.mark = false;
            }
        }
    }

    fn is_ready(&self) -> bool {
        let ready = |c: &&api::Condition| c.type_ == ConditionType::Ready;
        let ready = self.status.conditions.iter().find(ready);
        ready.is_some_and(|condition| condition.status == ConditionStatus::True)
    }
}

fn no_wipes_no_scaling(event: &Event) -> bool {
    !matches!(event, Event::Wipe(_) | Event::Scale(_))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is lost, however old what an operator knows, wherever it crashes, and even with
    /// two of them: an ensemble is born at most once.
    #[test]
    fn no_ensemble_is_born_twice(
        replicas in prop::sample::select(vec![1u8, 3, 5]),
        events in vec(event(5), 0..150),
    ) {
        let mut world = World::new(desired(replicas.into()));
        for event in events {
            happen(&mut world, event);
            prop_assert!(world.histories <= 1, "born {} times", world.histories);
        }
        settle(&mut world, 5);
        prop_assert!(world.histories <= 1, "born {} times in the end", world.histories);
    }

    /// As long as no disk is lost, every beginning ends in an ensemble that serves.
    #[test]
    fn every_beginning_that_loses_no_disk_ends_well(
        replicas in prop::sample::select(vec![1u8, 3, 5]),
        events in vec(event(5).prop_filter("no disk is lost", no_wipes_no_scaling), 0..150),
    ) {
        let mut world = World::new(desired(replicas.into()));
        for event in events {
            happen(&mut world, event);
        }
        settle(&mut world, replicas);
        let conditions = &world.status().conditions;
        prop_assert!(world.is_ready(), "{conditions:#?}");
        prop_assert_eq!(world.histories, 1);
        prop_assert_eq!(world.status().phase(), BootstrapPhase::Initialised);
        prop_assert!(world.status().operation.is_none());
    }
}

/// The straight way, so that the properties above are known to speak of something.
#[test]
fn undisturbed_a_world_of_three_is_born_and_serves() {
    let mut world = World::new(desired(3));
    settle(&mut world, 3);
    assert!(world.is_ready(), "{:#?}", world.status().conditions);
    assert_eq!((world.histories, world.wipes), (1, 0));
}
