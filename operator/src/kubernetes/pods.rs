//! A pod in the planner's words.

use api::{CLUSTER_LABEL, MemberId};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use plan::observed::{ProcessObserved, ProcessState};

use super::names::{Names, UID_ANNOTATION};
use super::objects::{SERVER, SIDECAR};
use crate::platform::Endpoint;

/// A kubelet that is alive removes a pod soon after its grace is over.
const REMOVED_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// Label of a pod that names the revision of the template it was made from.
const REVISION_LABEL: &str = "controller-revision-hash";

/// Reasons for which a kubelet does not start a container and is not about to.
const STUCK: [&str; 9] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// Whose a pod of a member's name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Made for this resource.
    Ours,
    /// Made for one of the same name that is no more.
    Former,
    Somebodys,
}

pub(crate) fn whose(pod: &Pod, names: &Names, uid: &str) -> Whose {
    let labels = pod.metadata.labels.as_ref();
    let annotations = pod.metadata.annotations.as_ref();
    if labels.and_then(|labels| labels.get(CLUSTER_LABEL)) != Some(&names.name) {
        return Whose::Somebodys;
    }
    match annotations.and_then(|annotations| annotations.get(UID_ANNOTATION)) {
        Some(of) if of == uid => Whose::Ours,
        _ => Whose::Former,
    }
}

/// The process that a pod is. `revision` is what its set would make now, if that is known.
pub(crate) fn process(pod: &Pod, whose: Whose, revision: Option<&str>) -> ProcessObserved {
    let state = match whose {
        Whose::Ours => state(pod),
        // It may serve until it is seen to be gone.
        Whose::Former | Whose::Somebodys => ProcessState::Terminating,
    };
    let labels = pod.metadata.labels.as_ref();
    let made_from = labels.and_then(|labels| labels.get(REVISION_LABEL));
    let outdated = made_from
        .zip(revision)
        .is_some_and(|(made_from, now)| made_from != now);
    ProcessObserved {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        state,
        outdated: outdated && whose == Whose::Ours,
    }
}

fn state(pod: &Pod) -> ProcessState {
    if let Some(why) = ended(pod).or_else(|| unscheduled(pod)) {
        return ProcessState::NotServing { why };
    }
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let server = status_of(pod, SERVER).and_then(|status| status.state.as_ref());
    if let (true, Some(ended)) = (terminating, server.and_then(|s| s.terminated.as_ref())) {
        return ProcessState::NotServing { why: exit(ended) };
    }
    if terminating {
        return ProcessState::Terminating;
    }
    let runs = server.is_some_and(|state| state.running.is_some());
    match stuck(pod) {
        Some(why) if !runs => ProcessState::NotServing { why },
        _ => ProcessState::Running,
    }
}

/// What keeps it from serving, if anything does that its sidecar cannot say.
pub(crate) fn trouble(pod: &Pod, whose: Whose, now: Timestamp) -> Option<String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    if whose == Whose::Former {
        return Some(format!(
            "pod {name} of an earlier resource of this name is still being stopped"
        ));
    }
    if let Some(gone_at) = &pod.metadata.deletion_timestamp {
        let late = now.duration_since(gone_at.0) > REMOVED_WITHIN;
        let node = node(pod)?;
        return late.then(|| {
            format!(
                "pod {name} is to stop, and node {node} does not say that it has; should the node \
                 be dead, delete the Node or taint it node.kubernetes.io/out-of-service=:NoExecute"
            )
        });
    }
    ended(pod)
        .or_else(|| unscheduled(pod))
        .or_else(|| stuck(pod))
        .or_else(|| down(pod))
        .or_else(|| starting(pod))
}

/// Where its sidecar takes orders, while it runs.
pub(crate) fn endpoint(
    names: &Names,
    member: MemberId,
    pod: &Pod,
    domain: &str,
    port: u16,
) -> Option<Endpoint> {
    let status = pod.status.as_ref()?;
    let address = status.pod_ip.as_ref()?.parse().ok()?;
    let running = status_of(pod, SIDECAR)?.state.as_ref()?.running.is_some();
    running.then(|| Endpoint {
        name: names.host(member, domain),
        address: Some(address),
        port,
    })
}

/// It is on a node, and no container of it was ever started: one of its volumes may be missing.
/// Answers since when its kubelet knows it.
pub(crate) fn awaits_volumes_since(pod: &Pod) -> Option<Timestamp> {
    let never = |name| {
        status_of(pod, name)
            .and_then(|status| status.state.as_ref())
            .is_none_or(|state| state.running.is_none() && state.terminated.is_none())
    };
    let waits = pod.metadata.deletion_timestamp.is_none()
        && node(pod).is_some()
        && never(SIDECAR)
        && never(SERVER)
        && stuck(pod).is_none();
    let started = pod.status.as_ref().and_then(|s| s.start_time.as_ref());
    let since = started.or(pod.metadata.creation_timestamp.as_ref())?.0;
    waits.then_some(since)
}

/// The pod as a whole has ended and starts no more: evicted, or its node is gone.
fn ended(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let phase = status.phase.as_deref()?;
    if !matches!(phase, "Failed" | "Succeeded") {
        return None;
    }
    let parts = [status.reason.as_deref(), status.message.as_deref()];
    let said: Vec<_> = parts.into_iter().flatten().collect();
    Some(if said.is_empty() {
        format!("its pod has ended ({phase})")
    } else {
        format!("its pod has ended: {}", said.join(": "))
    })
}

/// No node was found for it yet.
pub(crate) fn is_unscheduled(pod: &Pod) -> bool {
    node(pod).is_none()
}

fn unscheduled(pod: &Pod) -> Option<String> {
    if node(pod).is_some() {
        return None;
    }
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let scheduled = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    let said = scheduled.and_then(|condition| condition.message.as_deref());
    Some(match said {
        Some(said) => format!("its pod cannot be scheduled: {said}"),
        None => "its pod is not scheduled yet".to_owned(),
    })
}

/// A container that is not started, and why. The sidecar first: the server waits for it.
fn stuck(pod: &Pod) -> Option<String> {
    [SIDECAR, SERVER].into_iter().find_map(|name| {
        let status = status_of(pod, name)?;
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        if !STUCK.contains(&reason) {
            return None;
        }
        let said = waiting.message.as_deref().unwrap_or("no more is known");
        Some(match reason {
            "CrashLoopBackOff" => match last_exit(status) {
                Some(exit) => format!("container {name} ends again and again: {exit}"),
                None => format!("container {name} ends again and again: {said}"),
            },
            _ => format!(
                "container {name} cannot be started from image {}: {reason}: {said}",
                status.image
            ),
        })
    })
}

/// The server has ended and will be started again.
fn down(pod: &Pod) -> Option<String> {
    let status = status_of(pod, SERVER)?;
    let state = status.state.as_ref()?;
    if state.running.is_some() {
        return None;
    }
    let now = state.terminated.as_ref().map(exit);
    let exit = now.or_else(|| last_exit(status))?;
    Some(format!("its server ended ({exit})"))
}

/// It is on its way.
fn starting(pod: &Pod) -> Option<String> {
    let waits = |name| {
        let state = status_of(pod, name).and_then(|status| status.state.as_ref());
        state.is_none_or(|state| state.running.is_none())
    };
    if waits(SIDECAR) {
        return Some("its pod's volumes and containers are being prepared".to_owned());
    }
    waits(SERVER).then(|| "its containers are being started".to_owned())
}

fn last_exit(status: &ContainerStatus) -> Option<String> {
    let last: &ContainerState = status.last_state.as_ref()?;
    last.terminated.as_ref().map(exit)
}

fn exit(ended: &ContainerStateTerminated) -> String {
    let code = ended.exit_code;
    match ended.reason.as_deref() {
        Some(reason) if !matches!(reason, "Error" | "Completed") => {
            format!("{reason}, exit status {code}")
        }
        _ => format!("exit status {code}"),
    }
}

fn node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn status_of<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let lists = [&status.init_container_statuses, &status.container_statuses];
    lists
        .into_iter()
        .flatten()
        .flatten()
        .find(|status| status.name == container)
}

#[cfg(test)]
mod tests;
