//! The machines: what is placed on one runs, or says why not; what is told to end ends.

use serde_json::{Value, json};

use super::super::kinds::{CLAIM, CONFIG_MAP, Kind, POD, SECRET};
use super::super::object::Object;
use super::super::rules::Rules;
use super::super::store::{Key, Store, now};
use super::pod::{claims, is_over, set_condition};

pub(super) fn step(store: &mut Store) {
    for key in store.keys_of(&POD, None) {
        let Some(pod) = store.get(&key).cloned() else {
            continue;
        };
        let node = pod.text("/spec/nodeName").to_owned();
        if store.rules.dead_nodes.contains(&node) {
            lost(store, &key);
        } else if pod.is_going() {
            end(store, &key, &pod);
        } else if !node.is_empty() && !is_over(&pod) {
            run(store, &key, &pod);
        }
    }
}

/// A node that does not answer: its pods are not ready, and nobody knows more.
fn lost(store: &mut Store, key: &Key) {
    store.edit(key, |pod| {
        let why = ("NodeStatusUnknown", "Kubelet stopped posting node status.");
        set_condition(pod, "Ready", "False", Some(why));
    });
}

fn end(store: &mut Store, key: &Key, pod: &Value) {
    if pod.list("/metadata/finalizers").is_empty() {
        store.remove(key);
    }
}

fn run(store: &mut Store, key: &Key, pod: &Value) {
    let address = if pod.text("/status/podIP").is_empty() {
        let number = store.fresh_number();
        format!("10.244.{}.{}", number / 250 % 250, number % 250 + 1)
    } else {
        pod.text("/status/podIP").to_owned()
    };
    let missing = missing(store, key, pod);
    if let Some(why) = &missing {
        store.tell(key, "FailedMount", why);
    }
    let rules = store.rules.clone();
    store.edit(key, |pod| {
        pod.set_default("/status/startTime", now());
        set_condition(pod, "Initialized", "True", None);
        let all_run = contain(&rules, pod, missing.is_some());
        let started = missing.is_none();
        if started {
            pod.set("/status/podIP", address.clone().into());
            pod.set("/status/podIPs", json!([{ "ip": address }]));
            pod.set("/status/hostIP", "192.0.2.1".into());
        }
        let phase = if all_run { "Running" } else { "Pending" };
        if pod.text("/status/phase") != "Running" {
            pod.set("/status/phase", phase.into());
        }
        let ready = all_run && every_container(pod, "ready");
        let status = if ready { "True" } else { "False" };
        set_condition(pod, "ContainersReady", status, None);
        set_condition(pod, "Ready", status, None);
    });
}

/// What a pod mounts and nobody has made.
fn missing(store: &Store, key: &Key, pod: &Value) -> Option<String> {
    let there = |kind: &'static Kind, name: &str| {
        store.get(&Key::new(kind, &key.namespace, name)).is_some()
    };
    for volume in pod.list("/spec/volumes") {
        for (kind, source, name) in [
            (&SECRET, "secret", "/secret/secretName"),
            (&CONFIG_MAP, "configmap", "/configMap/name"),
        ] {
            let wanted = volume.text(name);
            let optional = volume.pointer("/secret/optional") == Some(&Value::Bool(true));
            if !wanted.is_empty() && !there(kind, wanted) && !optional {
                return Some(format!(
                    "MountVolume.SetUp failed for volume \"{}\" : {source} \"{wanted}\" not found",
                    volume.text("/name")
                ));
            }
        }
    }
    let claim = claims(pod)
        .into_iter()
        .find(|claim| !there(&CLAIM, claim))?;
    Some(format!("persistentvolumeclaim \"{claim}\" not found"))
}

/// Writes the containers' states; answers whether all that must run do.
fn contain(rules: &Rules, pod: &mut Value, held: bool) -> bool {
    let mut all_run = !held;
    for (spec, status) in [
        ("/spec/initContainers", "/status/initContainerStatuses"),
        ("/spec/containers", "/status/containerStatuses"),
    ] {
        let mut states = Vec::new();
        for container in pod.list(spec) {
            let before = pod.list(status).iter();
            let before = before
                .clone()
                .find(|s| s.text("/name") == container.text("/name"));
            // A main container starts after all that come before it.
            let state = state(rules, pod, container, before, !all_run);
            all_run &= state["started"] == true;
            states.push(state);
        }
        if !states.is_empty() {
            pod.set(status, states.into());
        }
    }
    all_run
}

fn state(
    rules: &Rules,
    pod: &Value,
    container: &Value,
    before: Option<&Value>,
    held: bool,
) -> Value {
    let (name, image) = (container.text("/name"), container.text("/image"));
    let restarts = before.and_then(|b| b.number("/restartCount")).unwrap_or(0);
    let waiting = |reason: &str, message: &str| {
        json!({
            "name": name, "image": image, "imageID": "", "ready": false, "started": false,
            "restartCount": restarts,
            "state": { "waiting": { "reason": reason, "message": message } },
        })
    };
    if rules.missing_images.contains(image) {
        let message =
            format!("Back-off pulling image \"{image}\": ErrImagePull: {image}: not found");
        return waiting("ImagePullBackOff", &message);
    }
    if held {
        return waiting("PodInitializing", "");
    }
    if rules
        .crashing
        .contains(&(pod.name().to_owned(), name.to_owned()))
    {
        let message = format!(
            "back-off 5m0s restarting failed container={name} pod={}",
            pod.name()
        );
        let mut state = waiting("CrashLoopBackOff", &message);
        state["restartCount"] = restarts.max(1).into();
        state["lastState"] = json!({
            "terminated": { "exitCode": 1, "reason": "Error", "startedAt": now(), "finishedAt": now() },
        });
        return state;
    }
    let since = before.and_then(|before| before.pointer("/state/running/startedAt"));
    let sidecar = container.text("/restartPolicy") == "Always";
    json!({
        "name": name,
        "image": image,
        "imageID": format!("sha256:{image}"),
        "containerID": format!("memory://{}/{name}", pod.uid()),
        "ready": sidecar || !rules.unready.contains(pod.name()),
        "started": true,
        "restartCount": restarts,
        "state": { "running": { "startedAt": since.cloned().unwrap_or_else(now) } },
    })
}

fn every_container(pod: &Value, field: &str) -> bool {
    let mut all = pod.list("/status/containerStatuses").iter();
    all.all(|status| status[field] == true)
}
