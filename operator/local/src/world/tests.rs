use super::*;

fn ports() -> Ports {
    Ports {
        client: 1,
        quorum: 2,
        election: 3,
        orders: 4,
        plain: 5,
        admin: 6,
    }
}

fn voter(ordinal: u8) -> MemberId {
    MemberId::voter(ordinal).expect("a voter")
}

fn world(replicas: u8) -> World {
    let mut world = World::new(ZooKeeperCluster::new("demo", Default::default()));
    for ordinal in 0..replicas {
        world.make_volume(voter(ordinal), "1Gi".into(), None);
    }
    let template = Template {
        revision: "a".into(),
        ..Template::default()
    };
    world.sets.insert(
        Kind::Voter,
        Set {
            version: 1,
            replicas,
            template,
        },
    );
    world
}

fn running(replicas: u8) -> World {
    let mut world = world(replicas);
    world.due(ports);
    world
        .pods
        .values_mut()
        .for_each(|pod| pod.probe.ready = true);
    world
}

fn evict(world: &mut World, name: &str) -> Result<(), Refusal> {
    let uid = world.pods[name].uid.clone();
    world.carry_out(
        Timestamp::UNIX_EPOCH,
        Request::Evict {
            name: name.into(),
            uid,
        },
    )
}

#[test]
fn all_pods_of_a_set_start_at_once_and_once() {
    let mut world = world(3);
    let starts: Vec<_> = (0..3).map(|n| Due::Start(format!("demo-{n}"))).collect();
    assert_eq!(world.due(ports), starts);
    assert_eq!(world.due(ports), []);
}

#[test]
fn a_pod_waits_for_its_volume() {
    let mut world = world(1);
    world.volumes.clear();
    assert_eq!(world.due(ports), []);
    world.make_volume(voter(0), "1Gi".into(), None);
    assert_eq!(world.due(ports), [Due::Start("demo-0".into())]);
}

#[test]
fn a_pod_made_again_takes_the_newest_template_and_the_same_volume() {
    let mut world = running(1);
    let before = world.pods["demo-0"].clone();
    let template = Template {
        revision: "b".into(),
        ..Template::default()
    };
    let put = Request::PutTemplate {
        set: Kind::Voter,
        template,
    };
    world.carry_out(Timestamp::UNIX_EPOCH, put).expect("put");
    assert_eq!(world.due(ports), [], "OnDelete: nothing restarts by itself");
    world.pods.remove("demo-0");
    assert_eq!(world.due(ports), [Due::Start("demo-0".into())]);
    let after = &world.pods["demo-0"];
    assert_eq!(
        (after.revision.as_str(), &after.volume),
        ("b", &before.volume)
    );
    assert_ne!(after.uid, before.uid);
}

#[test]
fn scaling_down_ends_the_last_and_keeps_its_volume() {
    let mut world = running(3);
    let version = world.sets[&Kind::Voter].version;
    let put = Request::PutReplicas {
        set: Kind::Voter,
        version,
        replicas: 2,
    };
    world.carry_out(Timestamp::UNIX_EPOCH, put).expect("put");
    assert_eq!(world.due(ports), [Due::End("demo-2".into())]);
    world.pods.remove("demo-2");
    assert_eq!(world.due(ports), []);
    assert_eq!(world.volumes.len(), 3);
}

#[test]
fn a_write_planned_on_an_older_version_is_refused() {
    let mut world = running(1);
    let old = world
        .ensemble
        .metadata
        .resource_version
        .clone()
        .expect("a version");
    let put = |step: &str| Request::PutStatus {
        version: old.clone(),
        status: Box::new(ZooKeeperClusterStatus {
            step: Some(step.into()),
            ..ZooKeeperClusterStatus::default()
        }),
    };
    world
        .carry_out(Timestamp::UNIX_EPOCH, put("first"))
        .expect("put");
    let refused = world.carry_out(Timestamp::UNIX_EPOCH, put("second"));
    assert_eq!(
        refused,
        Err(Refusal::Conflict {
            what: "demo".into()
        })
    );
    let put = Request::PutReplicas {
        set: Kind::Voter,
        version: 999,
        replicas: 2,
    };
    let refused = world.carry_out(Timestamp::UNIX_EPOCH, put);
    assert_eq!(
        refused,
        Err(Refusal::Conflict {
            what: "the set of Voters".into()
        })
    );
}

#[test]
fn the_budget_lets_one_pod_go_at_a_time() {
    let mut world = running(3);
    evict(&mut world, "demo-1").expect("the first may go");
    let refused = evict(&mut world, "demo-2");
    assert_eq!(
        refused,
        Err(Refusal::Budget {
            what: "demo-2".into()
        })
    );
    world.pods.get_mut("demo-2").expect("there").probe.ready = false;
    evict(&mut world, "demo-2").expect("one that is not ready may go");
}

#[test]
fn another_object_of_the_same_name_is_left_alone() {
    let mut world = running(1);
    for request in [
        Request::Delete {
            name: "demo-0".into(),
            uid: "old".into(),
        },
        Request::Evict {
            name: "demo-0".into(),
            uid: "old".into(),
        },
    ] {
        let refused = world.carry_out(Timestamp::UNIX_EPOCH, request);
        assert_eq!(
            refused,
            Err(Refusal::Absent {
                what: "demo-0".into()
            })
        );
    }
    assert_eq!(world.due(ports), []);
}

#[test]
fn a_volume_is_erased_only_when_its_pod_is_gone() {
    let mut world = running(1);
    let uid = world.volumes["data-demo-0"].uid.clone();
    let drop = Request::DropVolume {
        name: "data-demo-0".into(),
        uid,
    };
    world
        .carry_out(Timestamp::UNIX_EPOCH, drop)
        .expect("dropped");
    assert_eq!(world.due(ports), []);
    world.pods.clear();
    assert_eq!(world.due(ports), [Due::Erase("data-demo-0".into())]);
}

#[test]
fn ports_are_kept() {
    let mut world = running(1);
    world.pods.clear();
    world.due(|| Ports {
        client: 99,
        ..ports()
    });
    assert_eq!(world.ports[&voter(0)], ports());
}

#[test]
fn a_world_is_read_as_it_was_written() {
    let world = running(3);
    let text = serde_json::to_string(&world).expect("written");
    assert_eq!(serde_json::from_str::<World>(&text).expect("read"), world);
}

#[test]
fn the_generation_counts_changes_of_the_spec_only() {
    let mut world = running(1);
    let mut manifest = ZooKeeperCluster::new("demo", world.ensemble.spec.clone());
    assert!(!world.put_spec(manifest.clone()));
    manifest.spec.replicas = 5;
    assert!(world.put_spec(manifest));
    assert_eq!(world.ensemble.metadata.generation, Some(2));
}
