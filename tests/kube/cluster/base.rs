//! The objects that every cluster starts with: the default StorageClass, CoreDNS.

use serde_json::{Value, json};

use super::addresses::Addresses;
use super::volumes::PROVISIONER;

/// What CoreDNS answers. Nothing of the cluster is cached: a cached "no such name" would hide a new
/// pod for seconds. Foreign names do not exist.
const COREFILE: &str = "cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {
    errors
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        ttl 5
    }
}
.:53 {
    errors
    template ANY ANY {
        rcode NXDOMAIN
    }
}
";

/// One list, for `kubectl apply`.
pub(crate) fn objects(addresses: Addresses, coredns: &str) -> Value {
    let labels = json!({ "k8s-app": "kube-dns" });
    let mut items = vec![json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "local",
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
        "allowVolumeExpansion": true,
    })];
    items.extend(rights());
    items.extend([
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta("coredns"),
            "data": { "Corefile": COREFILE },
        }),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta("kube-dns"),
            "spec": {
                "clusterIP": addresses.dns(),
                "selector": labels,
                "ports": [
                    { "name": "dns", "port": 53, "protocol": "UDP" },
                    { "name": "dns-tcp", "port": 53, "protocol": "TCP" },
                ],
            },
        }),
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta("coredns"),
            "spec": {
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": pod(coredns) },
            },
        }),
    ]);
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// What is CoreDNS's own in the namespace of the system.
fn meta(name: &str) -> Value {
    json!({ "name": name, "namespace": "kube-system" })
}

/// CoreDNS reads who is where.
fn rights() -> [Value; 3] {
    [
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("coredns") }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": { "name": "e2e:coredns" },
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["endpoints", "services", "pods", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "verbs": ["list", "watch"],
                },
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": { "name": "e2e:coredns" },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "e2e:coredns",
            },
            "subjects": [{ "kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system" }],
        }),
    ]
}

fn pod(image: &str) -> Value {
    json!({
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        // Scenarios break other nodes.
        "nodeSelector": { "kubernetes.io/hostname": "node-1" },
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "coredns",
            "image": image,
            "args": ["-conf", "/etc/coredns/Corefile"],
            "volumeMounts": [{ "name": "config", "mountPath": "/etc/coredns" }],
            "readinessProbe": {
                "httpGet": { "port": 8181, "path": "/ready" }, "periodSeconds": 1,
            },
        }],
        "volumes": [{ "name": "config", "configMap": { "name": "coredns" } }],
    })
}
