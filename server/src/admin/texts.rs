//! Texts of four-letter words about the member as a whole, as Apache writes them: tools parse them.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::Ordering::Relaxed;

use jiff::Timestamp;
use wire::config::{MemberKind, PeerAddress};

use super::{gauges, listings};
use crate::shared::{Serving, Shared};

/// Tools read the number before the dash; the date is that of the program's file.
pub(super) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let built = std::env::current_exe()
        .and_then(std::fs::metadata)
        .and_then(|file| file.modified())
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH);
    format!(
        "3.9.5-ferrokeeper-{}, built on {} UTC",
        env!("CARGO_PKG_VERSION"),
        built.strftime("%Y-%m-%d %H:%M"),
    )
});

/// What a member is, in Apache's words.
pub(super) fn mode(shared: &Shared) -> &'static str {
    if shared.config.standalone {
        return "standalone";
    }
    if shared.serving() == Serving::ReadOnly {
        return "read-only";
    }
    match shared.status.read().as_ref().map(|status| status.role) {
        Some(member::Role::Leading { .. }) => "leader",
        Some(member::Role::Following { .. }) => "follower",
        Some(member::Role::Observing { .. }) => "observer",
        Some(member::Role::Looking) | None => "looking",
    }
}

pub(super) fn isro(shared: &Shared) -> String {
    match shared.serving() {
        Serving::Yes => "rw".to_owned(),
        Serving::ReadOnly => "ro".to_owned(),
        Serving::Holding | Serving::No => "null".to_owned(),
    }
}

pub(super) fn gtmk(shared: &Shared) -> String {
    shared.trace_mask.load(Relaxed).to_string()
}

pub(super) fn srst(shared: &Shared) -> String {
    shared.metrics.reset();
    "Server stats reset.\n".to_owned()
}

pub(super) fn srvr(shared: &Shared) -> String {
    format!("{}{}", heading(shared), statistics(shared))
}

pub(super) fn stat(shared: &Shared) -> String {
    format!(
        "{}Clients:\n{}\n{}",
        heading(shared),
        listings::connections(shared, listings::Detail::Brief),
        statistics(shared)
    )
}

fn heading(shared: &Shared) -> String {
    let mut out = format!("Zookeeper version: {}\n", *VERSION);
    if is_read_only(shared) {
        out.push_str("READ-ONLY mode; serving only read-only clients\n");
    }
    out
}

fn statistics(shared: &Shared) -> String {
    let (least, mean, greatest) = shared.metrics.latency.summary();
    let mode = mode(shared);
    let connections = shared.connections.lock().len();
    let mut out = format!(
        "Latency min/avg/max: {least}/{:?}/{greatest}\nReceived: {}\nSent: {}\n\
         Connections: {connections}\nOutstanding: {}\nZxid: {}\nMode: {mode}\nNode count: {}\n",
        gauges::rounded(mean),
        shared.metrics.packets_received.get(),
        shared.metrics.packets_sent.get(),
        gauges::outstanding(shared),
        shared.applied(),
        shared.tree.read().znode_count(),
    );
    if mode == "leader" {
        let status = *shared.status.read();
        let sizes = status.and_then(|status| status.zab.proposal_sizes);
        let sizes = sizes.map_or_else(
            || "-1/-1/-1".to_owned(),
            |sizes| format!("{}/{}/{}", sizes.last, sizes.min, sizes.max),
        );
        let _ = writeln!(out, "Proposal sizes last/min/max: {sizes}");
    }
    out
}

pub(super) fn conf(shared: &Shared) -> String {
    let config = &shared.config;
    let (data, log) = folders(shared);
    let mut out = format!(
        "clientPort={}\nsecureClientPort=-1\ndataDir={data}\ndataDirSize={}\ndataLogDir={log}\n\
         dataLogSize={}\ntickTime={}\nmaxClientCnxns={}\nminSessionTimeout={}\n\
         maxSessionTimeout={}\nclientPortListenBacklog={}\nserverId={}\n",
        config.client.port,
        size(Path::new(&data)),
        size(Path::new(&log)),
        config.tick_time,
        config.limits.connections_per_address,
        config.session_timeouts.0,
        config.session_timeouts.1,
        config.limits.backlog.map_or(-1, i64::from),
        config.id,
    );
    if config.standalone {
        return out;
    }
    let ensemble = shared.ensemble.read().clone();
    let own = ensemble.members.get(&config.id);
    let ports = |port: fn(&PeerAddress) -> u16| {
        let addresses = own.map_or(&[][..], |own| &own.addresses).iter();
        let ports: Vec<String> = addresses.map(|address| port(address).to_string()).collect();
        ports.join("|")
    };
    let is_observer = own.is_none_or(|own| own.kind == MemberKind::Observer);
    // Apache numbers its election algorithms; only this one is left.
    let _ = write!(
        out,
        "initLimit={}\nsyncLimit={}\nelectionAlg=3\nelectionPort={}\nquorumPort={}\npeerType={}\n\
         membership: \n{ensemble}",
        config.init_limit,
        config.sync_limit,
        ports(|address| address.election_port),
        ports(|address| address.quorum_port),
        u8::from(is_observer),
    );
    out
}

/// Where snapshots and logs are, as Apache shows them.
pub(super) fn folders(shared: &Shared) -> (String, String) {
    let shown = |folder: &Path| {
        let folder = folder.join("version-2");
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        folder.display().to_string()
    };
    (
        shown(&shared.config.data_dir),
        shown(&shared.config.log_dir),
    )
}

/// Bytes of the files in a folder, 0 for one that cannot be read.
pub(super) fn size(folder: &Path) -> u64 {
    let Ok(files) = std::fs::read_dir(folder) else {
        return 0;
    };
    let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
    sizes.sum()
}

pub(super) fn dirs(shared: &Shared) -> String {
    let (data, log) = folders(shared);
    format!(
        "datadir_size: {}\nlogdir_size: {}\n",
        size(Path::new(&data)),
        size(Path::new(&log))
    )
}

pub(super) fn envi(shared: &Shared) -> String {
    let rows = environment(shared).into_iter();
    let lines: String = rows
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    format!("Environment:\n{lines}")
}

/// What has a meaning without a Java machine.
pub(super) fn environment(_: &Shared) -> Vec<(&'static str, String)> {
    let variable = |name| std::env::var(name).unwrap_or_else(|_| "<NA>".to_owned());
    let system = rustix::system::uname();
    let memory = rustix::system::sysinfo();
    let megabytes = |count| format!("{}MB", (u64::from(memory.mem_unit) * count) >> 20);
    let folder = std::env::current_dir().unwrap_or_default();
    vec![
        ("zookeeper.version", VERSION.clone()),
        (
            "host.name",
            system.nodename().to_string_lossy().into_owned(),
        ),
        ("os.name", system.sysname().to_string_lossy().into_owned()),
        ("os.arch", ARCHITECTURE.to_owned()),
        (
            "os.version",
            system.release().to_string_lossy().into_owned(),
        ),
        ("user.name", variable("USER")),
        ("user.home", variable("HOME")),
        ("user.dir", folder.display().to_string()),
        ("os.memory.free", megabytes(memory.freeram)),
        ("os.memory.max", megabytes(memory.totalram)),
        ("os.memory.total", megabytes(memory.totalram)),
    ]
}

/// In Java's words.
const ARCHITECTURE: &str = if cfg!(target_arch = "x86_64") {
    "amd64"
} else {
    std::env::consts::ARCH
};

/// Whether only reads are served.
pub(super) fn is_read_only(shared: &Shared) -> bool {
    isro(shared) == "ro"
}
