//! What an API server writes into an object that leaves it out, and how it writes quantities.

use serde_json::{Value, json};

use super::kinds::{CLAIM, ENSEMBLE, Kind, POD, SECRET, SERVICE, STATEFUL_SET};
use super::object::Object;
use super::quantity;
use super::store::Store;

/// Completes an object of a kind.
pub(crate) fn complete(store: &mut Store, kind: &Kind, object: &mut Value) {
    if kind == &STATEFUL_SET {
        stateful_set(object);
    } else if kind == &POD {
        if let Some(spec) = object.get_mut("spec") {
            pod(spec);
        }
    } else if kind == &SERVICE {
        service(store, object);
    } else if kind == &CLAIM {
        claim(object);
    } else if kind == &SECRET {
        secret(object);
    } else if kind == &ENSEMBLE {
        object.set_default("/spec/replicas", 3.into());
    }
}

fn stateful_set(object: &mut Value) {
    object.set_default("/spec/replicas", 1.into());
    object.set_default("/spec/podManagementPolicy", "OrderedReady".into());
    object.set_default("/spec/revisionHistoryLimit", 10.into());
    object.set_default("/spec/updateStrategy/type", "RollingUpdate".into());
    if object.text("/spec/updateStrategy/type") == "RollingUpdate" {
        object.set_default("/spec/updateStrategy/rollingUpdate/partition", 0.into());
    }
    let retention = "/spec/persistentVolumeClaimRetentionPolicy";
    object.set_default(&format!("{retention}/whenDeleted"), "Retain".into());
    object.set_default(&format!("{retention}/whenScaled"), "Retain".into());
    if let Some(spec) = object.pointer_mut("/spec/template/spec") {
        pod(spec);
    }
    let templates = object.pointer_mut("/spec/volumeClaimTemplates");
    for template in templates
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        template.set("/apiVersion", "v1".into());
        template.set("/kind", "PersistentVolumeClaim".into());
        template.set_default("/status/phase", "Pending".into());
        claim(template);
    }
}

fn claim(object: &mut Value) {
    object.set_default("/spec/volumeMode", "Filesystem".into());
    if let Some(resources) = object.pointer_mut("/spec/resources") {
        quantities(resources);
    }
}

fn secret(object: &mut Value) {
    use base64::Engine;
    object.set_default("/type", "Opaque".into());
    for (name, text) in object.texts("/stringData") {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        object.set(
            &format!("/data/{}", name.replace('/', "~1")),
            encoded.into(),
        );
    }
    object.unset("/stringData");
}

fn service(store: &mut Store, object: &mut Value) {
    for (pointer, value) in [
        ("/spec/type", json!("ClusterIP")),
        ("/spec/sessionAffinity", json!("None")),
        ("/spec/internalTrafficPolicy", json!("Cluster")),
        ("/spec/ipFamilies", json!(["IPv4"])),
        ("/spec/ipFamilyPolicy", json!("SingleStack")),
    ] {
        object.set_default(pointer, value);
    }
    if object.text("/spec/clusterIP").is_empty() {
        let number = store.fresh_number();
        let address = format!("10.96.{}.{}", number / 250 % 250, number % 250 + 1);
        object.set("/spec/clusterIP", address.into());
    }
    let address = object.text("/spec/clusterIP").to_owned();
    object.set("/spec/clusterIPs", json!([address]));
    object.set_default("/status", json!({ "loadBalancer": {} }));
    let ports = object.pointer_mut("/spec/ports");
    for port in ports.and_then(Value::as_array_mut).into_iter().flatten() {
        port.set_default("/protocol", "TCP".into());
        let number = port["port"].clone();
        port.set_default("/targetPort", number);
    }
}

fn pod(spec: &mut Value) {
    for (pointer, value) in [
        ("/restartPolicy", json!("Always")),
        ("/dnsPolicy", json!("ClusterFirst")),
        ("/schedulerName", json!("default-scheduler")),
        ("/securityContext", json!({})),
        ("/terminationGracePeriodSeconds", json!(30)),
    ] {
        spec.set_default(pointer, value);
    }
    for list in ["/initContainers", "/containers"] {
        let containers = spec.pointer_mut(list);
        for one in containers
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            container(one);
        }
    }
    let volumes = spec.pointer_mut("/volumes");
    for volume in volumes.and_then(Value::as_array_mut).into_iter().flatten() {
        for kind in ["configMap", "secret", "projected", "downwardAPI"] {
            if volume.get(kind).is_some() {
                volume.set_default(&format!("/{kind}/defaultMode"), 420.into());
            }
        }
    }
}

fn container(one: &mut Value) {
    let tag = one.text("/image").rsplit('/').next().unwrap_or_default();
    let pull = if !tag.contains(':') || tag.ends_with(":latest") {
        "Always"
    } else {
        "IfNotPresent"
    };
    for (pointer, value) in [
        ("/imagePullPolicy", json!(pull)),
        ("/terminationMessagePath", json!("/dev/termination-log")),
        ("/terminationMessagePolicy", json!("File")),
        ("/resources", json!({})),
    ] {
        one.set_default(pointer, value);
    }
    quantities(&mut one["resources"]);
    for (name, limit) in one.texts("/resources/limits") {
        one.set_default(&format!("/resources/requests/{name}"), limit.into());
    }
    let ports = one.pointer_mut("/ports");
    for port in ports.and_then(Value::as_array_mut).into_iter().flatten() {
        port.set_default("/protocol", "TCP".into());
    }
    let env = one.pointer_mut("/env");
    for variable in env.and_then(Value::as_array_mut).into_iter().flatten() {
        if variable.pointer("/valueFrom/fieldRef").is_some() {
            variable.set_default("/valueFrom/fieldRef/apiVersion", "v1".into());
        }
    }
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        if let Some(probe) = one.get_mut(probe) {
            for (field, value) in [
                ("/timeoutSeconds", 1),
                ("/periodSeconds", 10),
                ("/successThreshold", 1),
                ("/failureThreshold", 3),
            ] {
                probe.set_default(field, value.into());
            }
            if probe.get("httpGet").is_some() {
                probe.set_default("/httpGet/scheme", "HTTP".into());
            }
        }
    }
}

/// Requests and limits as Kubernetes writes them.
fn quantities(resources: &mut Value) {
    for list in ["requests", "limits"] {
        let amounts = resources.get_mut(list).and_then(Value::as_object_mut);
        for amount in amounts.into_iter().flat_map(|map| map.values_mut()) {
            let text = amount
                .as_str()
                .map_or_else(|| amount.to_string(), str::to_owned);
            if let Some(canonical) = quantity::canonical(&text) {
                *amount = canonical.into();
            }
        }
    }
}
