//! The control plane: etcd, the API server, the controllers, the scheduler, as plain processes
//! that listen on the cluster's bridge.

use std::path::Path;

use super::addresses::Addresses;
use super::pki::Pki;

/// What is written to the audit log: who changed what, and nothing that only reads.
const AUDIT: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [
    { "level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"] },
    { "level": "None" }
  ]
}"#;

/// Where the API server is.
pub(crate) fn server(addresses: Addresses) -> String {
    format!("https://{}:6443", addresses.host())
}

/// etcd's arguments.
pub(crate) fn etcd(addresses: Addresses) -> Vec<String> {
    let at = |port| format!("http://{}:{port}", addresses.host());
    vec![
        format!("--data-dir={}", addresses.folder().join("etcd").display()),
        "--unsafe-no-fsync".to_owned(),
        format!("--listen-client-urls={}", at(2379)),
        format!("--advertise-client-urls={}", at(2379)),
        format!("--listen-peer-urls={}", at(2380)),
        format!("--initial-advertise-peer-urls={}", at(2380)),
        format!("--initial-cluster=default={}", at(2380)),
        "--log-level=warn".to_owned(),
    ]
}

/// Writes the policy of the audit log.
pub(crate) fn write_audit_policy(folder: &Path) -> std::io::Result<()> {
    std::fs::write(folder.join("audit-policy.json"), AUDIT)
}

/// The API server's arguments.
pub(crate) fn apiserver(addresses: Addresses, pki: &Pki) -> Vec<String> {
    let host = addresses.host();
    let folder = addresses.folder();
    let folder = folder.display();
    vec![
        format!("--etcd-servers=http://{host}:2379"),
        format!("--advertise-address={host}"),
        format!("--bind-address={host}"),
        "--secure-port=6443".to_owned(),
        format!("--tls-cert-file={}", pki.certificate("apiserver")),
        format!("--tls-private-key-file={}", pki.key("apiserver")),
        format!("--client-ca-file={}", pki.certificate("ca")),
        format!("--kubelet-certificate-authority={}", pki.certificate("ca")),
        format!(
            "--kubelet-client-certificate={}",
            pki.certificate("apiserver-kubelet")
        ),
        format!("--kubelet-client-key={}", pki.key("apiserver-kubelet")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--service-cluster-ip-range={}", addresses.services()),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", pki.accounts()),
        format!("--service-account-signing-key-file={}", pki.key("accounts")),
        "--allow-privileged=true".to_owned(),
        format!("--requestheader-client-ca-file={}", pki.certificate("ca")),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        format!(
            "--proxy-client-cert-file={}",
            pki.certificate("front-proxy")
        ),
        format!("--proxy-client-key-file={}", pki.key("front-proxy")),
        format!("--audit-policy-file={folder}/audit-policy.json"),
        format!("--audit-log-path={folder}/audit.jsonl"),
    ]
}

/// The controller manager's arguments.
pub(crate) fn controllers(addresses: Addresses, pki: &Pki) -> Vec<String> {
    let mut arguments = clients(addresses, "controllers");
    arguments.extend([
        format!("--service-account-private-key-file={}", pki.key("accounts")),
        format!("--root-ca-file={}", pki.certificate("ca")),
        format!("--cluster-signing-cert-file={}", pki.certificate("ca")),
        format!("--cluster-signing-key-file={}", pki.key("ca")),
        "--use-service-account-credentials=true".to_owned(),
        // The nodes' configurations of the network fix which node has which pods' addresses.
        "--allocate-node-cidrs=false".to_owned(),
        format!("--cluster-cidr={}", addresses.all_pods()),
        format!("--service-cluster-ip-range={}", addresses.services()),
        "--secure-port=10257".to_owned(),
        "--node-monitor-period=2s".to_owned(),
        "--node-monitor-grace-period=20s".to_owned(),
    ]);
    arguments
}

/// The scheduler's arguments.
pub(crate) fn scheduler(addresses: Addresses) -> Vec<String> {
    let mut arguments = clients(addresses, "scheduler");
    arguments.push("--secure-port=10259".to_owned());
    arguments
}

/// What the controller manager and the scheduler share. Without an election both are at work
/// seconds earlier.
fn clients(addresses: Addresses, name: &str) -> Vec<String> {
    let kubeconfig = addresses.folder().join(format!("{name}.kubeconfig"));
    let kubeconfig = kubeconfig.display();
    vec![
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        "--leader-elect=false".to_owned(),
        format!("--bind-address={}", addresses.host()),
    ]
}
