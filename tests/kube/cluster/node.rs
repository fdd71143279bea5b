//! A node: containerd, the kubelet and kube-proxy in network, mount, process, host-name and IPC
//! namespaces of their own, so that killing its first process is a power cut that leaves nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::json;

use super::addresses::{Addresses, root};
use super::journal::{self, Journal, Made};
use super::pki::Pki;

/// Where a node keeps its files and who it is.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    addresses: Addresses,
    number: u8,
    folder: PathBuf,
    cgroup: String,
}

impl Node {
    /// Lays out network, cgroups and configurations of node `number` of `nodes`; starts nothing.
    pub(crate) fn prepare(
        addresses: Addresses,
        number: u8,
        nodes: u8,
        pki: &Pki,
        programs: &Path,
        journal: &mut Journal,
    ) -> anyhow::Result<Self> {
        let folder = addresses.folder().join(format!("n{number}"));
        let node = Self {
            addresses,
            number,
            folder,
            cgroup: format!("{}/{}", own_cgroup()?, addresses.cable(number)),
        };
        for sub in ["cni", "kubelet", "var-log", "var-lib", "sysctl", "plugins"] {
            std::fs::create_dir_all(node.folder.join(sub)).context("a node's folder")?;
        }
        node.cgroups(journal)?;
        node.network(nodes, journal)?;
        node.configure(pki, programs)?;
        Ok(node)
    }

    /// Its name in the cluster.
    pub(crate) fn name(&self) -> String {
        format!("node-{}", self.number)
    }

    /// The command that is the node while it runs.
    pub(crate) fn command(&self) -> Vec<String> {
        let network = format!("--net={}", self.folder.join("net").display());
        let first = self.folder.join("init.sh").display().to_string();
        let unshare = "unshare --mount --uts --ipc --pid --fork --kill-child=SIGKILL sh";
        let mut words = vec!["nsenter".to_owned(), network];
        words.extend(unshare.split(' ').map(str::to_owned));
        words.push(first);
        words
    }

    /// `ctr` on the node's containerd.
    pub(crate) fn ctr(&self) -> tokio::process::Command {
        let mut ctr = tokio::process::Command::new("ctr");
        ctr.arg("-a").arg(self.folder.join("containerd.sock"));
        ctr.args(["-n", "k8s.io"]);
        ctr
    }

    /// Makes the node's folder in every cgroup tree. Limits on this process hold for it, too.
    fn cgroups(&self, journal: &mut Journal) -> anyhow::Result<()> {
        for tree in std::fs::read_dir("/sys/fs/cgroup").context("cgroups")? {
            let tree = tree.context("cgroups")?;
            if !tree.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let own = tree.path().join(self.cgroup.trim_start_matches('/'));
            journal.note(&Made::Cgroup(own.clone()))?;
            // Where v2 is mounted beside v1, runc makes its folders there by itself.
            if tree.file_name() == "unified" {
                continue;
            }
            let mut path = tree.path();
            for part in self.cgroup.split('/').filter(|part| !part.is_empty()) {
                let parent = path.clone();
                path.push(part);
                if !path.exists() {
                    if path != own {
                        journal::note_shared(&path)?;
                    }
                    std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
                }
                for name in ["cpuset.cpus", "cpuset.mems"] {
                    if let Ok(inherited) = std::fs::read_to_string(parent.join(name)) {
                        std::fs::write(path.join(name), inherited).context("cpuset")?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A network namespace, cabled to the bridge, with routes to all pods.
    fn network(&self, nodes: u8, journal: &mut Journal) -> anyhow::Result<()> {
        let file = self.folder.join("net");
        std::fs::write(&file, "").context("the file of a network namespace")?;
        journal.note(&Made::Mount(file.clone()))?;
        let net = file.display();
        run(&format!("unshare --net={net} true"))?;
        let cable = self.addresses.cable(self.number);
        journal.note(&Made::Link(cable.clone()))?;
        let bridge = self.addresses.bridge();
        run(&format!(
            "ip link add {cable} type veth peer name eth0 netns {net}"
        ))?;
        run(&format!("ip link set {cable} master {bridge} up"))?;
        let inside = |command: &str| run(&format!("nsenter --net={net} {command}"));
        let own = self.addresses.node(self.number);
        inside("ip link set lo up")?;
        inside(&format!("ip address add {own}/24 dev eth0"))?;
        inside("ip link set eth0 up")?;
        inside(&format!(
            "ip route add default via {}",
            self.addresses.host()
        ))?;
        for other in (1..=nodes).filter(|other| *other != self.number) {
            let (pods, node) = (self.addresses.pods(other), self.addresses.node(other));
            inside(&format!("ip route add {pods} via {node}"))?;
        }
        inside("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0")?;
        run(&format!(
            "ip route add {} via {own}",
            self.addresses.pods(self.number)
        ))
    }

    fn configure(&self, pki: &Pki, programs: &Path) -> anyhow::Result<()> {
        let folder = self.folder.display();
        self.write("containerd.toml", &self.containerd())?;
        self.write("cni/10-e2e.conflist", &self.cni())?;
        // No server: an image that is not here is missing at once.
        self.write("resolv.conf", "options ndots:1\n")?;
        self.write("kubelet.json", &self.kubelet(pki).to_string())?;
        self.write("proxy.json", &self.proxy().to_string())?;
        let server = super::control::server(self.addresses);
        let name = self.name();
        pki.kubeconfig(&name, &self.folder.join("kubelet.kubeconfig"), &server)?;
        pki.kubeconfig("proxy", &self.folder.join("proxy.kubeconfig"), &server)?;
        let mut covered = String::new();
        for (path, value) in SYSCTLS {
            let file = path.replace('/', "-");
            self.write(&format!("sysctl/{file}"), &format!("{value}\n"))?;
            let _ = writeln!(
                covered,
                "mount --bind {folder}/sysctl/{file} /proc/sys/{path}"
            );
        }
        let first = format!(
            r#"set -e
hostname {name}
mount --make-rprivate /
umount --lazy {root}/*/n*/net 2>/dev/null || true
mount -t proc proc /proc
{covered}mount --bind {folder}/resolv.conf /etc/resolv.conf
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns
mount --bind {folder}/var-log /var/log
mount --bind {folder}/var-lib /var/lib
mkdir -p /var/log/containers /var/lib/kubelet
mount --make-rshared /
set +e
containerd --config {folder}/containerd.toml --log-level warn >>{folder}/containerd.log 2>&1 &
{programs}/kube-proxy --config {folder}/proxy.json --hostname-override {name} \
    >>{folder}/proxy.log 2>&1 &
kubelet() {{
    {programs}/kubelet --config {folder}/kubelet.json --kubeconfig {folder}/kubelet.kubeconfig \
        --hostname-override {name} --node-ip {ip} --root-dir {folder}/kubelet \
        --cert-dir {folder}/kubelet-certificates \
        --node-labels topology.kubernetes.io/zone=zone-{number} >>{folder}/kubelet.log 2>&1
}}
# It ends when containerd does not listen yet.
(while :; do test -S {folder}/containerd.sock && kubelet; sleep 0.1; done) &
while :; do wait; sleep 1; done
"#,
            root = root().display(),
            programs = programs.display(),
            ip = self.addresses.node(self.number),
            number = self.number,
        );
        self.write("init.sh", &first)
    }

    fn write(&self, name: &str, content: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        std::fs::write(&path, content).with_context(|| path.display().to_string())
    }

    fn containerd(&self) -> String {
        let folder = self.folder.display();
        format!(
            r#"version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-run"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"#,
            pause = crate::images::PAUSE,
        )
    }

    fn cni(&self) -> String {
        json!({
            "cniVersion": "0.4.0",
            "name": "e2e",
            "plugins": [{
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                // Pods keep their own address when they speak to pods of other nodes.
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": self.folder.join("cni-addresses"),
                    "ranges": [[{ "subnet": self.addresses.pods(self.number) }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            }],
        })
        .to_string()
    }

    fn kubelet(&self, pki: &Pki) -> serde_json::Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.addresses.node(self.number),
            "authentication": {
                "anonymous": { "enabled": false },
                "webhook": { "enabled": true },
                "x509": { "clientCAFile": pki.certificate("ca") },
            },
            "authorization": { "mode": "Webhook" },
            "tlsCertFile": pki.certificate(&self.name()),
            "tlsPrivateKeyFile": pki.key(&self.name()),
            "containerRuntimeEndpoint": format!("unix://{}", self.folder.join("containerd.sock").display()),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.cgroup,
            "failSwapOn": false,
            "failCgroupV1": false,
            "clusterDNS": [self.addresses.dns()],
            "clusterDomain": "cluster.local",
            "resolvConf": self.folder.join("resolv.conf"),
            "podLogsDir": self.folder.join("pods"),
            "volumePluginDir": self.folder.join("plugins"),
            "evictionHard": {
                "memory.available": "50Mi",
                "nodefs.available": "0%",
                "nodefs.inodesFree": "0%",
                "imagefs.available": "0%",
                "imagefs.inodesFree": "0%",
            },
            // Images are imported by hand and could not be fetched again.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "serializeImagePulls": false,
            // A volume's growth is noticed only when its pod is looked at.
            "syncFrequency": "10s",
            "nodeStatusUpdateFrequency": "4s",
            "eventRecordQPS": 0,
            "crashLoopBackOff": { "maxContainerRestartPeriod": "10s" },
            "featureGates": { "KubeletCrashLoopBackOffMax": true },
        })
    }

    fn proxy(&self) -> serde_json::Value {
        json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "bindAddress": self.addresses.node(self.number),
            "clientConnection": { "kubeconfig": self.folder.join("proxy.kubeconfig") },
            "mode": "nftables",
            "clusterCIDR": self.addresses.all_pods(),
            // Not writable in a network namespace.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "nftables": { "minSyncPeriod": "100ms" },
        })
    }
}

/// The kubelet insists on these values of the whole machine; files in their place keep it from
/// changing the machine.
const SYSCTLS: &[(&str, &str)] = &[
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// This process's place in the tree that limits memory.
fn own_cgroup() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/self/cgroup").context("own cgroup")?;
    let path = text
        .lines()
        .filter_map(|line| line.split_once(':')?.1.split_once(':'))
        .find(|(controllers, _)| controllers.split(',').any(|name| name == "memory"))
        .map_or("/", |(_, path)| path);
    Ok(path.trim_end_matches('/').to_owned())
}

/// Runs a command of plain words.
pub(crate) fn run(words: &str) -> anyhow::Result<()> {
    let mut parts = words.split_whitespace();
    let program = parts.next().context("an empty command")?;
    let output = Command::new(program).args(parts).output();
    let output = output.with_context(|| format!("start {program}"))?;
    ensure!(
        output.status.success(),
        "`{words}` ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
