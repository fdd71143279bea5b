//! What `cargo up` prints: what it waits for, the connection string, a table of the members.

use std::path::Path;
use std::sync::Arc;

use api::condition::{ConditionStatus, ConditionType};
use comfy_table::{Table, presets};
use tokio::sync::watch;

use crate::world::{ContainerState, Pod, World};

/// Prints each change until the supervisor ends.
pub(crate) async fn follow(mut worlds: watch::Receiver<Arc<World>>, root: &Path) {
    let mut said = Said::default();
    loop {
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
    rows: Vec<Vec<String>>,
    served: bool,
}

impl Said {
    fn say(&mut self, world: &World, root: &Path) {
        let progress = progress(world);
        if progress != self.progress && !progress.is_empty() {
            println!("{progress}");
        }
        self.progress = progress;
        let rows = rows(world, root);
        let ready = holds(world, ConditionType::Ready);
        // Half-made ensembles change with every process; the first table is of a whole one.
        if (ready || self.served) && rows != self.rows {
            self.served = true;
            println!("\n{}", table(world, &rows));
            self.rows = rows;
        }
    }
}

/// The connection string and the table.
pub(crate) fn whole(world: &World, root: &Path) -> String {
    let progress = progress(world);
    format!("{progress}\n\n{}", table(world, &rows(world, root)))
}

fn holds(world: &World, type_: ConditionType) -> bool {
    let status = world.ensemble.status.as_ref();
    let conditions = status
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    conditions
        .iter()
        .any(|c| c.type_ == type_ && c.status == ConditionStatus::True)
}

/// One line: what the last pass of the operator said.
fn progress(world: &World) -> String {
    let Some(status) = &world.ensemble.status else {
        return "starting the operator".into();
    };
    let about = |type_| status.conditions.iter().find(move |c| c.type_ == type_);
    let stalled = about(ConditionType::Stalled).filter(|c| c.status == ConditionStatus::True);
    let Some(condition) = stalled.or_else(|| about(ConditionType::Ready)) else {
        return String::new();
    };
    match (condition.type_, condition.status) {
        (ConditionType::Ready, ConditionStatus::True) => "ready".into(),
        (ConditionType::Stalled, _) => format!("stalled: {}", condition.message),
        _ => format!("waiting: {}", condition.message),
    }
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
            role(world, pod),
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

fn role(world: &World, pod: &Pod) -> String {
    let status = world.ensemble.status.as_ref();
    let member = status.and_then(|s| s.members.iter().find(|m| m.id == pod.member));
    match (&pod.server.state, member) {
        (ContainerState::Running { .. }, Some(member)) => match &member.role {
            Some(role) => role.clone(),
            None => format!("{:?}", member.state).to_lowercase(),
        },
        (ContainerState::Running { .. }, None) => "starting".into(),
        (ContainerState::Waiting, _) => match &pod.server.last_exit {
            Some(exit) => format!("ended: {exit}"),
            None => "starting".into(),
        },
        (ContainerState::Ended, _) => "ended".into(),
    }
}

fn pid(pod: &Pod) -> String {
    match pod.server.state {
        ContainerState::Running { pid, .. } => pid.to_string(),
        _ => "-".into(),
    }
}
