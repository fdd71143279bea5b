//! What `cargo up` prints: what it waits for, the connection string, a table of the members.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::condition::{Condition, ConditionStatus, ConditionType};
use comfy_table::{Table, presets};
use tokio::sync::watch;

use crate::world::{ContainerState, Pod, World};

/// Things that change together are shown together.
const SETTLE: Duration = Duration::from_millis(300);

/// Prints a line. Whoever read them may be gone: that ends no ensemble.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints each change until the supervisor ends.
pub(crate) async fn follow(mut worlds: watch::Receiver<Arc<World>>, root: &Path) {
    let mut said = Said::default();
    loop {
        tokio::time::sleep(SETTLE).await;
        let world = Arc::clone(&worlds.borrow_and_update());
        said.say(&world, root);
        if worlds.changed().await.is_err() {
            return;
        }
    }
}

/// What was printed last, so that only changes are.
#[derive(Default)]
struct Said {
    progress: String,
    outdated: String,
    rows: Vec<Vec<String>>,
}

impl Said {
    fn say(&mut self, world: &World, root: &Path) {
        let progress = progress(world);
        if progress != self.progress {
            say(&progress);
            self.progress = progress;
        }
        let outdated = outdated(world);
        if outdated != self.outdated {
            if !outdated.is_empty() {
                say(&outdated);
            }
            self.outdated = outdated;
        }
        let rows = rows(world, root);
        // Half-made ensembles change with every process; the first table is of a whole one.
        if (serves(world) || !self.rows.is_empty()) && rows != self.rows {
            say(format_args!("\n{}", table(world, &rows)));
            self.rows = rows;
        }
    }
}

/// The connection string and the table.
pub(crate) fn whole(world: &World, root: &Path) -> String {
    let progress = progress(world);
    format!("{progress}\n\n{}", table(world, &rows(world, root)))
}

/// The operator says so, of these very processes.
fn serves(world: &World) -> bool {
    let status = world.ensemble.status.as_ref();
    let ready = status.is_some_and(|status| {
        let ready = |c: &Condition| c.type_ == ConditionType::Ready;
        status
            .conditions
            .iter()
            .any(|c| ready(c) && c.status == ConditionStatus::True)
    });
    ready && world.pods.values().all(|pod| pod.probe.ready)
}

/// One line: what the last pass of the operator said, unless what runs knows better.
fn progress(world: &World) -> String {
    let Some(status) = &world.ensemble.status else {
        return "starting the operator".into();
    };
    let about = |type_| status.conditions.iter().find(move |c| c.type_ == type_);
    let stalled = about(ConditionType::Stalled).filter(|c| c.status == ConditionStatus::True);
    let Some(condition) = stalled.or_else(|| about(ConditionType::Ready)) else {
        return "waiting for the operator".into();
    };
    if serves(world) {
        return "ready".into();
    }
    match (condition.type_, condition.status) {
        (ConditionType::Ready, ConditionStatus::True) => {
            let away = world.pods.iter().filter(|(_, pod)| !pod.probe.ready);
            let names: Vec<_> = away.map(|(name, _)| name.as_str()).collect();
            format!("waiting for {}", names.join(", "))
        }
        (ConditionType::Stalled, _) => format!("stalled: {}", condition.message),
        _ => condition.message.clone(),
    }
}

/// Members that were made before the manifest's settings changed.
fn outdated(world: &World) -> String {
    let old = world.pods.iter().filter(|(_, pod)| {
        let set = world.sets.get(&pod.member.kind());
        set.is_some_and(|set| set.template.revision != pod.revision)
    });
    let names: Vec<_> = old.map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(
        "{} run with the settings from before the change: Ctrl-C and a new start take the new ones",
        names.join(", ")
    )
}

fn table(world: &World, rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["MEMBER", "ROLE", "PID", "CLIENT PORT", "DATA", "LOG"]);
    table.add_rows(rows);
    format!(
        "connect to {}\n{}",
        connection_string(world),
        table.trim_fmt()
    )
}

fn connection_string(world: &World) -> String {
    let ports = world
        .pods
        .values()
        .filter_map(|pod| world.ports.get(&pod.member));
    let hosts: Vec<_> = ports
        .map(|ports| format!("127.0.0.1:{}", ports.client))
        .collect();
    hosts.join(",")
}

fn rows(world: &World, root: &Path) -> Vec<Vec<String>> {
    let row = |(name, pod): (&String, &Pod)| {
        let port = world
            .ports
            .get(&pod.member)
            .map(|ports| ports.client.to_string());
        vec![
            name.clone(),
            role(pod),
            pid(pod),
            port.unwrap_or_default(),
            root.join("volumes")
                .join(&pod.volume)
                .join("data")
                .display()
                .to_string(),
            root.join("logs")
                .join(format!("{name}-server.log"))
                .display()
                .to_string(),
        ]
    };
    world.pods.iter().map(row).collect()
}

/// As the server itself says; the status may still speak of the process before.
fn role(pod: &Pod) -> String {
    match (&pod.server.state, &pod.probe.role, &pod.server.last_exit) {
        (ContainerState::Running { .. }, Some(role), _) => role.clone(),
        (ContainerState::Running { .. }, None, _) => "starting".into(),
        (ContainerState::Waiting, _, Some(exit)) => format!("ended: {exit}"),
        (ContainerState::Waiting, _, None) => "starting".into(),
        (ContainerState::Ended, ..) => "ended".into(),
    }
}

fn pid(pod: &Pod) -> String {
    match pod.server.state {
        ContainerState::Running { pid, .. } => pid.to_string(),
        _ => "-".into(),
    }
}
