//! PodSecurity's level `restricted`, as far as it concerns pods like ours.

use serde_json::Value;

use super::super::failure::Failure;
use super::super::object::Object;
use super::super::store::Key;

const LABEL: &str = "pod-security.kubernetes.io/enforce";

/// Judges a new pod by what its namespace enforces.
pub(super) fn judge(home: Option<&Value>, key: &Key, pod: &Value) -> Result<(), Failure> {
    let labels = home.map(|home| home.texts("/metadata/labels"));
    let level = labels.and_then(|labels| labels.get(LABEL).cloned());
    if level.as_deref() != Some("restricted") {
        return Ok(());
    }
    let broken = broken(pod);
    if broken.is_empty() {
        return Ok(());
    }
    let why = format!(
        "violates PodSecurity \"restricted:latest\": {}",
        broken.join(", ")
    );
    Err(Failure::forbidden(key.kind, &key.name, &why))
}

fn broken(pod: &Value) -> Vec<String> {
    let containers: Vec<_> = ["/spec/initContainers", "/spec/containers"]
        .iter()
        .flat_map(|list| pod.list(list))
        .collect();
    let those = |breaks: &dyn Fn(&Value) -> bool| named(&containers, breaks);
    let of_pod = |pointer: &str| pod.pointer(&format!("/spec/securityContext{pointer}"));
    let own = |container: &Value, pointer: &str| {
        container
            .pointer(&format!("/securityContext{pointer}"))
            .cloned()
    };
    let mut broken = Vec::new();
    if let Some(who) = those(&|c| own(c, "/allowPrivilegeEscalation") != Some(false.into())) {
        broken.push(format!(
            "allowPrivilegeEscalation != false ({who} must set \
             securityContext.allowPrivilegeEscalation=false)"
        ));
    }
    let drops_all = |c: &Value| {
        c.list("/securityContext/capabilities/drop")
            .contains(&"ALL".into())
    };
    if let Some(who) = those(&|c| !drops_all(c)) {
        broken.push(format!(
            "unrestricted capabilities ({who} must set securityContext.capabilities.drop=[\"ALL\"])"
        ));
    }
    let allowed = ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"];
    let allowed = allowed
        .iter()
        .chain(&["persistentVolumeClaim", "projected", "secret"]);
    let allowed: Vec<_> = allowed.collect();
    let is_allowed = |volume: &&Value| allowed.iter().any(|kind| volume.get(**kind).is_some());
    if let Some(volume) = pod.list("/spec/volumes").iter().find(|v| !is_allowed(v)) {
        broken.push(format!(
            "restricted volume types (volume \"{}\")",
            volume.text("/name")
        ));
    }
    let root = |c: &Value| {
        let said = own(c, "/runAsNonRoot").or_else(|| of_pod("/runAsNonRoot").cloned());
        said != Some(true.into())
    };
    if let Some(who) = those(&root) {
        broken.push(format!(
            "runAsNonRoot != true (pod or {who} must set securityContext.runAsNonRoot=true)"
        ));
    }
    let unconfined = |c: &Value| {
        let said =
            own(c, "/seccompProfile/type").or_else(|| of_pod("/seccompProfile/type").cloned());
        let said = said.and_then(|said| said.as_str().map(str::to_owned));
        !matches!(said.as_deref(), Some("RuntimeDefault" | "Localhost"))
    };
    if let Some(who) = those(&unconfined) {
        broken.push(format!(
            "seccompProfile (pod or {who} must set securityContext.seccompProfile.type to \
             \"RuntimeDefault\" or \"Localhost\")"
        ));
    }
    broken
}

/// `container "a"`, `containers "a", "b"`: those that break a rule.
fn named(containers: &[&Value], breaks: &dyn Fn(&Value) -> bool) -> Option<String> {
    let names: Vec<_> = containers
        .iter()
        .filter(|container| breaks(container))
        .map(|container| format!("\"{}\"", container.text("/name")))
        .collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("container {one}")),
        many => Some(format!("containers {}", many.join(", "))),
    }
}
