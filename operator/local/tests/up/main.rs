//! `up` as a person meets it: real processes. In this file with a server that only speaks the
//! control protocol, so that what is tested is the operator, the sidecars and the supervisor; in
//! `genuine` with the servers that users get, and a client.

mod ensemble;
mod genuine;

use std::fs;
use std::time::{Duration, Instant};

use local::world::{ContainerState, Fault, Request, World};

use crate::ensemble::{Up, alive, eventually, kill, manifest};

#[test]
fn a_birth_is_granted_once_and_a_second_start_finds_it_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
    let before = up.ready(3);
    up.printed("connect to 127.0.0.1:");
    let processes = up.processes();
    let (code, printed) = up.interrupt();
    assert_eq!(code, Some(0), "{printed}");
    assert!(!processes.into_iter().any(alive));

    let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
    let after = up.ready(3);
    assert_eq!(after.ports, before.ports);
    assert_eq!(after.uid(), before.uid());
    assert_eq!(up.events(), [["birth", "ended", "start"]; 3]);
    up.interrupt();
}

#[test]
fn the_leader_ends_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
    let world = up.ready(3);
    let leader = world
        .ensemble
        .status
        .expect("a status")
        .leader
        .expect("a leader");
    up.interrupt();
    let ended = ensemble::ended_at(folder.path());
    let last = ended.iter().max_by_key(|(_, at)| *at).expect("members").0;
    assert_eq!(last, usize::from(leader.ordinal()));
}

#[test]
fn a_killed_member_comes_back_with_its_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
    let before = up.ready(3).pods["demo-2"].clone();
    let ContainerState::Running { pid, .. } = before.server.state else {
        panic!("not running")
    };
    kill(pid);
    let world = up.until("it came back", |world| {
        let server = &world.pods["demo-2"].server;
        server.restarts == 1 && world.pods["demo-2"].probe.ready
    });
    assert_eq!(
        world.pods["demo-2"].uid, before.uid,
        "the pod stays, its container restarts"
    );
    assert_eq!(up.events()[2], ["birth", "start"]);
    up.interrupt();
}

#[test]
fn a_killed_sidecar_costs_the_server_nothing_it_cannot_get_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
    let world = up.ready(3);
    let ContainerState::Running { pid, .. } = world.pods["demo-0"].sidecar.state else {
        panic!("not running")
    };
    kill(pid);
    up.until("all are ready again", |world| {
        world.pods["demo-0"].sidecar.restarts == 1 && world.pods["demo-0"].probe.ready
    });
    up.interrupt();
}

#[test]
fn an_operator_killed_at_any_time_changes_nothing_in_the_end() {
    for after in [0, 20, 60, 150, 400] {
        let folder = tempfile::tempdir().expect("a folder");
        let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
        up.kill_operator_twice(Duration::from_millis(after));
        up.ready(3);
        // Whoever was not told before the others had a quorum joins it.
        let events = up.events();
        let begun = |how: &str| events.iter().filter(|of_one| **of_one == [how]).count();
        assert_eq!(
            begun("birth") + begun("join"),
            3,
            "killed after {after} ms: {events:?}"
        );
        assert!(begun("birth") >= 2, "killed after {after} ms: {events:?}");
        up.interrupt();
    }
}

#[test]
fn conflicts_and_stale_reads_cost_time_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
    up.ask(&Request::Fault(Fault {
        conflicts: 4,
        stale_reads: 4,
        budget_refusals: 0,
    }));
    up.ready(3);
    assert_eq!(up.events(), [["birth"]; 3]);
    up.interrupt();
}

#[test]
fn kill_dash_nine_of_the_supervisor_leaves_no_orphan() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
    up.ready(3);
    let processes = up.processes();
    assert_eq!(
        processes.len(),
        7,
        "operator, three sidecars, three servers"
    );
    kill(up.pid());
    eventually("no process is left", || {
        !processes.iter().any(|pid| alive(*pid))
    });
    drop(up);
    let again = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
    again.ready(3);
    again.interrupt();
}

#[test]
fn a_volume_of_another_ensemble_is_refused_and_kept() {
    let other = tempfile::tempdir().expect("a folder");
    let up = Up::start(other.path(), &manifest("demo", 1, "1Gi"));
    up.ready(1);
    up.interrupt();

    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
    up.ready(3);
    up.interrupt();
    let (from, to) = (
        other.path().join("volumes/data-demo-0"),
        folder.path().join("volumes/data-demo-0"),
    );
    fs::rename(&to, folder.path().join("own")).expect("moved");
    ensemble::copy(&from, &to);
    let foreign = fs::read(to.join("data/cluster.id")).expect("a cluster id");

    let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
    up.until("it says so", |world| ensemble::says(world, "ForeignData"));
    assert_eq!(
        fs::read(to.join("data/cluster.id")).expect("still there"),
        foreign
    );
    assert_eq!(
        ensemble::events_in(&to),
        ["birth", "ended"],
        "it was not started"
    );
    up.interrupt();
}

#[test]
fn a_deleted_pod_ends_in_order_and_is_made_again_on_its_volume() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
    let before = up.ready(3).pods["demo-1"].clone();
    let (name, uid) = ("demo-1".to_owned(), before.uid.clone());
    up.ask(&Request::Delete { name, uid });
    let replaced = |world: &World| {
        world
            .pods
            .get("demo-1")
            .is_some_and(|p| p.uid != before.uid)
    };
    up.until("another is there", replaced);
    up.ready(3);
    assert_eq!(up.events()[1], ["birth", "ended", "start"]);
    let log = fs::read_to_string(folder.path().join("logs/demo-1-sidecar.log")).expect("a log");
    assert!(
        log.contains("not drained: a fake obeys nobody"),
        "the hook ran\n{log}"
    );
    up.interrupt();
}

#[test]
fn a_pod_that_does_not_end_stays_until_its_grace_is_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = manifest("demo", 1, "1Gi") + "  pod:\n    terminationGracePeriodSeconds: 10\n";
    let up = Up::start(folder.path(), &text);
    let before = up.ready(1).pods["demo-0"].clone();
    let ContainerState::Running { pid, .. } = before.server.state else {
        panic!("not running")
    };
    ensemble::freeze(pid);
    let (name, uid) = ("demo-0".to_owned(), before.uid.clone());
    let begun = Instant::now();
    let world = up.ask(&Request::Delete { name, uid });
    assert!(world.pods["demo-0"].terminating.is_some());
    let replaced = |world: &World| {
        world
            .pods
            .get("demo-0")
            .is_some_and(|p| p.uid != before.uid)
    };
    up.until("another is there", replaced);
    assert!(
        begun.elapsed() >= Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert!(!alive(pid));
    up.ready(1);
    up.interrupt();
}

#[test]
fn no_ensemble_is_born_beside_a_volume_that_is_in_use() {
    let other = tempfile::tempdir().expect("a folder");
    let up = Up::start(other.path(), &manifest("demo", 1, "1Gi"));
    up.ready(1);
    up.interrupt();

    let folder = tempfile::tempdir().expect("a folder");
    let volume = folder.path().join("volumes/data-demo-0");
    ensemble::copy(&other.path().join("volumes/data-demo-0"), &volume);
    let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
    up.until("it says so", |world| ensemble::says(world, "ForeignData"));
    assert_eq!(up.events(), [vec!["birth", "ended"], vec![], vec![]]);
    up.printed("stalled: ");
    up.interrupt();
}

#[test]
fn a_supervisor_killed_at_any_time_goes_on_where_it_was() {
    for after in [0, 50, 200, 600, 1200] {
        let folder = tempfile::tempdir().expect("a folder");
        let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
        // Not to wait for anything: the moment of the kill is what is varied.
        std::thread::sleep(Duration::from_millis(after));
        kill(up.pid());
        drop(up);
        let up = Up::start(folder.path(), &manifest("demo", 3, "1Gi"));
        up.ready(3);
        let beginnings = |events: Vec<String>| {
            let count = |what| events.iter().filter(|event| *event == what).count();
            (count("birth"), count("join"))
        };
        let begun: Vec<_> = up.events().into_iter().map(beginnings).collect();
        // One that was killed before its first quorum is born again on the same volume, or joins
        // if the others formed theirs meanwhile.
        let begins = |(born, joined): &(usize, usize)| *born <= 2 && born + joined > 0;
        let born = begun.iter().filter(|(born, _)| *born > 0).count();
        assert!(
            begun.iter().all(begins) && born >= 2,
            "after {after} ms: births and joins {begun:?}"
        );
        up.interrupt();
    }
}

#[test]
fn a_second_supervisor_says_who_holds_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path(), &manifest("demo", 1, "1Gi"));
    up.ready(1);
    let (code, printed) = Up::start(folder.path(), &manifest("demo", 1, "1Gi")).wait();
    assert_eq!(code, Some(1));
    let holder = format!("is in use by process {}", up.pid());
    assert!(printed.contains(&holder), "{printed}");
    up.interrupt();
}

#[test]
fn a_wrong_manifest_starts_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let typing_error = manifest("demo", 3, "1Gi").replace("replicas", "replica");
    for (text, field) in [
        (manifest("demo", 0, "1Gi"), "spec.replicas"),
        (manifest("demo", 4, "1Gi"), "spec.replicas"),
        (typing_error, "spec.replica"),
        ("not: a manifest".into(), "kind: ZooKeeperCluster"),
    ] {
        let (code, printed) = Up::start(&state, &text).wait();
        assert_eq!(code, Some(2), "{printed}");
        assert!(printed.contains(field), "{printed}");
        assert!(!state.exists(), "a folder was made");
    }
}

#[test]
fn a_change_that_is_not_allowed_is_refused_before_and_while_it_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path(), &manifest("demo", 1, "2Gi"));
    up.ready(1);
    up.change(&manifest("demo", 1, "1Gi"));
    up.printed("the ensemble stays as it was");
    up.change(&manifest("demo", 1, "3Gi"));
    up.until("the change arrived", |world| {
        world.ensemble.metadata.generation == Some(2)
    });
    up.interrupt();

    let (code, printed) = Up::start(folder.path(), &manifest("demo", 1, "2Gi")).wait();
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("spec"), "{printed}");
    let (code, printed) = Up::start(folder.path(), &manifest("other", 1, "3Gi")).wait();
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("metadata.name"), "{printed}");
}

#[test]
fn a_deep_folder_is_no_obstacle() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder
        .path()
        .join("a-folder-with-a-rather-long-name/".repeat(6));
    let up = Up::start(&deep, &manifest("demo", 1, "1Gi"));
    up.printed("connect to 127.0.0.1:");
    up.interrupt();
}
