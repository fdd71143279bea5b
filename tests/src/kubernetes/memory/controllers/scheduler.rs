//! Gives each pod a node, once its claims are there.

use serde_json::Value;

use super::super::kinds::{CLAIM, POD};
use super::super::object::Object;
use super::super::quantity;
use super::super::store::{Key, Store};
use super::pod::{claims, set_condition};

/// Pods are spread over so many nodes, by the last digit of their names.
const NODES: u32 = 3;

/// What a node has, in thousandths.
const NODE_CPU: i128 = 64_000;

pub(super) fn step(store: &mut Store) {
    for key in store.keys_of(&POD, None) {
        let Some(pod) = store.get(&key) else {
            continue;
        };
        if !pod.text("/spec/nodeName").is_empty() || pod.is_going() {
            continue;
        }
        match obstacle(store, &key) {
            Some(message) => store.edit(&key, |pod| {
                let why = ("Unschedulable", message.as_str());
                set_condition(pod, "PodScheduled", "False", Some(why));
            }),
            None => place(store, &key),
        }
    }
}

/// Why a pod cannot be placed, as the scheduler says it.
fn obstacle(store: &Store, key: &Key) -> Option<String> {
    let pod = store.get(key)?;
    let nodes = |why: &str| {
        format!(
            "0/{NODES} nodes are available: {why} preemption: 0/{NODES} nodes are available: \
                 {NODES} Preemption is not helpful for scheduling."
        )
    };
    for claim in claims(pod) {
        let found = store.get(&Key::new(&CLAIM, &key.namespace, &claim));
        match found {
            None => {
                return Some(nodes(&format!(
                    "persistentvolumeclaim \"{claim}\" not found."
                )));
            }
            Some(found) if found.is_going() => {
                let why = format!("persistentvolumeclaim \"{claim}\" is being deleted.");
                return Some(nodes(&why));
            }
            Some(found) if found.text("/status/phase") != "Bound" && store.rules.volumes_held => {
                return Some(nodes("pod has unbound immediate PersistentVolumeClaims."));
            }
            Some(_) => {}
        }
    }
    if asked_cpu(pod) > NODE_CPU {
        return Some(nodes(&format!("{NODES} Insufficient cpu.")));
    }
    store
        .rules
        .unschedulable
        .get(&key.name)
        .map(|why| nodes(why))
}

/// What all containers of a pod ask for together, in thousandths.
fn asked_cpu(pod: &Value) -> i128 {
    let lists = [
        pod.list("/spec/initContainers"),
        pod.list("/spec/containers"),
    ];
    let asked =
        |container: &Value| quantity::thousandths(container.text("/resources/requests/cpu"));
    lists.into_iter().flatten().filter_map(asked).sum()
}

fn place(store: &mut Store, key: &Key) {
    let number = key.name.chars().rev().find_map(|c| c.to_digit(10));
    let node = format!("node-{}", number.unwrap_or(0) % NODES);
    store.edit(key, |pod| {
        pod.set("/spec/nodeName", node.into());
        set_condition(pod, "PodScheduled", "True", None);
    });
}
