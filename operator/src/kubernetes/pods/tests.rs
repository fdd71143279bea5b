use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;

const UID: &str = "uid-1";

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time")
}

fn names() -> Names {
    Names {
        namespace: "data".into(),
        name: "zk".into(),
    }
}

/// A pod of this resource on a node, with these statuses of its containers.
fn pod(sidecar: Value, server: Value) -> Pod {
    let status = |name: &str, state: Value| {
        json!({
            "name": name, "image": format!("{name}:1"), "imageID": "", "ready": false,
            "restartCount": 0, "state": state,
        })
    };
    of(json!({
        "metadata": {
            "name": "zk-0",
            "uid": "pod-1",
            "labels": {"ferrokeeper.io/cluster": "zk", "controller-revision-hash": "zk-a"},
            "annotations": {"ferrokeeper.io/uid": UID},
        },
        "spec": {"nodeName": "node-1", "containers": []},
        "status": {
            "phase": "Pending",
            "podIP": "10.0.0.7",
            "initContainerStatuses": [status("sidecar", sidecar)],
            "containerStatuses": [status("server", server)],
        },
    }))
}

fn of(value: Value) -> Pod {
    serde_json::from_value(value).expect("a pod")
}

fn running() -> Value {
    json!({"running": {}})
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": message}})
}

/// What the planner is told: the state, and what is wrong.
fn told(pod: &Pod) -> (ProcessState, Option<String>) {
    let whose = whose(pod, &names(), UID);
    (
        process(pod, whose, Some("zk-a")).state,
        trouble(pod, whose, now()),
    )
}

fn not_serving(why: &str) -> (ProcessState, Option<String>) {
    let state = ProcessState::NotServing { why: why.into() };
    (state, Some(why.into()))
}

#[test]
fn a_pod_whose_containers_run_is_running() {
    let told = told(&pod(running(), running()));
    assert_eq!(told, (ProcessState::Running, None));
}

#[test]
fn a_pod_that_is_being_started_may_run_any_moment() {
    let initialising = waiting("PodInitializing", "");
    let fetching = told(&pod(initialising.clone(), initialising.clone()));
    let why = "its pod's volumes and containers are being prepared";
    assert_eq!(fetching, (ProcessState::Running, Some(why.into())));
    let starting = told(&pod(running(), initialising));
    let why = "its containers are being started";
    assert_eq!(starting, (ProcessState::Running, Some(why.into())));
}

#[test]
fn a_missing_image_is_named_whichever_container_lacks_it() {
    let lacks = waiting("ImagePullBackOff", "Back-off pulling image");
    let first = told(&pod(lacks.clone(), waiting("PodInitializing", "")));
    let why = "container sidecar cannot be started from image sidecar:1: ImagePullBackOff: \
               Back-off pulling image";
    assert_eq!(first, not_serving(why));
    let second = told(&pod(running(), lacks.clone()));
    let why = "container server cannot be started from image server:1: ImagePullBackOff: Back-off \
               pulling image";
    assert_eq!(second, not_serving(why));

    // A server goes on without its sidecar.
    let (state, trouble) = told(&pod(lacks, running()));
    assert_eq!(state, ProcessState::Running);
    assert!(trouble.is_some());
}

#[test]
fn an_unscheduled_pod_has_the_schedulers_sentence() {
    let unscheduled = of(json!({
        "metadata": {
            "name": "zk-0",
            "labels": {"ferrokeeper.io/cluster": "zk"},
            "annotations": {"ferrokeeper.io/uid": UID},
        },
        "spec": {"containers": []},
        "status": {
            "phase": "Pending",
            "conditions": [{
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 Insufficient memory.",
            }],
        },
    }));
    let why = "its pod cannot be scheduled: 0/1 nodes are available: 1 Insufficient memory.";
    assert_eq!(told(&unscheduled), not_serving(why));
}

#[test]
fn a_server_that_ends_again_and_again_is_proven_not_to_serve() {
    let mut crashing = pod(running(), waiting("CrashLoopBackOff", "back-off 10s"));
    let statuses = crashing
        .status
        .as_mut()
        .and_then(|s| s.container_statuses.as_mut())
        .expect("statuses");
    statuses[0].last_state = serde_json::from_value(json!({
        "terminated": {"exitCode": 137, "reason": "OOMKilled"},
    }))
    .expect("a state");
    let why = "container server ends again and again: OOMKilled, exit status 137";
    assert_eq!(told(&crashing), not_serving(why));

    // Between an end and the next start nothing is proven.
    let ended = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
    let why = "its server ended (exit status 1)";
    let told = told(&pod(running(), ended));
    assert_eq!(told, (ProcessState::Running, Some(why.into())));
}

#[test]
fn a_pod_that_was_told_to_go_may_serve_until_its_kubelet_says_it_does_not() {
    let going = |server: Value, gone_at: i64| {
        let mut pod = pod(running(), server);
        let gone_at = Timestamp::from_second(gone_at).expect("a time");
        pod.metadata.deletion_timestamp = Some(Time(gone_at));
        pod
    };
    let soon = now().as_second() + 60;
    assert_eq!(
        told(&going(running(), soon)),
        (ProcessState::Terminating, None)
    );
    let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    let why = "exit status 0".to_owned();
    let (state, _) = told(&going(ended, soon));
    assert_eq!(state, ProcessState::NotServing { why });

    let (state, trouble) = told(&going(running(), soon - 600));
    assert_eq!(state, ProcessState::Terminating);
    assert_eq!(
        trouble.as_deref(),
        Some(
            "pod zk-0 is to stop, and node node-1 does not say that it has; should the node be \
             dead, delete the Node or taint it node.kubernetes.io/out-of-service=:NoExecute"
        )
    );
}

#[test]
fn a_pod_of_an_earlier_resource_is_waited_for_and_not_spoken_to() {
    let mut former = pod(running(), running());
    former.metadata.annotations = Some([(UID_ANNOTATION.to_owned(), "uid-0".to_owned())].into());
    let (state, trouble) = told(&former);
    assert_eq!(state, ProcessState::Terminating);
    assert_eq!(
        trouble.as_deref(),
        Some("pod zk-0 of an earlier resource of this name is still being stopped")
    );
    former.metadata.labels = None;
    assert_eq!(whose(&former, &names(), UID), Whose::Somebodys);
}

#[test]
fn a_pod_of_another_revision_is_outdated() {
    let pod = pod(running(), running());
    let outdated = |now| process(&pod, Whose::Ours, now).outdated;
    assert!(outdated(Some("zk-b")));
    assert!(!outdated(Some("zk-a")));
    assert!(!outdated(None));
}

#[test]
fn orders_are_taken_where_the_pod_is_while_its_sidecar_runs() {
    let first = MemberId::voter(0).expect("a member");
    let at = |pod: &Pod| endpoint(&names(), first, pod, "cluster.local", 8443);
    let found = at(&pod(running(), waiting("PodInitializing", "")));
    let expected = Endpoint {
        name: "zk-0.zk-peers.data.svc.cluster.local".into(),
        address: "10.0.0.7".parse().ok(),
        port: 8443,
    };
    assert_eq!(found, Some(expected));
    assert_eq!(at(&pod(waiting("PodInitializing", ""), running())), None);
}
