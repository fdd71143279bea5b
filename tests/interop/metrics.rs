//! What Prometheus is shown, beside what Apache's own provider shows it under the same load.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::ensemble::{Ensemble, Make};
use tests::ports::Ports;
use tests::raw::Connection;
use wire::client::{
    CreateRequest, DeleteRequest, MultiRequest, PathRequest, Request, SetDataRequest,
};
use wire::{Acl, SessionId};

use crate::{Setting, foreign};

const LIMIT: Duration = Duration::from_secs(60);
/// What is not shown here, with a reason for each.
const ABSENT: &str = include_str!("metrics/absent.txt");
const SETTINGS: &str =
    "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

/// What of Apache's is shown here has the same type and labels; the rest is listed.
pub(crate) fn same(setting: &Setting) -> anyhow::Result<()> {
    let expected = shown(setting, Make::Apache)?;
    let found = shown(setting, Make::Ferrokeeper)?;
    let mut differences = Vec::new();
    let mut unused: BTreeSet<&str> = absent().collect::<anyhow::Result<_>>()?;
    let listed = unused.clone();
    let mut names = BTreeSet::new();
    for (part, expected, found) in [
        ("leader", &expected.0, &found.0),
        ("follower", &expected.1, &found.1),
    ] {
        for (name, family) in expected {
            let is_listed = |listed: &&&str| match listed.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => **listed == name,
            };
            let listed = listed.iter().find(is_listed);
            listed.map(|listed| unused.remove(listed));
            names.insert(name.clone());
            match (found.get(name), listed) {
                (Some(found), None) if found == family => {}
                (None, Some(_)) => {}
                (found, listed) => differences.push(format!(
                    "{part}, {name}: Apache shows {family:?}, ours {found:?}, listed: {}",
                    listed.is_some()
                )),
            }
        }
    }
    for name in unused {
        differences.push(format!("{name} is listed, and Apache does not show it"));
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    println!(
        "        metrics: {} of Apache's {} names, the others listed with reasons",
        names
            .iter()
            .filter(|name| found.0.contains_key(*name) || found.1.contains_key(*name))
            .count(),
        names.len()
    );
    Ok(())
}

fn absent() -> impl Iterator<Item = anyhow::Result<&'static str>> {
    let lines = ABSENT.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (name, reason) = line.split_once(' ').context("a name and a reason")?;
        ensure!(!reason.is_empty(), "{name} is listed without a reason");
        Ok(name)
    })
}

/// What one name stands for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    has_help: bool,
    labels: BTreeSet<String>,
    /// What must be equal: bytes that clients read and wrote, by namespace.
    bytes: BTreeSet<String>,
}

type Families = BTreeMap<String, Family>;

/// Of a leader and of a follower.
fn shown(setting: &Setting, make: Make) -> anyhow::Result<(Families, Families)> {
    let mut programs = setting.programs.clone();
    programs.apache = Some(jars(&setting.cache)?);
    let folder = setting.folder.join(format!("{make:?}"));
    let mut ensemble = Ensemble::new(&programs, &folder, &[make; 3], SETTINGS)?;
    let ports = Ports::claim(ensemble.members.len())?;
    for (member, port) in ensemble.members.iter().zip(ports.numbers()) {
        let config = member.folder.join("zoo.cfg");
        let mut config = File::options()
            .append(true)
            .open(config)
            .context("zoo.cfg")?;
        writeln!(config, "metricsProvider.httpPort={port}").context("write zoo.cfg")?;
    }
    ensemble.start_all()?;
    let leader = ensemble.leader(LIMIT)?;
    let follower = if leader == 1 { 2 } else { 1 };
    for (number, id) in [leader, follower].into_iter().enumerate() {
        load(ensemble.member(id).client, number)?;
    }
    let read = |id: i64| -> anyhow::Result<Families> {
        let port = ports.numbers()[usize::try_from(id)? - 1];
        parse(&get(SocketAddr::from(([127, 0, 0, 1], port)))?)
    };
    Ok((read(leader)?, read(follower)?))
}

/// Each kind of request, at a member of its own part.
fn load(member: SocketAddr, number: usize) -> anyhow::Result<()> {
    let mut client = Connection::connect(member, SessionId::NONE)?;
    let create = |path: String, data: &[u8]| {
        Request::Create(CreateRequest {
            path,
            data: Some(data.to_vec().into()),
            acl: Acl::open(),
            flags: 0,
        })
    };
    let named = |path: &str, watch| PathRequest {
        path: path.to_owned(),
        watch,
    };
    let set = |path: &str| {
        Request::SetData(SetDataRequest {
            path: path.to_owned(),
            data: Some(b"other".to_vec().into()),
            version: -1,
        })
    };
    let root = format!("/app{number}");
    let below = format!("{root}/below");
    let limits = format!("/zookeeper/quota{root}");
    let requests = [
        create(root.clone(), b""),
        create(below.clone(), b"data"),
        create(limits.clone(), b""),
        create(
            format!("{limits}/zookeeper_limits"),
            b"count=100,bytes=1000",
        ),
        create(format!("{limits}/zookeeper_stats"), b"count=0,bytes=0"),
        Request::GetData(named(&below, true)),
        Request::GetChildren(named(&root, true)),
        Request::GetChildren2(named(&root, false)),
        Request::Exists(named("/never", true)),
        set(&below),
        Request::Multi(MultiRequest {
            ops: vec![create(format!("{root}/more"), b""), set(&below)],
        }),
        Request::Delete(DeleteRequest {
            path: format!("{root}/more"),
            version: -1,
        }),
    ];
    let mut events = std::collections::VecDeque::new();
    for request in requests {
        let (header, _) = client.call(request.clone(), &mut events)?;
        ensure!(
            header.err == 0 || matches!(request, Request::Exists(_)),
            "{request:?}: {}",
            header.err
        );
    }
    // All members have applied what came before it.
    client.call(
        Request::Sync(wire::client::BarePath { path: root }),
        &mut events,
    )?;
    Ok(())
}

fn get(server: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, LIMIT).context("connect")?;
    stream
        .set_read_timeout(Some(LIMIT))
        .context("limit reads")?;
    write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").context("ask for the metrics")?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .context("read the metrics")?;
    let (_, text) = answer.split_once("\r\n\r\n").context("an HTTP answer")?;
    Ok(text.to_owned())
}

fn parse(text: &str) -> anyhow::Result<Families> {
    let mut families = Families::new();
    for line in text.lines().filter(|line| line.starts_with('#')) {
        let mut words = line.split_whitespace().skip(1);
        let (what, name) = (words.next(), words.next().context("a name")?);
        let family = families.entry(name.to_owned()).or_default();
        match what {
            Some("HELP") => family.has_help = true,
            _ => family.kind = words.next().unwrap_or_default().to_owned(),
        }
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (sample, value) = line.rsplit_once(' ').context("a sample")?;
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let base = ["_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let base = base.filter(|base| families.contains_key(*base));
        let family = families.get_mut(base.unwrap_or(name));
        let family = family.with_context(|| format!("{name} without a type"))?;
        let labels = labels
            .trim_end_matches('}')
            .split(',')
            .filter(|label| !label.is_empty());
        let labels: Vec<&str> = labels.collect();
        let names = labels
            .iter()
            .filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        family.labels.extend(names);
        let is_app = labels.iter().any(|label| label.starts_with("key=\"app"));
        if is_app && name.contains("_per_namespace_") {
            let value: f64 = value.parse().context("a number")?;
            family.bytes.insert(format!("{name} {labels:?} {value}"));
        }
    }
    Ok(families)
}

/// Apache's server, its provider and what that needs.
fn jars(cache: &Path) -> anyhow::Result<PathBuf> {
    let jars = cache.join("apache-zookeeper-3.9.5-metrics");
    if jars.join("complete").exists() {
        return Ok(jars);
    }
    println!("fetching Apache's metrics provider with Maven");
    let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/metrics/pom.xml");
    let mut maven = Command::new("mvn");
    maven.arg("-q").arg("-f").arg(pom);
    maven.arg("dependency:copy-dependencies");
    maven.arg(format!("-DoutputDirectory={}", jars.display()));
    foreign::run(&mut maven)?;
    std::fs::write(jars.join("complete"), "").context("mark the jars as complete")?;
    Ok(jars)
}
